// SPDX-License-Identifier: Apache-2.0
// message.js - one question or answer.
import { useEffect, useRef, useState } from "preact/hooks";
import { artifactOf, segmentsOf } from "../lib/artifacts.js";
import { count, duration, money, plural } from "../lib/format.js";
import { siblingsOf } from "../lib/tree.js";
import { answerAgain, chats, editQuestion, showSibling } from "../state/chats.js";
import { memo, useStore } from "../state/store.js";
import { CodeBlock } from "./code.js";
import { FileChips } from "./composer.js";
import { CopyButton } from "./copy.js";
import { classes, html } from "./html.js";
import { Icon, IconButton } from "./icons.js";
import { JobCard } from "./job_card.js";
import { Prose } from "./prose.js";

const KIND_WORDS = {
  html: "Page",
  svg: "Drawing",
  diagram: "Diagram",
  table: "Table",
  markdown: "Text",
  code: "Code",
};

function ArtifactCard({ segment, found, onOpen, isWriting }) {
  const lines = segment.text.split("\n").length - (segment.text.endsWith("\n") ? 1 : 0);
  const isGrowing = isWriting && !segment.isClosed;
  const words = [KIND_WORDS[found.kind], plural(lines, "line"), isGrowing && "being written"]
    .filter(Boolean)
    .join(" · ");
  return html`<button
    type="button"
    class=${classes("artifact-card", isGrowing && "is-growing")}
    onClick=${onOpen}
  >
    <span class="artifact-kind"><${Icon} name="file" size=${22} /></span>
    <span class="artifact-words">
      <strong>${found.name || found.base}</strong>
      <small>${words}</small>
    </span>
  </button>`;
}

function Segment({ segment, isGrowing, onOpen, isWriting }) {
  if (segment.kind === "prose")
    return html`<${Prose} text=${segment.text} isGrowing=${isGrowing} />`;
  const found = artifactOf(segment);
  if (found)
    return html`<${ArtifactCard}
      segment=${segment}
      found=${found}
      onOpen=${onOpen}
      isWriting=${isWriting}
    />`;
  return html`<${CodeBlock} text=${segment.text} lang=${segment.lang} />`;
}

function Siblings({ chat, message }) {
  const conversation = useStore(chats, (all) => all[chat]);
  if (!conversation?.nodes[message.id]) return null;
  const all = siblingsOf(conversation, message.id);
  if (all.length < 2) return null;
  const at = all.findIndex(({ id }) => id === message.id);
  const show = (index) => () => showSibling(chat, all[index].id);
  return html`<span class="siblings">
    <${IconButton}
      icon="left"
      label="The one before"
      disabled=${at === 0}
      onClick=${at > 0 && show(at - 1)}
    />
    <span>${at + 1} / ${all.length}</span>
    <${IconButton}
      icon="right"
      label="The one after"
      disabled=${at === all.length - 1}
      onClick=${at < all.length - 1 && show(at + 1)}
    />
  </span>`;
}

function Editor({ message, onDone, onSend }) {
  const [text, setText] = useState(message.content);
  const area = useRef();
  useEffect(() => area.current.focus(), []);
  const onKeyDown = (event) => {
    if (event.key === "Escape") onDone();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      onSend(text);
    }
  };
  return html`<div class="editor">
    <textarea
      ref=${area}
      aria-label="Edit the question"
      rows=${Math.min(12, text.split("\n").length + 1)}
      value=${text}
      onInput=${(e) => setText(e.target.value)}
      onKeyDown=${onKeyDown}
    />
    <div class="editor-tools">
      <button type="button" class="button" onClick=${onDone}>Leave it</button>
      <button
        type="button"
        class="button is-main"
        disabled=${!text.trim()}
        onClick=${() => onSend(text)}
      >
        Send again
      </button>
    </div>
  </div>`;
}

function Question({ chat, message }) {
  const [isEditing, setEditing] = useState(false);
  const send = (text) => {
    setEditing(false);
    editQuestion(chat, message.id, text.trim());
  };
  if (isEditing)
    return html`<${Editor} message=${message} onDone=${() => setEditing(false)} onSend=${send} />`;
  if (message.repair) {
    return html`<details class="repair">
      <summary>
        <${Icon} name="wrench" size=${15} /> The error of ${message.repair} went back to the model
      </summary>
      <pre tabindex="0">${message.content}</pre>
    </details>`;
  }
  return html`<div class="question">
      <${FileChips} files=${message.files} />
      ${message.content && html`<p>${message.content}</p>`}
    </div>
    <div class="message-tools">
      <${Siblings} chat=${chat} message=${message} />
      <${IconButton} icon="edit" label="Edit and send again" onClick=${() => setEditing(true)} />
      <${CopyButton} text=${message.content} label="Copy the question" />
    </div>`;
}

function Figures({ message }) {
  const { usage, enxame = {}, finish, seconds, model } = message;
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  const reasoning = usage?.completion_tokens_details?.reasoning_tokens;
  const cost = enxame.bill?.total_usd ?? enxame.cost_usd;
  const speed = enxame.tokens_per_s;
  const parts = [
    model,
    usage && `${count(usage.prompt_tokens)} in${cached ? ` (${count(cached)} cached)` : ""}`,
    usage &&
      `${count(usage.completion_tokens)} out${reasoning ? ` (${count(reasoning)} thought)` : ""}`,
    speed && `${speed.toFixed(speed < 10 ? 1 : 0)} tokens/s`,
    seconds && duration(seconds),
    cost !== undefined && cost !== null && money(cost),
    finish === "length" && "cut at the limit",
    finish === "stopped" && "stopped",
  ].filter(Boolean);
  return html`<span class="figures"
    >${parts.map((part, i) => html`<span key=${i}>${part}</span>`)}</span
  >`;
}

function Thought({ text, isThinking }) {
  if (!text) return null;
  return html`<details class="thought">
    <summary>${isThinking ? "Thinking…" : "Thought"}</summary>
    <p>${text}</p>
  </details>`;
}

function Answer({ chat, message, onOpen }) {
  const segments = segmentsOf(message);
  const { isWriting } = message;
  const isEmpty = isWriting && segments.length === 0;
  return html`<${Thought} text=${message.reasoning} isThinking=${isEmpty} />
    ${
      message.enxame?.job &&
      html`<${JobCard} id=${message.enxame.job} isWriting=${isWriting} figures=${message.enxame} />`
    }
    ${isEmpty && html`<p class="waiting" aria-label="Waiting for the answer"><i /><i /><i /></p>`}
    <div class="prose" aria-busy=${isWriting ? "true" : undefined}>
      ${segments.map(
        (segment, i) =>
          html`<${Segment}
            key=${i}
            segment=${segment}
            isWriting=${isWriting}
            isGrowing=${isWriting && i === segments.length - 1}
            onOpen=${() => onOpen(message.id, i)}
          />`,
      )}
    </div>
    ${message.error && html`<p class="error-line" role="alert">${message.error}</p>`}
    ${message.wasCut && html`<p class="quiet">The page was closed while this was written.</p>`}
    ${
      !isWriting &&
      html`<div class="message-tools">
        <${Siblings} chat=${chat} message=${message} />
        <${CopyButton} text=${message.content} label="Copy the answer" />
        <${IconButton}
          icon="again"
          label="Answer again"
          onClick=${() => answerAgain(chat, message.id)}
        />
        <${Figures} message=${message} />
      </div>`
    }`;
}

export const Message = memo(({ chat, message, onOpen }) => {
  const isUser = message.role === "user";
  return html`<article
    class=${classes("message", isUser ? "is-user" : "is-model")}
    aria-label=${isUser ? "You" : `Answer of ${message.model || "the model"}`}
  >
    ${
      isUser
        ? html`<${Question} chat=${chat} message=${message} />`
        : html`<${Answer} chat=${chat} message=${message} onOpen=${onOpen} />`
    }
  </article>`;
});
