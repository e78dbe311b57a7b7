// SPDX-License-Identifier: Apache-2.0
// llama.cpp (npm node-llama-cpp) doing our work: a command a line on stdin, an answer a line.
//
//     node llama_cpp.mjs MODEL.gguf THREADS SEQUENCES GRAMMAR
//
//     prefill N          {"tps"}       one prompt of N tokens
//     decode PROMPT N    {"tps"}       N tokens for each of SEQUENCES after one same prompt
//     records PROMPT N   {"per_s", "tokens_out", "answers"}   as `enxame bench engine` has them
//
// What all sequences begin with is evaluated once, before the clock runs, and loaded into each as
// its state.  With one thread, time is the processor's.
import { readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.ENXAME_PEERS + "/package.json");
const { getLlama, LlamaLogLevel, LlamaGrammarEvaluationState } = await import(
    pathToFileURL(require.resolve("node-llama-cpp"))
);

const RECORD_TOKENS = 200;
const ROOM_TOKENS = 128; // of an answer
const [modelPath, threads, sequences, grammarPath] = process.argv.slice(2);
const llama = await getLlama({
    gpu: false, logLevel: LlamaLogLevel.error, build: "never", maxThreads: Number(threads),
});
const model = await llama.loadModel({ modelPath });
const vocab = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
const grammar = await llama.createGrammar({ grammar: readFileSync(grammarPath, "utf8") });

const context = await model.createContext({
    sequences: Number(sequences),
    contextSize: 512 + RECORD_TOKENS + ROOM_TOKENS,
    batchSize: 512,
    threads: { ideal: Number(threads), min: Number(threads) },
});
const all = Array.from({ length: Number(sequences) }, () => context.getSequence());

const tokens = (record, count) =>
    Array.from({ length: count }, (_, i) => (7919 * i + 104729 * record + 17) % vocab);

let salt = 0; // of prompts that nobody has begun with before
const now = () => {
    if (threads !== "1") return Number(process.hrtime.bigint()) / 1e9;
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
};
const seconds = async (work) => {
    const start = now();
    await work();
    return now() - start;
};

// All sequences after the same prompt; what they have of it already stays.
async function share(prompt) {
    if (all.every((sequence) => sequence.nextTokenIndex >= prompt.length) &&
        prompt.every((token, i) => all[0].contextTokens[i] === token)) {
        for (const sequence of all)
            await sequence.eraseContextTokenRanges([{ start: prompt.length, end: 1e6 }]);
        return;
    }
    const file = `${tmpdir()}/enxame-peer-${process.pid}.state`;
    for (const sequence of all) await sequence.clearHistory();
    await all[0].evaluateWithoutGeneratingNewTokens(prompt);
    if (all.length > 1) await all[0].saveStateToFile(file);
    for (const sequence of all.slice(1))
        await sequence.loadStateFromFile(file, { acceptRisk: true });
    rmSync(file, { force: true });
}

async function write(sequence, from, count) {
    let left = count;
    for await (const _ of sequence.evaluate(from, { temperature: 0, yieldEogToken: true }))
        if (--left === 0) break;
}

async function answer(sequence, record) {
    const out = [];
    const state = new LlamaGrammarEvaluationState({ model, grammar });
    const options = { temperature: 0, grammarEvaluationState: state };
    for await (const token of sequence.evaluate(tokens(record, RECORD_TOKENS), options)) {
        out.push(token);
        if (out.length === ROOM_TOKENS) break;
    }
    return out;
}

const commands = {
    async prefill(count) {
        await all[0].clearHistory();
        const prompt = tokens(++salt, count);
        const took = await seconds(() => all[0].evaluateWithoutGeneratingNewTokens(prompt));
        return { tps: count / took };
    },

    async decode(prompt, count) {
        await share(tokens(0, prompt - 1));
        const begin = all.map((_, i) => tokens(1000 + i, 1));
        await Promise.all(all.map((sequence, i) => write(sequence, begin[i], 1)));
        const took = await seconds(() =>
            Promise.all(all.map((sequence, i) => write(sequence, begin[i], count))));
        return { tps: (all.length * count) / took };
    },

    async records(prompt, count) {
        const answers = new Array(count);
        let next = 0;
        let written = 0;
        await share(tokens(0, prompt));
        const serve = async (sequence) => {
            while (next < count) {
                const record = next++;
                const out = await answer(sequence, record + 1);
                written += out.length;
                answers[record] = model.detokenize(out);
                await sequence.eraseContextTokenRanges([{ start: prompt, end: 1e6 }]);
            }
        };
        const took = await seconds(() => Promise.all(all.map(serve)));
        return { per_s: count / took, tokens_out: written, answers };
    },
};

for await (const line of createInterface({ input: process.stdin })) {
    const [name, ...numbers] = line.trim().split(" ");
    console.log(JSON.stringify(await commands[name](...numbers.map(Number))));
}
process.exit(0);
