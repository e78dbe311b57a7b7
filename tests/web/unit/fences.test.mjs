// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanName, createParser, parseAnswer, parseInfo } from "../../../web/src/lib/fences.js";

const F = "```";
const shape = (segments) =>
  segments.map(({ kind, lang, name, isClosed }) => [kind, lang, name, isClosed]);

test("prose and fences take turns", () => {
  const segments = parseAnswer(`Before\n\n${F}js\nlet a;\n${F}\nAfter\n`);
  assert.deepEqual(shape(segments), [
    ["prose", "", "", true],
    ["fence", "js", "", true],
    ["prose", "", "", false],
  ]);
  assert.equal(segments[1].text, "let a;\n");
});

test("every way of cutting an answer gives the same segments", () => {
  const text =
    `A\n${F}html a.html\n<p>\`x\`\n${F}\nB \`c\` <i>\n` +
    `<svg viewBox="0 0 1 1">\n</svg> C\n~~~~py\n${F}\n~~~~\n`;
  const whole = JSON.stringify(parseAnswer(text));
  for (let at = 0; at <= text.length; at++) {
    const parser = createParser();
    parser.push(text.slice(0, at));
    parser.segments();
    parser.push(text.slice(at));
    assert.equal(JSON.stringify(parser.end()), whole, `cut at ${at}`);
  }
});

test("no text is lost while it is written", () => {
  const text = `One\n\n${F}js\nlet a;\n${F}\n\nTwo`;
  const parser = createParser();
  let longest = 0;
  for (const char of text) {
    parser.push(char);
    const size = parser.segments().reduce((sum, { text: part }) => sum + part.length, 0);
    assert.ok(size >= longest - 3, "what was shown stays, but for marks that may be a fence");
    longest = Math.max(longest, size);
  }
  assert.equal(parser.end().at(-1).text, "\nTwo\n");
});

test("a fence that is never closed is a segment that is not closed", () => {
  const [segment] = parseAnswer(`${F}svg\n<svg>`);
  assert.deepEqual(shape([segment]), [["fence", "svg", "", false]]);
  assert.equal(segment.text, "<svg>\n");
});

test("a longer fence holds shorter ones", () => {
  const [segment] = parseAnswer(`${F}${F[0]}md\n${F}js\nx\n${F}\n${F}${F[0]}\n`);
  assert.equal(segment.text, `${F}js\nx\n${F}\n`);
  assert.equal(segment.isClosed, true);
});

test("fences in a Markdown file end where they ended", () => {
  const [segment, after] = parseAnswer(`${F}md\n# A\n${F}js\nx\n${F}\nB\n${F}\nC\n`);
  assert.match(segment.text, /B\n$/);
  assert.equal(after.text, "C\n");
});

test("a fence in a list loses the list's indent", () => {
  const segments = parseAnswer(`1. Do\n   ${F}sh\n   ls\n     x\n   ${F}\n`);
  assert.equal(segments[1].text, "ls\n  x\n");
});

test("bare documents are found, also when they are one line", () => {
  const parser = createParser();
  parser.push("Look: \n<!doctype html><p>Hi");
  assert.deepEqual(shape(parser.segments()).at(-1), ["html", "html", "", false]);
  parser.push("</p></html> Done.");
  const segments = parser.end();
  assert.deepEqual(
    segments.map(({ kind }) => kind),
    ["prose", "html", "prose"],
  );
  assert.equal(segments[1].text, "<!doctype html><p>Hi</p></html>\n");
});

test("inline code at the start of a line is prose", () => {
  const parser = createParser();
  parser.push("`let` is a word");
  assert.equal(parser.segments()[0].text, "`let` is a word");
  assert.deepEqual(
    parseAnswer(`${F}not a fence${F} is code\n`).map(({ kind }) => kind),
    ["prose"],
  );
});

test("marks that may become a fence are held back, and given out at the end", () => {
  const parser = createParser();
  parser.push("A\n``");
  assert.equal(parser.segments()[0].text, "A\n");
  assert.equal(parser.end()[0].text, "A\n``\n");
});

test("info strings name language and file in many ways", () => {
  for (const [info, lang, name] of [
    ["html", "html", ""],
    ["html index.html", "html", "index.html"],
    ["js:src/game.js", "js", "game.js"],
    ['python title="my file.py"', "python", "my file.py"],
    ["filename=style.css", "", "style.css"],
    ["index.html", "html", "index.html"],
    ["{.python}", "python", ""],
    ["C++", "c++", ""],
  ]) {
    assert.deepEqual(parseInfo(info), { lang, name }, info);
  }
});

test("names come from the line before or the first comment", () => {
  assert.equal(parseAnswer(`**app.py**\n\n${F}python\nx\n${F}\n`)[1].name, "app.py");
  assert.equal(parseAnswer(`${F}js\n// game.js\nx\n${F}\n`)[0].name, "game.js");
  assert.equal(parseAnswer(`${F}html\n<!-- page.html -->\nx\n${F}\n`)[0].name, "page.html");
  assert.equal(parseAnswer(`Use the file.\n${F}js\nx\n${F}\n`)[1].name, "");
});

test("a name is never a path, nor markup", () => {
  assert.equal(cleanName("../../etc/passwd.txt"), "passwd.txt");
  assert.equal(cleanName("..\\windows\\a.js"), "a.js");
  assert.equal(cleanName("<img src=x>.js"), "");
  assert.equal(cleanName(".."), "");
  assert.ok(cleanName("a".repeat(500) + ".js").length <= 80);
});
