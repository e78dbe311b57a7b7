// SPDX-License-Identifier: Apache-2.0
// machines.js - the machines that work for the swarm, while somebody looks.

import { getWorkers } from "./api.js";
import { createStore } from "./store.js";

const EVERY_MS = 2000;

export const crew = createStore(null); // as GET /enxame/v1/workers; null: not known yet
export const crewError = createStore("");

async function refresh() {
  try {
    crew.set(await getWorkers());
    crewError.set("");
  } catch (error) {
    crewError.set(error.message);
  }
}

// Returns the function that stops it.
export function watchMachines() {
  refresh();
  const timer = setInterval(() => document.hidden || refresh(), EVERY_MS);
  return () => clearInterval(timer);
}
