// SPDX-License-Identifier: Apache-2.0
// settings.js - what the user chose, kept in this browser; the server's key for this tab only.

import { createStore } from "./store.js";

const PLACE = "enxame.settings";
const KEY_PLACE = "enxame.key";
const DEFAULTS = {
  theme: "system", // or "light", "dark"
  model: "",
  system: "",
  temperature: "",
  max_tokens: "",
  autofix: false,
  panel: 52, // width of the artifact panel, percent
};

function read(storage, place) {
  try {
    return storage.getItem(place);
  } catch {
    return null; // storage is switched off
  }
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

export const settings = createStore({ ...DEFAULTS, ...parse(read(localStorage, PLACE)) });
export const serverKey = createStore(read(sessionStorage, KEY_PLACE) ?? "");

settings.watch((value) => {
  try {
    localStorage.setItem(PLACE, JSON.stringify(value));
  } catch {
    // kept until the tab closes
  }
  showTheme(value.theme);
});

serverKey.watch((value) => {
  try {
    sessionStorage.setItem(KEY_PLACE, value);
  } catch {
    // kept until the tab closes
  }
});

export function setSetting(name, value) {
  settings.set((all) => ({ ...all, [name]: value }));
}

const dark = matchMedia("(prefers-color-scheme: dark)");

// The style sheet knows "light" and "dark" only.
export function showTheme(theme) {
  const shown = theme === "system" ? (dark.matches ? "dark" : "light") : theme;
  document.documentElement.dataset.theme = shown;
}

dark.addEventListener("change", () => showTheme(settings.get().theme));
