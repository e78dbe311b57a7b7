// SPDX-License-Identifier: Apache-2.0
// fences.js - an answer as segments: prose, fenced blocks, and documents that stand bare.
//
//     const parser = createParser();
//     parser.push("text in any ");  parser.push("pieces");
//     parser.segments(isDone);      // [{kind, text, lang, name, isClosed}]
//
// kind is "prose", "fence", "html" or "svg".  Work is linear in what is pushed: lines that are
// complete are never looked at again.  The line that is still being written is shown as part of the
// last segment, unless it may turn out to be a fence.

const NAME_CHARS_MAX = 80;
const FENCE = /^(\s*)(`{3,}|~{3,})(.*)$/;
const BARE = [
  { kind: "html", open: /^\s*(<!doctype\s+html|<html[\s>])/i, close: /<\/html\s*>/i },
  { kind: "svg", open: /^\s*<svg[\s>]/i, close: /<\/svg\s*>/i },
];
const MAYBE_FENCE = /^\s*(`{1,2}|`{3,}[^`]*|~{1,2}|~{3,}.*)$/;
const MAYBE_BARE = /^\s*<(!d?o?c?t?y?p?e?\s*(html?)?|h|ht|htm|html|s|sv|svg)?$/i;
const FILE_NAME = /^[\w@][\w.@ /-]*\.[a-z][a-z0-9]{0,7}$/i;

// A file name fit for a label and a download; "" when there is none.
export function cleanName(text) {
  const base = text.trim().replace(/\\/g, "/").split("/").pop();
  return FILE_NAME.test(base) ? base.slice(0, NAME_CHARS_MAX) : "";
}

// "html index.html", "js:src/game.js", 'python title="a b.py"', "index.html" -> {lang, name}
export function parseInfo(info) {
  const text = info.trim().replace(/^\{\s*\.?|\}$/g, "");
  const named = /(?:title|file|filename|name|path)\s*[=:]\s*(?:"([^"]*)"|'([^']*)'|(\S+))/i;
  const match = named.exec(text);
  const [first = "", ...others] = text.split(/[\s,]+/);
  const colon = /^([\w+#-]+):(.+)$/.exec(first);
  if (match) {
    const name = cleanName(match[1] ?? match[2] ?? match[3]);
    return { lang: (named.exec(first) ? "" : first).toLowerCase(), name };
  }
  if (colon && cleanName(colon[2])) {
    return { lang: colon[1].toLowerCase(), name: cleanName(colon[2]) };
  }
  if (cleanName(first)) return { lang: extensionOf(first), name: cleanName(first) };
  return { lang: first.toLowerCase(), name: cleanName(others.join(" ")) };
}

export function extensionOf(name) {
  return /\.([a-z0-9]+)$/i.exec(name)?.[1].toLowerCase() ?? "";
}

// The name that a first line holds and nothing else: "// game.js", "<!-- index.html -->"
function nameInComment(line) {
  const match = /^\s*(?:\/\/|#|--|;|\/\*|<!--)\s*(?:file(?:name)?:\s*)?(\S+?)\s*(?:\*\/|-->)?\s*$/i;
  const found = match.exec(line);
  return found ? cleanName(found[1]) : "";
}

// The name that a line of prose announces: "**index.html**", "### `src/game.js`:"
function nameInProse(line) {
  const found = /^\s*(?:#+\s*|\d+\.\s*|[-*]\s+)?[*_`]*([\w@./-]+\.[a-z0-9]+)[*_`]*:?[*_]*\s*$/i;
  return cleanName(found.exec(line)?.[1] ?? "");
}

function lastLine(text) {
  const trimmed = text.trimEnd();
  return trimmed.slice(trimmed.lastIndexOf("\n") + 1);
}

export function createParser() {
  const segments = [];
  let partial = "";
  let current = null; // the last segment
  let fence = null; // {char, length, indent, depth} while one is open
  let bare = null; // a row of BARE while one is open

  function start(kind, fields) {
    current = { kind, text: "", lang: "", name: "", isClosed: false, ...fields };
    segments.push(current);
  }

  function finish() {
    current.isClosed = true;
    current = fence = bare = null;
  }

  function openFence([, indent, marks, info]) {
    const before = current?.kind === "prose" ? nameInProse(lastLine(current.text)) : "";
    const { lang, name } = parseInfo(info);
    if (current) current.isClosed = true;
    fence = { char: marks[0], length: marks.length, indent: indent.length, depth: 0 };
    start("fence", { lang: lang || extensionOf(name || before), name: name || before });
  }

  function isFenceOpening(match) {
    return match && !(match[2][0] === "`" && match[3].includes("`"));
  }

  // Markdown in markdown: an inner fence that has an info string needs its own end.
  function takeFenceLine(line) {
    const match = FENCE.exec(line);
    if (match && match[2][0] === fence.char && match[2].length >= fence.length) {
      if (match[3].trim() === "") {
        if (fence.depth === 0) return finish();
        fence.depth--;
      } else if (current.lang === "markdown" || current.lang === "md") {
        fence.depth++;
      }
    }
    if (current.text === "" && !current.name) current.name = nameInComment(line);
    current.text += stripIndent(line) + "\n";
  }

  function stripIndent(line) {
    let strip = 0;
    while (strip < fence.indent && (line[strip] === " " || line[strip] === "\t")) strip++;
    return line.slice(strip);
  }

  function takeProseLine(line) {
    const match = FENCE.exec(line);
    if (isFenceOpening(match)) return openFence(match);
    bare = BARE.find((row) => row.open.test(line)) ?? null;
    if (bare) {
      if (current) current.isClosed = true;
      start(bare.kind, { lang: bare.kind });
      return takeBareLine(line);
    }
    if (!current) start("prose", {});
    current.text += line + "\n";
  }

  function takeBareLine(line) {
    const close = bare.close.exec(line);
    if (!close) {
      current.text += line + "\n";
      return;
    }
    const end = close.index + close[0].length;
    current.text += line.slice(0, end) + "\n";
    finish();
    if (line.slice(end).trim()) takeProseLine(line.slice(end));
  }

  function takeLine(line) {
    if (fence) takeFenceLine(line);
    else if (bare) takeBareLine(line);
    else takeProseLine(line);
  }

  // The segments with the unfinished line: a copy of the last one, or a new one.
  function withPartial(isDone) {
    if (partial === "") return segments.slice();
    if (fence) {
      const isMarks = /^\s*(`+|~+)\s*$/.test(partial) && partial.trim()[0] === fence.char;
      if (isMarks) return segments.slice();
      return [...segments.slice(0, -1), { ...current, text: current.text + stripIndent(partial) }];
    }
    if (bare) return [...segments.slice(0, -1), { ...current, text: current.text + partial }];
    if (!isDone && (MAYBE_FENCE.test(partial) || MAYBE_BARE.test(partial))) return segments.slice();
    const row = BARE.find(({ open }) => open.test(partial));
    if (row) {
      const lone = { kind: row.kind, lang: row.kind, name: "", text: partial };
      return [...segments, { ...lone, isClosed: row.close.test(partial) }];
    }
    if (!current) return [...segments, { kind: "prose", text: partial, lang: "", name: "" }];
    return [...segments.slice(0, -1), { ...current, text: current.text + partial }];
  }

  return {
    push(chunk) {
      const lines = (partial + chunk).split("\n");
      partial = lines.pop();
      for (const line of lines) takeLine(line.replace(/\r$/, ""));
    },
    segments: withPartial,
    // The answer is whole: a last line without its end counts as a line.
    end() {
      if (partial !== "") takeLine(partial);
      partial = "";
      return segments;
    },
  };
}

export function parseAnswer(text) {
  const parser = createParser();
  parser.push(text);
  return parser.end();
}
