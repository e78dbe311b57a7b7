// SPDX-License-Identifier: Apache-2.0
// The small pure parts: numbers, differences, events of a stream, trees, tables, diagrams, colours.
import assert from "node:assert/strict";
import { test } from "node:test";
import { closeInline, hasReferences, splitBlocks } from "../../../web/src/lib/blocks.js";
import { parseTable, sortRows } from "../../../web/src/lib/csv.js";
import { countChanges, diffLines, foldDiff } from "../../../web/src/lib/diff.js";
import { layoutFlow, parseFlow } from "../../../web/src/lib/flowchart.js";
import * as format from "../../../web/src/lib/format.js";
import { highlightLine } from "../../../web/src/lib/highlight.js";
import { createEventParser } from "../../../web/src/lib/sse.js";
import * as tree from "../../../web/src/lib/tree.js";
import { diffWords } from "../../../web/src/lib/words.js";

test("money keeps three digits and never rounds to nothing", () => {
  for (const [usd, text] of [
    [0, "$0"],
    [0.00000109, "$0.00000109"],
    [0.0000439, "$0.0000439"],
    [0.25, "$0.250"],
    [0.9999, "$1.00"],
    [1234.5, "$1,234.50"],
    [1e-9, "$0.00000000100"],
    [null, "–"],
  ]) {
    assert.equal(format.money(usd), text);
  }
});

test("numbers for people", () => {
  assert.equal(format.count(1234567), "1,234,567");
  assert.equal(format.short(999), "999");
  assert.equal(format.short(12345), "12.3k");
  assert.equal(format.short(999999), "1M");
  assert.equal(format.percent(0.9512), "95.1\u2009%");
  assert.equal(format.duration(0.25), "250\u2009ms");
  assert.equal(format.duration(59.99), "1\u2009min 0\u2009s");
  assert.equal(format.duration(3725), "1\u2009h 2\u2009min");
  assert.equal(format.bytes(1536), "1.5\u2009KB");
  assert.equal(format.plural(1, "line"), "1 line");
  assert.equal(format.ago(0, 120000), "2 min ago");
});

// Applying a diff to the text before must give the text after.
function apply(lines) {
  const text = (ops) => lines.filter(({ op }) => ops.includes(op)).map((line) => line.text);
  return [text(" -"), text(" +")];
}

test("differences lead from one text to the other, for random texts", () => {
  let seed = 1;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 300; round++) {
    const make = () => Array.from({ length: random(14) }, () => "abcde"[random(5)]);
    const [a, b] = [make(), make()];
    const lines = diffLines(a.join("\n"), b.join("\n"));
    assert.deepEqual(apply(lines), [a, b]);
    lines.forEach((line) => {
      if (line.a) assert.equal(a[line.a - 1], line.text);
      if (line.b) assert.equal(b[line.b - 1], line.text);
    });
  }
});

test("one changed line is one removed and one added", () => {
  const text = Array.from({ length: 100 }, (_, i) => `line ${i}`);
  const changed = text.map((line, i) => (i === 50 ? "other" : line));
  const lines = diffLines(text.join("\n"), changed.join("\n"));
  assert.deepEqual(countChanges(lines), { added: 1, removed: 1 });
  const folded = foldDiff(lines, 3);
  assert.equal(folded.length, 2 + 6 + 2);
  assert.equal(folded[0].count, 47);
});

test("texts with nothing in common are replaced, quickly", () => {
  const many = (word) => Array.from({ length: 4000 }, (_, i) => `${word}${i}`).join("\n");
  assert.deepEqual(countChanges(diffLines(many("a"), many("b"))), { added: 4000, removed: 4000 });
});

test("events survive every cut of the stream", () => {
  const stream = 'id: 7\r\nevent: end\ndata: {"a":1}\ndata: 2\n\n: keep\n\ndata: x\n\n';
  for (let at = 0; at <= stream.length; at++) {
    const events = [];
    const push = createEventParser((event) => events.push(event));
    push(stream.slice(0, at));
    push(stream.slice(at));
    assert.deepEqual(events, [
      { id: "7", event: "end", data: '{"a":1}\n2' },
      { id: "7", event: "message", data: "x" },
    ]);
  }
});

test("edits and second answers are siblings; nothing is lost", () => {
  let talk = tree.createConversation("c", 0);
  const add = (id, parent, role) =>
    (talk = tree.addMessage(talk, { id, parent, role, time: ++time, content: id }));
  let time = 0;
  add("q1", null, "user");
  add("a1", "q1", "assistant");
  add("q2", "a1", "user");
  add("b1", "q1", "assistant");
  assert.deepEqual(
    tree.pathOf(talk).map(({ id }) => id),
    ["q1", "b1"],
  );
  assert.deepEqual(
    tree.siblingsOf(talk, "b1").map(({ id }) => id),
    ["a1", "b1"],
  );
  talk = tree.showMessage(talk, "a1");
  assert.deepEqual(
    tree.pathOf(talk).map(({ id }) => id),
    ["q1", "a1", "q2"],
  );
  assert.match(tree.toMarkdown(talk), /## You\n\nq1[^]*q2/);
});

test("titles are first lines, cut between words", () => {
  assert.equal(tree.titleOf("\n Hello there \nmore"), "Hello there");
  assert.ok(tree.titleOf("word ".repeat(40)).length <= 61);
  assert.equal(tree.titleOf("  "), "New chat");
});

test("blocks together are the text, and lists stay whole", () => {
  const text = "A\n\nB\n\n- one\n\n- two\n\n  more\n\nC\n\n| a |\n|---|\n\nD";
  const blocks = splitBlocks(text);
  assert.equal(blocks.join(""), text);
  assert.equal(blocks.find((block) => block.includes("one")).includes("more"), true);
  assert.equal(hasReferences("[a]: http://x"), true);
});

test("what is open is closed while it grows", () => {
  assert.equal(closeInline("a **bo"), "a **bo**");
  assert.equal(closeInline("a `co"), "a `co`");
  assert.equal(closeInline("see [the te"), "see the te");
  assert.equal(closeInline("see [it](http://x"), "see it");
  assert.equal(closeInline("plain"), "plain");
});

test("tables are read with quotes, and sorted by number or word", () => {
  const table = parseTable('name,size\n"a ""b"", c","1,200"\nd,30\n\ne');
  assert.deepEqual(table.header, ["name", "size"]);
  assert.deepEqual(table.rows, [
    ['a "b", c', "1,200"],
    ["d", "30"],
    ["e", ""],
  ]);
  assert.deepEqual(
    sortRows(table.rows, 1, false).map(([, size]) => size),
    ["30", "1,200", ""],
  );
  assert.deepEqual(parseTable("a\tb\n1\t2").rows, [["1", "2"]]);
});

test("flowcharts are read: shapes, labels, chains, groups, circles", () => {
  const flow = parseFlow(
    'flowchart LR\n a["A <b>"] -->|yes| b{B?} -.-> c((C))\n a & b ==> d\n c --> a\n d -- no --> a',
  );
  assert.deepEqual(
    flow.nodes.map(({ id, shape }) => `${id} ${shape}`),
    ["a box", "b diamond", "c circle", "d box"],
  );
  assert.equal(flow.nodes[0].text, "A <b>");
  assert.deepEqual(
    flow.edges.map(({ from, to, text, style }) => `${from}${to} ${text} ${style}`),
    ["ab yes plain", "bc  dotted", "ad  thick", "bd  thick", "ca  plain", "da no plain"],
  );
  const { nodes, width, height } = layoutFlow(flow);
  for (const { x, y, w, h } of nodes) {
    assert.ok(x - w / 2 >= -0.01 && x + w / 2 <= width + 0.01);
    assert.ok(y - h / 2 >= -0.01 && y + h / 2 <= height + 0.01);
  }
});

test("half a flowchart is a flowchart, at every cut", () => {
  const text = "graph TD\n a[Start] --> b{Good?}\n b -->|yes| c([End])\n b -- no --> a\n";
  for (let at = 0; at <= text.length; at++) layoutFlow(parseFlow(text.slice(0, at)));
  assert.equal(parseFlow("sequenceDiagram\n A->>B: hi").isFlow, false);
});

test("colours never let markup through, and lose no character", () => {
  const plain = (html) =>
    html
      .replace(/<[^>]*>/g, "")
      .replace(/&lt;/g, "<")
      .replace(/&gt;/g, ">")
      .replace(/&amp;/g, "&");
  for (const lang of ["js", "python", "html", "css", "sql", "nothing"]) {
    let state = "";
    for (const line of [
      "<script>let a = '<b>&'; // x",
      "/* <img src=x onerror=1>",
      "*/ f(0x1F) </script>",
      '<a href="x">&amp;</a> # "y',
    ]) {
      const [html, next] = highlightLine(line, lang, state);
      assert.equal(plain(html), line, `${lang}: ${html}`);
      assert.doesNotMatch(html, /<(?!\/?span)/);
      state = next;
    }
  }
});

test("comments over lines keep their colour", () => {
  const [, state] = highlightLine("a /* b", "js");
  assert.equal(state, "comment");
  assert.match(highlightLine("c */ d", "js", state)[0], /^<span class="hl-note">c \*\/<\/span> d$/);
});

test("changed words of a repaired text are marked", () => {
  assert.deepEqual(diffWords("a cafe b", "a café b"), [
    { text: "a ", isNew: false },
    { text: "café ", isNew: true },
    { text: "b", isNew: false },
  ]);
});
