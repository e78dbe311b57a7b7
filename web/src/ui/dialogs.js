// SPDX-License-Identifier: Apache-2.0
// dialogs.js - settings, the server's key, help.  <dialog> brings focus, Escape and the veil.
import { useEffect, useRef } from "preact/hooks";
import { keyWanted } from "../state/api.js";
import { refreshInfo } from "../state/info.js";
import { serverKey, setSetting, settings } from "../state/settings.js";
import { useStore } from "../state/store.js";
import { html } from "./html.js";
import { IconButton } from "./icons.js";

export function Dialog({ title, onClose, children }) {
  const element = useRef();
  useEffect(() => {
    if (!element.current.open) element.current.showModal();
  }, []);
  const onClick = (event) => event.target === element.current && onClose();
  return html`<dialog
    ref=${element}
    class="dialog"
    aria-labelledby="dialog-title"
    onClose=${onClose}
    onClick=${onClick}
  >
    <header>
      <h2 id="dialog-title">${title}</h2>
      <${IconButton} icon="close" label="Close" onClick=${onClose} />
    </header>
    <div class="dialog-body">${children}</div>
  </dialog>`;
}

function Field({ label, hint, children }) {
  return html`<label class="field"
    ><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label
  >`;
}

export function SettingsDialog({ onClose }) {
  const all = useStore(settings);
  const set = (name) => (event) => setSetting(name, event.target.value);
  return html`<${Dialog} title="Settings" onClose=${onClose}>
    <${Field} label="Look">
      <select value=${all.theme} onChange=${set("theme")}>
        <option value="system">As the system</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    <//>
    <${Field} label="System prompt" hint="Sent before every conversation; not to the swarm.">
      <textarea rows="4" value=${all.system} onInput=${set("system")} />
    <//>
    <div class="field-row">
      <${Field} label="Temperature" hint="Empty: the server's own">
        <input
          type="number"
          min="0"
          max="2"
          step="0.1"
          value=${all.temperature}
          onInput=${set("temperature")}
        />
      <//>
      <${Field} label="Tokens at most" hint="Of one answer">
        <input
          type="number"
          min="1"
          step="1"
          value=${all.max_tokens}
          onInput=${set("max_tokens")}
        />
      <//>
    </div>
    <label class="check">
      <input
        type="checkbox"
        checked=${all.autofix}
        onChange=${(e) => setSetting("autofix", e.target.checked)}
      />
      <span
        >Send errors of artifacts back to the model by themselves, at most three times in a
        row</span
      >
    </label>
  <//>`;
}

export function KeyDialog({ onClose }) {
  const field = useRef();
  const close = () => {
    keyWanted.set(false);
    onClose();
  };
  const save = (event) => {
    event.preventDefault();
    serverKey.set(field.current.value.trim());
    close();
    refreshInfo();
  };
  return html`<${Dialog} title="This server wants a key" onClose=${close}>
    <form onSubmit=${save}>
      <${Field} label="Key" hint="Kept in this tab until it is closed.">
        <input ref=${field} type="password" autocomplete="off" required />
      <//>
      <div class="dialog-foot"><button class="button is-main">Use this key</button></div>
    </form>
  <//>`;
}

const KEYS = [
  ["Enter", "send the question"],
  ["Shift + Enter", "a new line"],
  ["Esc", "stop the answer; close what is open"],
  ["/", "to the question"],
  ["Alt + N", "new chat"],
  ["Alt + J", "swarm jobs"],
  ["Alt + M", "models"],
  ["Alt + ↑  Alt + ↓", "the conversation above, below"],
  ["Alt + A", "open or close the artifact"],
  ["← → ↑ ↓", "in a station of the swarm: from task to task; Enter opens one"],
  ["?", "this list"],
];

export function HelpDialog({ onClose }) {
  return html`<${Dialog} title="Keys" onClose=${onClose}>
    <dl class="keys">
      ${KEYS.map(
        ([keys, text]) =>
          html`<div>
            <dt><kbd>${keys}</kbd></dt>
            <dd>${text}</dd>
          </div>`,
      )}
    </dl>
  <//>`;
}
