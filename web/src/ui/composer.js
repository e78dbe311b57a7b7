// SPDX-License-Identifier: Apache-2.0
// composer.js - where the question is written; files are dropped in as text.
import { useEffect, useRef, useState } from "preact/hooks";
import { bytes, plural } from "../lib/format.js";
import { chatModels, chosenModel, info } from "../state/info.js";
import { setModel } from "../state/chats.js";
import { settings } from "../state/settings.js";
import { useStore } from "../state/store.js";
import { classes, html } from "./html.js";
import { Icon, IconButton } from "./icons.js";

const FILES_MAX = 20;
const FILE_BYTES_MAX = 4 << 20;
const HEIGHT_MAX = 260;

// A file as text; throws a sentence when it is none.
export async function readTextFile(file) {
  if (file.size > FILE_BYTES_MAX) {
    throw new Error(`${file.name} has ${bytes(file.size)}; ${bytes(FILE_BYTES_MAX)} is the limit.`);
  }
  const data = await file.arrayBuffer();
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    if (text.includes("\0")) throw new Error();
    return { name: file.name, size: file.size, text };
  } catch {
    throw new Error(`${file.name} is not a text in UTF-8.`);
  }
}

export async function readTextFiles(list) {
  const files = [];
  const errors = [];
  for (const file of [...list].slice(0, FILES_MAX)) {
    try {
      files.push(await readTextFile(file));
    } catch (error) {
      errors.push(error.message);
    }
  }
  if (list.length > FILES_MAX) errors.push(`At most ${plural(FILES_MAX, "file")} at once.`);
  return { files, error: errors.join(" ") };
}

export function ModelPicker({ id, model }) {
  const all = useStore(info);
  useStore(settings, ({ model: chosen }) => chosen);
  const models = chatModels(all);
  if (!models.length) return null;
  const current = chosenModel(all, model || undefined);
  return html`<select
    class="model-picker"
    aria-label="Model"
    value=${current}
    onChange=${(e) => setModel(id, e.target.value)}
  >
    ${models.map(
      ({ name, kind }) =>
        html`<option value=${name}>${kind === "swarm" ? `${name} (whole swarm)` : name}</option>`,
    )}
  </select>`;
}

export function FileChips({ files, onRemove }) {
  if (!files?.length) return null;
  return html`<ul class="file-chips">
    ${files.map(
      (file, i) =>
        html`<li>
          <${Icon} name="file" size=${15} /><span>${file.name}</span
          ><small>${bytes(file.size)}</small>
          ${
            onRemove &&
            html`<${IconButton}
              icon="close"
              label=${`Remove ${file.name}`}
              onClick=${() => onRemove(i)}
            />`
          }
        </li>`,
    )}
  </ul>`;
}

function fitHeight(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, HEIGHT_MAX)}px`;
}

export function Composer({ id, model, isRunning, onSend, onStop, drop }) {
  const [text, setText] = useState("");
  const [files, setFiles] = useState([]);
  const [error, setError] = useState("");
  const area = useRef();
  const picker = useRef();

  const add = async (list) => {
    const read = await readTextFiles(list);
    setFiles((before) => [...before, ...read.files].slice(0, FILES_MAX));
    setError(read.error);
    area.current?.focus();
  };
  drop.current = add;
  useEffect(() => fitHeight(area.current), [text]);
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) area.current.focus();
  }, [id]);

  const send = () => {
    if (isRunning || (!text.trim() && !files.length)) return;
    onSend(text.trim(), files);
    setText("");
    setFiles([]);
    setError("");
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && isRunning) onStop();
  };
  const onPaste = (event) => {
    if (event.clipboardData.files.length) {
      event.preventDefault();
      add(event.clipboardData.files);
    }
  };
  const canSend = text.trim() || files.length;
  return html`<form class="composer" onSubmit=${(e) => (e.preventDefault(), send())}>
    ${error && html`<p class="error-line" role="alert">${error}</p>`}
    <div class="composer-box">
      <${FileChips} files=${files} onRemove=${(i) => setFiles(files.filter((_, j) => j !== i))} />
      <textarea
        id="question"
        ref=${area}
        rows="1"
        value=${text}
        placeholder="Ask, or drop files in"
        aria-label="Question"
        onInput=${(e) => setText(e.target.value)}
        onKeyDown=${onKeyDown}
        onPaste=${onPaste}
      />
      <div class="composer-tools">
        <${IconButton}
          icon="attach"
          label="Add text files"
          onClick=${() => picker.current.click()}
        />
        <input
          ref=${picker}
          type="file"
          multiple
          hidden
          onChange=${(e) => (add(e.target.files), (e.target.value = ""))}
        />
        <${ModelPicker} id=${id} model=${model} />
        <span class="space" />
        ${
          isRunning
            ? html`<${IconButton} icon="stop" label="Stop" kind="is-main" onClick=${onStop} />`
            : html`<button
                class=${classes("icon-button", "is-main")}
                aria-label="Send"
                title="Send"
                disabled=${!canSend}
              >
                <${Icon} name="send" />
              </button>`
        }
      </div>
    </div>
  </form>`;
}
