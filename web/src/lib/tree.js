// SPDX-License-Identifier: Apache-2.0
// tree.js - a conversation whose questions can be edited and answers made again.
//
// Messages form a tree: an edit or a second answer is a sibling, nothing is thrown away.  `leaf`
// names the message that the shown path ends in.  All functions return new objects.

export function createConversation(id, now) {
  return { id, title: "", created: now, updated: now, model: "", nodes: {}, leaf: null };
}

export function addMessage(conversation, message) {
  const nodes = { ...conversation.nodes, [message.id]: message };
  return { ...conversation, nodes, leaf: message.id, updated: message.time };
}

export function setMessage(conversation, id, fields) {
  const nodes = { ...conversation.nodes, [id]: { ...conversation.nodes[id], ...fields } };
  return { ...conversation, nodes };
}

export function pathOf(conversation) {
  const path = [];
  for (let at = conversation.leaf; at; at = conversation.nodes[at].parent) {
    path.unshift(conversation.nodes[at]);
  }
  return path;
}

// The messages that stand where this one stands, oldest first.
export function siblingsOf(conversation, id) {
  const { parent } = conversation.nodes[id];
  return Object.values(conversation.nodes)
    .filter((node) => node.parent === parent)
    .sort((a, b) => a.time - b.time || (a.id < b.id ? -1 : 1));
}

// Show the path through this message, down to the newest message below it.
export function showMessage(conversation, id) {
  let leaf = id;
  for (;;) {
    const children = Object.values(conversation.nodes).filter((node) => node.parent === leaf);
    if (!children.length) return { ...conversation, leaf };
    leaf = children.reduce((newest, node) => (node.time >= newest.time ? node : newest)).id;
  }
}

const TITLE_CHARS_MAX = 60;

export function titleOf(text) {
  const line = text.trim().split("\n", 1)[0].trim();
  if (line.length <= TITLE_CHARS_MAX) return line || "New chat";
  const cut = line.slice(0, TITLE_CHARS_MAX);
  return cut.slice(0, cut.lastIndexOf(" ") > 20 ? cut.lastIndexOf(" ") : TITLE_CHARS_MAX) + "…";
}

export function toMarkdown(conversation) {
  const parts = [`# ${conversation.title || "Chat"}`];
  for (const message of pathOf(conversation)) {
    const who = message.role === "user" ? "You" : message.model || "Model";
    const files = (message.files ?? []).map((file) => `\n\n*File: ${file.name}*`).join("");
    parts.push(`## ${who}\n\n${message.content}${files}`);
  }
  return parts.join("\n\n") + "\n";
}
