// SPDX-License-Identifier: Apache-2.0
// One case of bench-peers: enxame and its peers in alternation, on one file.
//
//     node compare.mjs ENXAME CSV CASE MODEL.gguf THREADS ROUNDS
//
// CASE is prefill, decode1, decode4, decode16, decode64, records4 or records.  A program's row of
// the CSV holds the median of the rounds and their extremes; it replaces an older one of the case.
// ik_llama.cpp takes part where ENXAME_IK names a folder with its llama-batched-bench, but not in
// the records, for which it has no program.  It reports what its steady clock says: with one thread
// that is the processor's time, by ENXAME_PEERS/cpu_clock.so.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const grammar = join(here, "answer.gbnf");
const [enxame, csv, name, model, threads, rounds] = process.argv.slice(2);
const PROMPT = 512;

// What each case asks: sequences, of the peer where it does better with fewer; tokens or records.
const cases = {
    prefill: { part: "prefill", width: 1, peerWidth: 1, count: 1, unit: "tokens/s" },
    decode1: { part: "decode", width: 1, peerWidth: 1, count: 32, unit: "tokens/s" },
    decode4: { part: "decode", width: 4, peerWidth: 4, count: 16, unit: "tokens/s" },
    decode16: { part: "decode", width: 16, peerWidth: 16, count: 8, unit: "tokens/s" },
    decode64: { part: "decode", width: 64, peerWidth: 64, count: 4, unit: "tokens/s" },
    records4: { part: "records", width: 4, peerWidth: 4, count: 4, peerCount: 4,
        unit: "records/s" },
    records: { part: "records", width: 64, peerWidth: 4, count: 64, peerCount: 4,
        unit: "records/s" },
};
const asked = cases[name];
if (!asked) {
    const names = Object.keys(cases).join(" ");
    console.error(`bench-peers: no case is called ${name}; they are ${names}`);
    process.exit(64);
}

function ours() {
    const words = ["bench", "engine", "-m", model, "--part", asked.part, "--threads", threads,
        "--runs", "1", "--prompt", PROMPT, "--grammar", grammar, "--json"];
    if (asked.part !== "prefill") words.push("--sequences", asked.width);
    if (asked.part === "decode") words.push("--output", asked.count);
    if (asked.part === "records") words.push("--records", asked.count);
    const got = JSON.parse(execFileSync(enxame, words.map(String), { maxBuffer: 1 << 26 }));
    if (asked.part === "prefill") return { figure: got.prefill_tps, share: got.int8_share };
    if (asked.part === "records")
        return { figure: got.records.per_s, answers: got.records.answers };
    return { figure: got.batched[asked.width], share: got.read_share ?? "" };
}

function openPeer() {
    const child = spawn("node",
        [join(here, "llama_cpp.mjs"), model, threads, asked.peerWidth, grammar].map(String),
        { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const command = { prefill: `prefill ${PROMPT}`, decode: `decode ${PROMPT} ${asked.count}`,
        records: `records ${PROMPT} ${asked.peerCount}` }[asked.part];
    return {
        async run() {
            child.stdin.write(command + "\n");
            const { value, done } = await lines.next();
            if (done) throw new Error("llama.cpp's process ended");
            const got = JSON.parse(value);
            return { figure: got.tps ?? got.per_s, answers: got.answers };
        },
        close: () => child.stdin.end(),
    };
}

// What the program leaves in its log, which it writes into the folder that it runs in.
function logOf(program, words, env) {
    const cwd = mkdtempSync(join(tmpdir(), "enxame-peer-"));
    execFileSync(program, words.map(String), { cwd, env, stdio: "ignore" });
    const text = readFileSync(join(cwd, "llama.log"), "utf8");
    rmSync(cwd, { recursive: true });
    return text;
}

// A row of its table: | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | ...
function ik(program) {
    const tokens = asked.part === "prefill" ? 1 : asked.count;
    const words = ["-m", model, "-t", threads, "-tb", threads, "-c",
        PROMPT + asked.width * tokens + 64, "-b", 512, "-ub", 512, "-npp", PROMPT, "-ntg", tokens,
        "-npl", asked.width, "-pps"];
    const clock = join(process.env.ENXAME_PEERS, "cpu_clock.so");
    const env = threads === "1" ? { ...process.env, LD_PRELOAD: clock } : process.env;
    const row = logOf(program, words, env).split("\n")
        .map((line) => line.split("|").map((cell) => cell.trim()))
        .find((cells) => cells[1] === String(PROMPT));
    if (!row) throw new Error(`ik_llama.cpp printed no row of ${PROMPT} tokens`);
    return { figure: Number(row[asked.part === "prefill" ? 6 : 8]) };
}

const median = (list) => {
  const sorted = list.toSorted((a, b) => a - b);
  return (sorted[(list.length - 1) >> 1] + sorted[list.length >> 1]) / 2;
};
const short = (x) => Number(x.toPrecision(3));

// Answers that are the same, of those that both gave.
function sameAnswers(a, b) {
    if (!a || !b) return "";
    const both = Math.min(a.length, b.length);
    return `${a.slice(0, both).filter((text, i) => text === b[i]).length}/${both}`;
}

function commit() {
    const word = (...args) => execFileSync("git", args, { cwd: here, encoding: "utf8" }).trim();
    try {
        return word("rev-parse", "--short", "HEAD") +
            (word("status", "--porcelain", "--", "../../src") ? "+" : "");
    } catch {
        return "";
    }
}

const cpu = readFileSync("/proc/cpuinfo", "utf8").match(/model name\s*:\s*(.*)/)?.[1] ?? "";
const peer = openPeer();
const programs = { enxame: async () => ours(), "llama.cpp": () => peer.run() };
const bench = join(process.env.ENXAME_IK ?? "", "llama-batched-bench");
if (process.env.ENXAME_IK && existsSync(bench) && asked.part !== "records")
    programs["ik_llama.cpp"] = async () => ik(bench);

const figures = {};
const shares = [];
const last = {};

function rowOf(program, list) {
    const isOurs = program === "enxame";
    return [name, basename(model, ".gguf"), program, threads,
        threads === "1" ? "processor" : "wall", list.length, short(median(list)),
        short(Math.min(...list)), short(Math.max(...list)), asked.unit,
        isOurs && shares.length ? median(shares).toFixed(2) : "",
        program === "llama.cpp" ? sameAnswers(last.enxame.answers, last[program].answers) : "",
        cpu, commit()].join(",");
}

// After each round, so that a run that is cut short leaves what it has.
function save() {
    const header =
        "case,model,program,threads,clock,rounds,median,low,high,unit,share,same,cpu,commit";
    const key = (row) => row.split(",").slice(0, 4).join(",");
    const rows = Object.entries(figures).map(([program, list]) => rowOf(program, list));
    const before = existsSync(csv) ? readFileSync(csv, "utf8").trim().split("\n").slice(1) : [];
    const kept = before.filter((row) => !rows.some((made) => key(made) === key(row)));
    writeFileSync(csv, [header, ...[...kept, ...rows].sort()].join("\n") + "\n");
}

for (let round = 0; round < Number(rounds); round++) {
    for (const [program, run] of Object.entries(programs)) {
        last[program] = await run();
        (figures[program] ??= []).push(last[program].figure);
        if (last[program].share) shares.push(last[program].share);
        console.error(`${name} ${basename(model)} ${program} ${short(last[program].figure)}`);
    }
    save();
}
peer.close();
