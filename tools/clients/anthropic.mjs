// SPDX-License-Identifier: Apache-2.0
import Anthropic from "@anthropic-ai/sdk";
import { assert, chat, run, scripted, server, settles, weather } from "./check.mjs";

const client = new Anthropic({ baseURL: server, apiKey: "none", maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const tools = [
  { name: weather.name, description: weather.description, input_schema: weather.parameters },
];

await run("@anthropic-ai/sdk", {
  chat: async () => {
    const answer = await client.messages.create({
      model: scripted,
      max_tokens: 50,
      system: "be kind",
      messages: user("say hello there"),
    });
    assert.equal(answer.content[0].text, "hello there");
    assert.equal(answer.stop_reason, "end_turn");
    assert.ok(answer.usage.input_tokens > 0);
  },
  "chat, a local model": async () => {
    const answer = await client.messages.create({
      model: chat,
      max_tokens: 7,
      messages: user("hi"),
    });
    assert.equal(answer.stop_reason, "max_tokens");
    assert.equal(answer.usage.output_tokens, 7);
  },
  stream: async () => {
    const types = new Set();
    const stream = client.messages.stream({
      model: scripted,
      max_tokens: 50,
      messages: user("say one two three"),
    });
    stream.on("streamEvent", (event) => types.add(event.type));
    assert.equal(await stream.finalText(), "one two three");
    for (const type of [
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ])
      assert.ok(types.has(type), type);
  },
  thought: async () => {
    const message = await client.messages
      .stream({ model: scripted, max_tokens: 50, messages: user("think about it\nsay done") })
      .finalMessage();
    assert.deepEqual(
      message.content.map((block) => block.type),
      ["thinking", "text"],
    );
    assert.equal(message.content[0].thinking, "about it");
    assert.equal(message.content[1].text, "done");
  },
  stop: async () => {
    const answer = await client.messages.create({
      model: scripted,
      max_tokens: 50,
      stop_sequences: ["STOP"],
      messages: user("say a STOP b"),
    });
    assert.equal(answer.stop_reason, "stop_sequence");
    assert.equal(answer.stop_sequence, "STOP");
  },
  tools: async () => {
    const messages = user('say wait\ncall get_weather {"city": "Porto"}');
    const first = await client.messages.create({
      model: scripted,
      max_tokens: 50,
      messages,
      tools,
    });
    const use = first.content.find((block) => block.type === "tool_use");
    assert.equal(first.stop_reason, "tool_use");
    assert.deepEqual(use.input, { city: "Porto" });
    messages.push(
      { role: "assistant", content: first.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "sun" }] },
    );
    const second = await client.messages.create({
      model: scripted,
      max_tokens: 50,
      messages,
      tools,
    });
    assert.equal(second.content[0].text, "the tool says sun");
  },
  "tools, streamed": async () => {
    const message = await client.messages
      .stream({
        model: scripted,
        max_tokens: 50,
        tools,
        messages: user('call get_weather {"city": "Faro"}\ncall get_weather {"city": "Beja"}'),
      })
      .finalMessage();
    assert.deepEqual(
      message.content.map((block) => block.input?.city),
      ["Faro", "Beja"],
    );
  },
  "count tokens": async () => {
    const short = await client.messages.countTokens({ model: chat, messages: user("hi") });
    const long = await client.messages.countTokens({ model: chat, messages: user("hi there") });
    assert.equal(long.input_tokens - short.input_tokens, 6); // its vocabulary is bytes
  },
  errors: async () => {
    await assert.rejects(
      client.messages.create({ model: "nobody", max_tokens: 5, messages: user("x") }),
      Anthropic.NotFoundError,
    );
    await assert.rejects(
      client.messages.create({
        model: chat,
        max_tokens: 5,
        messages: [{ role: "robot", content: "x" }],
      }),
      (error) => error.status === 400 && error.error.error.type === "invalid_request_error",
    );
  },
  cancel: async () => {
    const stream = client.messages.stream({ model: chat, max_tokens: 900, messages: user("x") });
    stream.on("text", () => stream.abort());
    await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
    await settles();
  },
});
