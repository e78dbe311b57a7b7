// SPDX-License-Identifier: Apache-2.0
// endpoint.mjs - an OpenAI-compatible endpoint that says what it is told to, for tests of clients.
//
//     node endpoint.mjs PORT
//
// The last message of the user is a script, one directive a line: `say TEXT`, `think TEXT`,
// `call NAME JSON`, `wait MS`, `fail STATUS`.  Without a directive it says the message back.  After
// a tool's result it says that.

import { createServer } from "node:http";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function textOf(content) {
  return typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
}

function* words(text) {
  for (const match of text.matchAll(/\S+\s*/g)) yield match[0];
}

async function* perform(script) {
  const lines = script.split("\n");
  const known = /^(say|think|call|wait|fail)\b/;
  if (!lines.some((line) => known.test(line))) {
    yield* words(script);
    return;
  }
  for (const line of lines) {
    const [, verb, rest] = line.match(/^(\w+) ?(.*)$/) ?? [];
    if (verb === "say") yield* words(rest);
    if (verb === "think") yield `<think>${rest}</think>`;
    if (verb === "wait") await sleep(Number(rest));
    if (verb === "call") {
      const [, name, json] = rest.match(/^(\S+) (.*)$/);
      yield `<tool_call>\n{"name": "${name}", "arguments": ${json}}\n</tool_call>`;
    }
  }
}

function scriptOf(messages) {
  const last = messages.at(-1);
  const text = textOf(last?.content ?? "");
  const result = text.match(/^<tool_response>\n([\s\S]*)\n<\/tool_response>$/);
  return result ? `say the tool says ${result[1].replaceAll("\n", " ")}` : text;
}

function chunk(delta, finish = null) {
  return {
    id: "x",
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason: finish }],
  };
}

async function answer(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = JSON.parse(Buffer.concat(parts).toString());
  const script = scriptOf(body.messages);
  const refusal = script.match(/^fail (\d+)/m);
  if (refusal) {
    response.writeHead(Number(refusal[1]), { "content-type": "application/json" });
    response.end(JSON.stringify({ error: { message: "as told", type: "told" } }));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (object) => response.write(`data: ${JSON.stringify(object)}\n\n`);
  let count = 0;
  for await (const word of perform(script)) {
    if (response.destroyed) return;
    send(chunk({ content: word }));
    count += 1;
  }
  send(chunk({}, "stop"));
  const read = Math.ceil(JSON.stringify(body.messages).length / 4);
  send({
    id: "x",
    object: "chat.completion.chunk",
    choices: [],
    usage: { prompt_tokens: read, completion_tokens: count, total_tokens: read + count },
  });
  response.end("data: [DONE]\n\n");
}

createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
}).listen(Number(process.argv[2]), "127.0.0.1");
