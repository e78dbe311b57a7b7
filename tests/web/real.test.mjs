// SPDX-License-Identifier: Apache-2.0
// real.test.mjs - the page as `enxame serve` sends it, and jobs of the models that are shipped.
//
// ENXAME is the built program.  Without it nothing is tested here.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { answered, ask, openBrowser, shownFrame, until } from "./browser.mjs";

const program = process.env.ENXAME;
const root = fileURLToPath(new URL("../../", import.meta.url));
const skip = !program && "no ENXAME";

async function withServer(use) {
  const home = mkdtempSync(join(tmpdir(), "enxame-web-"));
  const server = spawn(program, ["serve", "-s", join(root, "models/swarm.yaml"), "--port", "0"], {
    env: { ...process.env, ENXAME_HOME: home },
  });
  let said = "";
  server.stdout.on("data", (data) => (said += data));
  server.stderr.on("data", (data) => (said += data));
  const context = await (await openBrowser()).newContext();
  try {
    const [url] = await until(() => /http:\/\/127\.0\.0\.1:\d+/.exec(said), "an address", 60000);
    const page = await context.newPage();
    const refused = [];
    page.on("console", (line) => /Content Security/.test(line.text()) && refused.push(line.text()));
    await page.goto(url);
    await use(page, url);
    assert.deepEqual(refused, [], "what the policy refused");
  } finally {
    await context.close();
    server.kill("SIGTERM");
    await new Promise((resolve) => server.once("exit", resolve));
    rmSync(home, { recursive: true });
  }
}

// Text without its accents, a paragraph a line, in several languages.
function damagedText() {
  const lines = ["es", "fr", "cs", "vi"].flatMap((language) =>
    readFileSync(join(root, `jobs/restore/heldout/${language}.jsonl`), "utf8")
      .split("\n", 6)
      .map((line) => JSON.parse(line).text),
  );
  return lines.map((text) => text.normalize("NFD").replace(/\p{M}/gu, "")).join("\n");
}

test("a job from the form to its result, on the models that are shipped", { skip }, () =>
  withServer(async (page) => {
    await page.evaluate(() => (location.hash = "#/jobs/new"));
    await page.getByLabel("Goal, in your words").fill("put the accents back");
    await page.getByLabel("Text; a paragraph is a line").fill(damagedText());
    await page.getByRole("button", { name: "Start the job" }).click();
    await page.waitForSelector(".top-tools .badge.is-done", { timeout: 120000 });
    await page.waitForSelector(".result");
    assert.ok((await page.locator(".station.is-worker").count()) >= 4);
    const text = await page.locator(".result").innerText();
    assert.equal(text.split("\n").length, 24);
    assert.match(text, /[áéíóúñěščřžàèêạảốư]/);
    assert.match(await page.locator(".bill .is-total").innerText(), /\$0\.0000\d+/);
    await page.locator(".task-row button").first().click();
    assert.ok((await page.locator(".task-panel .call").count()) >= 1);
    await page.getByRole("link", { name: "Models" }).click();
    assert.equal(await page.locator("table.models tbody tr").count(), 11);
  }),
);

test("the swarm answers in the chat", { skip }, () =>
  withServer(async (page) => {
    await page.waitForSelector(".model-picker");
    const lines = damagedText().split("\n").slice(0, 5).join("\n");
    await page.fill("#question", `put the accents back\n\n${lines}`);
    await page.keyboard.press("Enter");
    await page.waitForSelector(".job-card", { timeout: 60000 });
    await page.waitForSelector('[aria-label="Answer again"]', { timeout: 120000 });
    assert.match(await page.locator(".message.is-model .prose").innerText(), /[áéíóúñ]/);
    assert.match(await page.locator(".figures").innerText(), /\$0\.0/);
  }),
);

test("artifacts run under the server's own policy", { skip }, () =>
  withServer(async (page) => {
    await page.waitForSelector(".model-picker");
    const html =
      "```html\n<p id=p>no</p><script>p.textContent = origin + localStorage.length</script>\n```";
    const chunk = { choices: [{ index: 0, delta: { content: html } }] };
    await page.route("**/v1/chat/completions", (route) =>
      route.fulfill({
        contentType: "text/event-stream",
        body: `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`,
      }),
    );
    await ask(page, "an artifact");
    await answered(page);
    await until(async () => (await shownFrame(page).locator("#p").innerText()) === "null0", "run");
  }),
);
