// SPDX-License-Identifier: Apache-2.0
// db.js - conversations in this browser (IndexedDB).  Without it they last as long as the tab.

const NAME = "enxame";
const STORE = "conversations";

function asPromise(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

let opening = null;

function open() {
  opening ??= (() => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    return asPromise(request);
  })();
  return opening;
}

async function inStore(mode, use) {
  try {
    const db = await open();
    return await asPromise(use(db.transaction(STORE, mode).objectStore(STORE)));
  } catch {
    return undefined;
  }
}

export async function loadConversations() {
  return (await inStore("readonly", (store) => store.getAll())) ?? [];
}

export const saveConversation = (conversation) =>
  inStore("readwrite", (store) => store.put(conversation));
export const deleteConversation = (id) => inStore("readwrite", (store) => store.delete(id));
