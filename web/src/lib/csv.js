// SPDX-License-Identifier: Apache-2.0
// csv.js - tables out of comma-, semicolon- or tab-separated text (RFC 4180 and its cousins).

const ROWS_MAX = 20000;

export function guessSeparator(text) {
  const line = text.split("\n", 1)[0];
  const counts = [",", ";", "\t", "|"].map((mark) => [line.split(mark).length, mark]);
  return counts.reduce((best, row) => (row[0] > best[0] ? row : best))[1];
}

// {header, rows, isCut}: rows have as many cells as the header; at most ROWS_MAX.
export function parseTable(text, separator = guessSeparator(text)) {
  const rows = [];
  let row = [];
  let cell = "";
  let isQuoted = false;
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || row[0].trim() !== "") rows.push(row);
    row = [];
    cell = "";
  };
  for (let at = 0; at < text.length && rows.length <= ROWS_MAX; at++) {
    const char = text[at];
    if (isQuoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') cell += text[++at];
      else isQuoted = false;
    } else if (char === '"' && cell.trim() === "") {
      isQuoted = true;
      cell = "";
    } else if (char === separator) {
      row.push(cell);
      cell = "";
    } else if (char === "\n") {
      endRow();
    } else if (char !== "\r") {
      cell += char;
    }
  }
  if (cell !== "" || row.length) endRow();
  const [header = [], ...body] = rows;
  const width = header.length;
  const fit = (cells) => Array.from({ length: width }, (_, i) => (cells[i] ?? "").trim());
  return { header: fit(header), rows: body.map(fit), isCut: rows.length > ROWS_MAX };
}

// Numbers by size, the rest by words; stable.
export function sortRows(rows, column, isDown) {
  const number = (text) => {
    const plain = text.replace(/[\s%$€£,]/g, "");
    return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : null;
  };
  const compare = (a, b) => {
    const [x, y] = [number(a[column]), number(b[column])];
    if (x !== null && y !== null) return x - y;
    if ((x === null) !== (y === null)) return x === null ? 1 : -1;
    return a[column].localeCompare(b[column]);
  };
  return [...rows].sort((a, b) => (isDown ? -compare(a, b) : compare(a, b)));
}
