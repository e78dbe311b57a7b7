// SPDX-License-Identifier: Apache-2.0
// events.js - a job out of its records.
//
// Records come in order, each once; `seq` of the last one is kept, and older ones are ignored, so
// that a stream may be read again from its beginning.  The state is changed in place (a job has
// thousands of records a second) and `version` counts the changes.
//
// Invariants: a task is in exactly one state; `counts` sums the tasks by state; cost_usd is the sum
// over results; open_usd is what is reserved by calls without a result.

import { standingClaims } from "./claim.js";

export const TASK_STATES = ["open", "routed", "accepted", "abstained", "failed"];
const FINISHED = new Set(["accepted", "abstained", "failed"]);
const POINTS_MAX = 800;
const NANO_USD = 1e-9;

export function createJob(id) {
  return {
    id,
    version: 0,
    seq: 0,
    state: "running",
    goal: "",
    items: 0,
    gate: null,
    single: false,
    plan: undefined, // undefined: none yet; null: none needed
    refusals: [],
    tasks: [], // by item
    counts: { open: 0, routed: 0, accepted: 0, abstained: 0, failed: 0 },
    escalated: 0,
    calls: new Map(),
    models: new Map(), // name -> figures
    cost_usd: 0,
    open_usd: 0,
    unknown_usd: 0,
    labels: { count: 0, wrong: 0 },
    certificate: null, // of a goal in stages: one of each
    certificates: [], // {t, alpha, certified, labels, wrong}
    end: null, // {reason, text}
    started_us: 0,
    last_us: 0,
    series: createSeries(),
  };
}

// ---- Series: points in time, thinned out as they grow -----------------------------------------

function createSeries() {
  return { gap: 0, t: [], accepted: [], escalated: [], finished: [], cost: [] };
}

function addPoint(job, isLast) {
  const s = job.series;
  const t = (job.last_us - job.started_us) / 1e6;
  const point = {
    t,
    accepted: job.counts.accepted,
    escalated: job.escalated,
    finished: job.counts.accepted + job.counts.abstained + job.counts.failed,
    cost: job.cost_usd,
  };
  const last = s.t.length - 1;
  if (last >= 1 && t - s.t[last - 1] < s.gap && !isLast) {
    for (const key in point) s[key][last] = point[key];
    return;
  }
  for (const key in point) s[key].push(point[key]);
  if (s.t.length > POINTS_MAX) thinOut(s);
}

function thinOut(s) {
  for (const key of ["t", "accepted", "escalated", "finished", "cost"]) {
    s[key] = s[key].filter((_, i) => i % 2 === 0 || i === s[key].length - 1);
  }
  s.gap = (s.t[s.t.length - 1] - s.t[0]) / (POINTS_MAX / 2);
}

// ---- Parts of a job ---------------------------------------------------------------------------

function modelOf(job, name) {
  let model = job.models.get(name);
  if (!model) {
    model = {
      name,
      roles: {},
      running: 0,
      calls: 0,
      accepted: 0,
      tokens_in: 0,
      tokens_cached: 0,
      tokens_out: 0,
      cost_usd: 0,
      busy_us: 0,
    };
    job.models.set(name, model);
  }
  return model;
}

function taskOf(job, record) {
  let task = job.tasks[record.item ?? record.task - 1];
  if (!task) {
    const item = record.item ?? record.task - 1;
    task = {
      task: record.task,
      item,
      state: "open",
      language: "",
      level: -1,
      model: "",
      worker: "",
      role: "",
      running: 0,
      escalated: null,
      reason: "",
      note: "",
      error_chance: null,
      answer: null,
      label: null,
      calls: [],
      cost_usd: 0,
    };
    job.tasks[item] = task;
    job.counts.open++;
  }
  return task;
}

function setState(job, task, state) {
  job.counts[task.state]--;
  task.state = state;
  job.counts[state]++;
}

// An end may be followed by another: what lies outside the certified part goes up afterwards, and
// the lead's answer takes the place of the worker's.
function finishTask(job, record, state) {
  const task = taskOf(job, record);
  if (FINISHED.has(task.state) && state !== "accepted") return;
  if (task.state === "accepted" && task.model) modelOf(job, task.model).accepted--;
  setState(job, task, state);
  task.reason = record.reason;
  if (state === "accepted") {
    task.model = record.model ?? "";
    task.role = record.role;
    task.answer = record.text;
    task.error_chance = record.error_chance;
    if (record.model) modelOf(job, record.model).accepted++;
  } else {
    task.note = record.text;
  }
}

function startCall(job, record) {
  const known = job.calls.get(record.call);
  if (known && !known.status) return;
  const call = { ...record, status: "", cost_usd: 0, flags: [], text: "" };
  job.calls.set(record.call, call);
  job.open_usd += record.reserved_usd ?? 0;
  const model = modelOf(job, record.model);
  model.running++;
  model.roles[record.role] = (model.roles[record.role] ?? 0) + 1;
  if (!record.task) return;
  const task = taskOf(job, record);
  if (record.role === "work") task.worker = record.model; // nothing else routes tasks of a class
  task.calls.push(call);
  task.running++;
}

function closeCall(job, call) {
  job.open_usd -= call.reserved_usd ?? 0;
  if (job.open_usd < NANO_USD / 2) job.open_usd = 0; // what rounding left
  const model = modelOf(job, call.model);
  model.running = Math.max(0, model.running - 1);
  if (call.task) taskOf(job, call).running--;
}

function endCall(job, record) {
  let call = job.calls.get(record.call);
  if (!call) {
    startCall(job, { ...record, reserved_usd: 0 });
    call = job.calls.get(record.call);
  }
  if (call.status === "lost") job.unknown_usd -= call.reserved_usd ?? 0;
  else if (call.status) return;
  else closeCall(job, call);
  Object.assign(call, record, { started_us: call.time_us, seq: call.seq });
  const model = modelOf(job, record.model);
  model.calls++;
  for (const key of ["tokens_in", "tokens_cached", "tokens_out", "cost_usd"]) {
    model[key] += record[key] ?? 0;
  }
  model.busy_us += record.latency_us ?? 0;
  job.cost_usd += record.cost_usd ?? 0;
  if (record.task) taskOf(job, record).cost_usd += record.cost_usd ?? 0;
}

function loseCall(job, record) {
  const call = job.calls.get(record.call);
  if (!call || call.status) return;
  closeCall(job, call);
  job.unknown_usd += call.reserved_usd ?? 0;
  call.status = "lost";
  call.text = record.text;
}

function labelTask(job, record) {
  const task = taskOf(job, record);
  task.label = { wrong: record.wrong, reason: record.reason, text: record.text };
  job.labels.count++;
  if (record.wrong) job.labels.wrong++;
  if (record.wrong && record.text) task.answer = record.text;
}

function endJob(job, record, state) {
  job.state = state;
  job.end = { reason: record.reason, text: record.text };
  for (const task of job.tasks) if (task) task.running = 0;
}

const HANDLERS = {
  job_opened(job, record) {
    job.goal = record.goal;
    job.items = record.items;
    job.started_us = record.time_us;
  },
  gated(job, record) {
    job.single = record.single;
    job.gate = record.reason;
  },
  plan_accepted(job, record) {
    // the end of a goal is a decision about it, not another plan
    if (record.plan?.mode !== "deliver") job.plan = record.plan ?? null;
  },
  plan_refused(job, record) {
    job.refusals.push(record.text);
  },
  task_created(job, record) {
    taskOf(job, record);
  },
  call_intent: startCall,
  call_result: endCall,
  call_lost: loseCall,
  task_routed(job, record) {
    const task = taskOf(job, record);
    if (task.state === "open") setState(job, task, "routed");
    task.language = record.language;
    task.level = record.level;
    task.worker = record.model;
  },
  task_escalated(job, record) {
    const task = taskOf(job, record);
    if (!task.escalated) job.escalated++;
    task.escalated = { reason: record.reason, text: record.text };
  },
  task_accepted: (job, record) => finishTask(job, record, "accepted"),
  task_abstained: (job, record) => finishTask(job, record, "abstained"),
  task_failed: (job, record) => finishTask(job, record, "failed"),
  label: labelTask,
  certificate(job, record) {
    const t = (record.time_us - job.started_us) / 1e6;
    job.certificates.push({ t, ...record });
    job.certificate = standingClaims(job.certificates);
  },
  job_done: (job, record) => endJob(job, record, "done"),
  job_partial: (job, record) => endJob(job, record, "partial"),
  job_failed: (job, record) => endJob(job, record, "failed"),
};

// False: the record was known already.
export function applyRecord(job, record) {
  if (record.seq <= job.seq) return false;
  job.seq = record.seq;
  job.last_us = Math.max(job.last_us, record.time_us ?? 0);
  if (!job.started_us) job.started_us = job.last_us;
  if (job.end && record.kind !== "call_result" && record.kind !== "call_lost") {
    job.end = null;
    job.state = "running";
  }
  HANDLERS[record.kind]?.(job, record);
  addPoint(job, record.kind.startsWith("job_"));
  job.version++;
  return true;
}

// ---- What views ask ---------------------------------------------------------------------------

// What there is to do: of a goal in stages its tasks, as far as they are known.
export function totalCount(job) {
  return Math.max(job.items, job.tasks.length);
}

export function finishedCount(job) {
  return job.counts.accepted + job.counts.abstained + job.counts.failed;
}

// One word for a task, the states of the map: what somebody wants to see at a glance.
export function lookOf(task) {
  if (!task) return "open";
  if (task.state === "accepted") {
    if (task.escalated) return "lifted";
    return task.label?.wrong ? "wrong" : "accepted";
  }
  if (FINISHED.has(task.state)) return task.state;
  if (task.escalated) return "escalated";
  return task.running > 0 ? "running" : task.state;
}

// Reads and answers at the rate a model wrote while it was busy; null before the first result.
export function modelSpeed(model) {
  return model.busy_us ? (model.tokens_out * 1e6) / model.busy_us : null;
}

// A bill's lines from the records alone, as long as the server's own is not there.
export function billOf(job, duties = {}) {
  const models = [...job.models.values()].map((m) => ({ ...m, duty: duties[m.name] ?? "" }));
  return { models, cost_usd: job.cost_usd, open_usd: job.open_usd, unknown_usd: job.unknown_usd };
}
