// SPDX-License-Identifier: Apache-2.0
import {
  Agent,
  OpenAIChatCompletionsModel,
  OpenAIResponsesModel,
  Runner,
  setTracingDisabled,
  tool,
} from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { assert, run, scripted, server } from "./check.mjs";

setTracingDisabled(true);
const client = new OpenAI({ baseURL: `${server}/v1`, apiKey: "none", maxRetries: 0 });
const weather = tool({
  name: "get_weather",
  description: "the weather of a city",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `heat in ${city}`,
});
const agent = (model) =>
  new Agent({ name: "helper", instructions: "answer", model, tools: [weather] });
const runner = new Runner();
const script = 'call get_weather {"city": "Evora"}';

await run("@openai/agents", {
  "tools, by chat": async () => {
    const result = await runner.run(
      agent(new OpenAIChatCompletionsModel(client, scripted)),
      script,
    );
    assert.equal(result.finalOutput, "the tool says heat in Evora");
  },
  "tools, by responses": async () => {
    const result = await runner.run(agent(new OpenAIResponsesModel(client, scripted)), script);
    assert.equal(result.finalOutput, "the tool says heat in Evora");
  },
  "stream, by chat": async () => {
    const result = await runner.run(
      agent(new OpenAIChatCompletionsModel(client, scripted)),
      "say one two",
      { stream: true },
    );
    let text = "";
    for await (const part of result.toTextStream()) text += part;
    await result.completed;
    assert.equal(text, "one two");
  },
  "stream, by responses": async () => {
    const result = await runner.run(agent(new OpenAIResponsesModel(client, scripted)), script, {
      stream: true,
    });
    let text = "";
    for await (const part of result.toTextStream()) text += part;
    await result.completed;
    assert.equal(text, "the tool says heat in Evora");
  },
});
