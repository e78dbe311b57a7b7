// SPDX-License-Identifier: Apache-2.0
// build.mjs - the page as files without a reference to anything outside:
//
//     node build.mjs [FOLDER]    dist/index.html, the page; dist/artifact.html, its frames;
//                                dist/viewer.html, artifacts of the terminal's chat
//
// The same sources give the same bytes: esbuild is pinned, and nothing of time or place goes in.

import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const GZIP_BYTES_MAX = 150 * 1024;

async function bundle(entry, options = {}) {
  const result = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    charset: "utf8",
    target: ["chrome110", "firefox115", "safari16.4"],
    legalComments: "none",
    logLevel: "warning",
    ...options,
  });
  return result.outputFiles[0].text.trim();
}

// A replacement by function: "$&" in a bundle must stay what it is.
function fill(template, parts) {
  return template.replace(/<!--(\w+)-->/g, (mark, name) => parts[name] ?? mark);
}

async function make(folder) {
  const read = (name) => readFile(join(here, "src", name), "utf8");
  const frame = fill(await read("frame/frame.html"), {
    script: `<script>${await bundle("src/frame/frame.js", { format: "iife" })}</script>`,
  });
  // The page's frames come from the server, with a policy; the viewer has theirs inside.
  const module = async (entry, text) => {
    const options = { format: "esm", define: { FRAME_TEXT: JSON.stringify(text) } };
    return `<script type="module">${await bundle(entry, options)}</script>`;
  };
  const index = fill(await read("index.html"), {
    style: `<style>${await bundle("src/style/main.css")}</style>`,
    script: await module("src/main.js", ""),
  });
  const viewer = fill(await read("viewer/viewer.html"), {
    style: `<style>${await bundle("src/style/viewer.css")}</style>`,
    script: await module("src/viewer/viewer.js", frame),
  });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "index.html"), index);
  await writeFile(join(folder, "artifact.html"), frame);
  await writeFile(join(folder, "viewer.html"), viewer);
  return gzipSync(index, { level: 9 }).length + gzipSync(frame, { level: 9 }).length;
}

const size = await make(process.argv[2] ?? join(here, "dist"));
console.log(`page: ${size} bytes gzip`);
if (size > GZIP_BYTES_MAX) {
  console.error(`page: more than ${GZIP_BYTES_MAX} bytes; something large came in`);
  process.exit(1);
}
