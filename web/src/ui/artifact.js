// SPDX-License-Identifier: Apache-2.0
// artifact.js - the panel beside the chat: preview, source, versions, differences, console.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { REPAIRS_MAX, repairPrompt, repairsInARow } from "../lib/artifacts.js";
import { countChanges, diffLines, foldDiff } from "../lib/diff.js";
import { plural } from "../lib/format.js";
import { setSetting, settings } from "../state/settings.js";
import { useStore } from "../state/store.js";
import { CopyButton, download } from "./copy.js";
import { classes, html } from "./html.js";
import { Icon, IconButton } from "./icons.js";
import { Preview, Source, canPreview } from "./preview.js";

const LINES_MAX = 200;
const SETTLE_MS = 1200; // after the last error before it is sent by itself
const MIME = {
  html: "text/html",
  svg: "image/svg+xml",
  table: "text/csv",
  markdown: "text/markdown",
};

function Tabs({ tabs, current, onSelect }) {
  const onKeyDown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const at = tabs.findIndex(([id]) => id === current);
    const [next] = tabs[(at + step + tabs.length) % tabs.length];
    onSelect(next);
    event.currentTarget.querySelector(`#tab-${next}`).focus();
    event.preventDefault();
  };
  return html`<div class="tabs" role="tablist" aria-label="Ways to see it" onKeyDown=${onKeyDown}>
    ${tabs.map(
      ([id, label]) =>
        html`<button
          type="button"
          role="tab"
          id=${`tab-${id}`}
          aria-controls="artifact-body"
          aria-selected=${String(id === current)}
          tabindex=${id === current ? 0 : -1}
          onClick=${() => onSelect(id)}
        >
          ${label}
        </button>`,
    )}
  </div>`;
}

function Versions({ count, at, onSelect }) {
  if (count < 2) return null;
  return html`<span class="siblings" role="group" aria-label="Versions">
    <${IconButton}
      icon="left"
      label="Version before"
      disabled=${at === 0}
      onClick=${() => onSelect(at - 1)}
    />
    <span>Version ${at + 1} / ${count}</span>
    <${IconButton}
      icon="right"
      label="Version after"
      disabled=${at === count - 1}
      onClick=${() => onSelect(at + 1)}
    />
  </span>`;
}

function Diff({ before, after, from, to }) {
  const lines = useMemo(() => diffLines(before, after), [before, after]);
  const { added, removed } = countChanges(lines);
  return html`<div class="diff" tabindex="0" aria-label="Differences">
    <p class="diff-head">Version ${from} → ${to}: <ins>+${added}</ins> <del>−${removed}</del></p>
    <table>
      <tbody>
        ${foldDiff(lines).map(({ op, text, a, b, count }) =>
          op === "…"
            ? html`<tr class="fold">
                <td colspan="3">${plural(count, "equal line")}</td>
              </tr>`
            : html`<tr class=${op === "+" ? "is-added" : op === "-" ? "is-removed" : ""}>
                <td class="line-number">${a || ""}</td>
                <td class="line-number">${b || ""}</td>
                <td><code>${op === " " ? "  " : op === "-" ? "− " : "+ "}${text}</code></td>
              </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function ConsoleLine({ level, text, line }) {
  return html`<li class=${`console-${level}`}>
    <span>${text}</span>${line > 0 && html`<small>line ${line}</small>`}
  </li>`;
}

function Console({ lines, errors, canRepair, repairs, onRepair }) {
  const [isOpen, setOpen] = useState(false);
  const autofix = useStore(settings, (all) => all.autofix);
  if (!lines.length) return null;
  const says = errors.length ? plural(errors.length, "error") : plural(lines.length, "line");
  return html`<section
    class=${classes("console", errors.length > 0 && "has-errors")}
    aria-label="Console"
  >
    <div class="console-bar">
      <button
        type="button"
        class="console-toggle"
        aria-expanded=${String(isOpen)}
        onClick=${() => setOpen(!isOpen)}
      >
        Console: ${says}
      </button>
      ${errors.length > 0 && !isOpen && html`<span class="console-first">${errors[0].text}</span>`}
      <span class="space" />
      ${
        errors.length > 0 &&
        html`<label class="check"
            ><input
              type="checkbox"
              checked=${autofix}
              onChange=${(e) => setSetting("autofix", e.target.checked)}
            /><span>by itself</span></label
          >
          <button type="button" class="button is-main" disabled=${!canRepair} onClick=${onRepair}>
            <${Icon} name="wrench" size=${15} />Repair
          </button>`
      }
    </div>
    ${
      repairs >= REPAIRS_MAX &&
      errors.length > 0 &&
      html`<p class="quiet">
        ${REPAIRS_MAX} repairs in a row did not help; what now is up to you.
      </p>`
    }
    ${
      isOpen &&
      html`<ol class="console-lines" tabindex="0" aria-label="Lines of the console">
        ${lines.map((line, i) => html`<${ConsoleLine} key=${i} ...${line} />`)}
      </ol>`
    }
  </section>`;
}

// Lines of the console of the version that runs, and the repair of its errors.
function useConsole({ artifact, at, path, isBusy, onRepair }) {
  const [lines, setLines] = useState([]);
  const sent = useRef("");
  const { isDone } = artifact.versions[at];
  const errors = lines.filter(({ level }) => level === "error");
  const repairs = repairsInARow(path, artifact.name);
  const isNewest = at === artifact.versions.length - 1;
  const canRepair = isDone && !isBusy && isNewest;
  const place = `${artifact.id}/${at}`;
  const repair = () => {
    sent.current = place;
    onRepair(repairPrompt(artifact.name, at + 1, errors.slice(0, 10)), artifact.name);
  };
  const autofix = useStore(settings, (all) => all.autofix);
  useEffect(() => {
    const isDue = autofix && canRepair && errors.length && repairs < REPAIRS_MAX;
    if (!isDue || sent.current === place) return undefined;
    const timer = setTimeout(repair, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [errors.length, autofix, canRepair, repairs, place]);
  return {
    lines,
    errors,
    repairs,
    canRepair,
    repair,
    clear: () => setLines([]),
    add: (line) => setLines((before) => [...before, line].slice(-LINES_MAX)),
  };
}

function Picker({ artifact, artifacts, onOpen }) {
  if (artifacts.length < 2) return html`<h2>${artifact.name}</h2>`;
  return html`<h2 class="unseen">${artifact.name}</h2>
    <select
      class="artifact-picker"
      aria-label="Artifact"
      value=${artifact.id}
      onChange=${(e) => onOpen({ id: e.target.value, version: null })}
    >
      ${artifacts.map(({ id, name }) => html`<option value=${id}>${name}</option>`)}
    </select>`;
}

export function ArtifactPanel({
  artifact,
  version,
  artifacts,
  path,
  onOpen,
  onClose,
  onRepair,
  isBusy,
}) {
  const count = artifact.versions.length;
  const at = Math.min(version ?? count - 1, count - 1);
  const shown = artifact.versions[at];
  const hasPreview = canPreview(artifact.kind);
  const [tab, setTab] = useState("preview");
  const tabs = [
    hasPreview && ["preview", "Preview"],
    ["source", "Source"],
    at > 0 && ["diff", "Changes"],
  ].filter(Boolean);
  const current = tabs.some(([id]) => id === tab) ? tab : tabs[0][0];
  const news = useConsole({ artifact, at, path, isBusy, onRepair });
  const onKeyDown = (event) => event.key === "Escape" && onClose();
  return html`<section
    class="artifact-panel"
    aria-label=${`Artifact ${artifact.name}`}
    onKeyDown=${onKeyDown}
  >
    <header class="artifact-head">
      <div class="artifact-title">
        <${Picker} artifact=${artifact} artifacts=${artifacts} onOpen=${onOpen} />
        ${!shown.isDone && html`<span class="badge is-live">being written</span>`}
      </div>
      <div class="artifact-tools">
        <${CopyButton} text=${shown.text} label="Copy the source" />
        <${IconButton}
          icon="download"
          label="Download"
          onClick=${() => download(artifact.name, shown.text, MIME[artifact.kind])}
        />
        <${IconButton} icon="close" label="Close the artifact" onClick=${onClose} />
      </div>
    </header>
    <div class="artifact-bar">
      <${Tabs} tabs=${tabs} current=${current} onSelect=${setTab} />
      <span class="space" />
      <${Versions}
        count=${count}
        at=${at}
        onSelect=${(next) => onOpen({ id: artifact.id, version: next === count - 1 ? null : next })}
      />
    </div>
    <div
      class="artifact-body"
      id="artifact-body"
      role="tabpanel"
      aria-labelledby=${`tab-${current}`}
    >
      ${
        hasPreview &&
        html`<div class="artifact-pane" hidden=${current !== "preview"}>
          <${Preview}
            key=${artifact.id}
            artifact=${artifact}
            version=${shown}
            artifacts=${artifacts}
            onLog=${news.add}
            onStart=${news.clear}
          />
        </div>`
      }
      ${
        current === "source" &&
        html`<${Source} key=${artifact.id} artifact=${artifact} version=${shown} />`
      }
      ${
        current === "diff" &&
        html`<${Diff}
          before=${artifact.versions[at - 1].text}
          after=${shown.text}
          from=${at}
          to=${at + 1}
        />`
      }
    </div>
    <${Console} ...${news} onRepair=${news.repair} />
  </section>`;
}
