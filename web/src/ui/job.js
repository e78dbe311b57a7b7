// SPDX-License-Identifier: Apache-2.0
// job.js - the swarm view: one job while it runs, and afterwards.
import { useEffect, useMemo, useState } from "preact/hooks";
import { wholeClaim } from "../lib/claim.js";
import { billOf, finishedCount, totalCount } from "../lib/events.js";
import { count, duration, money, percent, plural } from "../lib/format.js";
import { mapSwarm } from "../lib/swarm_map.js";
import { approveJob, cancelJob } from "../state/api.js";
import { info } from "../state/info.js";
import { watchJob } from "../state/jobs.js";
import { useStore } from "../state/store.js";
import { Bill } from "./bill.js";
import { Chart } from "./chart.js";
import { CopyButton, download } from "./copy.js";
import { Graph } from "./graph.js";
import { html } from "./html.js";
import { IconButton } from "./icons.js";
import { certificateWords } from "./job_card.js";
import { StateBadge } from "./job_list.js";
import { TaskPanel } from "./task.js";
import { TaskList } from "./task_list.js";
import { TopBar } from "./top_bar.js";

function Figure({ label, value, hint }) {
  return html`<div class="figure">
    <dt>${label}</dt>
    <dd>${value}${hint && html`<small>${hint}</small>`}</dd>
  </div>`;
}

function auditWords({ labels, wrong, stages }) {
  const where = stages ? `, in ${plural(stages, "stage")}` : "";
  return `${count(labels)} audits, ${count(wrong)} wrong${where}`;
}

function costHint(job, done) {
  if (job.open_usd > 0) return `${money(job.open_usd)} held back`;
  return done ? `${money(job.cost_usd / done)} a task` : "";
}

function Figures({ job, detail }) {
  const total = totalCount(job);
  const done = finishedCount(job);
  const seconds = (job.last_us - job.started_us) / 1e6;
  const claim = wholeClaim(job.certificate ?? detail?.certificate);
  const labels = job.labels.count
    ? `${count(job.labels.count)} audits, ${count(job.labels.wrong)} wrong`
    : job.state === "running"
      ? "not yet"
      : "none asked for";
  return html`<dl class="figures-row">
    <${Figure} label="Tasks done" value=${count(done)} hint=${`of ${count(total)}`} />
    <${Figure}
      label="Gone up"
      value=${count(job.escalated)}
      hint=${done ? percent(job.escalated / done) : ""}
    />
    <${Figure} label="Cost" value=${money(job.cost_usd)} hint=${costHint(job, done)} />
    <${Figure}
      label="Time"
      value=${seconds > 0 ? duration(seconds) : "–"}
      hint=${seconds > 0 && done ? `${(done / seconds).toFixed(1)} tasks/s` : ""}
    />
    <${Figure}
      label="Certificate"
      value=${claim?.certified ? `≤ ${percent(claim.alpha)} wrong` : claim ? "not proved" : "–"}
      hint=${claim ? auditWords(claim) : labels}
    />
  </dl>`;
}

function Actions({ job, watch, onError }) {
  const [budget, setBudget] = useState("");
  const run = async (action) => {
    try {
      await action();
      watch.restart();
    } catch (error) {
      onError(error.message);
    }
  };
  const cancel = () => window.confirm("Cancel this job for good?") && run(() => cancelJob(job.id));
  const approve = () => run(() => approveJob(job.id, budget ? Number(budget) : undefined));
  return html` ${
    job.state === "partial" &&
    html`<label class="inline-field"
      >new budget, $<input
        type="number"
        min="0"
        step="any"
        value=${budget}
        onInput=${(e) => setBudget(e.target.value)}
      />
    </label>`
  }
  ${
    ["waiting", "partial"].includes(job.state) &&
    html`<button type="button" class="button is-main" onClick=${approve}>
      ${job.state === "waiting" ? "Approve the plan" : "Go on"}
    </button>`
  }
  ${
    ["running", "waiting"].includes(job.state) &&
    html`<button type="button" class="button" onClick=${cancel}>Cancel</button>`
  }`;
}

function Charts({ job }) {
  const { series, certificates } = job;
  if (series.t.length < 2) return null;
  const claims = certificates.length && !Array.isArray(job.certificate) ? certificates : null;
  return html`<div class="charts">
    <${Chart}
      title="Tasks over time"
      unit="count"
      times=${series.t}
      summary=${`${count(job.counts.accepted)} accepted, ${count(job.escalated)} gone up`}
      lines=${[
        { label: "accepted", color: "--good", fill: true, values: series.accepted, format: count },
        { label: "gone up", color: "--accent", values: series.escalated, format: count },
      ]}
    />
    <${Chart}
      title="Money over time"
      unit="money"
      times=${series.t}
      summary=${money(job.cost_usd)}
      lines=${[
        { label: "spent", color: "--accent", fill: true, values: series.cost, format: money },
      ]}
    />
    ${
      claims &&
      html`<${Chart}
        title="Certificate over time"
        unit="percent"
        times=${claims.map(({ t }) => t)}
        summary=${certificateWords(claims.at(-1))}
        lines=${[
          {
            label: "error at most",
            color: "--good",
            values: claims.map((c) => (c.certified ? c.alpha : 1)),
            format: (v) => percent(v),
          },
        ]}
      />`
    }
  </div>`;
}

function Result({ result, id }) {
  if (!result) return null;
  const isText = typeof result.text === "string";
  const text = isText
    ? result.text
    : result.records.map((record) => JSON.stringify(record)).join("\n") + "\n";
  return html`<section class="panel">
    <header>
      <h2>Result</h2>
      <span class="space" />
      <${CopyButton} text=${text} label="Copy the result" />
      <${IconButton}
        icon="download"
        label="Download the result"
        onClick=${() => download(`job-${id}.${isText ? "txt" : "jsonl"}`, text)}
      />
    </header>
    <pre class="result" tabindex="0" aria-label="Result">${text}</pre>
  </section>`;
}

function dutiesOf(detail, all) {
  const models = detail?.models ?? all?.models.filter(({ duty }) => duty) ?? [];
  return Object.fromEntries(models.map(({ name, duty }) => [name, duty]));
}

function End({ job, detail }) {
  const text = detail?.error?.message ?? detail?.error ?? job.end?.text;
  if (!job.end || job.state === "done" || job.state === "running") return null;
  return html`<p class="error-line" role="status">
    ${[job.end.reason, text].filter(Boolean).join(": ")}
  </p>`;
}

export function JobView({ id, onMenu }) {
  const [watch] = useState(() => watchJob(id));
  useEffect(() => watch.release, []);
  const { job, detail, error } = useStore(watch.store);
  const all = useStore(info);
  const duties = useMemo(() => dutiesOf(detail, all), [detail?.models?.length, all?.models.length]);
  const [chosen, setChosen] = useState("");
  const [selected, setSelected] = useState(null);
  const [problem, setProblem] = useState("");
  const inputs = useMemo(
    () => new Map((detail?.tasks ?? []).map(({ item, input }) => [item, input])),
    [detail],
  );
  const station = chosen && mapSwarm(job, duties).stations.find((one) => one.id === chosen);
  const tasks = station ? station.tasks : job.tasks.filter(Boolean);
  const task = selected === null ? null : job.tasks[selected];
  const goal = job.goal || detail?.goal || `Job ${id}`;
  return html`<${TopBar} title=${`Job ${id}`} onMenu=${onMenu}>
      <${StateBadge} state=${job.state} />
      <${Actions} job=${job} watch=${watch} onError=${setProblem} />
    <//>
    <div class="page-body job-body" onKeyDown=${(e) => e.key === "Escape" && setSelected(null)}>
      <p class="goal">${goal}</p>
      ${
        (problem || (error && !job.seq)) &&
        html`<p class="error-line" role="alert">${problem || error}</p>`
      }
      <${End} job=${job} detail=${detail} />
      <${Figures} job=${job} detail=${detail} />
      <${Graph}
        job=${job}
        duties=${duties}
        chosen=${chosen}
        onChoose=${setChosen}
        selected=${selected}
        onSelect=${setSelected}
      />
      <div class=${`job-columns${task ? " has-task" : ""}`}>
        <${TaskList}
          tasks=${tasks}
          inputs=${inputs}
          title=${station ? `Tasks of ${station.title}` : "Tasks"}
          selected=${selected}
          onSelect=${setSelected}
        />
        ${
          task &&
          html`<${TaskPanel}
            task=${task}
            input=${inputs.get(task.item)}
            onClose=${() => setSelected(null)}
          />`
        }
      </div>
      <${Charts} job=${job} />
      <section class="panel">
        <header><h2>Bill</h2></header>
        <${Bill}
          bill=${detail?.bill && job.state !== "running" ? detail.bill : billOf(job, duties)}
        />
      </section>
      <${Result} result=${detail?.result} id=${id} />
    </div>`;
}
