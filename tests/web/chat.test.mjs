// SPDX-License-Identifier: Apache-2.0
// chat.test.mjs - asking, streaming, stopping, editing, keeping.
import assert from "node:assert/strict";
import { cpus, loadavg } from "node:os";
import { test } from "node:test";
import { answered, ask, sleep, until, withPage } from "./browser.mjs";

const lastAnswer = (page) => page.locator(".message.is-model").last();

test("a question gets a streamed answer with usage and price", () =>
  withPage({}, async (page, server) => {
    await ask(page, "hello there");
    await answered(page);
    assert.match(await lastAnswer(page).innerText(), /You said “hello there” in turn 1/);
    const figures = await page.locator(".figures").innerText();
    assert.match(figures, /writer/);
    assert.match(figures, /\d+ out/);
    assert.match(figures, /\$0\.0000/);
    assert.equal(await page.title(), "enxame");
    assert.match(page.url(), /#\/c\//);
    assert.equal(server.jobs.jobs.size, 3);
  }));

test("Markdown is rendered, and nothing in it runs or loads", () =>
  withPage({}, async (page) => {
    const outside = [];
    page.on("request", (request) => outside.push(request.url()));
    await ask(page, "markdown");
    await answered(page);
    const answer = lastAnswer(page);
    assert.equal(await answer.locator("ol li").count(), 3);
    assert.equal(await answer.locator("table td").first().innerText(), "es");
    assert.equal(await answer.locator(".hl-word").first().innerText(), "def");
    assert.equal(await answer.locator("img").count(), 0);
    assert.equal(await answer.locator('a[href^="javascript"]').count(), 0);
    assert.equal(await answer.locator("script").count(), 0);
    assert.equal(await page.evaluate(() => window.stolen), undefined);
    assert.equal(
      await answer.locator("a").first().getAttribute("rel"),
      "noopener noreferrer nofollow",
    );
    assert.ok(
      outside.every((url) => url.startsWith("http://127.0.0.1:")),
      outside.join("\n"),
    );
  }));

test("stop ends the answer and keeps what is there", () =>
  withPage({}, async (page) => {
    await ask(page, "slow");
    await page.waitForSelector(".growing");
    await sleep(400);
    await page.getByRole("button", { name: "Stop" }).click();
    await answered(page);
    assert.match(await page.locator(".figures").innerText(), /stopped/);
    const text = await lastAnswer(page).innerText();
    await sleep(300);
    assert.equal(await lastAnswer(page).innerText(), text);
    assert.ok(text.length > 40);
  }));

test("edit and answer again keep the versions before", () =>
  withPage({}, async (page, server) => {
    await ask(page, "first");
    await answered(page);
    await page.locator(".message.is-user").hover();
    await page.getByRole("button", { name: "Edit and send again" }).click();
    await page.getByRole("textbox", { name: "Edit the question" }).fill("second");
    await page.keyboard.press("Enter");
    await until(
      async () => (await lastAnswer(page).innerText()).includes("“second” in turn 1"),
      "edited",
    );
    await answered(page);
    await page.locator(".message.is-user").hover();
    await page.locator(".is-user").getByRole("button", { name: "The one before" }).click();
    assert.match(await lastAnswer(page).innerText(), /“first”/);
    await page.getByRole("button", { name: "Answer again" }).click();
    await until(
      async () => (await page.locator(".is-model .siblings").innerText()).includes("2 / 2"),
      "again",
    );
    await answered(page);
  }));

test("files go along as text; what is none is refused", () =>
  withPage({}, async (page, server) => {
    const requests = [];
    page.on("request", (r) => r.url().includes("/v1/chat") && requests.push(r.postDataJSON()));
    await page.setInputFiles('input[type="file"]', [
      { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("número um") },
      {
        name: "photo.bin",
        mimeType: "application/octet-stream",
        buffer: Buffer.from([0xff, 0, 0xfe]),
      },
    ]);
    await page.waitForSelector(".file-chips li");
    assert.match(
      await page.locator(".composer .error-line").innerText(),
      /photo\.bin is not a text/,
    );
    await ask(page, "read it");
    await answered(page);
    const [{ content }] = requests[0].messages;
    assert.match(content, /File notes\.txt:\n~~~~\nnúmero um\n~~~~\n\nread it/);
    assert.equal(await page.locator(".question .file-chips li").count(), 1);
    assert.equal(server.jobs.jobs.size, 3);
  }));

test("conversations stay in the browser, can be exported and deleted", () =>
  withPage({}, async (page, server) => {
    await ask(page, "keep me");
    await answered(page);
    await sleep(200);
    await page.goto(server.url + "/#/");
    await page.reload();
    await page.locator(".chat-item a").first().click();
    assert.match(await lastAnswer(page).innerText(), /keep me/);
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Export the conversation" }).click(),
    ]);
    assert.equal(file.suggestedFilename(), "keep me.md");
    page.on("dialog", (dialog) => dialog.accept());
    await page.locator(".chat-item").first().hover();
    await page.getByRole("button", { name: "Delete keep me" }).click();
    await until(async () => (await page.locator(".chat-item").count()) === 0, "deleted");
    await page.reload();
    await page.waitForSelector(".welcome");
    assert.equal(await page.locator(".chat-item").count(), 0);
  }));

test("the swarm answers with its job, watched while it works", () =>
  withPage({ server: { recordMs: 1 } }, async (page) => {
    await page.getByRole("combobox", { name: "Model" }).selectOption("swarm");
    await ask(page, "put the accents back\n\num texto");
    await page.waitForSelector(".job-card progress");
    await answered(page);
    assert.match(await page.locator(".job-card").innerText(), /Job 4/);
    assert.match(await page.locator(".job-card").innerText(), /differ from the lead/);
    assert.match(await page.locator(".figures").innerText(), /8,616 in/);
    await page.locator(".job-card").click();
    await page.waitForSelector(".station");
  }));

test("a server that wants a key asks for it once", () =>
  withPage({ server: { key: "s3cret" } }, async (page) => {
    const dialog = page.getByRole("dialog", { name: "This server wants a key" });
    await dialog.getByLabel("Key").fill("s3cret");
    await dialog.getByRole("button", { name: "Use this key" }).click();
    await page.waitForSelector(".model-picker");
    await ask(page, "with a key");
    await answered(page);
    assert.match(await lastAnswer(page).innerText(), /with a key/);
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("s3cret")), false);
  }));

test("a server that went away is told in the answer, and the page lives on", () =>
  withPage({}, async (page, server) => {
    await page.waitForSelector(".model-picker");
    server.close();
    await ask(page, "anybody there?");
    await until(
      async () => (await page.locator(".message .error-line").count()) > 0,
      "an error line",
    );
    assert.match(await page.locator(".message .error-line").innerText(), /cannot be reached/);
  }));

// The rate of frames says something about the page on a machine that has time for it; how long the
// page's own thread computes for a frame says it on any.  20 ms a frame is 50 frames a second.
test("5,000 tokens stream at 50 frames a second or more", () =>
  withPage({}, async (page) => {
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
    const busy = async () => {
      const { metrics } = await devtools.send("Performance.getMetrics");
      return metrics.find(({ name }) => name === "TaskDuration").value;
    };
    await page.evaluate(() => {
      window.frames_ms = [];
      let last = performance.now();
      const step = (now) => {
        window.frames_ms.push(now - last);
        last = now;
        requestAnimationFrame(step);
      };
      requestAnimationFrame(step);
    });
    await ask(page, "long");
    await page.waitForSelector(".growing, .code-block");
    const before = await busy();
    await page.evaluate(() => (window.frames_ms.length = 0));
    await page.waitForSelector('[aria-label="Answer again"]', { timeout: 90000 });
    const frames = await page.evaluate(() => window.frames_ms);
    const seconds = frames.reduce((sum, ms) => sum + ms, 0) / 1000;
    const rate = frames.length / seconds;
    const cost = (1000 * ((await busy()) - before)) / frames.length;
    const load = loadavg()[0] / cpus().length;
    console.log(
      `# ${rate.toFixed(1)} frames/s over ${seconds.toFixed(1)} s, ${cost.toFixed(1)} ms of ` +
        `computing a frame, load ${load.toFixed(1)} a core`,
    );
    assert.ok(cost <= 20, `${cost} ms a frame`);
    if (load < 1) assert.ok(rate >= 50, `${rate} frames/s`);
  }));
