// SPDX-License-Identifier: Apache-2.0
// llama.cpp's tokens of the texts on stdin, each with a zero byte behind it: a line of ids each.
//
//     node peer_tokens.mjs MODEL.gguf < TEXTS
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.ENXAME_PEERS + "/package.json");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(require.resolve("node-llama-cpp")));

const llama = await getLlama({ gpu: false, logLevel: LlamaLogLevel.error, build: "never" });
const model = await llama.loadModel({ modelPath: process.argv[2], vocabOnly: true });
const texts = readFileSync(0, "utf8").split("\0").slice(0, -1);
for (const text of texts) console.log(model.tokenize(text, false).join(" "));
process.exit(0);
