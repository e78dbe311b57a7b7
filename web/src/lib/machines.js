// SPDX-License-Identifier: Apache-2.0
// machines.js - workers of a swarm, gathered by the machine they run on.

const STATES = ["working", "idle", "on trial", "leaving", "barred"]; // the worst one counts

function stateOf(worker, barred) {
  if (barred.has(worker.worker)) return "barred";
  if (worker.draining) return "leaving";
  if (worker.trial) return "on trial";
  return worker.working > 0 ? "working" : "idle";
}

export const modelName = (file) => String(file ?? "?").replace(/\.gguf$/, "");

function sum(list, key) {
  return list.reduce((total, one) => total + (Number(one[key]) || 0), 0);
}

// `crew` as of GET /enxame/v1/workers.  Machines by name; a worker says itself where it runs.
export function gatherMachines(crew) {
  const barred = new Set(
    (crew.barred ?? []).filter(({ state }) => state === "barred").map(({ worker }) => worker),
  );
  const byHost = new Map();
  for (const worker of crew.workers ?? []) {
    const host = String(worker.host || "?");
    const list = byHost.get(host) ?? [];
    list.push({ ...worker, state: stateOf(worker, barred) });
    byHost.set(host, list);
  }
  return [...byHost]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([host, workers]) => ({
      host,
      workers: workers.sort((a, b) => (a.worker < b.worker ? -1 : 1)),
      slots: sum(workers, "slots"),
      working: sum(workers, "working"),
      done: sum(workers, "done"),
      state: STATES[Math.max(...workers.map(({ state }) => STATES.indexOf(state)))],
    }));
}
