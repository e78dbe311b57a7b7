// SPDX-License-Identifier: Apache-2.0
// sidebar.js - conversations, views, looks.
import { ago } from "../lib/format.js";
import { chats, removeChat, renameChat } from "../state/chats.js";
import { info, infoError } from "../state/info.js";
import { go, route } from "../state/route.js";
import { setSetting, settings } from "../state/settings.js";
import { useStore } from "../state/store.js";
import { classes, html } from "./html.js";
import { Icon, IconButton, Logo } from "./icons.js";

const THEMES = { system: "screen", light: "sun", dark: "moon" };
const LISTED_MAX = 200;

function newestFirst(all) {
  return Object.values(all).sort((a, b) => b.updated - a.updated);
}

// Go to the conversation `step` places further down.
export function stepChat(step) {
  const list = newestFirst(chats.get());
  if (!list.length) return;
  const at = list.findIndex(({ id }) => id === route.get().id);
  const next = list[Math.min(Math.max(at + step, 0), list.length - 1)];
  go(`/c/${next.id}`);
}

function rename(id, title) {
  const next = window.prompt("Name of this conversation", title);
  if (next?.trim()) renameChat(id, next.trim());
}

function remove(id, title) {
  if (!window.confirm(`Delete “${title || "this conversation"}”?`)) return;
  removeChat(id);
  if (route.get().id === id) go("/");
}

function ChatItem({ chat, isCurrent }) {
  const title = chat.title || "New chat";
  return html`<li class=${classes("chat-item", isCurrent && "is-current")}>
    <a href=${`#/c/${chat.id}`} aria-current=${isCurrent ? "page" : undefined}>
      <span class="chat-title">${title}</span>
      <span class="chat-when">${ago(chat.updated, Date.now())}</span>
    </a>
    <span class="chat-tools">
      <${IconButton}
        icon="edit"
        label=${`Rename ${title}`}
        onClick=${() => rename(chat.id, title)}
      />
      <${IconButton}
        icon="trash"
        label=${`Delete ${title}`}
        onClick=${() => remove(chat.id, title)}
      />
    </span>
  </li>`;
}

function NavLink({ to, icon, label, isCurrent }) {
  return html`<a
    href=${to}
    class=${classes("nav-link", isCurrent && "is-current")}
    aria-current=${isCurrent ? "page" : undefined}
  >
    <${Icon} name=${icon} />${label}
  </a>`;
}

function ThemeButton() {
  const theme = useStore(settings, (all) => all.theme);
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(theme) + 1) % names.length];
  const label = `Look: ${theme}. Change to ${next}`;
  return html`<${IconButton}
    icon=${THEMES[theme]}
    label=${label}
    onClick=${() => setSetting("theme", next)}
  />`;
}

function ServerState() {
  const value = useStore(info);
  const error = useStore(infoError);
  if (error) return html`<p class="server-state is-bad" role="alert">${error}</p>`;
  return html`<p class="server-state">${value ? `enxame ${value.version}` : "…"}</p>`;
}

export function Sidebar({ onDialog, onClose }) {
  const all = useStore(chats);
  const at = useStore(route);
  const hasMachines = useStore(info, (value) => value?.machines);
  const list = newestFirst(all).slice(0, LISTED_MAX);
  const isJobs = ["jobs", "job", "new-job"].includes(at.view);
  return html`<aside class="sidebar" aria-label="Conversations and views">
    <div class="brand">
      <a href="#/" class="brand-name"><${Logo} />enxame</a>
      <${IconButton} icon="close" label="Close the menu" kind="menu-button" onClick=${onClose} />
    </div>
    <nav class="views" aria-label="Views">
      <${NavLink} to="#/" icon="plus" label="New chat" isCurrent=${at.view === "chat" && !at.id} />
      <${NavLink} to="#/jobs" icon="jobs" label="Swarm jobs" isCurrent=${isJobs} />
      <${NavLink} to="#/models" icon="models" label="Models" isCurrent=${at.view === "models"} />
      ${
        hasMachines &&
        html`<${NavLink}
          to="#/machines"
          icon="screen"
          label="Machines"
          isCurrent=${at.view === "machines"}
        />`
      }
    </nav>
    <h2 class="side-title" id="chats-title">Conversations</h2>
    <nav class="chats" aria-labelledby="chats-title">
      ${list.length === 0 && html`<p class="quiet">They stay in this browser.</p>`}
      <ul>
        ${list.map(
          (chat) =>
            html`<${ChatItem} key=${chat.id} chat=${chat} isCurrent=${chat.id === at.id} />`,
        )}
      </ul>
    </nav>
    <div class="side-foot">
      <${ServerState} />
      <div class="side-tools">
        <${ThemeButton} />
        <${IconButton} icon="gear" label="Settings" onClick=${() => onDialog("settings")} />
        <${IconButton} icon="help" label="Keys and help" onClick=${() => onDialog("help")} />
      </div>
    </div>
  </aside>`;
}
