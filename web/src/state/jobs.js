// SPDX-License-Identifier: Apache-2.0
// jobs.js - the list of jobs, and single jobs that are watched while they run.

import { applyRecord, createJob } from "../lib/events.js";
import { followJob, getJob, listJobs } from "./api.js";
import { createStore } from "./store.js";

const LIST_EVERY_MS = 3000;
const DETAIL_EVERY_MS = 2500;
const AGAIN_MS = [500, 1000, 2000, 5000];

export const jobList = createStore(null); // null: not known yet
export const jobListError = createStore("");

export async function refreshJobs() {
  try {
    jobList.set((await listJobs()).jobs);
    jobListError.set("");
  } catch (error) {
    jobListError.set(error.message);
  }
}

export function watchJobs() {
  refreshJobs();
  const timer = setInterval(() => document.hidden || refreshJobs(), LIST_EVERY_MS);
  return () => clearInterval(timer);
}

// ---- One job ----------------------------------------------------------------------------------

const watched = new Map(); // id -> {store, users, stop}

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

// The job's state is changed in place; the store gets a new wrapper once a frame.
function createWatch(id) {
  const job = createJob(id);
  const store = createStore({ job, detail: null, error: "" });
  const controller = new AbortController();
  const { signal } = controller;
  let frame = 0;
  const show = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      store.set((value) => ({ ...value, job }));
    });
  };

  async function refresh() {
    try {
      const detail = await getJob(id);
      if (detail.state === "waiting" || detail.state === "canceled") job.state = detail.state;
      if (!signal.aborted) store.set((value) => ({ ...value, detail, error: "" }));
    } catch (error) {
      if (!signal.aborted) store.set((value) => ({ ...value, error: error.message }));
    }
  }

  function onEvent(event, data) {
    if (event === "state" || event === "end") job.state = data.state;
    else applyRecord(job, data);
    show();
  }

  async function follow() {
    for (let tries = 0; !signal.aborted;) {
      const seq = job.seq;
      try {
        if (await followJob(id, seq, onEvent, signal)) break;
      } catch (error) {
        if (signal.aborted || error.status === 404) break;
      }
      tries = job.seq > seq ? 0 : Math.min(tries + 1, AGAIN_MS.length - 1);
      await sleep(AGAIN_MS[tries], signal);
    }
    if (!signal.aborted) await refresh();
  }

  refresh();
  follow();
  const timer = setInterval(() => {
    if (["running", "waiting"].includes(job.state) && !document.hidden) refresh();
  }, DETAIL_EVERY_MS);
  const stop = () => {
    controller.abort();
    clearInterval(timer);
    cancelAnimationFrame(frame);
  };
  const restart = () => {
    job.state = "running";
    refresh();
    follow();
  };
  return { store, stop, restart, refresh, users: 0 };
}

// Watch a job for as long as somebody looks; `release` it afterwards.
export function watchJob(id) {
  let watch = watched.get(id);
  if (!watch) watched.set(id, (watch = createWatch(id)));
  watch.users++;
  const release = () => {
    if (--watch.users > 0) return;
    watch.stop();
    watched.delete(id);
  };
  return { store: watch.store, release, restart: watch.restart, refresh: watch.refresh };
}
