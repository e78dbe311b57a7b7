// SPDX-License-Identifier: Apache-2.0
// viewer.js - the artifacts of a conversation in the terminal, as one file: `enxame chat` puts the
// messages in, and everything is shown as the page shows it, in frames of the same kind.
import { render } from "preact";
import { useState } from "preact/hooks";
import { collectArtifacts } from "../lib/artifacts.js";
import { showTheme } from "../state/settings.js";
import { classes, html } from "../ui/html.js";
import { Preview } from "../ui/preview.js";

const LINES_MAX = 300;

function readTalk() {
  try {
    const { messages } = JSON.parse(document.getElementById("talk").textContent);
    return messages.map((message, id) => ({ ...message, id }));
  } catch {
    return [];
  }
}

function Console({ lines }) {
  if (!lines.length) return null;
  return html`<ol class="console-lines" aria-label="Console">
    ${lines.map(({ level, text }) => html`<li class=${`console-${level}`}>${text}</li>`)}
  </ol>`;
}

function Shown({ artifact, version, artifacts }) {
  const [lines, setLines] = useState([]);
  return html`<${Preview}
      artifact=${artifact}
      version=${version}
      artifacts=${artifacts}
      onStart=${() => setLines([])}
      onLog=${(line) => setLines((all) => [...all, line].slice(-LINES_MAX))}
    /><${Console} lines=${lines} />`;
}

function Viewer({ artifacts }) {
  const [at, setAt] = useState(artifacts.length - 1);
  const [number, setNumber] = useState(0); // of the version; 0: the newest
  if (!artifacts.length) return html`<p class="quiet">This conversation made no artifact.</p>`;
  const artifact = artifacts[at];
  const version = artifact.versions.at(number - 1);
  const choose = (index) => {
    setAt(index);
    setNumber(0);
  };
  return html`<header class="viewer-bar">
      ${artifacts.map(
        ({ name }, i) =>
          html`<button
            type="button"
            class=${classes("button", i === at && "is-main")}
            aria-pressed=${i === at}
            onClick=${() => choose(i)}
          >
            ${name}
          </button>`,
      )}
      ${
        artifact.versions.length > 1 &&
        html`<select
          aria-label="Version"
          value=${number || artifact.versions.length}
          onChange=${(event) => setNumber(Number(event.target.value))}
        >
          ${artifact.versions.map((_, i) => html`<option value=${i + 1}>version ${i + 1}</option>`)}
        </select>`
      }
    </header>
    <main class="viewer-place">
      <${Shown}
        key=${`${artifact.id} ${number}`}
        artifact=${artifact}
        version=${version}
        artifacts=${artifacts}
      />
    </main>`;
}

showTheme("system");
render(
  html`<${Viewer} artifacts=${collectArtifacts(readTalk())} />`,
  document.getElementById("viewer"),
);
