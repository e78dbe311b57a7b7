// SPDX-License-Identifier: Apache-2.0
// preview.js - an artifact as what it is: page, drawing, diagram, table, text or code.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { inlineFiles } from "../lib/artifacts.js";
import { Code } from "./code.js";
import { Flow } from "./flow.js";
import { createFrameHost, hungLastTime } from "./frame_host.js";
import { html } from "./html.js";
import { Prose } from "./prose.js";
import { Table } from "./table.js";

const SVG_HEAD =
  "<!doctype html><style>html,body{height:100%;margin:0}body{display:grid;place-items:center}" +
  "svg{max-width:100%;max-height:100%}</style>";

const STOP_WORDS = {
  silent: "The page stopped answering and was closed.",
  flood: "The page sent too many messages and was closed.",
  hung: "This page hung the tab the last time it ran.",
};

function documentOf(artifact, text, artifacts) {
  if (artifact.kind === "svg") return SVG_HEAD + text;
  const whole = inlineFiles(text, artifacts);
  return /^\s*<!doctype/i.test(whole) ? whole : `<!doctype html>${whole}`;
}

function draftOf(artifact, text) {
  return artifact.kind === "svg" ? SVG_HEAD + text : text;
}

// onLog is called for each line of the console, onStart before each run.
function FramePreview({ artifact, version, artifacts, onLog, onStart }) {
  const place = useRef();
  const host = useRef();
  const [stopped, setStopped] = useState("");
  const latest = useRef({});
  latest.current = { onLog, onStart };
  useEffect(() => {
    host.current = createFrameHost(place.current, `Preview of ${artifact.name}`, {
      onLog: (line) => latest.current.onLog(line),
      onState: (state, reason) => setStopped(state === "stopped" ? reason : ""),
    });
    return () => host.current.close();
  }, []);
  const { isDone, text } = version;
  const whole = isDone ? documentOf(artifact, text, artifacts) : "";
  const start = (isAsked) => {
    if (!isAsked && hungLastTime(whole)) return setStopped("hung");
    latest.current.onStart();
    host.current.run(whole);
  };
  useEffect(() => {
    if (isDone) start(false);
    else host.current.showDraft(draftOf(artifact, text));
  }, [isDone, isDone ? whole : text]);
  return html`<div class="frame-place">
    <div class="frames" ref=${place} />
    ${
      stopped &&
      html`<div class="frame-note" role="alert">
        <p>${STOP_WORDS[stopped]}</p>
        <button type="button" class="button" onClick=${() => start(true)}>Run it again</button>
      </div>`
    }
  </div>`;
}

export function canPreview(kind) {
  return kind !== "code";
}

export function Preview({ artifact, version, artifacts, onLog, onStart }) {
  const { kind } = artifact;
  if (kind === "html" || kind === "svg") {
    return html`<${FramePreview}
      artifact=${artifact}
      version=${version}
      artifacts=${artifacts}
      onLog=${onLog}
      onStart=${onStart}
    />`;
  }
  if (kind === "table") return html`<${Table} text=${version.text} name=${artifact.name} />`;
  if (kind === "diagram") return html`<${Flow} text=${version.text} name=${artifact.name} />`;
  if (kind === "markdown")
    return html`<div class="prose paper">
      <${Prose} text=${version.text} isGrowing=${!version.isDone} />
    </div>`;
  return html`<${Source} artifact=${artifact} version=${version} />`;
}

export function Source({ artifact, version }) {
  const pane = useRef();
  useEffect(() => {
    if (!version.isDone) pane.current.scrollTop = pane.current.scrollHeight;
  }, [version.text]);
  const lang = useMemo(() => artifact.lang, [artifact.id]);
  return html`<div class="source" ref=${pane}>
    <${Code} text=${version.text} lang=${lang} label=${`Source of ${artifact.name}`} />
  </div>`;
}
