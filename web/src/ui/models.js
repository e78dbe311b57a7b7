// SPDX-License-Identifier: Apache-2.0
// models.js - what this server offers: size, price and speed of each model.
import { useEffect, useState } from "preact/hooks";
import { count, money, short } from "../lib/format.js";
import { getLaw } from "../state/api.js";
import { info, infoError, refreshInfo } from "../state/info.js";
import { useStore } from "../state/store.js";
import { html } from "./html.js";
import { TopBar } from "./top_bar.js";

const EVERY_MS = 3000;
const KINDS = { local: "on this machine", remote: "behind an API", swarm: "all of them together" };

function Row({ model }) {
  const { name, kind, duty, params, context_tokens, tokens_per_s, requests, running, waiting } =
    model;
  const price = (usd) => (usd === null || usd === undefined ? "–" : money(usd));
  const languages = model.languages?.length ? ` · ${model.languages.join(", ")}` : "";
  return html`<tr>
    <th scope="row">
      <strong>${name}</strong
      ><small>${[duty, KINDS[kind]].filter(Boolean).join(", ")}${languages}</small>
    </th>
    <td class="is-number">${params ? short(params) : "–"}</td>
    <td class="is-number">${context_tokens ? count(context_tokens) : "–"}</td>
    <td class="is-number">${price(model.usd_per_mtok_in)}</td>
    <td class="is-number">${price(model.usd_per_mtok_out)}</td>
    <td class="is-number">
      ${tokens_per_s ? tokens_per_s.toFixed(tokens_per_s < 100 ? 1 : 0) : "–"}
    </td>
    <td class="is-number">
      ${count(requests)}${running ? html`<small>${running} running</small>` : ""}${
        waiting ? html`<small>${waiting} waiting</small>` : ""
      }
    </td>
    <td><small>${model.can?.join(", ")}</small></td>
  </tr>`;
}

// The picture goes through fetch, since an image tag cannot send the key.
function Law() {
  const [url, setUrl] = useState("");
  useEffect(() => {
    let made = "";
    getLaw().then(
      (blob) => setUrl((made = URL.createObjectURL(blob))),
      () => {},
    );
    return () => URL.revokeObjectURL(made);
  }, []);
  return (
    url &&
    html`<h2>The law</h2>
      <figure class="law">
        <img
          src=${url}
          alt="Loss against compute of a ladder of models, and the odds that it goes on"
        />
      </figure>`
  );
}

export function ModelsView({ onMenu }) {
  const all = useStore(info);
  const error = useStore(infoError);
  useEffect(() => {
    refreshInfo();
    const timer = setInterval(() => document.hidden || refreshInfo(), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return html`<${TopBar} title="Models" onMenu=${onMenu} />
    <div class="page-body">
      ${error && html`<p class="error-line" role="alert">${error}</p>`}
      ${
        all &&
        html`<div class="table-place" tabindex="0" aria-label="Models">
            <table class="data models">
              <thead>
                <tr>
                  <th scope="col">Model</th>
                  <th scope="col" class="is-number">Parameters</th>
                  <th scope="col" class="is-number">Context</th>
                  <th scope="col" class="is-number">$ / M in</th>
                  <th scope="col" class="is-number">$ / M out</th>
                  <th scope="col" class="is-number">Tokens/s</th>
                  <th scope="col" class="is-number">Requests</th>
                  <th scope="col">Can</th>
                </tr>
              </thead>
              <tbody>
                ${all.models.map((model) => html`<${Row} key=${model.name} model=${model} />`)}
              </tbody>
            </table>
          </div>
          <p class="quiet">
            Speed is what this server measured while a model wrote, lately. Prices are those of the
            swarm file or of the provider.
          </p>
          ${all.law && html`<${Law} />`}`
      }
    </div>`;
}
