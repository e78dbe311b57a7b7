// SPDX-License-Identifier: Apache-2.0
// words.js - a repaired text with its changed words marked.

const WORDS_MAX = 4000;

// Pieces of `after`: {text, isNew}.  White space goes with what stands before it.
export function diffWords(before, after) {
  const a = before.match(/\S+\s*/g) ?? [];
  const b = after.match(/\S+\s*/g) ?? [];
  if (a.length !== b.length || b.length > WORDS_MAX) return [{ text: after, isNew: false }];
  const pieces = [];
  b.forEach((word, i) => {
    const isNew = word.trim() !== a[i].trim();
    const last = pieces[pieces.length - 1];
    if (last && last.isNew === isNew && !isNew) last.text += word;
    else pieces.push({ text: word, isNew });
  });
  return pieces;
}
