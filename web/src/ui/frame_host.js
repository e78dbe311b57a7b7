// SPDX-License-Identifier: Apache-2.0
// frame_host.js - artifacts in their frames: drawn while they are written, run when they are whole.
//
// 1. While a text grows it is written into a draft frame as a slow network would bring it: the
//    browser's own parser draws what is there, nothing is drawn twice, and no script runs.
// 2. A whole text runs in a new frame, underneath; it takes the draft's place when it has loaded.
// 3. A frame is of an opaque origin without network (docs/page.md).  It talks through a port that
//    only its own script knows; the page listens to no window message at all.  What comes through
//    the port is checked by shape, cut, counted, and used as text.
// 4. A frame that runs is asked for a sign of life; one that gives none for ALIVE_MS, or too many
//    messages, is removed.  Where browser and frame share a process the whole tab hangs instead;
//    then the mark in sessionStorage keeps the artifact from being run again by itself.

/* global FRAME_TEXT -- by the build: the frame's document, or "" where a server has it */
const FRAME = "/artifact";
const PING_MS = 1000;
const ALIVE_MS = 4000;
const SWAP_MS = 1500; // a page that does not finish loading is shown all the same
const MESSAGES_MAX = 600; // in one frame's life, beside its signs of life
const TEXT_CHARS_MAX = 2000;
const LEVELS = new Set(["log", "info", "debug", "warn", "error", "alert"]);
const MARK = "enxame.running";

// ---- The mark of what runs --------------------------------------------------------------------

function hash(text) {
  let value = 5381;
  for (let i = 0; i < text.length; i++) value = (value * 33 + text.charCodeAt(i)) | 0;
  return `${text.length}.${value}`;
}

function setMark(value) {
  try {
    if (value) sessionStorage.setItem(MARK, value);
    else sessionStorage.removeItem(MARK);
  } catch {
    // without storage a hanging tab is not remembered
  }
}

// What ran when this tab was last torn away, and must not start by itself.
const hungBefore = (() => {
  try {
    return sessionStorage.getItem(MARK);
  } catch {
    return null;
  }
})();
window.addEventListener("pagehide", () => setMark(null));

export function hungLastTime(html) {
  return hungBefore !== null && hash(html) === hungBefore;
}

// ---- One frame --------------------------------------------------------------------------------

function checkLog({ level, text, line }) {
  if (!LEVELS.has(level) || typeof text !== "string") return null;
  return { level, text: text.slice(0, TEXT_CHARS_MAX), line: Number.isInteger(line) ? line : 0 };
}

// onMessage(type, value): "ready", "loaded", "log" {level, text, line}, "pong", "flood"
function createFrame(parent, title, onMessage) {
  const element = document.createElement("iframe");
  element.setAttribute("sandbox", "allow-scripts");
  element.setAttribute("allow", "");
  element.setAttribute("referrerpolicy", "no-referrer");
  element.title = title;
  if (FRAME_TEXT) element.srcdoc = FRAME_TEXT;
  else element.src = FRAME;
  const { port1: port, port2: theirs } = new MessageChannel();
  let messages = 0;
  port.onmessage = ({ data }) => {
    if (typeof data !== "object" || data === null) return;
    if (data.type === "pong") return onMessage("pong");
    if (++messages > MESSAGES_MAX) return onMessage("flood");
    if (data.type === "ready" || data.type === "loaded") onMessage(data.type);
    const log = data.type === "log" && checkLog(data);
    if (log) onMessage("log", log);
  };
  element.addEventListener(
    "load",
    () => element.contentWindow.postMessage({ type: "port" }, "*", [theirs]),
    { once: true },
  );
  parent.append(element);
  return {
    element,
    send: (message) => port.postMessage(message),
    close() {
      port.close();
      element.remove();
    },
  };
}

// ---- Draft and run in one place ---------------------------------------------------------------

// news: onLog({level, text, line}), onState("drafting" | "running" | "stopped", reason)
export function createFrameHost(parent, title, news) {
  let draft = null;
  let drafted = "";
  let isDraftReady = false;
  let run = null;
  let timers = [];

  function closeDraft() {
    draft?.close();
    draft = null;
    drafted = "";
    isDraftReady = false;
  }

  function closeRun() {
    timers.forEach(clearInterval);
    timers = [];
    run?.close();
    if (run) setMark(null);
    run = null;
  }

  function growDraft(text) {
    if (!isDraftReady || text.length === drafted.length) return;
    draft.send({ type: "write", text: text.slice(drafted.length) });
    drafted = text;
  }

  let wanted = ""; // what the draft shall show
  function showDraft(text) {
    wanted = text;
    if (draft && text.startsWith(drafted)) return growDraft(text);
    closeRun();
    closeDraft();
    draft = createFrame(parent, title, (type) => {
      if (type !== "ready") return;
      draft.send({ type: "draft" });
      isDraftReady = true;
      growDraft(wanted);
    });
    draft.element.classList.add("is-shown");
    news.onState("drafting");
  }

  function stop(reason) {
    closeRun();
    news.onState("stopped", reason);
  }

  function keepAlive(frame) {
    let heard = performance.now();
    const ping = () => {
      if (document.hidden) heard = performance.now();
      if (performance.now() - heard > ALIVE_MS) stop("silent");
      else frame.send({ type: "ping" });
    };
    timers.push(setInterval(ping, PING_MS));
    return () => (heard = performance.now());
  }

  function runWhole(html) {
    closeRun();
    setMark(hash(html));
    let hear = () => {};
    const swap = () => {
      if (run !== frame) return;
      frame.element.classList.add("is-shown");
      closeDraft();
    };
    const frame = createFrame(parent, title, (type, value) => {
      if (run !== frame) return;
      if (type === "ready") {
        hear = keepAlive(frame);
        frame.send({ type: "run", html });
        timers.push(setTimeout(swap, SWAP_MS));
      } else if (type === "loaded") requestAnimationFrame(swap);
      else if (type === "pong") hear();
      else if (type === "flood") stop("flood");
      else news.onLog(value);
    });
    run = frame;
    news.onState("running");
  }

  return {
    showDraft,
    run: runWhole,
    stop,
    close() {
      closeRun();
      closeDraft();
    },
  };
}
