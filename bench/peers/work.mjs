// SPDX-License-Identifier: Apache-2.0
// What bench-peers has all programs do: the cases, and the prompts of each.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const heldOut = join(here, "../../jobs/restore/heldout");

export const grammar = join(here, "answer.gbnf");

const RECORD_TOKENS = 200;
const ANSWER_TOKENS = 128;
const LONG_CONTEXT = 1024;
const TEXT_BYTES = 300; // of a paragraph at most: its prompt and twice that fit 512 tokens

// Sequences at a time, of llama.cpp where it does better with fewer; tokens of each, records or
// paragraphs.
const cases = {
    prefill: { part: "prefill", width: 1, count: 1 },
    decode1: { part: "decode", width: 1, count: 32 },
    decode4: { part: "decode", width: 4, count: 16 },
    decode16: { part: "decode", width: 16, count: 8 },
    decode64: { part: "decode", width: 64, count: 4 },
    records4: { part: "records", width: 4, count: 4 },
    records: { part: "records", width: 64, count: 64, llamaWidth: 4, llamaCount: 4 },
    asked4: { part: "records", width: 4, count: 16, asks: true },
    restore1: { part: "restore", width: 1, count: 128 },
    restore16: { part: "restore", width: 16, count: 128 },
};
export const caseNames = Object.keys(cases);

// A case as it suits a model: short contexts are those of small models, which read shorter prompts
// and are so quick that they have to write more to be measured.
export function caseOf(name, context) {
    const { part, width, count, llamaWidth = width, llamaCount = count, asks = false } =
        cases[name];
    const isShort = context < LONG_CONTEXT;
    const unit = { records: "records/s", restore: "answers/s" }[part] ?? "tokens/s";
    return {
        part, width, llamaWidth, llamaCount, asks, unit,
        count: part === "decode" && isShort ? 4 * count : count,
        prompt: part === "restore" ? 0 : isShort ? 256 : 512,
    };
}

// Token i of record r; the instruction is record 0.  As `enxame bench engine` makes them up.
function made(record, count, vocab) {
    return Array.from({ length: count }, (_, i) => (7919 * i + 104729 * record + 17) % vocab);
}

// What all prompts begin with, and what each goes on with.
export function recordWork(prompt, count, vocab) {
    const goesOn = (_, i) => ({ most: ANSWER_TOKENS, tokens: made(i + 1, RECORD_TOKENS, vocab) });
    return { shared: made(0, prompt, vocab), prompts: Array.from({ length: count }, goesOn) };
}

// A language, a tab, a paragraph a line: as many of each language that the model was made for.
export function heldOutLines(language, count) {
    const files = readdirSync(heldOut).filter((file) => !language || file === language + ".jsonl");
    const lines = files.sort().flatMap((file) =>
        readFileSync(join(heldOut, file), "utf8").trim().split("\n").map((line) => JSON.parse(line))
            .filter(({ text }) => Buffer.byteLength(text) <= TEXT_BYTES && !/[\t\n]/.test(text))
            .slice(0, count / files.length)
            .map((row) => `${row.language}\t${row.text}\n`));
    return lines.join("");
}

// For programs that read it: the shared tokens, then a line a prompt.
export function writeWork(path, { shared, prompts }) {
    const lines = prompts.map(({ most, tokens }) => [most, ...tokens].join(" "));
    writeFileSync(path, [shared.join(" "), ...lines].join("\n") + "\n");
}

export function readWork(path) {
    const [shared, ...lines] = readFileSync(path, "utf8").trimEnd().split("\n")
        .map((line) => line.split(" ").filter(Boolean).map(Number));
    return { shared, prompts: lines.map(([most, ...tokens]) => ({ most, tokens })) };
}
