// SPDX-License-Identifier: Apache-2.0
// One case of bench-peers: enxame and its peers in alternation, on one file.
//
//     node compare.mjs BUILD CSV CASE MODEL.gguf THREADS ROUNDS [resume]
//
// A program's row of the CSV holds the median of the rounds and their extremes; it replaces an
// older one of the case.  With `resume` nothing is run where so many rounds of the engine's present
// commit are there.  Where programs answer prompts, rows of peers say how many answers are the same
// as ours, letter by letter; and of those that part by how much our token was ahead of the next
// likeliest at the place where they do: the median, and the most.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { openIk, openLlama, ours, sizesOf } from "./programs.mjs";
import { caseNames, caseOf } from "./work.mjs";

const COLUMNS = ["case", "model", "program", "threads", "clock", "rounds", "median", "low", "high",
    "unit", "prompt", "share", "same", "parted", "parted_high", "cpu", "commit"];
const KEY = COLUMNS.slice(0, 4);

const [build, csv, name, path, threads, rounds, resume] = process.argv.slice(2);
const model = resolve(path ?? "");
if (!caseNames.includes(name)) {
    console.error(`bench-peers: no case is called ${name}; they are ${caseNames.join(" ")}`);
    process.exit(64);
}

const median = (list) => {
    const sorted = list.toSorted((a, b) => a - b);
    return (sorted[(list.length - 1) >> 1] + sorted[list.length >> 1]) / 2;
};
const short = (x) => Number(x.toPrecision(3));

// The last commit that changed the engine.
function commit() {
    const cwd = dirname(fileURLToPath(import.meta.url));
    const word = (...args) => execFileSync("git", args, { cwd, encoding: "utf8" }).trim();
    try {
        return word("log", "-1", "--format=%h", "--", "../../src") +
            (word("status", "--porcelain", "--", "../../src") ? "+" : "");
    } catch {
        return "";
    }
}

function readRows() {
    if (!existsSync(csv)) return [];
    const [header, ...lines] = readFileSync(csv, "utf8").trim().split("\n")
        .map((line) => line.split(","));
    return lines.map((cells) => Object.fromEntries(header.map((column, i) => [column, cells[i]])));
}

const isSame = (a, b) => KEY.every((column) => String(a[column]) === String(b[column]));

function writeRows(made) {
    const kept = readRows().filter((row) => !made.some((other) => isSame(row, other)));
    const lines = [...kept, ...made]
        .map((row) => COLUMNS.map((column) => row[column] ?? "").join(",")).sort();
    writeFileSync(csv, [COLUMNS.join(","), ...lines].join("\n") + "\n");
}

// Our answers beside a peer's, of those that both gave.
async function compareAnswers(llama, { answers, margins }, theirs) {
    const both = Math.min(answers.length, theirs.length);
    const a = await llama.texts(answers.slice(0, both));
    const b = await llama.texts(theirs.slice(0, both));
    const parted = [];
    let same = 0;
    for (let i = 0; i < both; i++) {
        if (a[i] === b[i]) {
            same++;
            continue;
        }
        const at = answers[i].findIndex((token, place) => token !== theirs[i][place]);
        parted.push(margins?.[i][at < 0 ? answers[i].length : at]);
    }
    const known = parted.filter((margin) => margin !== undefined);
    return { same: `${same}/${both}`, ...(known.length && { parted: short(median(known)),
        parted_high: short(Math.max(...known)) }) };
}

const { vocab, context } = sizesOf(build, model);
const asked = caseOf(name, context);
const cpu = readFileSync("/proc/cpuinfo", "utf8").match(/model name\s*:\s*(.*)/)?.[1] ?? "";
const ik = openIk(model, asked, threads);
const common = { case: name, model: basename(model, ".gguf"), threads, unit: asked.unit,
    clock: threads === "1" ? "processor" : "wall", prompt: asked.prompt, cpu, commit: commit() };

const wanted = ["enxame", "llama.cpp", ...(ik ? ["ik_llama.cpp"] : [])];
const before = readRows();
const isDone = wanted.every((program) => before.some((row) =>
    isSame(row, { ...common, program }) && row.commit === common.commit &&
    Number(row.rounds) >= Number(rounds)));
if (resume && isDone) {
    console.error(`${name} ${basename(model)} is measured already`);
    process.exit(0);
}

const llama = openLlama(model, asked, threads);
const programs = { enxame: () => ours(build, model, asked, threads, vocab),
    "llama.cpp": (mine) => llama.run(mine.work), ...(ik && { "ik_llama.cpp": ik }) };
const figures = {};
const shares = [];

// After each round, so that a run that is cut short leaves what it has.
async function save(last) {
    const rows = [];
    for (const [program, list] of Object.entries(figures)) {
        const { answers } = last[program];
        const isPeer = program !== "enxame";
        rows.push({ ...common, program, rounds: list.length, median: short(median(list)),
            low: short(Math.min(...list)), high: short(Math.max(...list)),
            share: !isPeer && shares.length ? median(shares).toFixed(2) : "",
            ...(isPeer && answers && await compareAnswers(llama, last.enxame, answers)) });
    }
    writeRows(rows);
}

for (let round = 0; round < Number(rounds); round++) {
    const last = {};
    for (const [program, once] of Object.entries(programs)) {
        last[program] = await once(last.enxame);
        (figures[program] ??= []).push(last[program].figure);
        if (last[program].share) shares.push(last[program].share);
        console.error(`${name} ${basename(model)} ${program} ${short(last[program].figure)}`);
    }
    await save(last);
}
llama.close();
