// SPDX-License-Identifier: Apache-2.0
// diff.js - lines that differ between two texts (Myers, "An O(ND) Difference Algorithm", 1986).
//
//     diffLines(before, after)  ->  [{op: " " | "-" | "+", text, a, b}]   a, b: line numbers from 1
//     foldDiff(lines, context)  ->  the same, long equal runs replaced by {op: "…", count}

// Beyond this many differing lines the rest counts as replaced: memory is O(D^2).
const DISTANCE_MAX = 1000;

function linesOf(text) {
  if (text === "") return [];
  return text.replace(/\n$/, "").split("\n");
}

// The furthest x on each diagonal, kept for each distance, walked back from the end.
function shortestEdit(a, b) {
  const trace = [];
  const reach = new Map([[1, 0]]);
  for (let d = 0; d <= Math.min(a.length + b.length, DISTANCE_MAX); d++) {
    trace.push(new Map(reach));
    for (let k = -d; k <= d; k += 2) {
      const isDown = k === -d || (k !== d && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
      let x = isDown ? reach.get(k + 1) : reach.get(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      reach.set(k, x);
      if (x >= a.length && x - k >= b.length) return trace;
    }
  }
  return null;
}

function walkBack(trace, a, b) {
  const ops = [];
  let x = a.length;
  let y = b.length;
  for (let d = trace.length - 1; d >= 0; d--) {
    const reach = trace[d];
    const k = x - y;
    const isDown = k === -d || (k !== d && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
    const fromX = isDown ? reach.get(k + 1) : reach.get(k - 1);
    const fromY = fromX - (isDown ? k + 1 : k - 1);
    const startX = isDown ? fromX : fromX + 1;
    while (x > startX && d >= 0 && x > 0 && y > 0 && a[x - 1] === b[y - 1]) {
      ops.push([" ", --x, --y]);
    }
    if (d === 0) break;
    if (isDown) ops.push(["+", x, --y]);
    else ops.push(["-", --x, y]);
  }
  return ops.reverse();
}

function replaceAll(a, b) {
  return [...a.map((_, i) => ["-", i, 0]), ...b.map((_, i) => ["+", a.length, i])];
}

export function diffLines(before, after) {
  const a = linesOf(before);
  const b = linesOf(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  const room = Math.min(a.length, b.length) - head;
  while (tail < room && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const midA = a.slice(head, a.length - tail);
  const midB = b.slice(head, b.length - tail);
  const trace = shortestEdit(midA, midB);
  const middle = trace ? walkBack(trace, midA, midB) : replaceAll(midA, midB);
  const equal = (i, j) => ({ op: " ", text: a[i], a: i + 1, b: j + 1 });
  return [
    ...a.slice(0, head).map((_, i) => equal(i, i)),
    ...middle.map(([op, x, y]) => ({
      op,
      text: op === "+" ? midB[y] : midA[x],
      a: op === "+" ? 0 : head + x + 1,
      b: op === "-" ? 0 : head + y + 1,
    })),
    ...Array.from({ length: tail }, (_, i) => equal(a.length - tail + i, b.length - tail + i)),
  ];
}

export function foldDiff(lines, context = 3) {
  const near = new Uint8Array(lines.length);
  lines.forEach(({ op }, i) => {
    if (op === " ") return;
    near.fill(1, Math.max(0, i - context), Math.min(lines.length, i + context + 1));
  });
  const folded = [];
  for (let i = 0; i < lines.length; i++) {
    const last = folded[folded.length - 1];
    if (near[i]) folded.push(lines[i]);
    else if (last?.op === "…") last.count++;
    else folded.push({ op: "…", count: 1 });
  }
  return folded;
}

export function countChanges(lines) {
  const added = lines.filter(({ op }) => op === "+").length;
  return { added, removed: lines.filter(({ op }) => op === "-").length };
}
