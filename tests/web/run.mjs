// SPDX-License-Identifier: Apache-2.0
// run.mjs - the page in Chromium: `make web-test`.
//
//     node tests/web/run.mjs [NAME]...    all, or of: chat, artifact, hostile, viewer, swarm, look,
//                                        real
//
// Exit status 77 (skipped) where Chromium or playwright-core is missing.

import { after } from "node:test";
import { chromiumPath, closeBrowser, findPackage } from "./browser.mjs";

const SKIPPED = 77;
const FILES = ["chat", "artifact", "hostile", "viewer", "swarm", "look", "real"];

function reasonToSkip() {
  if (!chromiumPath) return "no Chromium here (Debian: apt-get install chromium)";
  if (!findPackage("playwright-core")) return "no playwright-core: run `npm ci` in web/";
  return "";
}

const reason = reasonToSkip();
if (reason) {
  console.log(`web-test skipped: ${reason}`);
  process.exit(SKIPPED);
}
const names = process.argv.slice(2);
for (const name of names.length ? names : FILES) await import(`./${name}.test.mjs`);
after(closeBrowser);
