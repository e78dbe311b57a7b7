// SPDX-License-Identifier: Apache-2.0
// server.mjs - the server's part in tests of the page: its endpoints and headers (docs/api.md),
// with answers from a script and with recorded jobs.
//
//     node tests/web/server.mjs [PORT]          to look at the page by hand
//
// The last question chooses the answer: `script(question)` of answers.mjs gives its pieces.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { script } from "./answers.mjs";

const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const recorded = JSON.parse(readFileSync(file("data/restore.json"), "utf8"));

const FRAME_POLICY =
  "sandbox allow-scripts; default-src 'none'; " +
  "script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline'; " +
  "img-src data: blob:; font-src data:; media-src data: blob:; connect-src 'none'; " +
  "frame-ancestors 'self'";

// Where the hashes are those of the inline scripts, as the build of the server computes them.
export function pagePolicy(html) {
  const hashes = [...html.matchAll(/<script(?: type="module")?>([^]*?)<\/script>/g)].map(
    ([, text]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`,
  );
  return (
    "default-src 'none'; connect-src 'self'; img-src 'self' data: blob:; font-src data:; " +
    `media-src data: blob:; script-src ${hashes.join(" ")}; style-src 'unsafe-inline'; ` +
    "frame-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
  );
}

function info(options) {
  const price = { usd_per_mtok_in: 0.1, usd_per_mtok_out: 0.4, usd_per_mtok_cached: 0.01 };
  const base = { context_tokens: 8192, languages: [], requests: 0, running: 0, waiting: 0 };
  const swarm = recorded.detail.models.map((model) => ({
    ...base,
    ...model,
    kind: "local",
    tokens_per_s: null,
    can: ["complete"],
    languages: model.duty === "worker" ? [model.name.replace("restore-", "")] : [],
  }));
  return {
    version: "0.1.0",
    needs_key: Boolean(options.key),
    machines: true,
    swarm: { name: "restore", path: "models/swarm.yaml" },
    models: [
      {
        ...base,
        ...price,
        name: "writer",
        kind: "local",
        duty: "",
        params: 134515008,
        can: ["chat", "complete", "tools"],
        tokens_per_s: 61.3,
      },
      {
        ...base,
        name: "swarm",
        kind: "swarm",
        duty: "",
        params: 0,
        can: ["chat", "jobs"],
        usd_per_mtok_in: null,
        usd_per_mtok_out: null,
        tokens_per_s: null,
      },
      ...swarm,
    ],
    limits: { body_bytes: 16777216, streams: 1024, waiting: 256, tokens: 131072, seconds: 600 },
  };
}

// Two machines at work and one that is barred, as GET /enxame/v1/workers has them.
function crew() {
  const model = (name, fast) => ({
    digest: name.padEnd(64, "0"),
    name: `${name}.gguf`,
    tokens_in_per_s: 900 * fast,
    tokens_out_per_s: 310 * fast,
    calls: Math.round(400 * fast),
  });
  const worker = (name, host, fast, rest = {}) => ({
    worker: name,
    host,
    slots: 16,
    working: Math.round(9 * fast),
    done: Math.round(800 * fast),
    draining: false,
    trial: false,
    models: [model("restore-pt_BR", fast), model("restore-de", fast)],
    ...rest,
  });
  return {
    workers: [
      worker("ida-1", "ida", 1),
      worker("ida-2", "ida", 0.5, { draining: true }),
      worker("rosalind-1", "rosalind", 2.25),
      worker("x-1", "<b>x</b>", 0, { models: [] }),
    ],
    models: [
      { digest: "0".repeat(64), name: "restore-pt_BR.gguf", waiting: 120, running: 22 },
      { digest: "1".repeat(64), name: "restore-de.gguf", waiting: 0, running: 7 },
    ],
    barred: [{ worker: "x-1", state: "barred" }],
  };
}

// ---- Jobs: the recorded one, replayed; `times` over when a larger one is wanted -----------------

const PER_TASK = new Set(["item", "task"]);

function enlarge({ records, detail }, times) {
  if (times === 1) return { records, detail };
  const size = detail.items;
  const shift = (record, copy) => ({
    ...record,
    ...(record.task ? { task: record.task + copy * size } : {}),
    ...(record.item !== undefined ? { item: record.item + copy * size } : {}),
    ...(record.call ? { call: `${record.call}.${copy}` } : {}),
  });
  const many = records.flatMap((record) => {
    const isOfTask = [...PER_TASK].some((key) => record[key]);
    if (record.kind === "job_opened") return [{ ...record, items: size * times }];
    if (!isOfTask && record.item === undefined) return [record];
    return Array.from({ length: times }, (_, copy) => shift(record, copy));
  });
  const tasks = Array.from({ length: size * times }, (_, i) => ({
    task: i + 1,
    item: i,
    input: detail.tasks[i % size].input,
  }));
  return {
    records: many.map((record, i) => ({ ...record, seq: i + 1 })),
    detail: { ...detail, items: size * times, finished: size * times, tasks },
  };
}

function createJobs(options) {
  const jobs = new Map();
  const add = (fields, times = 1) => {
    const id = jobs.size + 1;
    const { records, detail } = enlarge(recorded, times);
    jobs.set(id, {
      id,
      records,
      detail: { ...detail, id, ...fields },
      state: "done",
      sent: Infinity,
    });
    return jobs.get(id);
  };
  add({});
  add({}, options.times ?? 21);
  const live = add({ finished: 0 });
  live.state = "running";
  live.sent = 0;
  return { jobs, add };
}

function listRow({ id, state, detail }) {
  const { tasks, models, plan, bill, ...row } = detail;
  return { ...row, id, state };
}

function detailOf(job) {
  const { detail, state } = job;
  const hasEnded = state === "done";
  return { ...detail, id: job.id, state, result: hasEnded ? { text: "O texto." } : null };
}

async function sendEvents(job, from, response, options) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  const send = (event) => response.write(event);
  if (job.state === "waiting") send(`event: state\ndata: {"state":"waiting"}\n\n`);
  for (const record of job.records) {
    if (record.seq <= from) continue;
    while (job.state === "waiting" && record.kind !== "job_opened") {
      await sleep(20);
      if (response.destroyed) return;
    }
    while (options.hold && record.seq > options.hold.at && !response.destroyed) await sleep(20);
    if (job.state === "canceled" || response.destroyed) break;
    send(`id: ${record.seq}\ndata: ${JSON.stringify(record)}\n\n`);
    if (record.seq > job.sent) {
      job.sent = record.seq;
      await sleep(options.recordMs ?? 4);
    }
  }
  if (job.state === "running") job.state = "done";
  response.end(`event: end\ndata: ${JSON.stringify({ state: job.state })}\n\n`);
}

// ---- Chat -------------------------------------------------------------------------------------

function chunk(delta, fields = {}) {
  const choice = { index: 0, delta, finish_reason: null };
  const { finish_reason, ...rest } = fields;
  if (finish_reason) choice.finish_reason = finish_reason;
  const value = { object: "chat.completion.chunk", choices: [choice], ...rest };
  return `data: ${JSON.stringify(value)}\n\n`;
}

async function sendAnswer(body, response, jobs, options) {
  const question = body.messages.at(-1).content;
  options.requests?.push(body);
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  if (body.model === "swarm") {
    const job = jobs.add({ goal: question.split("\n\n")[0] });
    Object.assign(job, { state: "running", sent: 0 });
    response.write(chunk({ role: "assistant" }, { enxame: { job: job.id } }));
    while (job.state === "running" && !response.destroyed) await sleep(20);
    const { plan, certificate, bill } = job.detail;
    response.write(chunk({ content: "O texto reparado." }));
    const enxame = { job: job.id, plan, certificate, bill };
    const usage = { prompt_tokens: 8616, completion_tokens: 4470 };
    return response.end(chunk({}, { finish_reason: "stop", usage, enxame }) + "data: [DONE]\n\n");
  }
  const { pieces, delayMs, calls } = script(question, body);
  let tokens = 0;
  for (const piece of pieces) {
    if (response.destroyed) return undefined;
    tokens++;
    response.write(chunk(calls ? { tool_calls: [{ index: 0, ...piece }] } : { content: piece }));
    if (delayMs) await sleep(delayMs);
  }
  const usage = {
    prompt_tokens: question.length >> 2,
    completion_tokens: tokens,
    prompt_tokens_details: { cached_tokens: 12 },
  };
  const enxame = { cost_usd: 0.0000012 * tokens, tokens_per_s: 61.3 };
  return response.end(chunk({}, { finish_reason: "stop", usage, enxame }) + "data: [DONE]\n\n");
}

// ---- Routes -----------------------------------------------------------------------------------

function readBody(request) {
  return new Promise((resolve) => {
    let text = "";
    request.on("data", (part) => (text += part));
    request.on("end", () => resolve(text ? JSON.parse(text) : {}));
  });
}

function sendJson(response, value, status = 200) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(value));
}

function sendError(response, status, message) {
  sendJson(response, { error: { message, type: "invalid_request_error", code: null } }, status);
}

function sendPage(response, name, policy) {
  const html = readFileSync(file(`../../web/dist/${name}`), "utf8");
  response.writeHead(200, {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Encoding": "gzip",
    "Content-Security-Policy": policy(html),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
  });
  response.end(gzipSync(html));
}

async function routeJob(request, response, jobs, [, id, action], url, options) {
  const job = jobs.jobs.get(Number(id));
  if (!job) return sendError(response, 404, `There is no job ${id}.`);
  if (request.method === "DELETE") {
    job.state = "canceled";
    return sendJson(response, { id: job.id, state: "canceled" });
  }
  if (action === "approve") {
    job.state = "running";
    return sendJson(response, { id: job.id, state: "running" }, 202);
  }
  if (action === "events") {
    return sendEvents(job, Number(url.searchParams.get("from") ?? 0), response, options);
  }
  return sendJson(response, detailOf(job));
}

async function route(request, response, jobs, options) {
  const url = new URL(request.url, "http://localhost");
  const { pathname } = url;
  if (pathname === "/") return sendPage(response, "index.html", pagePolicy);
  if (pathname === "/artifact") return sendPage(response, "artifact.html", () => FRAME_POLICY);
  if (options.key && request.headers.authorization !== `Bearer ${options.key}`) {
    return sendError(response, 401, "This server wants a key.");
  }
  if (pathname === "/enxame/v1/info") return sendJson(response, info(options));
  if (pathname === "/enxame/v1/workers") return sendJson(response, crew());
  if (pathname === "/v1/chat/completions") {
    return sendAnswer(await readBody(request), response, jobs, options);
  }
  if (pathname === "/enxame/v1/jobs" && request.method === "POST") {
    const body = await readBody(request);
    const job = jobs.add({ goal: body.goal, finished: 0 });
    Object.assign(job, { state: body.approve ? "waiting" : "running", sent: 0 });
    return sendJson(response, { id: job.id }, 201);
  }
  if (pathname === "/enxame/v1/jobs") {
    return sendJson(response, { jobs: [...jobs.jobs.values()].map(listRow).reverse() });
  }
  const parts = /^\/enxame\/v1\/jobs\/(\d+)(?:\/(\w+))?$/.exec(pathname);
  if (parts) return routeJob(request, response, jobs, parts, url, options);
  return sendError(response, 404, `There is nothing at ${pathname}.`);
}

// options: key; requests, an array that gets the bodies of chats; recordMs, between records;
// times, the size of job 2; hold {at}: no record after that number is sent until `at` grows
export function startServer(options = {}, port = 0) {
  const jobs = createJobs(options);
  const server = createServer((request, response) =>
    route(request, response, jobs, options).catch((error) => {
      if (!response.headersSent) sendError(response, 500, error.message);
      else response.destroy();
    }),
  );
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const url = `http://127.0.0.1:${server.address().port}`;
      const close = () => (server.closeAllConnections(), server.close());
      resolve({ url, jobs, close });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log((await startServer({}, Number(process.argv[2] ?? 8088))).url);
}
