// SPDX-License-Identifier: Apache-2.0
// route.js - which view is shown, by the address after "#".

import { createStore } from "./store.js";

function parse(hash) {
  const [view = "", id = ""] = hash.replace(/^#\/?/, "").split("/");
  if (view === "c" && id) return { view: "chat", id };
  if (view === "jobs" && id === "new") return { view: "new-job", id: "" };
  if (view === "jobs") return { view: id ? "job" : "jobs", id };
  if (view === "models" || view === "machines") return { view, id: "" };
  return { view: "chat", id: "" };
}

export const route = createStore(parse(location.hash));

window.addEventListener("hashchange", () => route.set(parse(location.hash)));

export function go(path) {
  location.hash = path;
}
