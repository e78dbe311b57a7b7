// SPDX-License-Identifier: Apache-2.0
// llama.cpp (npm node-llama-cpp) doing our work: a command a line on stdin, a line of JSON each.
//
//     node llama_cpp.mjs MODEL.gguf THREADS SEQUENCES GRAMMAR       GRAMMAR: a file, or -
//
//     prefill N          tokens a second of one prompt of N tokens
//     decode PROMPT N    tokens a second, N for each of SEQUENCES after one same prompt
//     answers WORK       {"seconds", "answers"} to the prompts of a file of work.mjs, as tokens
//     texts WORK         the texts of the tokens of its prompts
//
// What all sequences begin with is evaluated once, before the clock runs, and loaded into each as
// its state.  With one thread, time is the processor's.
import { readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { readWork } from "./work.mjs";

const require = createRequire(process.env.ENXAME_PEERS + "/package.json");
const { getLlama, LlamaLogLevel, LlamaGrammarEvaluationState } = await import(
    pathToFileURL(require.resolve("node-llama-cpp"))
);

const CONTEXT_TOKENS = 512 + 200 + 128; // of an instruction, a record and its answer
const [modelPath, threads, sequences, grammarPath] = process.argv.slice(2);
const llama = await getLlama({
    gpu: false, logLevel: LlamaLogLevel.error, build: "never", maxThreads: Number(threads),
});
const model = await llama.loadModel({ modelPath });
const vocab = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
const grammar = grammarPath === "-" ? undefined
    : await llama.createGrammar({ grammar: readFileSync(grammarPath, "utf8") });

const context = await model.createContext({
    sequences: Number(sequences),
    contextSize: Math.min(CONTEXT_TOKENS, model.trainContextSize),
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
    if (prompt.length === 0) return;
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

async function answer(sequence, { most, tokens }) {
    const out = [];
    const options = { temperature: 0 };
    if (grammar)
        options.grammarEvaluationState = new LlamaGrammarEvaluationState({ model, grammar });
    for await (const token of sequence.evaluate(tokens, options)) {
        out.push(token);
        if (out.length === most) break;
    }
    return out;
}

// All prompts, as many at a time as there are sequences.
async function answerAll({ shared, prompts }) {
    const answers = new Array(prompts.length);
    let next = 0;
    const serve = async (sequence) => {
        while (next < prompts.length) {
            const which = next++;
            answers[which] = await answer(sequence, prompts[which]);
            await sequence.eraseContextTokenRanges([{ start: shared.length, end: 1e6 }]);
        }
    };
    const took = await seconds(() => Promise.all(all.map(serve)));
    return { seconds: took, answers };
}

const commands = {
    async prefill(count) {
        await all[0].clearHistory();
        const prompt = tokens(++salt, count);
        const took = await seconds(() => all[0].evaluateWithoutGeneratingNewTokens(prompt));
        return count / took;
    },

    async decode(prompt, count) {
        await share(tokens(0, prompt - 1));
        const begin = all.map((_, i) => tokens(1000 + i, 1));
        await Promise.all(all.map((sequence, i) => write(sequence, begin[i], 1)));
        const took = await seconds(() =>
            Promise.all(all.map((sequence, i) => write(sequence, begin[i], count))));
        return (all.length * count) / took;
    },

    async answers(path) {
        const work = readWork(path);
        await share(work.shared);
        return answerAll(work);
    },

    async texts(path) {
        return readWork(path).prompts.map(({ tokens }) => model.detokenize(tokens));
    },
};

for await (const line of createInterface({ input: process.stdin })) {
    const [name, ...words] = line.trim().split(" ");
    const given = words.map((word) => (/^\d+$/.test(word) ? Number(word) : word));
    console.log(JSON.stringify(await commands[name](...given)));
}
process.exit(0);
