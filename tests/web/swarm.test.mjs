// SPDX-License-Identifier: Apache-2.0
// swarm.test.mjs - jobs watched while they run, on records of a real job.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { until, withPage } from "./browser.mjs";

const recorded = JSON.parse(readFileSync(new URL("data/restore.json", import.meta.url), "utf8"));
const accepted = recorded.records.filter(({ kind }) => kind === "task_accepted");
const figure = (page, label) =>
  page.locator(".figure", { hasText: label }).locator("dd").innerText();

test("a running job fills the graph, and ends with certificate and bill", () => {
  const hold = { at: recorded.records.find(({ kind }) => kind === "task_accepted").seq + 20 };
  return withPage({ at: "/#/jobs/3", server: { recordMs: 1, hold } }, async (page) => {
    await page.waitForSelector(".station.is-busy");
    assert.equal(await page.locator(".top-tools .badge").innerText(), "running");
    const done = async () => Number((await figure(page, "Tasks done")).split(/\s/)[0]);
    const early = await until(done, "a task that is done");
    assert.ok(early < accepted.length, `${early} done`);
    hold.at = Infinity;
    await page.waitForSelector(".top-tools .badge.is-done", { timeout: 60000 });
    assert.match(await figure(page, "Tasks done"), new RegExp(`^${accepted.length}`));
    assert.match(await figure(page, "Certificate"), /≤ 15\.0/);
    assert.match(await figure(page, "Certificate"), /40 audits, 4 wrong/);
    assert.equal(await page.locator(".station.is-worker").count(), 8);
    assert.match(
      await page.locator(".station.is-plan").innerText(),
      /accents, capitals, punctuation/,
    );
    await page.waitForSelector(".bill .is-total");
    assert.match(await page.locator(".bill .is-total").innerText(), /\$0\.0000\d+/);
    assert.equal(await page.locator(".chart").count(), 3);
    assert.match(await page.locator(".result").innerText(), /O texto/);
  });
});

test("a task shows its text, checks, calls, confidence and cost", () =>
  withPage({ at: "/#/jobs/1" }, async (page) => {
    await page.waitForSelector(".top-tools .badge.is-done");
    const up = recorded.records.find(({ kind }) => kind === "task_escalated");
    await page.getByRole("combobox", { name: "Which tasks" }).selectOption("gone up");
    await page
      .locator(".task-row button", { hasText: String(up.task) })
      .first()
      .click();
    const panel = page.locator(".task-panel");
    assert.match(await panel.innerText(), new RegExp(`Task ${up.task}`));
    assert.match(await panel.innerText(), /chance of an error is above the limit/);
    assert.match(await panel.locator(".checks .is-bad").innerText(), /chance of an error\s*failed/);
    assert.equal(await panel.locator(".checks .is-good").count(), 2);
    const calls = recorded.records.filter((r) => r.kind === "call_intent" && r.task === up.task);
    assert.equal(await panel.locator(".call").count(), calls.length);
    assert.match(await panel.innerText(), /confidence/);
    await page.keyboard.press("Escape");
    assert.equal(await page.locator(".task-panel").count(), 0);
  }));

test("2,000 tasks stay readable: by station, down to single ones, by keyboard too", () =>
  withPage({ at: "/#/jobs/2" }, async (page) => {
    await page.waitForSelector(".top-tools .badge.is-done", { timeout: 60000 });
    assert.match(await figure(page, "Tasks done"), /^1,995/);
    const graph = await page.locator(".graph").boundingBox();
    assert.ok(graph.height < 900, `${graph.height} px`);
    const station = page.locator(".station", { hasText: "restore-es" });
    await station.locator("button").click();
    assert.match(await page.locator(".task-list h2").innerText(), /Tasks of restore-es/);
    assert.match(await page.locator(".task-list header small").innerText(), /2\d\d tasks/);
    await station.locator("canvas").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    const words = await station.locator("canvas").getAttribute("aria-valuetext");
    const [, number] = /^Task (\d+), es:/.exec(words);
    assert.match(await page.locator(".task-panel h3").innerText(), new RegExp(`Task ${number}$`));
    await page.locator(".pages").getByRole("button", { name: "After" }).click();
    assert.match(await page.locator(".pages span").innerText(), /2 of/);
  }));

test("a stream that breaks goes on where it was", () =>
  withPage({ at: "/#/", server: { recordMs: 3 } }, async (page) => {
    let broken = 0;
    const from = [];
    await page.route("**/jobs/3/events*", async (route) => {
      from.push(Number(new URL(route.request().url()).searchParams.get("from")));
      if (broken++ > 0) return route.continue();
      const part = recorded.records.slice(0, 200);
      const body = part.map((r) => `id: ${r.seq}\ndata: ${JSON.stringify(r)}\n\n`).join("");
      return route.fulfill({ contentType: "text/event-stream", body });
    });
    await page.evaluate(() => (location.hash = "#/jobs/3"));
    await page.waitForSelector(".top-tools .badge.is-done", { timeout: 60000 });
    assert.deepEqual(from, [0, 200]);
    assert.match(await figure(page, "Tasks done"), new RegExp(`^${accepted.length}`));
  }));

test("a job waits for approval, and can be canceled", () =>
  withPage({ at: "/#/jobs/new", server: { recordMs: 20 } }, async (page, server) => {
    await page.getByLabel("Goal, in your words").fill("put the accents back");
    await page.getByLabel("Text; a paragraph is a line").fill("um\ndois");
    await page.getByLabel(/Show me the plan first/).check();
    await page.getByRole("button", { name: "Start the job" }).click();
    await page.waitForSelector(".badge.is-waiting");
    await page.getByRole("button", { name: "Approve the plan" }).click();
    await page.waitForSelector(".badge.is-running");
    page.on("dialog", (dialog) => dialog.accept());
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.waitForSelector(".badge.is-canceled");
    assert.equal(server.jobs.jobs.get(4).state, "canceled");
  }));

test("jobs and models are listed with what they cost", () =>
  withPage({ at: "/#/jobs" }, async (page) => {
    await until(async () => (await page.locator(".job-row").count()) === 3, "three jobs");
    assert.match(await page.locator(".job-row").last().innerText(), /\$0\.0000158/);
    await page.getByRole("link", { name: "Models" }).click();
    await page.waitForSelector("table.models");
    const lead = page.locator("table.models tr", { hasText: /^lead/ });
    assert.match(await lead.innerText(), /\$/);
    assert.match(await page.locator("table.models").innerText(), /61\.3/);
  }));
