// SPDX-License-Identifier: Apache-2.0
// job_list.js - every job of this server, newest first.
import { useEffect } from "preact/hooks";
import { ago, count, money, short } from "../lib/format.js";
import { jobList, jobListError, watchJobs } from "../state/jobs.js";
import { useStore } from "../state/store.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { TopBar } from "./top_bar.js";

export function StateBadge({ state }) {
  return html`<span class=${`badge is-${state}`}>${state}</span>`;
}

function Row({ job }) {
  const share = job.items ? job.finished / job.items : 0;
  return html`<li>
    <a class="job-row" href=${`#/jobs/${job.id}`}>
      <span class="job-id">${job.id}</span>
      <span class="job-goal">${job.goal}</span>
      <${StateBadge} state=${job.state} />
      <span class="job-count"><b>${count(job.finished)}</b> of ${count(job.items)}</span>
      <span class="job-tokens">${short(job.tokens_in + job.tokens_out)} tokens</span>
      <span class="job-cost">${money(job.cost_usd)}</span>
      <span class="job-when">${ago(job.created_us / 1000, Date.now())}</span>
      <span class="job-bar" style=${`--share: ${share}`} />
    </a>
  </li>`;
}

export function JobList({ onMenu }) {
  const list = useStore(jobList);
  const error = useStore(jobListError);
  useEffect(watchJobs, []);
  return html`<${TopBar} title="Swarm jobs" onMenu=${onMenu}>
      <a class="button is-main" href="#/jobs/new"><${Icon} name="plus" size=${15} />New job</a>
    <//>
    <div class="page-body">
      ${error && html`<p class="error-line" role="alert">${error}</p>`}
      ${
        list?.length === 0 &&
        html`<p class="quiet">
          No job yet. Start one here, ask the swarm in a chat, or run <code>enxame run</code>.
        </p>`
      }
      <ul class="job-rows">
        ${list?.map((job) => html`<${Row} key=${job.id} job=${job} />`)}
      </ul>
    </div>`;
}
