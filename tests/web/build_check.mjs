// SPDX-License-Identifier: Apache-2.0
// build_check.mjs - is web/dist what web/src gives?  Skipped (77) where `npm ci` has not been run.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findPackage } from "./browser.mjs";

const web = fileURLToPath(new URL("../../web/", import.meta.url));
if (!findPackage("esbuild")) {
  console.log("web build skipped: run `npm ci` in web/ to have it compared");
  process.exit(77);
}
const folder = mkdtempSync(join(tmpdir(), "enxame-page-"));
let status = 0;
try {
  execFileSync(process.execPath, [join(web, "build.mjs"), folder], { stdio: "inherit" });
  for (const name of ["index.html", "artifact.html", "viewer.html"]) {
    if (readFileSync(join(folder, name)).equals(readFileSync(join(web, "dist", name)))) continue;
    console.log(`web/dist/${name} is not what web/src gives; run make web`);
    status = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.exit(status);
