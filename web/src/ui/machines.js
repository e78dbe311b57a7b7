// SPDX-License-Identifier: Apache-2.0
// machines.js - who works for the swarm: machines, their models, speed and price, and what waits.
import { useEffect } from "preact/hooks";
import { count, money } from "../lib/format.js";
import { gatherMachines, modelName } from "../lib/machines.js";
import { info } from "../state/info.js";
import { crew, crewError, watchMachines } from "../state/machines.js";
import { useStore } from "../state/store.js";
import { html } from "./html.js";
import { TopBar } from "./top_bar.js";

function speed(perSecond) {
  return perSecond > 0 ? perSecond.toFixed(perSecond < 100 ? 1 : 0) : "–";
}

function ModelRow({ model, price }) {
  return html`<tr>
    <th scope="row">${modelName(model.name)}</th>
    <td class="is-number">${speed(model.tokens_in_per_s)}</td>
    <td class="is-number">${speed(model.tokens_out_per_s)}</td>
    <td class="is-number">${money(price?.usd_per_mtok_in)}</td>
    <td class="is-number">${money(price?.usd_per_mtok_out)}</td>
    <td class="is-number">${count(model.calls)}</td>
  </tr>`;
}

function Load({ working, slots, label }) {
  const share = slots ? Math.min(1, working / slots) : 0;
  return html`<div
    class="load"
    role="meter"
    aria-label=${label}
    aria-valuemin="0"
    aria-valuemax=${slots}
    aria-valuenow=${working}
  >
    <span style=${`--share: ${share}`} />
  </div>`;
}

function Worker({ worker, prices }) {
  return html`<section class="worker" aria-label=${worker.worker}>
    <p class="worker-line">
      <strong>${worker.worker}</strong>
      <span class=${`badge is-${worker.state.replace(" ", "-")}`}>${worker.state}</span>
      <span>${count(worker.working)} of ${count(worker.slots)} at work</span>
      <span>${count(worker.done)} answered</span>
    </p>
    ${
      worker.models?.length > 0 &&
      html`<div class="table-place" tabindex="0" aria-label=${`Models of ${worker.worker}`}>
        <table class="data">
          <thead>
            <tr>
              <th scope="col">Model</th>
              <th scope="col" class="is-number">Reads/s</th>
              <th scope="col" class="is-number">Writes/s</th>
              <th scope="col" class="is-number">$ / M in</th>
              <th scope="col" class="is-number">$ / M out</th>
              <th scope="col" class="is-number">Calls</th>
            </tr>
          </thead>
          <tbody>
            ${worker.models.map(
              (model) =>
                html`<${ModelRow}
                  key=${model.digest}
                  model=${model}
                  price=${prices.get(modelName(model.name))}
                />`,
            )}
          </tbody>
        </table>
      </div>`
    }
  </section>`;
}

function Machine({ machine, prices }) {
  return html`<article class="machine">
    <h2>
      ${machine.host}
      <span class=${`badge is-${machine.state.replace(" ", "-")}`}>${machine.state}</span>
    </h2>
    <${Load}
      working=${machine.working}
      slots=${machine.slots}
      label=${`Calls at work on ${machine.host}`}
    />
    ${machine.workers.map(
      (worker) => html`<${Worker} key=${worker.worker} worker=${worker} prices=${prices} />`,
    )}
  </article>`;
}

function Queue({ models }) {
  if (!models.length) return null;
  return html`<article class="machine">
    <h2>The queue</h2>
    <div class="table-place" tabindex="0" aria-label="Calls in the queue">
      <table class="data">
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col" class="is-number">Waiting</th>
            <th scope="col" class="is-number">At work</th>
          </tr>
        </thead>
        <tbody>
          ${models.map(
            (model) =>
              html`<tr key=${model.digest}>
                <th scope="row">${modelName(model.name)}</th>
                <td class="is-number">${count(model.waiting)}</td>
                <td class="is-number">${count(model.running)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </article>`;
}

function Barred({ list }) {
  if (!list.length) return null;
  return html`<p class="quiet">
    Judged by audits: ${list.map(({ worker, state }) => `${worker} (${state})`).join(", ")}
  </p>`;
}

export function MachinesView({ onMenu }) {
  const known = useStore(crew);
  const error = useStore(crewError);
  const models = useStore(info)?.models ?? [];
  useEffect(watchMachines, []);
  const prices = new Map(models.map((model) => [model.name, model]));
  const machines = known ? gatherMachines(known) : [];
  return html`<${TopBar} title="Machines" onMenu=${onMenu} />
    <div class="page-body machines">
      ${error && html`<p class="error-line" role="alert">${error}</p>`}
      ${
        known &&
        machines.length === 0 &&
        html`<p class="quiet">
          Nobody is there. On any machine: <code>enxame worker --join URL</code>
        </p>`
      }
      ${machines.map(
        (machine) => html`<${Machine} key=${machine.host} machine=${machine} prices=${prices} />`,
      )}
      ${known && html`<${Queue} models=${known.models ?? []} />`}
      ${known && html`<${Barred} list=${known.barred ?? []} />`}
      ${
        known &&
        html`<p class="quiet">
          What machines say of themselves, each a few seconds old; prices are those of the swarm
          file.
        </p>`
      }
    </div>`;
}
