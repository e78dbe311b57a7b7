// SPDX-License-Identifier: Apache-2.0
// task.js - one task: its text and answer, its checks, every call with confidence and cost.
import { lookOf } from "../lib/events.js";
import { diffWords } from "../lib/words.js";
import { count, duration, money, percent } from "../lib/format.js";
import { LOOK_WORDS } from "./cells.js";
import { html } from "./html.js";
import { IconButton } from "./icons.js";

const LEVELS = ["none", "accents", "accents and capitals", "accents, capitals and punctuation"];
const ROLE_WORDS = {
  scout: "looked",
  work: "worked",
  lead: "answered",
  audit: "audited",
  plan: "planned",
};

// What the reasons say about each check: one that sent the task up failed, the ones before passed.
function checksOf(task) {
  const failed = task.escalated?.reason ?? "";
  const names = [
    ["red flags", /red flag/],
    ["round trip", /reduce/],
    ["chance of an error", /chance of an error/],
  ];
  const at = names.findIndex(([, pattern]) => pattern.test(failed));
  if (at >= 0) return names.slice(0, at + 1).map(([name], i) => [name, i < at]);
  if (task.state === "accepted" && /check/.test(task.reason))
    return names.map(([name]) => [name, true]);
  return [];
}

function Checks({ task }) {
  const checks = checksOf(task);
  if (!checks.length) return null;
  const who = task.escalated ? "the worker's answer" : "the answer";
  return html`<h4>Checks of ${who}</h4>
    <ul class="checks">
      ${checks.map(
        ([name, isGood]) =>
          html`<li class=${isGood ? "is-good" : "is-bad"}>
            ${name}<span>${isGood ? "passed" : "failed"}</span>
          </li>`,
      )}
    </ul>`;
}

function Call({ call }) {
  const { role, model, attempt, status, error_chance: chance, latency_us: latency } = call;
  return html`<li class="call">
    <div>
      <strong>${model}</strong> ${ROLE_WORDS[role] ?? role}${attempt > 1 ? `, try ${attempt}` : ""}
      <span class=${`badge is-${status || "running"}`}>${status || "running"}</span>
    </div>
    <small
      >${[
        status && `${count(call.tokens_in)} in, ${count(call.tokens_out)} out`,
        latency && duration(latency / 1e6),
        status && money(call.cost_usd),
        chance !== null &&
          chance !== undefined &&
          status === "ok" &&
          role !== "scout" &&
          `${percent(chance)} chance of an error`,
        call.flags?.length && call.flags.join(", "),
      ]
        .filter(Boolean)
        .join(" · ")}</small
    >
    ${call.text && html`<small class="is-bad">${call.text}</small>`}
  </li>`;
}

function Answer({ input, answer }) {
  if (answer === null || answer === undefined)
    return input ? html`<p class="task-text">${input}</p>` : null;
  if (!input) return html`<p class="task-text">${answer}</p>`;
  return html`<p class="task-text">
      ${diffWords(input, answer).map(({ text, isNew }) =>
        isNew ? html`<mark> ${text}</mark>` : text,
      )}
    </p>
    <details class="task-before">
      <summary>Before</summary>
      <p>${input}</p>
    </details>`;
}

export function TaskPanel({ task, input, onClose }) {
  const look = lookOf(task);
  return html`<section class="task-panel" aria-label=${`Task ${task.task}`}>
    <header>
      <h3>Task ${task.task}</h3>
      <span class=${`badge is-${look}`}>${LOOK_WORDS[look]}</span>
      <${IconButton} icon="close" label="Close the task" onClick=${onClose} />
    </header>
    <dl class="task-facts">
      ${
        task.language &&
        html`<div>
          <dt>language</dt>
          <dd>${task.language}</dd>
        </div>`
      }
      ${
        task.level >= 0 &&
        html`<div>
          <dt>damage</dt>
          <dd>${LEVELS[task.level]}</dd>
        </div>`
      }
      ${
        task.error_chance !== null &&
        task.error_chance !== undefined &&
        html`<div>
          <dt>confidence</dt>
          <dd>${percent(1 - task.error_chance)}</dd>
        </div>`
      }
      <div>
        <dt>cost</dt>
        <dd>${money(task.cost_usd)}</dd>
      </div>
    </dl>
    <${Answer} input=${input} answer=${task.answer} />
    ${
      task.reason &&
      html`<p class="task-reason">${task.reason}${task.note ? `: ${task.note}` : ""}</p>`
    }
    ${
      task.escalated &&
      html`<p class="task-reason is-up">
        Went up: ${task.escalated.reason}${task.escalated.text ? ` (${task.escalated.text})` : ""}
      </p>`
    }
    ${
      task.label &&
      html`<p class="task-reason">
        Audit: ${task.label.wrong ? "wrong; the lead's answer took its place" : "the lead agrees"}
      </p>`
    }
    <${Checks} task=${task} />
    <h4>Calls</h4>
    <ol class="calls">
      ${task.calls.map((call) => html`<${Call} key=${call.call} call=${call} />`)}
    </ol>
  </section>`;
}
