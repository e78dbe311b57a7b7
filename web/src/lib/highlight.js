// SPDX-License-Identifier: Apache-2.0
// highlight.js - colours for code, line by line.
//
//     const [html, state] = highlightLine(line, lang, state);   // state of the line before, or ""
//
// One tokenizer for families of languages, told by a table: comments, strings, numbers, words.  It
// is meant to be calm and never wrong enough to disturb, not to be a parser.  The HTML that it
// returns is escaped text and <span class="hl-…">.

const C_WORDS =
  "abstract as async await break case catch class const continue default defer delete do " +
  "else enum export extends extern final finally fn for from func function goto if impl " +
  "import in inline instanceof interface let loop match mod mut namespace new of package " +
  "private protected pub public return static struct super switch template this throw " +
  "trait try type typedef typeof union unsafe use using var virtual void volatile while " +
  "yield int char float double bool long short unsigned signed string true false null " +
  "undefined nullptr NULL nil self Self";
const PY_WORDS =
  "and as assert async await break class continue def del elif else except finally for " +
  "from global if import in is lambda nonlocal not or pass raise return try while with " +
  "yield True False None self then fi do done case esac function local end begin module " +
  "unless puts require echo export";
const SQL_WORDS =
  "select from where insert into values update set delete create table view index drop " +
  "alter join left right inner outer on group by order having limit as and or not null " +
  "primary key references distinct union all case when then else end with in is like " +
  "between exists count sum avg min max";

const FAMILIES = {
  c: { line: "//", open: "/*", close: "*/", words: C_WORDS, quotes: "\"'`" },
  python: { line: "#", words: PY_WORDS, quotes: "\"'" },
  sql: { line: "--", open: "/*", close: "*/", words: SQL_WORDS, quotes: "'\"", isCaseless: true },
  css: { open: "/*", close: "*/", words: "", quotes: "\"'" },
  plain: { words: "", quotes: "" },
};

const FAMILY_OF = {
  c:
    "c js javascript ts typescript jsx tsx mjs cpp c++ h hpp java kotlin kt go rust rs swift cs " +
    "csharp php scala dart zig json jsonc",
  python: "python py ruby rb sh bash shell zsh yaml yml toml r perl pl makefile dockerfile ini",
  sql: "sql",
  css: "css scss less",
};
const LOOKUP = new Map(
  Object.entries(FAMILY_OF).flatMap(([family, langs]) =>
    langs.split(" ").map((lang) => [lang, { ...FAMILIES[family] }]),
  ),
);
const MARKUP = new Set(["html", "htm", "xml", "svg", "vue", "xhtml"]);

export function escapeHtml(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function span(kind, text) {
  return text ? `<span class="hl-${kind}">${escapeHtml(text)}</span>` : "";
}

function wordSet(family) {
  family.set ??= new Set(family.words.split(" "));
  return family.set;
}

function endOfString(line, at, quote) {
  for (let i = at + 1; i < line.length; i++) {
    if (line[i] === "\\") i++;
    else if (line[i] === quote) return i + 1;
  }
  return line.length;
}

const WORD = /[A-Za-z_$][\w$-]*/y;
const NUMBER = /(?:0x[\da-f]+|\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)[a-z%]*/iy;

function matchAt(pattern, line, at) {
  pattern.lastIndex = at;
  return pattern.exec(line)?.[0] ?? "";
}

function wordSpan(line, at, word, family) {
  if (wordSet(family).has(family.isCaseless ? word.toLowerCase() : word)) return span("word", word);
  return line[at + word.length] === "(" ? span("call", word) : escapeHtml(word);
}

// [html, end] of the token at `at`; state "comment" says that a block comment stays open.
function token(line, at, family) {
  if (family.line && line.startsWith(family.line, at)) {
    return [span("note", line.slice(at)), line.length];
  }
  if (family.open && line.startsWith(family.open, at)) {
    const end = line.indexOf(family.close, at + family.open.length);
    if (end < 0) return [span("note", line.slice(at)), line.length, "comment"];
    const stop = end + family.close.length;
    return [span("note", line.slice(at, stop)), stop];
  }
  if (family.quotes.includes(line[at])) {
    const end = endOfString(line, at, line[at]);
    return [span("text", line.slice(at, end)), end];
  }
  const number = matchAt(NUMBER, line, at);
  if (number) return [span("number", number), at + number.length];
  const word = matchAt(WORD, line, at);
  if (word) return [wordSpan(line, at, word, family), at + word.length];
  return [escapeHtml(line[at]), at + 1];
}

function codeLine(line, family, state) {
  let html = "";
  let at = 0;
  if (state === "comment") {
    const end = line.indexOf(family.close);
    if (end < 0) return [span("note", line), state];
    at = end + family.close.length;
    html = span("note", line.slice(0, at));
  }
  let next = "";
  while (at < line.length) {
    const [piece, end, open] = token(line, at, family);
    html += piece;
    at = end;
    next = open ?? "";
  }
  return [html, next];
}

// Markup has its scripts and styles in other families: state is "script" or "style" inside them.
function markupLine(line, state) {
  const [inside, rest = ""] = state.split("+");
  if (inside === "script" || inside === "style") {
    const end = line.search(new RegExp(`</${inside}`, "i"));
    const family = LOOKUP.get(inside === "script" ? "js" : "css");
    const [html, next] = codeLine(end < 0 ? line : line.slice(0, end), family, rest);
    if (end < 0) return [html, next ? `${inside}+${next}` : inside];
    const [tail, after] = markupLine(line.slice(end), "");
    return [html + tail, after];
  }
  const html = line.replace(/(<!--.*?(?:-->|$))|(<\/?)([\w-]+)([^<>]*)(\/?>?)|([^<]+|<)/g, tagHtml);
  const opened = /<(script|style)\b[^>]*>(?!.*<\/\1)/i.exec(line);
  return [html, opened ? opened[1].toLowerCase() : ""];
}

function tagHtml(_, note, open, name, attributes, close, text) {
  if (note) return span("note", note);
  if (text) return escapeHtml(text);
  const inner = attributes.replace(
    /([\w:@-]+)|("[^"]*"?|'[^']*'?)|([^\w:@"'-]+)/g,
    (__, key, value, other) =>
      key ? span("call", key) : value ? span("text", value) : escapeHtml(other),
  );
  return escapeHtml(open) + span("word", name) + inner + escapeHtml(close);
}

export function highlightLine(line, lang, state = "") {
  if (MARKUP.has(lang)) return markupLine(line, state);
  return codeLine(line, LOOKUP.get(lang) ?? FAMILIES.plain, state);
}
