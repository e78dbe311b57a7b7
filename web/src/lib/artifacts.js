// SPDX-License-Identifier: Apache-2.0
// artifacts.js - the files that a conversation produced, each with its versions.
//
// Nothing is stored: artifacts are a function of the messages that are shown.  A file that is
// written again under its name is a new version; one without a name is called by its kind and its
// place in the answer (page.html, page-2.html), so that "make it blue" makes a new version, too.

import { cleanName, extensionOf, parseAnswer } from "./fences.js";
import { textMembers } from "./partial_json.js";

// kind: how it is shown.  Extensions and languages that mean it; the name of one without a name.
const KINDS = [
  { kind: "html", langs: ["html", "htm", "xhtml"], name: "page.html" },
  { kind: "svg", langs: ["svg"], name: "drawing.svg" },
  { kind: "diagram", langs: ["mermaid", "mmd", "flowchart"], name: "diagram.mmd" },
  { kind: "table", langs: ["csv", "tsv"], name: "table.csv" },
  { kind: "markdown", langs: ["md", "markdown"], name: "text.md" },
];
const CODE_LINES_MIN = 12; // shorter code without a name stays in the answer
const EXTENSIONS = {
  javascript: "js",
  typescript: "ts",
  python: "py",
  bash: "sh",
  shell: "sh",
  ruby: "rb",
  rust: "rs",
  "c++": "cpp",
  csharp: "cs",
  kotlin: "kt",
  perl: "pl",
  yaml: "yml",
  text: "txt",
  "": "txt",
};
const NOT_FILES = new Set(["console", "output", "diff", "text", "txt", ""]);

function lineCount(text) {
  return text ? text.replace(/\n$/, "").split("\n").length : 0;
}

function looksLikeMarkup(text, tag) {
  return new RegExp(`^\\s*(<\\?xml[^>]*>\\s*|<!--[^]*?-->\\s*)*<(!doctype|${tag})`, "i").test(text);
}

// The row of KINDS for a segment, or null: code, or nothing.
function rowOf({ kind, lang, name, text }) {
  const word = kind === "prose" ? "" : lang || extensionOf(name);
  const byName = KINDS.find((row) => row.langs.includes(extensionOf(name)));
  const byLang = KINDS.find((row) => row.langs.includes(word));
  if (byName || byLang) return byName ?? byLang;
  if (kind === "html" || kind === "svg") return KINDS.find((row) => row.kind === kind);
  if (word === "xml" && looksLikeMarkup(text, "svg")) return KINDS[1];
  if (word === "" && looksLikeMarkup(text, "html")) return KINDS[0];
  return null;
}

// {kind, name, lang} of the artifact that a segment is, or null: it stays in the answer.
export function artifactOf(segment) {
  if (segment.kind === "prose") return null;
  const row = rowOf(segment);
  if (row) {
    const isSmall = row.kind === "markdown" && !segment.name;
    return isSmall
      ? null
      : { kind: row.kind, name: segment.name, base: row.name, lang: row.langs[0] };
  }
  const isLong = !NOT_FILES.has(segment.lang) && lineCount(segment.text) >= CODE_LINES_MIN;
  if (!segment.name && !isLong) return null;
  const lang = segment.lang || extensionOf(segment.name);
  return { kind: "code", name: segment.name, base: `code.${EXTENSIONS[lang] ?? lang}`, lang };
}

const TEXT_KEYS = ["content", "contents", "code", "html", "svg", "source", "text", "file_text"];
const NAME_KEYS = ["path", "filename", "file_name", "file", "name", "title"];

// A call of any tool that writes a text under a name, whatever the tool is called.
export function segmentOfCall(call) {
  const members = textMembers(call.arguments ?? "");
  const body = members.find(({ key }) => TEXT_KEYS.includes(key));
  if (!body) return null;
  const name = cleanName(members.find(({ key }) => NAME_KEYS.includes(key))?.text ?? "");
  const lang = members.find(({ key }) => key === "language" || key === "lang")?.text ?? "";
  const isMarkup = body.key === "html" || body.key === "svg" ? body.key : "";
  return {
    kind: "fence",
    lang: lang.toLowerCase() || extensionOf(name) || isMarkup,
    name,
    text: body.text,
    isClosed: body.isClosed,
  };
}

export function segmentsOf(message) {
  const own = message.segments ?? parseAnswer(message.content ?? "");
  const calls = (message.tool_calls ?? []).map(segmentOfCall).filter(Boolean);
  return calls.length ? [...own, ...calls] : own;
}

function numbered(base, number) {
  return number === 1 ? base : base.replace(/(\.\w+)$/, `-${number}$1`);
}

function addVersion(artifacts, found, version) {
  let artifact = artifacts.get(found.name);
  if (!artifact) {
    artifact = {
      id: found.name,
      name: found.name,
      kind: found.kind,
      lang: found.lang,
      versions: [],
    };
    artifacts.set(found.name, artifact);
  }
  artifact.kind = found.kind;
  artifact.versions.push(version);
}

// Every artifact of the messages, in the order of their first appearance.  A segment's place is
// {message, segment}; `isDone` is false while it is being written.
export function collectArtifacts(messages) {
  const artifacts = new Map();
  for (const message of messages) {
    if (message.role !== "assistant") continue;
    const used = new Map();
    segmentsOf(message).forEach((segment, index) => {
      const found = artifactOf(segment);
      if (!found) return;
      const number = (used.get(found.base) ?? 0) + 1;
      if (!found.name) used.set(found.base, number);
      const name = found.name || numbered(found.base, number);
      addVersion(
        artifacts,
        { ...found, name },
        {
          message: message.id,
          segment: index,
          text: segment.text,
          isDone: segment.isClosed || !message.isWriting,
          isWhole: segment.isClosed,
        },
      );
    });
  }
  return [...artifacts.values()];
}

export function findVersion(artifacts, message, segment) {
  for (const artifact of artifacts) {
    const at = artifact.versions.findIndex((v) => v.message === message && v.segment === segment);
    if (at >= 0) return { artifact, version: at };
  }
  return null;
}

const escapeScript = (text) => text.replace(/<\/script/gi, "<\\/script");
const escapeStyle = (text) => text.replace(/<\/style/gi, "<\\/style");

// A page whose style sheets and scripts are artifacts of the same conversation, with those put in
// their places: the frame has no network to fetch them from.
export function inlineFiles(html, artifacts) {
  const newest = (path) => {
    const name = cleanName(path.split(/[?#]/)[0]);
    const file = artifacts.find((artifact) => artifact.name === name);
    return file?.versions.findLast(({ isDone }) => isDone)?.text;
  };
  return html
    .replace(/<link\b[^>]*\bhref\s*=\s*["']?([^"'\s>]+)["']?[^>]*>/gi, (tag, path) => {
      const text = /stylesheet/i.test(tag) ? newest(path) : undefined;
      return text === undefined ? tag : `<style>${escapeStyle(text)}</style>`;
    })
    .replace(
      /<script\b([^>]*?)\bsrc\s*=\s*["']?([^"'\s>]+)["']?([^>]*)>\s*<\/script>/gi,
      (tag, before, path, after) => {
        const text = newest(path);
        if (text === undefined) return tag;
        const attributes = `${before} ${after}`.replace(/\b(defer|async)\b/gi, "").trim();
        return `<script ${attributes}>${escapeScript(text)}</script>`;
      },
    );
}

// ---- Repairs ----------------------------------------------------------------------------------

export const REPAIRS_MAX = 3;

// How many repairs of this artifact stand at the end of the conversation, without a word of the
// user in between.
export function repairsInARow(messages, name) {
  let repairs = 0;
  for (const message of [...messages].reverse()) {
    if (message.role !== "user") continue;
    if (message.repair !== name) break;
    repairs++;
  }
  return repairs;
}

// Error texts come out of the frame: fenced, and named as data.
export function repairPrompt(name, version, errors) {
  const list = errors.map(({ text, line }) => (line ? `${text} (line ${line})` : text)).join("\n");
  return (
    `When \`${name}\` (version ${version}) ran in the browser, it reported:\n\n` +
    `~~~text\n${list.replace(/~{3,}/g, "")}\n~~~\n\n` +
    `Find the cause and write the whole corrected file again, as one fenced block named ${name}. ` +
    "The page runs in a sandbox without network: everything it needs must be inside the file."
  );
}
