// SPDX-License-Identifier: Apache-2.0
// graph.js - the plan as a graph that fills: stations with their tasks, ways between them.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { lookOf, totalCount } from "../lib/events.js";
import { count, plural } from "../lib/format.js";
import { drawWays, mapSwarm, placeStations } from "../lib/swarm_map.js";
import { Cells } from "./cells.js";
import { classes, html } from "./html.js";

function useWidth(place) {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const fit = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width)));
    fit.observe(place.current);
    return () => fit.disconnect();
  }, []);
  return width;
}

const REPAIRS = { accents: "accents", capitals: "capitals", punctuation: "punctuation" };

function stageWords({ for_each: each, needs = [] }) {
  const of = needs.length ? ` of ${needs.join(", ")}` : "";
  return each === "once" ? `one task${of && `, out${of}`}` : `each ${each}${of}`;
}

function PlanBody({ job }) {
  if (job.plan === undefined) {
    const tries = job.refusals.length ? `, ${plural(job.refusals.length, "plan")} refused` : "";
    return html`<p class="card-text">
      ${job.state === "running" ? "being written" : "none"}${tries}
    </p>`;
  }
  if (job.single || job.plan === null)
    return html`<p class="card-text">The lead answers alone: ${job.gate}</p>`;
  const { repair = [], languages = [], check = [], stages = [] } = job.plan;
  const kinds = repair.map((kind) => REPAIRS[kind] ?? kind).join(", ");
  const all = languages.includes("any") ? "any language" : languages.join(", ");
  return html`<dl class="card-list">
    ${stages.map(
      (stage) =>
        html`<div>
          <dt>${stage.id}</dt>
          <dd>${stageWords(stage)}</dd>
        </div>`,
    )}
    ${
      kinds &&
      html`<div>
        <dt>repair</dt>
        <dd>${kinds}</dd>
      </div>`
    }
    ${
      all &&
      html`<div>
        <dt>in</dt>
        <dd>${all}</dd>
      </div>`
    }
    ${
      check.length > 0 &&
      html`<div>
        <dt>check</dt>
        <dd>${check.join(", ").replace(/_/g, " ")}</dd>
      </div>`
    }
  </dl>`;
}

function AnswerBody({ job }) {
  const { accepted, abstained, failed } = job.counts;
  const total = totalCount(job);
  const done = accepted + abstained + failed;
  const endings = [
    `${count(accepted)} accepted`,
    abstained && `${count(abstained)} left`,
    failed && `${count(failed)} failed`,
  ]
    .filter(Boolean)
    .join(", ");
  return html`<p class="card-big">${count(done)}<small> of ${count(total)}</small></p>
    <progress max=${total || 1} value=${done} aria-label="Tasks done" />
    <p class="card-text">${endings}</p>`;
}

function StationBody({ card, job, selected, onSelect }) {
  if (card.duty === "plan") return html`<${PlanBody} job=${job} />`;
  if (card.duty === "answer") return html`<${AnswerBody} job=${job} />`;
  if (!card.tasks.length) return null;
  return html`<${Cells}
    tasks=${card.tasks}
    fit=${card.fit}
    width=${card.cellsWidth}
    version=${job.version}
    selected=${selected}
    onSelect=${onSelect}
    label=${card.title}
  />`;
}

function figuresLine({ duty, tasks, running, calls }) {
  if (duty === "plan" || duty === "answer") return "";
  if (running) return `${plural(running, "call")} running`;
  if (!tasks.length) return plural(calls, "call");
  const up = tasks.filter((task) => task.escalated).length;
  return duty === "worker" && up
    ? `${count(tasks.length)}, ${count(up)} gone up`
    : plural(tasks.length, "task");
}

function Station({ card, job, isChosen, onChoose, selected, onSelect }) {
  const isOpenable = card.tasks.length > 0;
  const isBusy = card.running > 0;
  const style = `left:${card.x}px;top:${card.y}px;width:${card.w}px;height:${card.h}px`;
  const title = html`<strong>${card.title}</strong><small>${figuresLine(card)}</small>`;
  return html`<section
    class=${classes("station", `is-${card.duty}`, isBusy && "is-busy", isChosen && "is-chosen")}
    style=${style}
    aria-label=${card.title}
  >
    ${
      isOpenable
        ? html`<button
            type="button"
            class="station-head"
            aria-pressed=${String(isChosen)}
            title="Show only these tasks below"
            onClick=${() => onChoose(isChosen ? "" : card.id)}
          >
            ${title}
          </button>`
        : html`<div class="station-head">${title}</div>`
    }
    <${StationBody} card=${card} job=${job} selected=${selected} onSelect=${onSelect} />
  </section>`;
}

function Ways({ placed, ways, isRunning }) {
  const drawn = drawWays(placed, ways);
  const most = Math.max(1, ...drawn.map((way) => way.count));
  return html`<svg class="ways" width=${placed.width} height=${placed.height} aria-hidden="true">
    ${drawn.map(
      ({ id, kind, count: tasks, path }) =>
        html`<path
          key=${id}
          class=${classes("way", `is-${kind}`, isRunning && "is-running")}
          d=${path}
          stroke-width=${1.25 + 5 * Math.sqrt(tasks / most)}
        />`,
    )}
  </svg>`;
}

const LEGEND = ["open", "running", "accepted", "lifted", "wrong", "abstained", "failed"];
const LEGEND_WORDS = {
  open: "waiting",
  running: "at work",
  accepted: "accepted",
  lifted: "from the lead",
  wrong: "wrong by an audit, replaced",
  abstained: "left as it was",
  failed: "failed",
};

function Legend({ job }) {
  const there = new Set(job.tasks.filter(Boolean).map(lookOf));
  if (job.state === "running") there.add("running");
  const shown = LEGEND.filter((look) => there.has(look) || look === "accepted");
  return html`<ul class="legend" aria-label="Colours">
    ${shown.map((look) => html`<li><i class=${`dot is-${look}`} />${LEGEND_WORDS[look]}</li>`)}
  </ul>`;
}

export function Graph({ job, duties, chosen, onChoose, selected, onSelect }) {
  const place = useRef();
  const width = useWidth(place);
  const map = useMemo(() => mapSwarm(job, duties), [job.version, duties]);
  const placed = useMemo(() => (width ? placeStations(map, width) : null), [map, width]);
  return html`<div class="graph" ref=${place} role="group" aria-label="The swarm at work">
    ${
      placed &&
      html`<div class="graph-plane" style=${`height:${placed.height}px`}>
        <${Ways} placed=${placed} ways=${map.ways} isRunning=${job.state === "running"} />
        ${placed.cards.map(
          (card) =>
            html`<${Station}
              key=${card.id}
              card=${card}
              job=${job}
              isChosen=${chosen === card.id}
              onChoose=${onChoose}
              selected=${selected}
              onSelect=${onSelect}
            />`,
        )}
      </div>`
    }
    <div class="graph-foot">
      <${Legend} job=${job} />
      ${
        map.idle > 0 &&
        html`<span class="quiet"> ${plural(map.idle, "worker")} without tasks</span>`
      }
    </div>
  </div>`;
}
