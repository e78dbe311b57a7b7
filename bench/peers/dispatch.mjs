// SPDX-License-Identifier: Apache-2.0
// dispatch.mjs - the tasks of `enxame bench swarm` through other people's programs.
//
//     npm install --prefix DIR @langchain/langgraph @langchain/core @langchain/openai \
//         ai @ai-sdk/openai-compatible
//     bench/peers/dispatch DIR build          runs all of them, and writes a CSV
//
// Each task is one streamed chat completion from an endpoint on 127.0.0.1 that answers at once, so
// many at a time; what is measured is the peer itself.  Arguments: NAME PORT TASKS AT_ONCE, where
// NAME is `langgraph` (a graph with a node for each task, sent out by Send, state in memory),
// `ai-sdk` (streamText) or `fetch` (no library at all).
const [, , name, port, tasks, atOnce] = process.argv;
const count = Number(tasks), limit = Number(atOnce);
const url = `http://127.0.0.1:${port}/v1`;
const latencies = [];

async function timed(call) {
  const start = performance.now();
  const text = await call();
  latencies.push(performance.now() - start);
  if (text !== "Olá") throw new Error(`${name}: an answer is ${text}`);
  return text;
}

// So many calls at a time, each taking the next task when it is free.
async function pool(call) {
  let next = 0;
  const run = async () => { while (next++ < count) await timed(call); };
  await Promise.all(Array.from({ length: limit }, run));
}

async function viaFetch() {
  const body = JSON.stringify({ model: "m", stream: true,
    messages: [{ role: "user", content: "Say ok." }] });
  const headers = { "content-type": "application/json" };
  const call = async () => {
    const answer = await fetch(`${url}/chat/completions`, { method: "POST", headers, body });
    const lines = (await answer.text()).split("\n").filter((line) => line.startsWith("data: {"));
    return lines.map((line) => JSON.parse(line.slice(6)).choices[0]?.delta.content ?? "").join("");
  };
  await pool(call);
}

async function viaAiSdk() {
  const { streamText } = await import("ai");
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
  const model = createOpenAICompatible({ name: "echo", baseURL: url, apiKey: "none" })("m");
  await pool(async () => {
    let text = "";
    for await (const part of streamText({ model, prompt: "Say ok.", maxRetries: 0 }).textStream)
      text += part;
    return text;
  });
}

async function viaLangGraph() {
  const { Annotation, END, MemorySaver, Send, START, StateGraph } =
    await import("@langchain/langgraph");
  const { ChatOpenAI } = await import("@langchain/openai");
  const model = new ChatOpenAI({ model: "m", apiKey: "none", streaming: true, maxRetries: 0,
    configuration: { baseURL: url } });
  const state = Annotation.Root({
    answers: Annotation({ reducer: (a, b) => a.concat(b), default: () => [] }),
  });
  // invoke() would count tokens by a table that it fetches from the network.
  const call = async () => {
    let text = "";
    for await (const part of await model.stream("Say ok.")) text += part.content;
    return text;
  };
  const work = async () => ({ answers: [await timed(call)] });
  const graph = new StateGraph(state)
    .addNode("work", work)
    .addConditionalEdges(START,
      () => Array.from({ length: count }, (_, i) => new Send("work", { i })))
    .addEdge("work", END)
    .compile({ checkpointer: new MemorySaver() });
  const done = await graph.invoke({ answers: [] },
    { configurable: { thread_id: "1" }, maxConcurrency: limit });
  if (done.answers.length !== count) throw new Error(`${done.answers.length} answers`);
}

const start = performance.now(), cpu = process.cpuUsage();
await { fetch: viaFetch, "ai-sdk": viaAiSdk, langgraph: viaLangGraph }[name]();
const seconds = (performance.now() - start) / 1000, used = process.cpuUsage(cpu);
latencies.sort((a, b) => a - b);
const at = (share) => latencies[Math.min(count - 1, Math.floor(count * share))].toFixed(2);
const rss = process.resourceUsage().maxRSS / 1000;
console.log([name, count, limit, (count / seconds).toFixed(0), at(0.5), at(0.99), rss.toFixed(0),
  ((used.user + used.system) / count).toFixed(0)].join(","));
