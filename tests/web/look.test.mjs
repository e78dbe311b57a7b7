// SPDX-License-Identifier: Apache-2.0
// look.test.mjs - accessibility, keyboard, phones, motion; and weight and first paint.
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { answered, ask, findPackage, until, withPage } from "./browser.mjs";

const dist = (name) => fileURLToPath(new URL(`../../web/dist/${name}`, import.meta.url));
const axe = findPackage("axe-core");
const SERIOUS = new Set(["serious", "critical"]);

async function checkAccess(page, where) {
  await page.evaluate(readFileSync(axe, "utf8"));
  const { violations } = await page.evaluate(() => window.axe.run({ iframes: false }));
  const found = violations
    .filter(({ impact }) => SERIOUS.has(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
  assert.deepEqual(found, [], where);
}

const VIEWS = {
  "a new chat": async () => {},
  "a chat with an artifact": async (page) => {
    await ask(page, "clock");
    await answered(page);
  },
  "a chat with Markdown": async (page) => {
    await ask(page, "markdown");
    await answered(page);
  },
  "a broken artifact": async (page) => {
    await ask(page, "broken");
    await answered(page);
    await page.waitForSelector(".console.has-errors");
    await page.locator(".console-toggle").click();
  },
  "a diagram": async (page) => {
    await ask(page, "flow");
    await answered(page);
  },
  "a job with a task": async (page) => {
    await page.evaluate(() => (location.hash = "#/jobs/1"));
    await page.waitForSelector(".top-tools .badge.is-done");
    await page.locator(".task-row button").first().click();
  },
  "the jobs": async (page) => {
    await page.evaluate(() => (location.hash = "#/jobs"));
    await page.waitForSelector(".job-row");
  },
  "a new job": async (page) => page.evaluate(() => (location.hash = "#/jobs/new")),
  "the models": async (page) => {
    await page.evaluate(() => (location.hash = "#/models"));
    await page.waitForSelector("table.models");
  },
  "the machines": async (page) => {
    await page.evaluate(() => (location.hash = "#/machines"));
    await page.waitForSelector(".machine .worker");
  },
  settings: async (page) => page.getByRole("button", { name: "Settings" }).click(),
};

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing serious, ${colorScheme}`, { skip: !axe && "no axe-core" }, async () => {
    for (const [where, go] of Object.entries(VIEWS)) {
      await withPage({ colorScheme, bypassCSP: true, reducedMotion: "reduce" }, async (page) => {
        await page.waitForSelector(".model-picker");
        await go(page);
        await checkAccess(page, where);
      });
    }
  });
}

// What has the focus, for a person: role or tag, and name.
const focused = (page) =>
  page.evaluate(() => {
    const at = document.activeElement;
    return at.getAttribute("aria-label") ?? at.innerText?.split("\n")[0] ?? at.tagName;
  });

test("everything can be done by keyboard, in an order that makes sense", () =>
  withPage({}, async (page) => {
    await page.waitForSelector(".model-picker");
    await page.keyboard.type("clock");
    await page.keyboard.press("Enter");
    await answered(page);
    await page.waitForSelector(".artifact-panel");
    const walked = [];
    await page.locator(".skip").focus();
    walked.push(await focused(page));
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      const name = await focused(page);
      if (walked.length && name === walked[0]) break;
      walked.push(name);
    }
    const order = [
      "Skip to the content",
      "New chat",
      "Swarm jobs",
      "Models",
      "Settings",
      "Export the conversation",
      "index.html",
      "Copy the answer",
      "Question",
      "Model",
      "Width of the artifact",
      "Download",
      "Preview",
    ];
    let at = -1;
    for (const name of order) {
      const next = walked.findIndex((one, i) => i > at && one === name);
      assert.ok(next > at, `${name} comes after what is before it: ${walked.join(", ")}`);
      at = next;
    }
    await page.keyboard.press("Alt+a");
    await until(async () => (await page.locator(".artifact-panel").count()) === 0, "closed");
    await page.keyboard.press("Alt+j");
    await page.waitForSelector(".job-row");
    await page.keyboard.press("Alt+m");
    await page.waitForSelector("table.models");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    await until(async () => (await page.locator("dialog").count()) === 0, "closed by Escape");
    await page.keyboard.press("Alt+n");
    await page.waitForSelector(".welcome");
  }));

test("on a phone nothing is wider than the screen", async () => {
  for (const go of [
    "a chat with Markdown",
    "a chat with an artifact",
    "a job with a task",
    "the jobs",
    "the machines",
  ]) {
    const phone = { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true };
    await withPage(phone, async (page) => {
      await page.waitForSelector(".model-picker");
      await VIEWS[go](page);
      const [wide, screen] = await page.evaluate(() => {
        const main = document.querySelector(".page-body") ?? document.documentElement;
        return [Math.max(main.scrollWidth, document.documentElement.scrollWidth), innerWidth];
      });
      assert.ok(wide <= screen, `${go}: ${wide} px in ${screen}`);
    });
  }
});

test("on a phone the menu opens and closes", () =>
  withPage({ viewport: { width: 375, height: 740 } }, async (page) => {
    await page.waitForSelector(".model-picker");
    assert.equal(await page.getByRole("link", { name: "Swarm jobs" }).isVisible(), false);
    await page.getByRole("button", { name: "Menu" }).click();
    await page.getByRole("link", { name: "Swarm jobs" }).click();
    await page.waitForSelector(".job-row");
    await until(async () => !(await page.locator(".sidebar").isVisible()), "the menu is closed");
  }));

test("the look follows the system, and the choice", () =>
  withPage({ colorScheme: "dark" }, async (page) => {
    const look = () => page.evaluate(() => document.documentElement.dataset.theme);
    assert.equal(await look(), "dark");
    await page.emulateMedia({ colorScheme: "light" });
    await until(async () => (await look()) === "light", "light as the system");
    await page.getByRole("button", { name: /^Look: system/ }).click();
    await page.getByRole("button", { name: /^Look: light/ }).click();
    await until(async () => (await look()) === "dark", "dark as chosen");
    await page.reload();
    assert.equal(await look(), "dark");
  }));

test("who wants less motion gets none", () =>
  withPage(
    { reducedMotion: "reduce", at: "/#/jobs/3", server: { hold: { at: 400 } } },
    async (page) => {
      await page.waitForSelector(".way.is-running", { state: "attached" });
      const name = await page
        .locator(".way")
        .first()
        .evaluate((way) => getComputedStyle(way).animationName);
      assert.equal(name, "none");
    },
  ));

test("the page weighs at most 150 KB, in one request", () =>
  withPage({}, async (page, server) => {
    const size = (name) => gzipSync(readFileSync(dist(name)), { level: 9 }).length;
    const total = size("index.html") + size("artifact.html");
    console.log(`# ${total} bytes gzip, ${statSync(dist("index.html")).size} bytes plain`);
    assert.ok(total <= 150 * 1024);
    const requests = [];
    page.on("request", (request) => requests.push(new URL(request.url()).pathname));
    await page.goto("about:blank");
    await page.goto(server.url);
    await page.waitForSelector(".model-picker");
    assert.deepEqual(
      requests.filter((path) => !path.startsWith("/enxame/")),
      ["/"],
    );
  }));

// As with frames: how long the page computes until it is painted holds on any machine.
test("the first paint comes within half a second", () =>
  withPage({}, async (page, server) => {
    const times = [];
    for (let i = 0; i < 5; i++) {
      await page.goto("about:blank");
      await page.goto(server.url);
      await page.waitForSelector(".model-picker");
      times.push(
        await page.evaluate(
          () => performance.getEntriesByName("first-contentful-paint")[0].startTime,
        ),
      );
    }
    times.sort((a, b) => a - b);
    console.log(`# first contentful paint: ${times.map((ms) => ms.toFixed(0)).join(", ")} ms`);
    assert.ok(times[0] <= 500);
  }));
