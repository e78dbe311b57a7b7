// SPDX-License-Identifier: Apache-2.0
// info.js - what the server is and what it offers.

import { getInfo } from "./api.js";
import { createStore } from "./store.js";
import { settings } from "./settings.js";

export const info = createStore(null); // as GET /enxame/v1/info; null: not known yet
export const infoError = createStore("");

export async function refreshInfo() {
  try {
    info.set(await getInfo());
    infoError.set("");
  } catch (error) {
    infoError.set(error.message);
  }
}

export function chatModels(all) {
  return (all?.models ?? []).filter(({ can }) => can?.includes("chat"));
}

// The model to talk with: what was chosen if it is there, else a single model, else the swarm.
export function chosenModel(all, chosen = settings.get().model) {
  const models = chatModels(all);
  const found = models.find(({ name }) => name === chosen);
  return (found ?? models.find(({ kind }) => kind !== "swarm") ?? models[0])?.name ?? "";
}
