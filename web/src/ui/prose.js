// SPDX-License-Identifier: Apache-2.0
// prose.js - Markdown that may still be growing.
import { useRef } from "preact/hooks";
import { closeInline, hasReferences, splitBlocks } from "../lib/blocks.js";
import { memo } from "../state/store.js";
import { html } from "./html.js";
import { renderMarkdown } from "./markdown.js";

const Block = memo(({ text }) => {
  const __html = renderMarkdown(text);
  return html`<div class="block" dangerouslySetInnerHTML=${{ __html }} />`;
});

// The last block while it grows.  A long one takes long to render: then it is rendered less often,
// so that rendering never takes more than a quarter of the time.
function GrowingBlock({ text }) {
  const last = useRef({ at: 0, cost: 0, text: "", output: "" });
  const now = performance.now();
  if (now - last.current.at >= last.current.cost * 4 || text.length < last.current.text.length) {
    const output = renderMarkdown(closeInline(text));
    last.current = { at: performance.now(), cost: performance.now() - now, text, output };
  }
  const __html = last.current.output;
  return html`<div class="block growing" dangerouslySetInnerHTML=${{ __html }} />`;
}

export function Prose({ text, isGrowing }) {
  if (!isGrowing && hasReferences(text)) return html`<${Block} text=${text} />`;
  const blocks = splitBlocks(text);
  const done = isGrowing ? blocks.slice(0, -1) : blocks;
  return html`${done.map((block, i) => html`<${Block} key=${i} text=${block} />`)}
  ${isGrowing && blocks.length > 0 && html`<${GrowingBlock} key="last" text=${blocks.at(-1)} />`}`;
}
