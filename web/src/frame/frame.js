// SPDX-License-Identifier: Apache-2.0
// frame.js - inside the artifacts' frame: writes the document, and tells what happens in it.
//
// The frame has an opaque origin and no network (sandbox and policy of its response); nothing here
// has to be trusted for that.  What this script adds is service: the parent's port for text and
// news, consoles and errors reported, and what a sandbox takes away from honest pages given back
// (storage that lasts as long as the page, submit events, dialogs as lines of the console).
//
// The port is known to this closure only, so an artifact can fill its own console and nothing else.
// Everything that is called after the artifact ran is taken from the window before it runs.

const LINES_MAX = 300;
const TEXT_CHARS_MAX = 2000;
const DRAFT_HEAD =
  '<!doctype html><meta http-equiv="Content-Security-Policy" content="script-src \'none\'">';

const write = document.write.bind(document);
const open = document.open.bind(document);
const close = document.close.bind(document);
const stringify = JSON.stringify;
const native = { String, Error, Object };
let send = null; // to the parent
let lines = 0;

// ---- News -------------------------------------------------------------------------------------

function textOf(value) {
  try {
    if (typeof value === "string") return value;
    if (value instanceof native.Error)
      return value.stack?.includes(value.message)
        ? `${value.name}: ${value.message}`
        : native.String(value);
    if (typeof value === "object" && value !== null)
      return stringify(value) ?? native.String(value);
    return native.String(value);
  } catch {
    return "(a value that cannot be shown)";
  }
}

function report(level, text, line) {
  if (!send || lines++ > LINES_MAX) return;
  if (lines > LINES_MAX) text = "(more lines are not shown)";
  send({ type: "log", level, text: text.slice(0, TEXT_CHARS_MAX), line: line > 0 ? line : 0 });
}

function onError(event) {
  if (event.message === undefined) return; // a resource; the policy's own event says more
  const first = firstLines[/^script-(\d+)$/.exec(event.filename)?.[1]];
  const line = first === undefined ? 0 : first + event.lineno - 1;
  report("error", event.error ? textOf(event.error) : event.message, line);
}

function onViolation(event) {
  const what = event.blockedURI === "inline" || event.blockedURI === "eval" ? "" : event.blockedURI;
  if (isDraft) return;
  report(
    "error",
    `Blocked: ${event.effectiveDirective} ${what}: this page has no network`,
    event.lineNumber,
  );
}

function onRejection(event) {
  report("error", `Unhandled rejection: ${textOf(event.reason)}`, 0);
}

function watchConsole() {
  for (const level of ["log", "info", "debug", "warn", "error"]) {
    const before = console[level].bind(console);
    console[level] = (...values) => {
      report(level, values.map(textOf).join(" "), 0);
      before(...values);
    };
  }
}

// ---- What the sandbox takes away --------------------------------------------------------------

function memoryStorage() {
  const items = new Map();
  return {
    getItem: (key) => items.get(String(key)) ?? null,
    setItem: (key, value) => void items.set(String(key), String(value)),
    removeItem: (key) => void items.delete(String(key)),
    clear: () => items.clear(),
    key: (index) => [...items.keys()][index] ?? null,
    get length() {
      return items.size;
    },
  };
}

function giveBack() {
  for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, { value: memoryStorage(), configurable: true });
  }
  window.alert = (text = "") => report("alert", textOf(text), 0);
  window.confirm = (text = "") => (report("alert", `${textOf(text)} (answered: yes)`, 0), true);
  window.prompt = (text = "", answer = null) => (report("alert", textOf(text), 0), answer);
  HTMLFormElement.prototype.requestSubmit = function requestSubmit(submitter) {
    submitForm(this, submitter ?? null);
  };
  for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection", "WebTransport"]) {
    delete window[name]; // no policy covers them in every browser
  }
}

function submitForm(form, submitter) {
  if (!form.noValidate && !form.reportValidity()) return;
  const event = new SubmitEvent("submit", { bubbles: true, cancelable: true, submitter });
  if (form.dispatchEvent(event)) report("warn", "A form was sent: there is no network here", 0);
}

function onClick(event) {
  if (event.defaultPrevented || !(event.target instanceof Element)) return;
  const button = event.target.closest("button, input[type=submit], input[type=image]");
  if (button?.form && (button.type === "submit" || button.type === "image")) {
    event.preventDefault();
    submitForm(button.form, button);
    return;
  }
  const link = event.target.closest("a[href], area[href]");
  const path = link?.getAttribute("href") ?? "#";
  if (path.startsWith("#") || path.startsWith("javascript:")) return;
  event.preventDefault();
  report("warn", `A link to ${path}: there is no network here`, 0);
}

function onKey(event) {
  const field = event.target;
  if (event.key !== "Enter" || event.defaultPrevented || field.tagName !== "INPUT") return;
  const isImplicit = field.form && !field.form.querySelector("[type=submit], button:not([type])");
  if (isImplicit) submitForm(field.form, null);
}

// ---- The document -----------------------------------------------------------------------------

let isDraft = false;
const firstLines = []; // of each script, in the document's text

// Scripts that are written into a document count their lines from their own beginning.  A name for
// each tells which one an error comes from.
function nameScripts(html) {
  return html.replace(
    /(<script\b([^>]*)>)([^]*?)(<\/script>)/gi,
    (all, tag, kind, text, end, at) => {
      if (/\bsrc\s*=|type\s*=\s*["']?(?!module|text\/javascript)/i.test(kind)) return all;
      firstLines.push(html.slice(0, at + tag.length).split("\n").length);
      return `${tag}${text}\n//# sourceURL=script-${firstLines.length - 1}\n${end}`;
    },
  );
}

// document.open() takes all listeners away, so they are set again after each.
function listen() {
  window.addEventListener("error", onError);
  window.addEventListener("unhandledrejection", onRejection);
  window.addEventListener("click", onClick);
  window.addEventListener("keydown", onKey);
  document.addEventListener("securitypolicyviolation", onViolation);
}

function watchWrites() {
  for (const name of ["open", "write", "writeln"]) {
    const before = document[name].bind(document);
    document[name] = (...values) => {
      const result = before(...values);
      listen();
      return result;
    };
  }
}

// A frame in the frame would be a fresh window with all that giveBack() took away, and WebRTC asks
// no policy before it sends.  So frames are taken out of markup here, and by trusted types (where
// the browser has them) out of all markup that the artifact makes, srcdoc included.
const FRAMES = /<(?=(i?frame|frameset|object|embed|fencedframe|portal)\b)/gi;
const POLICY =
  '<!doctype html><meta http-equiv="Content-Security-Policy" ' +
  "content=\"require-trusted-types-for 'script'; trusted-types default\">";

function withoutFrames(html) {
  return html.replace(FRAMES, "<no-");
}

function refuseFrames() {
  window.trustedTypes?.createPolicy("default", {
    createHTML: (html, type, sink) => {
      if (/srcdoc/i.test(sink)) return "";
      return withoutFrames(html).replace(/<(?=[a-z]*$)/i, "&lt;"); // nor a tag in two parts
    },
    createScript: (script) => script,
    createScriptURL: (url) => url,
  });
}

function startDraft() {
  isDraft = true;
  open();
  listen();
  write(DRAFT_HEAD);
}

function run(html) {
  open();
  listen();
  watchConsole();
  giveBack();
  watchWrites();
  window.addEventListener("load", () => send({ type: "loaded" }));
  refuseFrames();
  write(POLICY + nameScripts(withoutFrames(html)));
  close();
}

const TAKE = {
  draft: () => startDraft(),
  write: ({ text }) => write(text),
  run: ({ html }) => run(html),
  ping: ({ n }) => send({ type: "pong", n }),
};

window.addEventListener("message", (event) => {
  if (event.source !== window.parent || send || !event.ports[0]) return;
  const port = event.ports[0];
  send = port.postMessage.bind(port);
  port.onmessage = ({ data }) => TAKE[data.type]?.(data);
  send({ type: "ready" });
});
