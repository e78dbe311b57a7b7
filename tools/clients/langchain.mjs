// SPDX-License-Identifier: Apache-2.0
import { ChatOpenAI } from "@langchain/openai";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { z } from "zod";
import { assert, chat, run, scripted, server, settles } from "./check.mjs";

const open = (model, more = {}) =>
  new ChatOpenAI({
    model,
    apiKey: "none",
    maxRetries: 0,
    configuration: { baseURL: `${server}/v1` },
    ...more,
  });
const weather = tool(async ({ city }) => `wind in ${city}`, {
  name: "get_weather",
  description: "the weather of a city",
  schema: z.object({ city: z.string() }),
});

await run("@langchain/openai", {
  chat: async () => {
    const answer = await open(scripted).invoke("say hello there");
    assert.equal(answer.content, "hello there");
    assert.ok(answer.usage_metadata.output_tokens > 0);
  },
  stream: async () => {
    let text = "";
    for await (const chunk of await open(scripted).stream("say one two three"))
      text += chunk.content;
    assert.equal(text, "one two three");
  },
  tools: async () => {
    const model = open(scripted).bindTools([weather]);
    const question = new HumanMessage('call get_weather {"city": "Bergen"}');
    const first = await model.invoke([question]);
    const [call] = first.tool_calls;
    const result = await weather.invoke(call);
    const second = await model.invoke([
      question,
      first,
      new ToolMessage({ content: result.content, tool_call_id: call.id }),
    ]);
    assert.equal(second.content, "the tool says wind in Bergen");
  },
  "structured output": async () => {
    const model = open(chat, { temperature: 0, maxTokens: 300 }).withStructuredOutput(
      z.object({ color: z.enum(["red", "blue"]) }),
      { name: "choice", method: "jsonSchema" },
    );
    assert.ok(["red", "blue"].includes((await model.invoke("which?")).color));
  },
  batch: async () => {
    const answers = await open(scripted).batch(["say a", "say b", "say c"]);
    assert.deepEqual(
      answers.map((answer) => answer.content),
      ["a", "b", "c"],
    );
  },
  errors: async () => {
    await assert.rejects(open("nobody").invoke("x"), (error) => error.status === 404);
  },
  cancel: async () => {
    const controller = new AbortController();
    const stream = await open(chat, { maxTokens: 900 }).stream("x", { signal: controller.signal });
    await stream.next();
    controller.abort();
    await assert.rejects(async () => {
      for await (const chunk of stream) void chunk;
    });
    await settles();
  },
});
