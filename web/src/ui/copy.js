// SPDX-License-Identifier: Apache-2.0
// copy.js - texts to the clipboard and to files.
import { useState } from "preact/hooks";
import { announcement } from "../state/chats.js";
import { html } from "./html.js";
import { IconButton } from "./icons.js";

const SHOWN_MS = 1500;

export function CopyButton({ text, label = "Copy" }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    announcement.set("Copied.");
    setDone(true);
    setTimeout(() => setDone(false), SHOWN_MS);
  };
  return html`<${IconButton} icon=${isDone ? "check" : "copy"} label=${label} onClick=${copy} />`;
}

export function download(name, text, type = "text/plain") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
