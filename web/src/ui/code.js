// SPDX-License-Identifier: Apache-2.0
// code.js - source text with colours, also while it grows: finished lines are coloured once.
import { useLayoutEffect, useRef } from "preact/hooks";
import { highlightLine } from "../lib/highlight.js";
import { html } from "./html.js";
import { CopyButton } from "./copy.js";

// Keeps one element in step with a text that mostly grows at its end.
function createPainter(code, lang) {
  const tail = document.createTextNode("");
  let shown = "";
  let state = "";

  function restart() {
    code.textContent = "";
    code.append(tail);
    tail.data = "";
    shown = state = "";
  }

  function paintLines(text) {
    let output = "";
    for (const line of text.split("\n").slice(0, -1)) {
      const [colored, next] = highlightLine(line, lang, state);
      output += colored + "\n";
      state = next;
    }
    const holder = document.createElement("template");
    holder.innerHTML = output;
    tail.before(holder.content);
  }

  return function paint(text) {
    if (!text.startsWith(shown) || !tail.isConnected) restart();
    const end = text.lastIndexOf("\n") + 1;
    if (end > shown.length) paintLines(text.slice(shown.length, end));
    shown = text.slice(0, Math.max(end, shown.length));
    tail.data = text.slice(shown.length);
  };
}

export function Code({ text, lang, label }) {
  const code = useRef();
  const painter = useRef({});
  useLayoutEffect(() => {
    if (painter.current.lang !== lang) {
      painter.current = { lang, paint: createPainter(code.current, lang) };
    }
    painter.current.paint(text);
  }, [text, lang]);
  return html`<pre
    class="code"
    tabindex="0"
    aria-label=${label ?? "Code"}
  ><code ref=${code} /></pre>`;
}

export function CodeBlock({ text, lang }) {
  const body = text.replace(/\n$/, "");
  return html`<figure class="code-block">
    <figcaption>
      <span>${lang || "text"}</span><${CopyButton} text=${body} label="Copy code" />
    </figcaption>
    <${Code} text=${text} lang=${lang} label=${`Code, ${lang || "text"}`} />
  </figure>`;
}
