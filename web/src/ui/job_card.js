// SPDX-License-Identifier: Apache-2.0
// job_card.js - the swarm's job behind an answer, in a line.
import { useEffect, useState } from "preact/hooks";
import { wholeClaim } from "../lib/claim.js";
import { finishedCount, totalCount } from "../lib/events.js";
import { count, money, percent } from "../lib/format.js";
import { watchJob } from "../state/jobs.js";
import { useStore } from "../state/store.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";

export function certificateWords(certificate) {
  const claim = wholeClaim(certificate);
  if (!claim) return "";
  if (!claim.certified) return claim.stages ? "not all certified" : "nothing certified";
  const sure = percent(1 - claim.delta, 0);
  const where = claim.stages > 1 ? `in each of ${claim.stages} stages ` : "";
  return `${where}at most ${percent(claim.alpha)} differ from the lead, ${sure} sure`;
}

function Live({ id }) {
  const [watch] = useState(() => watchJob(id));
  useEffect(() => watch.release, []);
  const { job } = useStore(watch.store);
  const total = totalCount(job);
  const done = finishedCount(job);
  return html`<span class="job-words"
      >${job.plan === undefined ? "planning" : `${count(done)} of ${count(total)} tasks`}</span
    >
    <progress max=${total || 1} value=${done} aria-label="Tasks done" />`;
}

export function JobCard({ id, isWriting, figures }) {
  const { certificate, bill } = figures;
  const words = [certificateWords(certificate), bill && money(bill.total_usd)]
    .filter(Boolean)
    .join(" · ");
  return html`<a class="job-card" href=${`#/jobs/${id}`}>
    <${Icon} name="jobs" /><strong>Job ${id}</strong>
    ${
      isWriting
        ? html`<${Live} id=${id} />`
        : html`<span class="job-words"> ${words || "watch the swarm"}</span>`
    }
    <${Icon} name="right" size=${15} />
  </a>`;
}
