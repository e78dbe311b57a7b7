// SPDX-License-Identifier: Apache-2.0
// Memory that llama.cpp (npm node-llama-cpp) takes for the contexts of many sequences.
//
//     node memory.mjs MODEL.gguf SEQUENCES TOKENS
//
// Prints MiB of the process that no file is behind, now and at its peak: once the model is loaded,
// and with a context of TOKENS for each sequence.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.ENXAME_PEERS + "/package.json");
const { getLlama, LlamaLogLevel } = await import(
    pathToFileURL(require.resolve("node-llama-cpp"))
);
const [modelPath, sequences, tokens] = process.argv.slice(2);

function mebibytes(key) {
    const status = readFileSync("/proc/self/status", "utf8");
    return Math.round(Number(status.match(`${key}:\\s*(\\d+)`)[1]) / 1024);
}
const memory = () => ({ anonymous: mebibytes("RssAnon"), peak: mebibytes("VmHWM") });

const llama = await getLlama({
    gpu: false, logLevel: LlamaLogLevel.error, build: "never", maxThreads: 1,
});
const model = await llama.loadModel({ modelPath });
const before = memory();
const context = await model.createContext({
    sequences: Number(sequences), contextSize: Number(tokens), batchSize: 512, threads: 1,
});
await context.getSequence().evaluateWithoutGeneratingNewTokens([1, 2, 3, 4]);
console.log(JSON.stringify({ sequences: Number(sequences), before, after: memory() }));
process.exit(0);
