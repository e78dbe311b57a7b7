// SPDX-License-Identifier: Apache-2.0
// app.js - the frame of the page: sidebar, the view that the address names, dialogs, keys.
import { useEffect, useState } from "preact/hooks";
import { announcement } from "../state/chats.js";
import { keyWanted } from "../state/api.js";
import { go, route } from "../state/route.js";
import { useStore } from "../state/store.js";
import { Chat } from "./chat.js";
import { HelpDialog, KeyDialog, SettingsDialog } from "./dialogs.js";
import { classes, html } from "./html.js";
import { JobList } from "./job_list.js";
import { JobView } from "./job.js";
import { MachinesView } from "./machines.js";
import { ModelsView } from "./models.js";
import { NewJob } from "./new_job.js";
import { Sidebar, stepChat } from "./sidebar.js";

function View({ at, onMenu }) {
  if (at.view === "jobs") return html`<${JobList} onMenu=${onMenu} />`;
  if (at.view === "new-job") return html`<${NewJob} onMenu=${onMenu} />`;
  if (at.view === "job") return html`<${JobView} key=${at.id} id=${at.id} onMenu=${onMenu} />`;
  if (at.view === "machines") return html`<${MachinesView} onMenu=${onMenu} />`;
  if (at.view === "models") return html`<${ModelsView} onMenu=${onMenu} />`;
  return html`<${Chat} key=${at.id || "new"} id=${at.id} onMenu=${onMenu} />`;
}

// Keys that work everywhere; those of a view are its own.  docs/page.md has the list.
function onKey(event, setDialog) {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.altKey && event.key === "n") go("/");
  else if (event.altKey && event.key === "j") go("/jobs");
  else if (event.altKey && event.key === "m") go("/models");
  else if (event.altKey && event.key === "ArrowUp") stepChat(-1);
  else if (event.altKey && event.key === "ArrowDown") stepChat(1);
  else if (!isTyping && event.key === "?") setDialog("help");
  else if (!isTyping && event.key === "/") document.querySelector("#question")?.focus();
  else return;
  event.preventDefault();
}

export function App() {
  const at = useStore(route);
  const isKeyWanted = useStore(keyWanted);
  const news = useStore(announcement);
  const [dialog, setDialog] = useState("");
  const [isMenuOpen, setMenuOpen] = useState(false);
  useEffect(() => {
    const handle = (event) => onKey(event, setDialog);
    window.addEventListener("keydown", handle);
    return () => window.removeEventListener("keydown", handle);
  }, []);
  useEffect(() => setMenuOpen(false), [at]);
  const close = () => setDialog("");
  return html`<div class=${classes("app", isMenuOpen && "menu-open")}>
    <a class="skip" href="#main" onClick=${skipToMain}>Skip to the content</a>
    <${Sidebar} onDialog=${setDialog} onClose=${() => setMenuOpen(false)} />
    ${isMenuOpen && html`<div class="veil" onClick=${() => setMenuOpen(false)} />`}
    <main id="main" tabindex="-1">
      <${View} at=${at} onMenu=${() => setMenuOpen(true)} />
    </main>
    <div class="unseen" role="status" aria-live="polite">${news}</div>
    ${dialog === "help" && html`<${HelpDialog} onClose=${close} />`}
    ${dialog === "settings" && html`<${SettingsDialog} onClose=${close} />`}
    ${(isKeyWanted || dialog === "key") && html`<${KeyDialog} onClose=${close} />`}
  </div>`;
}

function skipToMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}
