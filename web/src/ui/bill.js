// SPDX-License-Identifier: Apache-2.0
// bill.js - what a job cost, model by model.
import { count, money, short } from "../lib/format.js";
import { html } from "./html.js";

function Line({ model }) {
  return html`<tr>
    <th scope="row">${model.name}<small>${model.duty}</small></th>
    <td class="is-number">${count(model.calls)}</td>
    <td class="is-number" title=${`${count(model.tokens_cached)} more were cached`}>
      ${short(model.tokens_in)}
    </td>
    <td class="is-number">${short(model.tokens_out)}</td>
    <td class="is-number">${money(model.cost_usd)}</td>
  </tr>`;
}

export function Bill({ bill }) {
  const { fixed_usd: fixed, total_usd: total, open_usd: open, assumed_calls: assumed } = bill;
  return html`<div class="table-place" tabindex="0" aria-label="Bill">
    <table class="data bill">
      <thead>
        <tr>
          <th scope="col">Model</th>
          <th scope="col" class="is-number">Calls</th>
          <th scope="col" class="is-number">In</th>
          <th scope="col" class="is-number">Out</th>
          <th scope="col" class="is-number">Cost</th>
        </tr>
      </thead>
      <tbody>
        ${bill.models.map((model) => html`<${Line} key=${model.name} model=${model} />`)}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row" colspan="4">All calls</th>
          <td class="is-number">${money(bill.cost_usd)}</td>
        </tr>
        ${
          fixed !== undefined &&
          html`<tr>
            <th scope="row" colspan="4">Training, this job's share</th>
            <td class="is-number">${money(fixed)}</td>
          </tr>`
        }
        ${
          total !== undefined &&
          html`<tr class="is-total">
            <th scope="row" colspan="4">Total</th>
            <td class="is-number">${money(total)}</td>
          </tr>`
        }
        ${
          open > 0 &&
          html`<tr class="quiet">
            <th scope="row" colspan="4">Held back for calls without a result</th>
            <td class="is-number">${money(open)}</td>
          </tr>`
        }
        ${
          assumed > 0 &&
          html`<tr class="quiet">
            <th scope="row" colspan="4">Calls settled by their worst case</th>
            <td class="is-number">${count(assumed)}</td>
          </tr>`
        }
      </tfoot>
    </table>
  </div>`;
}
