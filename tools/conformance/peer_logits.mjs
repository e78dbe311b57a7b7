// SPDX-License-Identifier: Apache-2.0
// What llama.cpp makes of a text, as f32 [places][vocabulary] of log-probabilities on stdout.
//
//     node peer_logits.mjs MODEL.gguf TOKENS F16|F32 > FILE     TOKENS: ids, with commas
//
// F16, F32: the type in which it keeps keys and values.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.ENXAME_PEERS + "/package.json");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(require.resolve("node-llama-cpp")));

const [model_path, ids, cache] = process.argv.slice(2);
const tokens = ids.split(",").map(Number);
const llama = await getLlama({ gpu: false, logLevel: LlamaLogLevel.error, build: "never" });
const model = await llama.loadModel({ modelPath: model_path });
const context = await model.createContext({
    contextSize: tokens.length + 8,
    batchSize: tokens.length,
    flashAttention: false,
    experimentalKvCacheKeyType: cache,
    experimentalKvCacheValueType: cache,
});
const output = await context
    .getSequence()
    .controlledEvaluate(tokens.map((token) => [token, { generateNext: { logits: true } }]));
const parts = output.map((place) => {
    const logits = new Float64Array(place.next.logits.size);
    for (const [token, value] of place.next.logits) logits[token] = value;
    const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const sum = Math.log(logits.reduce((a, b) => a + Math.exp(b - most), 0)) + most;
    return Buffer.from(Float32Array.from(logits, (x) => x - sum).buffer);
});
process.stdout.write(Buffer.concat(parts), () => process.exit(0));
