// SPDX-License-Identifier: Apache-2.0
// Compares enxame with llama.cpp and @huggingface/jinja and prints what was found.
//
//     ENXAME_PEERS=FOLDER node conformance.mjs BUILD > docs/conformance.md
//
// FOLDER has the peers' node_modules; BUILD is a build folder with the programs of tools/.  The
// table goes to stdout, progress and differences to stderr; status 3 when a goal is missed.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { schemas } from "./schemas.mjs";
import { contexts, hard_texts } from "./texts.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const build = process.argv[2];
const peers = process.env.ENXAME_PEERS;
const scratch = mkdtempSync(join(tmpdir(), "enxame-conformance-"));
const places = 256,
    greedy = 200,
    walks = 100;
let missed = 0;

const run = (program, args, input) =>
    execFileSync(program, args, { input, maxBuffer: 1 << 30, stdio: ["pipe", "pipe", "pipe"] });
const ours = (name, args, input) => run(join(build, "tools", name), args, input);
const peer = (name, args, input) => run(process.execPath, [join(here, name), ...args], input);
const floats = (bytes) =>
    new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const row_of = (cells) => `| ${cells.join(" | ")} |`;
const short = (name) => name.slice("tokenizer-".length);
const say = (text) => process.stderr.write(text + "\n");
function judge(is_met, what) {
    if (is_met) return "yes";
    missed++;
    say("missed: " + what);
    return "**no**";
}

// ---- logits

// The largest difference at each place, the largest place first.
function distances(a, b, size) {
    const most = new Float64Array(a.length / size);
    a.forEach((x, i) => {
        const place = Math.floor(i / size);
        most[place] = Math.max(most[place], Math.abs(x - b[i]));
    });
    return most.sort((x, y) => y - x);
}

function argmax(values, place, size) {
    let best = 0;
    for (let i = 1; i < size; i++)
        if (values[place * size + i] > values[place * size + best]) best = i;
    return best;
}

// The likeliest token and how far it is ahead of `other`.
const lead_over = (values, place, size, other) => {
    const best = argmax(values, place, size);
    return values[place * size + best] - values[place * size + other];
};

const options = {
    "--long": ", YaRN",
    "--part": ", partial rotation",
    "--experts": ", experts",
};

function compare_logits(architecture, type, more) {
    const path = join(scratch, "model.gguf");
    ours("random_model", [architecture, type, path, ...more]);
    const exact = floats(ours("model_logits", [path, String(places), "exact"]));
    const size = exact.length / places;
    const text = Array.from({ length: places }, (_, i) => (i * 37 + 11) % size);
    const output = ours("model_logits", [path, String(places), String(greedy)]);
    const own = floats(output.subarray(0, exact.length * 4));
    const tail = new Uint32Array(
        output.buffer.slice(
            output.byteOffset + exact.length * 4,
            output.byteOffset + output.length,
        ),
    );
    const whole = floats(peer("peer_logits.mjs", [path, text.concat([...tail]).join(","), "F16"]));
    const wide = floats(peer("peer_logits.mjs", [path, text.join(","), "F32"]));
    const own_wide = floats(ours("model_logits", [path, String(places), "wide"]));
    const theirs = whole.subarray(0, exact.length);
    let same = 0,
        gap = 0;
    tail.forEach((token, i) => {
        const ahead = lead_over(whole, places - 1 + i, size, token);
        if (ahead === 0) same++;
        gap = Math.max(gap, ahead);
    });
    // Where inputs are rounded to 8 bits, or a router hesitates, a last bit decides: the median.
    const is_sparse = more.includes("--experts") || /moe|oss/.test(architecture);
    const is_rough = is_sparse || !/F16|F32/.test(type);
    const rank = is_rough ? places / 2 : 0;
    const distance = (a, b) => distances(a, b, size)[rank];
    const row = {
        name: architecture + more.map((option) => options[option]).join(""),
        type,
        structure: distance(wide, exact),
        wide: distance(own_wide, wide),
        own_wide: distance(own_wide, exact),
        own: distance(own, exact),
        theirs: distance(theirs, exact),
        between: distance(own, theirs),
        same,
        gap,
    };
    say(JSON.stringify(row));
    return row;
}

function logits() {
    const models = [
        "llama",
        "qwen2",
        "qwen3",
        "phi3",
        "gemma2",
        "gemma3",
        "smollm3",
        "qwen3moe",
        "gpt-oss",
    ].map((name) => [name, "F32", []]);
    models.push(
        ["llama", "F32", ["--long"]],
        ["gpt-oss", "F32", ["--long"]],
        ["llama", "F32", ["--experts"]],
        ["phi3", "F32", ["--part"]],
        ["qwen3moe", "Q4_K", []],
        ["gpt-oss", "MXFP4", []],
        ["qwen2", "F16", []],
        ["qwen3", "Q8_0", []],
        ["gemma2", "Q4_K", []],
        ["gemma3", "Q6_K", []],
        ["phi3", "Q4_0", []],
    );
    for (const type of [
        "F16",
        "BF16",
        "Q8_0",
        "Q4_0",
        "Q4_1",
        "Q5_0",
        "Q5_1",
        "Q2_K",
        "Q3_K",
        "Q4_K",
        "Q5_K",
        "Q6_K",
        "IQ4_NL",
        "IQ4_XS",
        "MXFP4",
    ])
        models.push(["llama", type, []]);
    const rows = models.map((model) => compare_logits(...model));
    const digits = (x) => x.toExponential(1);
    console.log("## Logits\n");
    console.log(
        "Random weights of true structure (`tools/random_model.c`: 6 layers, width 256, grouped" +
        " queries), " +
            places +
            " places, all 512 tokens. Numbers are the largest difference between " +
            "log-probabilities. *Exact* is a second forward pass in doubles that rounds nothing" +
            " (`tests/slow_forward.h`). With quantized weights " +
            "and with experts they are the median over the places of the largest difference at a " +
            "place: there a last bit may send a number to another step, or a token to another " +
            "expert, in both programs.\n",
    );
    console.log(
        "| architecture | weights | f32 keys and values: enxame – exact | llama.cpp – exact | " +
        "enxame – llama.cpp | f16: enxame – exact | llama.cpp – exact | enxame – llama.cpp | " +
        "greedy text agrees | enxame at most 1.2 times as far from exact |",
    );
    console.log("|---|---|---|---|---|---|---|---|---|---|");
    for (const r of rows)
        console.log(
            row_of([
                r.name,
                r.type,
                ...[r.own_wide, r.structure, r.wide, r.own, r.theirs, r.between].map(digits),
                `${r.same} of ${greedy}` + (r.same < greedy ? ` (${digits(r.gap)} ahead)` : ""),
                judge(
                    r.own <= r.theirs * 1.2 && r.own_wide <= r.structure * 1.2,
                    `${r.name} ${r.type}`,
                ),
            ]),
        );
    console.log(
        "\n*Greedy text*: enxame writes " +
            greedy +
            " tokens; llama.cpp reads them, and its likeliest token at each place is compared. " +
            "In brackets: by how much llama.cpp preferred another token at most.\n",
    );
    console.log(
        "With f32 keys and values (`generate --cache f32`) F32 weights give what " +
            "llama.cpp gives to a few 1e-5; for Gemma it reads GELU from a table of f16, and " +
            "with F16 weights it rounds the inputs of products to f16, so that enxame is " +
            "nearer to exact. With f16 ones, the default of both, llama.cpp also rounds " +
            "queries and the weights of attention. With quantized weights both round the " +
            "inputs of products to 8 bits: a difference in the last bit then becomes one of a " +
            "step, so that two programs which add in another order are as far from each other " +
            "as from exact. llama.cpp leaves Phi 3's sliding window out; the model here has " +
            "one as long as its context.\n",
    );
}

// ---- tokens

const pres = {
    llama3: "llama-bpe",
    llama3_1: "llama-bpe",
    llama3_2: "llama-bpe",
    gpt2: "gpt-2",
    qwen2_5: "qwen2",
    qwen3: "qwen2",
    qwen1_5: "qwen2",
    mistral_nemo: "tekken",
    deepseek_v3: "deepseek-v3",
    gpt4o: "gpt-4o",
};
const packages = () =>
    readdirSync(join(peers, "node_modules/@lenml")).filter((name) => name.startsWith("tokenizer-"));
const folder_of = (name) => join(peers, "node_modules/@lenml", name, "models");

function compare_tokens(name, texts) {
    const source = join(folder_of(name), "tokenizer.json"),
        path = join(scratch, "vocab.gguf");
    const pre = pres[short(name)];
    run("python3", [
        join(here, "../gguf_from_tokenizer_json.py"),
        source,
        path,
        ...(pre ? ["--pre", pre] : []),
    ]);
    const input = texts.join("\0") + "\0",
        lines = (bytes) => bytes.toString().split("\n");
    const own = lines(ours("list_tokens", [path], input));
    const llama = lines(peer("peer_tokens.mjs", [path], input));
    const maker = lines(peer("maker_tokens.mjs", ["@lenml/" + name], input));
    const count = { llama: 0, maker: 0, either: 0 };
    texts.forEach((text, i) => {
        count.llama += own[i] === llama[i];
        count.maker += own[i] === maker[i];
        count.either += own[i] === llama[i] || own[i] === maker[i];
        if (own[i] !== llama[i])
            say(
                [
                    `${name}: ${JSON.stringify(text)}`,
                    `  enxame    ${own[i]}`,
                    `  llama.cpp ${llama[i]}`,
                    `  makers    ${maker[i]}`,
                ].join("\n"),
            );
    });
    return count;
}

function tokens() {
    const texts = hard_texts(),
        all = texts.length;
    console.log(
        `## Tokens\n\n${all} hard texts (all scripts, emoji, whitespace, numbers, code, names ` +
        `of control tokens) through real vocabularies, against llama.cpp reading the same file ` +
        `and against the encoder that the vocabulary came with (transformers.js). Where these ` +
        `two differ, enxame has to agree with one of them: llama.cpp replaces some expressions ` +
        `by simpler ones, the encoder has JavaScript's idea of white space.\n`,
    );
    console.log(
        "| vocabulary | as llama.cpp | as the makers' encoder | as one of them " +
        "|\n|---|---|---|---|",
    );
    for (const name of packages()) {
        const count = compare_tokens(name, texts);
        if (count.either < all) missed++;
        console.log(
            row_of([short(name), count.llama, count.maker, `${count.either} of ${all}`]),
        );
    }
    console.log("");
}

// ---- chat templates

function compare_templates(name, text, config) {
    const has_parts = /is string|is iterable/.test(text); /* others never see content in parts */
    const jobs = contexts(config).filter(
        (context) => has_parts || !Array.isArray(context.messages[0].content),
    );
    const input =
        jobs.map((context) => JSON.stringify({ template: text, context })).join("\n") + "\n";
    const [own, node, python] = [
        ours("render_templates", [], input),
        peer("peer_templates.mjs", [], input),
        run("python3", [join(here, "jinja2_templates.py")], input),
    ].map((bytes) =>
        bytes
            .toString()
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line)),
    );
    const count = { all: jobs.length, node: 0, python: 0, either: 0 };
    own.forEach((a, i) => {
        const [is_node, is_python] = [node[i], python[i]].map(
            (b) => a.text === b.text,
        ); /* none: both refuse */
        count.node += is_node;
        count.python += is_python;
        count.either += is_node || is_python;
        if (!is_node || !is_python)
            say(
                [
                    `${name} ${i}`,
                    `  enxame ${JSON.stringify(a)}`,
                    `  jinja  ${JSON.stringify(node[i])}`,
                    `  Jinja2 ${JSON.stringify(python[i])}`,
                ].join("\n"),
            );
    });
    return count;
}

function templates() {
    console.log(
        "## Chat templates\n\nThe templates of the same packages with up to 72 conversations " +
        "each (system, tools, calls, reasoning, parts, wrong roles), against " +
        "`@huggingface/jinja` and against Python's Jinja2 as transformers sets it up, which the" +
        " templates were written for. The same text, or a refusal on both sides.\n",
    );
    console.log(
        "| template | as @huggingface/jinja | as Jinja2 | as one of them |\n|---|---|---|---|",
    );
    for (const name of packages()) {
        const config = JSON.parse(
            readFileSync(join(folder_of(name), "tokenizer_config.json"), "utf8"),
        );
        if (typeof config.chat_template !== "string") continue;
        const count = compare_templates(name, config.chat_template, config);
        if (count.either < count.all) missed++;
        console.log(
            row_of([short(name), count.node, count.python, `${count.either} of ${count.all}`]),
        );
    }
    console.log("");
}

// ---- JSON Schema

function compare_schema(schema) {
    const file = join(scratch, "schema.json");
    writeFileSync(file, JSON.stringify(schema));
    const lines = ours("walk_schema", [file, walks]).toString().split("\n");
    const texts = lines.filter((line) => line).map((line) => JSON.parse(line));
    const input = JSON.stringify({ schema, texts }) + "\n";
    const verdicts = JSON.parse(peer("peer_schemas.mjs", [], input).toString());
    texts.forEach((text, i) => {
        if (!verdicts[i]) say(`${JSON.stringify(schema)}\n  invalid: ${text}`);
    });
    if (texts.length < walks / 2) say(`${JSON.stringify(schema)}\n  ${texts.length} texts only`);
    return { all: texts.length, valid: verdicts.filter((is_valid) => is_valid).length };
}

function schema() {
    console.log(
        "## JSON Schema\n\nTexts drawn by chance from the grammar of each schema " +
        "(`tools/conformance/schemas.mjs`), judged by Ajv with its formats.\n\n" +
        "| schemas | texts | valid |\n|---|---|---|",
    );
    const counts = schemas.map(compare_schema);
    const sum = (key) => counts.reduce((total, count) => total + count[key], 0);
    if (sum("valid") < sum("all")) missed++;
    console.log(row_of([schemas.length, sum("all"), sum("valid")]) + "\n");
}

console.log(
    "# Conformance\n\nMade by `make conformance`. enxame beside the programs that models are " +
    "made for: llama.cpp (npm `node-llama-cpp`), `@huggingface/jinja`, Ajv, and real " +
    "vocabularies (npm `@lenml/tokenizer-*`).\n",
);
const wanted = process.argv.slice(3);
for (const part of [logits, tokens, templates, schema])
    if (wanted.length === 0 || wanted.includes(part.name)) part();
rmSync(scratch, { recursive: true });
say(missed ? `${missed} goals missed` : "every goal met");
process.exit(missed ? 3 : 0); /* 1 is a crash */
