// SPDX-License-Identifier: Apache-2.0
// browser.mjs - Chromium for the tests of the page, and what several of them do.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { startServer } from "./server.mjs";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const require = createRequire(new URL("../../web/package.json", import.meta.url));

// A package of web/package.json, or null when `npm ci` has not been run.
export function findPackage(name) {
  try {
    return require.resolve(name);
  } catch {
    return null;
  }
}

export const chromiumPath =
  process.env.CHROMIUM ?? CHROMIUM.find((path) => existsSync(path)) ?? null;

let browser = null;

export async function openBrowser() {
  const { chromium } = require("playwright-core");
  // Without the browser's own sandbox where the tests run as root, which it does not allow.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  browser ??= await chromium.launch({ executablePath: chromiumPath, args });
  return browser;
}

export async function closeBrowser() {
  await browser?.close();
}

// A server and a page on it; `use` gets both.  An error of the page's own script is a failure.
export async function withPage(options, use) {
  const { server: serverOptions = {}, at = "/", ...contextOptions } = options;
  const server = await startServer({ requests: [], ...serverOptions });
  const context = await (await openBrowser()).newContext(contextOptions);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.stack ?? error.message));
  try {
    await page.goto(server.url + at);
    await use(page, server);
    const own = errors.filter((text) => !/\/artifact|script-\d|blob:null/.test(text));
    assert.deepEqual(own, [], "errors of the page's own script");
  } finally {
    await context.close();
    server.close();
  }
}

export async function ask(page, text) {
  await page.fill("#question", text);
  await page.keyboard.press("Enter");
}

// Until the last answer is complete.
export async function answered(page) {
  await page.waitForSelector('.message.is-model:last-child [aria-label="Answer again"]');
}

// The frame of the open artifact that is shown: the draft, later the one that runs.
export const SHOWN = ".frames iframe.is-shown";
export const shownFrame = (page) => page.frameLocator(SHOWN);

export async function sleep(ms) {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

// Poll until `check` gives something true.
export async function until(check, what, ms = 8000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) assert.fail(`never: ${what}`);
    await sleep(40);
  }
}
