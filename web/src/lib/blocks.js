// SPDX-License-Identifier: Apache-2.0
// blocks.js - Markdown cut where it can be rendered piece by piece.
//
// While an answer grows, only its last block changes; the blocks before it are rendered once.  A
// cut is a blank line after which something begins that cannot belong to what stands before:
// neither indented nor an item of a list nor a quotation.

const CONTINUES = /^(\s|[-*+]\s|\d{1,9}[.)]\s|>|\|)/;

export function splitBlocks(text) {
  const blocks = [];
  let start = 0;
  const gap = /\n[ \t]*\n+/g;
  for (let match = gap.exec(text); match; match = gap.exec(text)) {
    const next = gap.lastIndex;
    if (next >= text.length || CONTINUES.test(text.slice(next, next + 12))) continue;
    blocks.push(text.slice(start, next));
    start = next;
  }
  if (start < text.length) blocks.push(text.slice(start));
  return blocks;
}

// Links by reference reach over blocks: such a text is rendered as one.
export function hasReferences(text) {
  return /^ {0,3}\[[^\]\n]+\]:\s*\S/m.test(text);
}

// What is open at the end of a text that is still being written is closed, so that a half-written
// emphasis does not show its asterisks: "**bol" -> "**bol**".
export function closeInline(block) {
  const line = block.slice(block.lastIndexOf("\n\n") + 1);
  const bare = line.replace(/\\./g, "").replace(/`[^`]*`/g, "");
  if (bare.includes("`")) return block + "`";
  const trimmed = block.replace(/(\*{1,3}|_{1,3}|~{1,2}|!?\[[^\]\n]*(\]\([^)\n]*)?)$/, (open) =>
    open.startsWith("[") || open.startsWith("!") ? open.replace(/^!?\[|\]\(.*$/g, "") : "",
  );
  const bold = (bare.match(/\*\*(?!\s*$)/g) ?? []).length;
  return bold % 2 === 1 && !/\s$/.test(trimmed) ? trimmed + "**" : trimmed;
}
