// SPDX-License-Identifier: Apache-2.0
// The programs that bench-peers compares.  Each runs a case once and tells
//
//     { figure }      tokens, records or answers a second
//     { answers }     tokens of each answer, where there are some
//     ours also       { share } of the machine's limit; { margins } of the answers' tokens, and the
//                     { work } that they were to, for the others
//
// With one thread, time is the processor's.  ik_llama.cpp reports what its steady clock says: that
// is the processor's time, too, by ENXAME_PEERS/cpu_clock.so.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { grammar, heldOutLines, recordWork, writeWork } from "./work.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const run = (program, words, more) =>
    execFileSync(program, words.map(String), { maxBuffer: 1 << 28, ...more });

// Sizes of a model: { vocab, context }.
export function sizesOf(build, model) {
    return JSON.parse(run(join(build, "enxame"), ["models", model, "--json"])).models[0].sizes;
}

function oursRestores(build, model, asked) {
    const language = basename(model).match(/^restore-(.*)\.gguf$/)?.[1];
    const input = heldOutLines(language, asked.count);
    const words = [model, asked.width];
    const got = JSON.parse(run(join(build, "bench/bench_answers"), words, { input }));
    const prompts = got.answers.map(({ most, prompt }) => ({ most, tokens: prompt }));
    return {
        figure: got.answers.length / got.seconds,
        answers: got.answers.map(({ tokens }) => tokens),
        margins: got.answers.map(({ margins }) => margins),
        work: { shared: [], prompts },
    };
}

export function ours(build, model, asked, threads, vocab) {
    if (asked.part === "restore") return oursRestores(build, model, asked);
    const words = ["bench", "engine", "-m", model, "--part", asked.part, "--threads", threads,
        "--runs", 1, "--prompt", asked.prompt, "--json"];
    if (asked.part !== "prefill") words.push("--sequences", asked.width);
    if (asked.part === "decode") words.push("--output", asked.count);
    if (asked.part === "records") words.push("--records", asked.count, "--grammar", grammar);
    if (asked.asks) words.push("--ask");
    const got = JSON.parse(run(join(build, "enxame"), words));
    if (asked.part === "prefill") return { figure: got.prefill_tps, share: got.int8_share };
    if (asked.part === "decode")
        return { figure: got.batched[asked.width], share: got.read_share };
    const { per_s: figure, tokens: answers, margins } = got.records;
    return { figure, answers, margins, work: recordWork(asked.prompt, asked.count, vocab) };
}

// llama.cpp through node-llama-cpp, in a process that stays.
export function openLlama(model, asked, threads) {
    const child = spawn("node", [join(here, "llama_cpp.mjs"), model, threads, asked.llamaWidth,
        asked.part === "records" ? grammar : "-"].map(String),
        { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    async function ask(command) {
        child.stdin.write(command + "\n");
        const { value, done } = await lines.next();
        if (done) throw new Error("llama.cpp's process ended");
        return JSON.parse(value);
    }
    return {
        async run(work) {
            if (asked.part === "prefill") return { figure: await ask(`prefill ${asked.prompt}`) };
            if (asked.part === "decode")
                return { figure: await ask(`decode ${asked.prompt} ${asked.count}`) };
            const got = await withWork(work, asked.llamaCount, (path) => ask(`answers ${path}`));
            return { figure: got.answers.length / got.seconds, answers: got.answers };
        },
        // The texts of answers.
        texts: (answers) => withWork(
            { shared: [], prompts: answers.map((tokens) => ({ most: 0, tokens })) },
            answers.length, (path) => ask(`texts ${path}`)),
        close: () => child.stdin.end(),
    };
}

// With a file of the first `count` prompts of a work.
async function withWork({ shared, prompts }, count, use) {
    const folder = mkdtempSync(join(tmpdir(), "enxame-peer-"));
    const path = join(folder, "work");
    writeWork(path, { shared, prompts: prompts.slice(0, count) });
    try {
        return await use(path);
    } finally {
        rmSync(folder, { recursive: true });
    }
}

// A row of its table: | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | ...  It
// writes its log into the folder that it runs in.
function ikBatches(program, model, asked, threads) {
    const tokens = asked.part === "prefill" ? 1 : asked.count;
    const words = ["-m", model, "-t", threads, "-tb", threads, "-c",
        asked.prompt + asked.width * tokens + 64, "-b", 512, "-ub", 512, "-npp", asked.prompt,
        "-ntg", tokens, "-npl", asked.width, "-pps"];
    const clock = join(process.env.ENXAME_PEERS, "cpu_clock.so");
    const env = threads === "1" ? { ...process.env, LD_PRELOAD: clock } : process.env;
    const cwd = mkdtempSync(join(tmpdir(), "enxame-peer-"));
    run(program, words, { cwd, env, stdio: "ignore" });
    const row = readFileSync(join(cwd, "llama.log"), "utf8").split("\n")
        .map((line) => line.split("|").map((cell) => cell.trim()))
        .find((cells) => cells[1] === String(asked.prompt));
    rmSync(cwd, { recursive: true });
    if (!row) throw new Error(`ik_llama.cpp printed no row of ${asked.prompt} tokens`);
    return { figure: Number(row[asked.part === "prefill" ? 6 : 8]) };
}

// A function that runs it; undefined: it is not there.
export function openIk(model, asked, threads) {
    const bench = join(process.env.ENXAME_IK ?? "", "llama-batched-bench");
    const answers = join(process.env.ENXAME_PEERS, "ik_answers");
    if (!process.env.ENXAME_IK || !existsSync(bench)) return undefined;
    if (asked.part === "prefill" || asked.part === "decode")
        return () => ikBatches(bench, model, asked, threads);
    if (!existsSync(answers)) return undefined;
    return ({ work }) => withWork(work, asked.count, (path) => {
        const words = [model, threads, asked.width, path];
        if (asked.part === "records") words.push(grammar);
        const got = JSON.parse(run(answers, words, { stdio: ["ignore", "pipe", "ignore"] }));
        return { figure: got.answers.length / got.seconds, answers: got.answers };
    });
}
