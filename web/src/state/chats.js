// SPDX-License-Identifier: Apache-2.0
// chats.js - conversations: asking, streaming, stopping, editing, keeping.
//
// A message that is being written is a message like any other with `isWriting` and its parser's
// segments.  Deltas are gathered and shown once a frame, whatever the rate they come at.

import { createParser } from "../lib/fences.js";
import * as tree from "../lib/tree.js";
import { streamChat } from "./api.js";
import { deleteConversation, loadConversations, saveConversation } from "./db.js";
import { chosenModel, info, refreshInfo } from "./info.js";
import { go } from "./route.js";
import { settings } from "./settings.js";
import { createStore } from "./store.js";

const SAVE_EVERY_MS = 1000;
const FILE_FENCE = "~~~~";

export const chats = createStore({}); // conversations by id
export const announcement = createStore(""); // for screen readers

const running = new Map(); // conversation id -> AbortController

export const newId = () => crypto.randomUUID?.() ?? Math.random().toString(36).slice(2);

// ---- Keeping ----------------------------------------------------------------------------------

const saving = new Map();

function plain(conversation) {
  const nodes = {};
  for (const [id, { segments, isWriting, ...node }] of Object.entries(conversation.nodes)) {
    nodes[id] = isWriting ? { ...node, wasCut: true } : node;
  }
  return { ...conversation, nodes };
}

function saveNow(id) {
  clearTimeout(saving.get(id));
  saving.delete(id);
  const conversation = chats.get()[id];
  if (conversation) saveConversation(plain(conversation));
}

function saveSoon(id) {
  if (!saving.has(id))
    saving.set(
      id,
      setTimeout(() => saveNow(id), SAVE_EVERY_MS),
    );
}

export async function loadChats() {
  const list = await loadConversations();
  const kept = Object.fromEntries(list.map((conversation) => [conversation.id, conversation]));
  chats.set((all) => ({ ...kept, ...all }));
}

window.addEventListener("pagehide", () => [...saving.keys()].forEach(saveNow));

function update(id, change) {
  const conversation = chats.get()[id];
  if (!conversation) return;
  chats.set((all) => ({ ...all, [id]: change(conversation) }));
  saveSoon(id);
}

export function removeChat(id) {
  stop(id);
  chats.set(({ [id]: _, ...others }) => others);
  deleteConversation(id);
}

export function renameChat(id, title) {
  update(id, (conversation) => ({ ...conversation, title }));
}

export function showSibling(id, message) {
  update(id, (conversation) => tree.showMessage(conversation, message));
}

// ---- What the model is sent -------------------------------------------------------------------

function fileText({ name, text }) {
  return `File ${name}:\n${FILE_FENCE}\n${text}\n${FILE_FENCE}`;
}

function contentOf(message, isSwarm) {
  const files = message.files ?? [];
  if (isSwarm) return [message.content, ...files.map(({ text }) => text)].join("\n\n");
  return [...files.map(fileText), message.content].join("\n\n");
}

function requestOf(conversation, model) {
  const { system, temperature, max_tokens } = settings.get();
  const isSwarm = kindOf(model) === "swarm";
  const messages = tree
    .pathOf(conversation)
    .filter(({ role, content, error }) => role === "user" || (content && !error))
    .map((message) => ({ role: message.role, content: contentOf(message, isSwarm) }));
  if (system && !isSwarm) messages.unshift({ role: "system", content: system });
  const body = { model, messages };
  if (temperature !== "") body.temperature = Number(temperature);
  if (max_tokens !== "") body.max_tokens = Number(max_tokens);
  return body;
}

export function kindOf(model) {
  return info.get()?.models.find(({ name }) => name === model)?.kind ?? "";
}

// ---- Answers ----------------------------------------------------------------------------------

function takeCalls(calls, deltas) {
  const next = calls.slice();
  for (const { index = next.length, id, function: part = {} } of deltas) {
    const call = next[index] ?? { id: "", name: "", arguments: "" };
    next[index] = {
      id: id ?? call.id,
      name: call.name + (part.name ?? ""),
      arguments: call.arguments + (part.arguments ?? ""),
    };
  }
  return next;
}

// Gathers an answer's chunks; `fields` is what the message shows of them.
function createAnswer(onChange) {
  const parser = createParser();
  const started = performance.now();
  const fields = { content: "", reasoning: "", tool_calls: [], segments: [], isWriting: true };
  let frame = 0;
  const show = () => {
    frame = 0;
    onChange({ ...fields, segments: parser.segments(!fields.isWriting) });
  };
  return {
    take({ choices, usage, enxame }) {
      const { delta = {}, finish_reason } = choices?.[0] ?? {};
      if (delta.content) {
        if (!fields.content) fields.first_ms = performance.now() - started;
        fields.content += delta.content;
        parser.push(delta.content);
      }
      if (delta.reasoning_content) fields.reasoning += delta.reasoning_content;
      if (delta.tool_calls) fields.tool_calls = takeCalls(fields.tool_calls, delta.tool_calls);
      if (finish_reason) fields.finish = finish_reason;
      if (usage) fields.usage = usage;
      if (enxame) fields.enxame = { ...fields.enxame, ...enxame };
      frame ||= requestAnimationFrame(show);
    },
    end(error) {
      cancelAnimationFrame(frame);
      parser.end();
      const isStopped = error?.name === "AbortError";
      Object.assign(fields, { isWriting: false, seconds: (performance.now() - started) / 1000 });
      if (isStopped) fields.finish = "stopped";
      else if (error) fields.error = error.message;
      show();
    },
  };
}

async function answer(id, model) {
  const before = chats.get()[id];
  const message = {
    id: newId(),
    parent: before.leaf,
    role: "assistant",
    content: "",
    model,
    time: Date.now(),
    isWriting: true,
    segments: [],
  };
  const body = requestOf(before, model);
  update(id, (conversation) => tree.addMessage({ ...conversation, model }, message));
  const controller = new AbortController();
  running.set(id, controller);
  const gathered = createAnswer((fields) =>
    update(id, (conversation) => tree.setMessage(conversation, message.id, fields)),
  );
  let error = null;
  try {
    await streamChat(body, gathered.take, controller.signal);
  } catch (caught) {
    error = caught;
  }
  running.delete(id);
  gathered.end(error);
  announcement.set(
    error && error.name !== "AbortError" ? error.message : "The answer is complete.",
  );
  saveNow(id);
  refreshInfo();
}

export function stop(id) {
  running.get(id)?.abort();
}

export function isRunning(id) {
  return running.has(id);
}

// ---- What the user does -----------------------------------------------------------------------

function addQuestion(id, parent, fields) {
  const message = { id: newId(), parent, role: "user", time: Date.now(), ...fields };
  update(id, (conversation) => ({
    ...tree.addMessage(conversation, message),
    title: conversation.title || tree.titleOf(fields.content),
  }));
}

// Ask in conversation `id`, or in a new one; returns its id.
export function ask(id, content, files = [], fields = {}) {
  const model = chosenModel(info.get(), fields.model ?? chats.get()[id]?.model ?? undefined);
  if (!id) {
    id = newId();
    chats.set((all) => ({ ...all, [id]: { ...tree.createConversation(id, Date.now()), model } }));
    go(`/c/${id}`);
  }
  addQuestion(id, chats.get()[id].leaf, { content, files, ...fields });
  answer(id, model);
  return id;
}

export function editQuestion(id, message, content) {
  stop(id);
  const { parent, files } = chats.get()[id].nodes[message];
  addQuestion(id, parent, { content, files });
  answer(id, chosenModel(info.get(), chats.get()[id].model));
}

export function answerAgain(id, message, model) {
  stop(id);
  const { parent } = chats.get()[id].nodes[message];
  update(id, (conversation) => ({ ...conversation, leaf: parent }));
  answer(id, chosenModel(info.get(), model ?? chats.get()[id].model));
}

export function setModel(id, model) {
  settings.set((all) => ({ ...all, model }));
  if (id) update(id, (conversation) => ({ ...conversation, model }));
}
