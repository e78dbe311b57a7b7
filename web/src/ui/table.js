// SPDX-License-Identifier: Apache-2.0
// table.js - a table that can be sorted; of long ones a page at a time.
import { useMemo, useState } from "preact/hooks";
import { parseTable, sortRows } from "../lib/csv.js";
import { count } from "../lib/format.js";
import { html } from "./html.js";

const ROWS_SHOWN = 200;
const NUMERIC = /^[\s$€£+-]*[\d.,]+\s*%?$/;

export function Table({ text, name }) {
  const { header, rows, isCut } = useMemo(() => parseTable(text), [text]);
  const [sort, setSort] = useState({ column: -1, isDown: false });
  const [shown, setShown] = useState(ROWS_SHOWN);
  const sorted = useMemo(
    () => (sort.column < 0 ? rows : sortRows(rows, sort.column, sort.isDown)),
    [rows, sort],
  );
  const isNumber = header.map(
    (_, i) => rows.length > 0 && rows.every((r) => !r[i] || NUMERIC.test(r[i])),
  );
  const select = (column) => setSort({ column, isDown: sort.column === column && !sort.isDown });
  const direction = (i) =>
    sort.column !== i ? undefined : sort.isDown ? "descending" : "ascending";
  return html`<div class="table-place" tabindex="0" aria-label=${name}>
    <table class="data">
      <thead>
        <tr>
          ${header.map(
            (title, i) =>
              html`<th
                scope="col"
                aria-sort=${direction(i)}
                class=${isNumber[i] ? "is-number" : ""}
              >
                <button type="button" onClick=${() => select(i)}>
                  ${title}${sort.column === i ? (sort.isDown ? " ↓" : " ↑") : ""}
                </button>
              </th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${sorted.slice(0, shown).map(
          (row) =>
            html`<tr>
              ${row.map(
                (cell, i) => html`<td class=${isNumber[i] ? "is-number" : ""}>${cell}</td>`,
              )}
            </tr>`,
        )}
      </tbody>
    </table>
    ${
      sorted.length > shown &&
      html`<button type="button" class="button" onClick=${() => setShown(shown + ROWS_SHOWN)}>
        More of ${count(sorted.length)} rows
      </button>`
    }
    ${isCut && html`<p class="quiet">The table is longer than what is shown here.</p>`}
  </div>`;
}
