// SPDX-License-Identifier: Apache-2.0
// task_list.js - tasks as a list: chosen by station and state, a page at a time.
import { useEffect, useState } from "preact/hooks";
import { lookOf } from "../lib/events.js";
import { count, money, percent, plural } from "../lib/format.js";
import { LOOK_WORDS } from "./cells.js";
import { classes, html } from "./html.js";

const PAGE = 50;
const SNIPPET_CHARS = 110;
const FILTERS = {
  all: () => true,
  "at work": (task) => task.running > 0,
  "gone up": (task) => Boolean(task.escalated),
  accepted: (task) => task.state === "accepted",
  "left or failed": (task) => task.state === "abstained" || task.state === "failed",
  audited: (task) => Boolean(task.label),
};

function Row({ task, input, isSelected, onSelect }) {
  const look = lookOf(task);
  const text = task.answer ?? input ?? "";
  const chance = task.error_chance;
  return html`<li class=${classes("task-row", isSelected && "is-selected")}>
    <button type="button" aria-pressed=${String(isSelected)} onClick=${() => onSelect(task.item)}>
      <i class=${`dot is-${look}`} title=${LOOK_WORDS[look]} />
      <span class="task-number">${task.task}</span>
      <span class="task-snippet">${text.slice(0, SNIPPET_CHARS) || LOOK_WORDS[look]}</span>
      <span class="task-model">${task.model || task.worker}</span>
      <span class="task-chance"
        >${chance === null || chance === undefined ? "" : percent(1 - chance, 0)}</span
      >
      <span class="task-cost">${money(task.cost_usd)}</span>
    </button>
  </li>`;
}

export function TaskList({ tasks, inputs, title, selected, onSelect }) {
  const [filter, setFilter] = useState("all");
  const [page, setPage] = useState(0);
  useEffect(() => setPage(0), [filter, title]);
  const chosen = tasks.filter(FILTERS[filter]);
  const pages = Math.max(1, Math.ceil(chosen.length / PAGE));
  const at = Math.min(page, pages - 1);
  return html`<section class="task-list" aria-labelledby="tasks-title">
    <header>
      <h2 id="tasks-title">${title}</h2>
      <select aria-label="Which tasks" value=${filter} onChange=${(e) => setFilter(e.target.value)}>
        ${Object.keys(FILTERS).map((name) => html`<option>${name}</option>`)}</select
      ><small>${plural(chosen.length, "task")}</small>
    </header>
    <ol>
      ${chosen
        .slice(at * PAGE, (at + 1) * PAGE)
        .map(
          (task) =>
            html`<${Row}
              key=${task.item}
              task=${task}
              input=${inputs.get(task.item)}
              isSelected=${task.item === selected}
              onSelect=${onSelect}
            />`,
        )}
    </ol>
    ${
      pages > 1 &&
      html`<nav class="pages" aria-label="Pages of tasks">
        <button type="button" class="button" disabled=${at === 0} onClick=${() => setPage(at - 1)}>
          Before
        </button>
        <span>${count(at + 1)} of ${count(pages)}</span>
        <button
          type="button"
          class="button"
          disabled=${at === pages - 1}
          onClick=${() => setPage(at + 1)}
        >
          After
        </button>
      </nav>`
    }
  </section>`;
}
