// SPDX-License-Identifier: Apache-2.0
// chat.js - a conversation, and beside it the artifact that is open.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { collectArtifacts, findVersion } from "../lib/artifacts.js";
import { pathOf, toMarkdown } from "../lib/tree.js";
import { ask, chats, isRunning, stop } from "../state/chats.js";
import { info } from "../state/info.js";
import { setSetting, settings } from "../state/settings.js";
import { useStore } from "../state/store.js";
import { ArtifactPanel } from "./artifact.js";
import { Composer } from "./composer.js";
import { download } from "./copy.js";
import { classes, html } from "./html.js";
import { IconButton, Logo } from "./icons.js";
import { Message } from "./message.js";
import { Splitter } from "./splitter.js";
import { TopBar } from "./top_bar.js";

const NEAR_END_PX = 80;

// Keeps the end in sight while it was in sight.
function useFollow(list, path) {
  const isAtEnd = useRef(true);
  useEffect(() => {
    const element = list.current;
    if (!element) return undefined;
    const onScroll = () => {
      const rest = element.scrollHeight - element.scrollTop - element.clientHeight;
      isAtEnd.current = rest < NEAR_END_PX;
    };
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => element.removeEventListener("scroll", onScroll);
  }, [path.length > 0]);
  useEffect(() => {
    if (isAtEnd.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [path]);
  return () => (isAtEnd.current = true);
}

// Places of artifacts that were opened by themselves, once each as long as the tab lives.
const seen = new Set();

// Which artifact is open: what the user opened, else what a model has begun to write.
function useOpenArtifact(artifacts, path) {
  const [open, setOpen] = useState(null); // {id, version} or null; version null: the newest
  useEffect(() => {
    const isStreamed = (id) => path.some((message) => message.id === id && message.segments);
    for (const artifact of artifacts) {
      for (const { message, segment } of artifact.versions) {
        const place = `${message}/${segment}`;
        if (seen.has(place) || !isStreamed(message)) continue;
        seen.add(place);
        setOpen({ id: artifact.id, version: null });
      }
    }
  }, [artifacts]);
  return [open && artifacts.some(({ id }) => id === open.id) ? open : null, setOpen];
}

function Welcome({ onAsk }) {
  const hasSwarm = useStore(info, (all) => Boolean(all?.swarm));
  const examples = [
    hasSwarm && [
      "Repair a text",
      "put the accents back\n\npor quanto tempo o povo deve aguentar o seu reinado",
    ],
    ["Make a page", "Write a small web page with a clock that ticks, as index.html"],
    ["Draw a flow", "Draw how a letter travels from sender to reader, as a Mermaid flowchart"],
  ].filter(Boolean);
  return html`<div class="welcome">
    <${Logo} />
    <h2>What shall the models do?</h2>
    <div class="examples">
      ${examples.map(
        ([title, text]) =>
          html`<button type="button" class="example" onClick=${() => onAsk(text, [])}>
            <strong>${title}</strong><span>${text}</span>
          </button>`,
      )}
    </div>
  </div>`;
}

function Messages({ id, path, artifacts, onOpen, list }) {
  const open = (message, segment) => {
    const found = findVersion(artifacts, message, segment);
    if (found) onOpen({ id: found.artifact.id, version: found.version });
  };
  const latest = useRef(open);
  latest.current = open;
  const stable = useRef((...place) => latest.current(...place));
  return html`<div
    class="messages"
    ref=${list}
    tabindex="0"
    role="log"
    aria-live="off"
    aria-label="Conversation"
  >
    <div class="messages-inner">
      ${path.map(
        (message) =>
          html`<${Message}
            key=${message.id}
            chat=${id}
            message=${message}
            onOpen=${stable.current}
          />`,
      )}
    </div>
  </div>`;
}

function useDrop(drop) {
  const [isOver, setOver] = useState(false);
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  return {
    isOver,
    onDragOver: (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    },
    onDragLeave: (event) => event.currentTarget.contains(event.relatedTarget) || setOver(false),
    onDrop: (event) => {
      setOver(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      drop.current(event.dataTransfer.files);
    },
  };
}

function usePanelKey(open, setOpen, artifacts) {
  useEffect(() => {
    const onKey = (event) => {
      if (!event.altKey || event.key !== "a") return;
      event.preventDefault();
      const last = artifacts.at(-1);
      setOpen(open ? null : last && { id: last.id, version: null });
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [open, artifacts]);
}

function exportChat(chat) {
  download(`${chat.title || "chat"}.md`, toMarkdown(chat), "text/markdown");
}

export function Chat({ id, onMenu }) {
  const chat = useStore(chats, (all) => all[id]);
  const path = useMemo(() => (chat ? pathOf(chat) : []), [chat]);
  const isWriting = path.at(-1)?.isWriting ?? false;
  const artifacts = useMemo(() => collectArtifacts(path), [path]);
  const [open, setOpen] = useOpenArtifact(artifacts, path);
  const panel = useStore(settings, (all) => all.panel);
  const list = useRef();
  const toEnd = useFollow(list, path);
  const drop = useRef();
  const { isOver, ...handlers } = useDrop(drop);
  usePanelKey(open, setOpen, artifacts);
  const send = (text, files, fields) => {
    toEnd();
    ask(id, text, files, fields);
  };
  const artifact = open && artifacts.find((one) => one.id === open.id);
  return html`<div
    class=${classes("chat-view", artifact && "has-panel", isOver && "is-over")}
    ...${handlers}
    style=${artifact ? `--panel: ${panel}%` : ""}
  >
    <section class="chat-column" aria-label="Chat">
      <${TopBar} title=${chat?.title || "New chat"} onMenu=${onMenu}>
        ${
          artifacts.length > 0 &&
          !artifact &&
          html`<button
            type="button"
            class="button"
            onClick=${() => setOpen({ id: artifacts.at(-1).id, version: null })}
          >
            Artifacts
          </button>`
        }
        ${
          path.length > 0 &&
          html`<${IconButton}
            icon="download"
            label="Export the conversation"
            onClick=${() => exportChat(chat)}
          />`
        }
      <//>
      ${
        path.length
          ? html`<${Messages}
              id=${id}
              path=${path}
              artifacts=${artifacts}
              onOpen=${setOpen}
              list=${list}
            />`
          : html`<${Welcome} onAsk=${send} />`
      }
      <${Composer}
        id=${id}
        model=${chat?.model}
        isRunning=${isWriting || isRunning(id)}
        onSend=${send}
        onStop=${() => stop(id)}
        drop=${drop}
      />
    </section>
    ${
      artifact &&
      html`<${Splitter} value=${panel} onChange=${(value) => setSetting("panel", value)} />
        <${ArtifactPanel}
          artifact=${artifact}
          version=${open.version}
          artifacts=${artifacts}
          path=${path}
          onOpen=${setOpen}
          onClose=${() => setOpen(null)}
          onRepair=${(text, name) => send(text, [], { repair: name })}
          isBusy=${isWriting}
        />`
    }
  </div>`;
}
