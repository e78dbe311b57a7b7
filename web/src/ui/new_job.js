// SPDX-License-Identifier: Apache-2.0
// new_job.js - a job from a goal and a text, or from records (JSON lines).
import { useState } from "preact/hooks";
import { plural } from "../lib/format.js";
import { openJob } from "../state/api.js";
import { info } from "../state/info.js";
import { go } from "../state/route.js";
import { useStore } from "../state/store.js";
import { readTextFiles } from "./composer.js";
import { html } from "./html.js";
import { TopBar } from "./top_bar.js";

// JSON lines with a field "text" are records, anything else is a text.
export function readInput(text, name) {
  if (!/\.(jsonl|ndjson)$/i.test(name)) return { input: text };
  const records = text
    .split("\n")
    .filter((line) => line.trim())
    .map((line) => JSON.parse(line));
  if (!records.every((record) => typeof record?.text === "string")) {
    throw new Error("Every record needs a field “text”.");
  }
  return { records };
}

function bodyOf({ goal, input, name, mode, accuracy, budget, approve }) {
  const body = { goal, mode, ...readInput(input, name) };
  if (accuracy) body.accuracy = Number(accuracy) / 100;
  if (budget) body.budget = Number(budget);
  if (approve) body.approve = true;
  return body;
}

const EMPTY = {
  goal: "",
  input: "",
  name: "",
  mode: "swarm",
  accuracy: "",
  budget: "",
  approve: false,
};

export function NewJob({ onMenu }) {
  const hasSwarm = useStore(info, (all) => all === null || Boolean(all.swarm));
  const [form, setForm] = useState(EMPTY);
  const [error, setError] = useState("");
  const [isSending, setSending] = useState(false);
  const set = (name) => (event) => setForm({ ...form, [name]: event.target.value });
  const take = async (list) => {
    const { files, error: problem } = await readTextFiles(list);
    setError(problem);
    if (files.length) setForm((now) => ({ ...now, input: files[0].text, name: files[0].name }));
  };
  const onDrop = (event) => {
    event.preventDefault();
    take(event.dataTransfer.files);
  };
  const start = async (event) => {
    event.preventDefault();
    setSending(true);
    try {
      const { id } = await openJob(bodyOf(form));
      go(`/jobs/${id}`);
    } catch (problem) {
      setError(problem.message);
      setSending(false);
    }
  };
  const lines = form.input.split("\n").filter((line) => line.trim()).length;
  return html`<${TopBar} title="New job" onMenu=${onMenu} />
    <div class="page-body">
      ${
        !hasSwarm &&
        html`<p class="error-line">This server has no swarm: start it with a swarm file.</p>`
      }
      <form
        class="job-form"
        onSubmit=${start}
        onDragOver=${(e) => e.preventDefault()}
        onDrop=${onDrop}
      >
        <label class="field"
          ><span>Goal, in your words</span>
          <input
            required
            value=${form.goal}
            placeholder="put the accents, capitals and punctuation back"
            onInput=${set("goal")}
        /></label>
        <label class="field"
          ><span>Text; a paragraph is a line</span>
          <textarea
            required
            rows="10"
            value=${form.input}
            placeholder="Paste it, or drop a file: text, or JSON lines with a field “text”"
            onInput=${(e) => setForm({ ...form, input: e.target.value, name: "" })}
          />
          <small
            >${form.name ? `${form.name}: ` : ""}${form.input ? plural(lines, "line") : ""}</small
          ></label
        >
        <label class="button file-button"
          >Choose a file<input type="file" class="unseen" onChange=${(e) => take(e.target.files)}
        /></label>
        <div class="field-row">
          <label class="field"
            ><span>Who answers</span>
            <select value=${form.mode} onChange=${set("mode")}>
              <option value="swarm">The swarm</option>
              <option value="workers">Workers alone</option>
              <option value="lead">The lead alone</option>
            </select></label
          >
          <label class="field"
            ><span>Certified accuracy, %</span>
            <input
              type="number"
              min="50"
              max="99.9"
              step="0.1"
              value=${form.accuracy}
              placeholder="none"
              onInput=${set("accuracy")}
          /></label>
          <label class="field"
            ><span>Budget, $</span>
            <input
              type="number"
              min="0"
              step="any"
              value=${form.budget}
              placeholder="none"
              onInput=${set("budget")}
          /></label>
        </div>
        <label class="check"
          ><input
            type="checkbox"
            checked=${form.approve}
            onChange=${(e) => setForm({ ...form, approve: e.target.checked })}
          />
          <span>Show me the plan first, and wait for my approval</span></label
        >
        ${error && html`<p class="error-line" role="alert">${error}</p>`}
        <div class="dialog-foot">
          <button class="button is-main" disabled=${isSending || !hasSwarm}>Start the job</button>
        </div>
      </form>
    </div>`;
}
