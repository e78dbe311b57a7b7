// SPDX-License-Identifier: Apache-2.0
import OpenAI, { toFile } from "openai";
import { assert, chat, person, run, scripted, server, settles, weather } from "./check.mjs";

const client = new OpenAI({ baseURL: `${server}/v1`, apiKey: "none", maxRetries: 0 });
const user = (content) => [{ role: "user", content }];

await run("openai", {
  models: async () => {
    const ids = (await client.models.list()).data.map((model) => model.id);
    assert.ok(ids.includes(chat) && ids.includes(scripted));
    assert.equal((await client.models.retrieve(chat)).id, chat);
  },
  chat: async () => {
    const answer = await client.chat.completions.create({
      model: scripted,
      messages: user("say hello there"),
    });
    assert.equal(answer.choices[0].message.content, "hello there");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.ok(answer.usage.total_tokens > 0);
  },
  "chat, a local model": async () => {
    const answer = await client.chat.completions.create({
      model: chat,
      messages: user("hi"),
      max_tokens: 12,
      n: 2,
      seed: 3,
      logprobs: true,
      top_logprobs: 3,
    });
    assert.equal(answer.choices.length, 2);
    assert.ok(answer.choices[0].logprobs.content.length > 0);
    assert.equal(answer.choices[0].logprobs.content[0].top_logprobs.length, 3);
    assert.ok(answer.usage.completion_tokens > 2 && answer.usage.completion_tokens <= 24);
  },
  seed: async () => {
    const ask = () =>
      client.chat.completions.create({
        model: chat,
        messages: user("hi"),
        max_tokens: 20,
        seed: 7,
      });
    const [a, b] = [await ask(), await ask()];
    assert.equal(a.choices[0].message.content, b.choices[0].message.content);
  },
  stream: async () => {
    let text = "",
      usage = null,
      chunks = 0;
    const stream = await client.chat.completions.create({
      model: scripted,
      messages: user("say one two three"),
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
      chunks += 1;
    }
    assert.equal(text, "one two three");
    assert.ok(chunks >= 5 && usage.completion_tokens === 3);
  },
  stop: async () => {
    const answer = await client.chat.completions.create({
      model: scripted,
      messages: user("say a b STOP c"),
      stop: ["STOP"],
    });
    assert.equal(answer.choices[0].message.content, "a b ");
  },
  thought: async () => {
    const answer = await client.chat.completions.create({
      model: scripted,
      messages: user("think hard\nsay done"),
    });
    assert.equal(answer.choices[0].message.reasoning_content, "hard");
    assert.equal(answer.choices[0].message.content, "done");
  },
  tools: async () => {
    const messages = user('call get_weather {"city": "Porto"}');
    const tools = [{ type: "function", function: weather }];
    const first = await client.chat.completions.create({ model: scripted, messages, tools });
    const [call] = first.choices[0].message.tool_calls;
    assert.equal(first.choices[0].finish_reason, "tool_calls");
    assert.deepEqual(JSON.parse(call.function.arguments), { city: "Porto" });
    messages.push(first.choices[0].message, {
      role: "tool",
      tool_call_id: call.id,
      content: "sun",
    });
    const second = await client.chat.completions.create({ model: scripted, messages, tools });
    assert.equal(second.choices[0].message.content, "the tool says sun");
  },
  "tools, streamed by the runner": async () => {
    const runner = client.chat.completions.runTools({
      model: scripted,
      stream: true,
      messages: user('call get_weather {"city": "Faro"}'),
      tools: [
        {
          type: "function",
          function: { ...weather, parse: JSON.parse, function: ({ city }) => `rain in ${city}` },
        },
      ],
    });
    assert.equal(await runner.finalContent(), "the tool says rain in Faro");
  },
  "tools, forced on a local model": async () => {
    const answer = await client.chat.completions.create({
      model: chat,
      messages: user("weather?"),
      max_tokens: 400,
      temperature: 0,
      tools: [
        {
          type: "function",
          function: {
            ...weather,
            parameters: {
              ...weather.parameters,
              properties: { city: { enum: ["Porto", "Faro"] } },
            },
          },
        },
      ],
      tool_choice: { type: "function", function: { name: "get_weather" } },
    });
    const [call] = answer.choices[0].message.tool_calls;
    assert.equal(call.function.name, "get_weather");
    assert.ok(["Porto", "Faro"].includes(JSON.parse(call.function.arguments).city));
  },
  "structured output": async () => {
    const answer = await client.chat.completions.parse({
      model: chat,
      messages: user("who?"),
      max_tokens: 400,
      temperature: 0,
      response_format: {
        type: "json_schema",
        json_schema: { name: "person", schema: person, strict: true },
      },
    });
    const read = JSON.parse(answer.choices[0].message.content);
    assert.equal(typeof read.name, "string");
    assert.ok(Number.isInteger(read.age) && read.age <= 120);
  },
  completions: async () => {
    const answer = await client.completions.create({
      model: chat,
      prompt: "abc",
      max_tokens: 5,
      echo: true,
    });
    assert.ok(answer.choices[0].text.startsWith("abc"));
  },
  responses: async () => {
    const answer = await client.responses.create({
      model: scripted,
      instructions: "be brief",
      input: "say good day",
    });
    assert.equal(answer.output_text, "good day");
    assert.equal(answer.status, "completed");
  },
  "responses, streamed": async () => {
    const types = [];
    let text = "";
    const stream = client.responses.stream({ model: scripted, input: "say one two" });
    for await (const event of stream) {
      types.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.equal(text, "one two");
    assert.equal(types.at(-1), "response.completed");
    assert.equal((await stream.finalResponse()).output_text, "one two");
  },
  "responses, tools": async () => {
    const answer = await client.responses.create({
      model: scripted,
      input: 'call get_weather {"city": "Beja"}',
      tools: [{ type: "function", ...weather, strict: true }],
    });
    const call = answer.output.find((item) => item.type === "function_call");
    assert.deepEqual(JSON.parse(call.arguments), { city: "Beja" });
    const next = await client.responses.create({
      model: scripted,
      tools: [{ type: "function", ...weather, strict: true }],
      input: [
        { role: "user", content: "?" },
        call,
        { type: "function_call_output", call_id: call.call_id, output: "fog" },
      ],
    });
    assert.equal(next.output_text, "the tool says fog");
  },
  batch: async () => {
    const line = (id) =>
      JSON.stringify({
        custom_id: id,
        method: "POST",
        url: "/v1/chat/completions",
        body: { model: scripted, messages: user(`say ${id}`) },
      });
    const lines = Array.from({ length: 9 }, (_, i) => line(`n${i}`));
    const file = await client.files.create({
      purpose: "batch",
      file: await toFile(Buffer.from(lines.join("\n")), "in.jsonl"),
    });
    let batch = await client.batches.create({
      input_file_id: file.id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    });
    while (!["completed", "failed"].includes(batch.status)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      batch = await client.batches.retrieve(batch.id);
    }
    assert.equal(batch.request_counts.completed, 9);
    const output = await (await client.files.content(batch.output_file_id)).text();
    for (const row of output
      .trim()
      .split("\n")
      .map((text) => JSON.parse(text)))
      assert.equal(row.response.body.choices[0].message.content, row.custom_id);
    await client.files.delete(batch.output_file_id);
  },
  errors: async () => {
    await assert.rejects(
      client.chat.completions.create({ model: "nobody", messages: user("x") }),
      OpenAI.NotFoundError,
    );
    await assert.rejects(
      client.chat.completions.create({ model: chat, messages: [] }),
      OpenAI.BadRequestError,
    );
    await assert.rejects(
      client.chat.completions.create({ model: chat, messages: user("x"), temperature: 9 }),
      (error) => error.status === 400 && /temperature/.test(error.message),
    );
    await assert.rejects(
      client.embeddings.create({ model: chat, input: "x" }),
      OpenAI.BadRequestError,
    );
    await assert.rejects(
      client.chat.completions.create({ model: scripted, messages: user("fail 400") }),
      OpenAI.APIError,
    );
  },
  cancel: async () => {
    const stream = await client.chat.completions.create({
      model: chat,
      messages: user("x"),
      max_tokens: 900,
      stream: true,
    });
    for await (const chunk of stream) if (chunk.choices.length) break;
    stream.controller.abort();
    await settles();
    const controller = new AbortController();
    const whole = client.chat.completions.create(
      { model: chat, messages: user("x"), max_tokens: 900, n: 4 },
      { signal: controller.signal },
    );
    setTimeout(() => controller.abort(), 30);
    await assert.rejects(whole, OpenAI.APIUserAbortError);
    await settles();
  },
});
