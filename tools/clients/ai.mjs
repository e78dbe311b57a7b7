// SPDX-License-Identifier: Apache-2.0
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { z } from "zod";
import { assert, chat, run, scripted, server, settles } from "./check.mjs";

const provider = createOpenAICompatible({
  name: "enxame",
  baseURL: `${server}/v1`,
  supportsStructuredOutputs: true,
  includeUsage: true,
});
const weather = tool({
  description: "the weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `snow in ${city}`,
});

await run("ai", {
  chat: async () => {
    const { text, usage } = await generateText({
      model: provider(scripted),
      prompt: "say hello there",
    });
    assert.equal(text, "hello there");
    assert.ok(usage.outputTokens > 0);
  },
  stream: async () => {
    const result = streamText({ model: provider(scripted), prompt: "say one two three" });
    let text = "";
    for await (const part of result.textStream) text += part;
    assert.equal(text, "one two three");
    assert.ok((await result.usage).outputTokens > 0);
  },
  thought: async () => {
    const { reasoningText, text } = await generateText({
      model: provider(scripted),
      prompt: "think hard\nsay done",
    });
    assert.equal(reasoningText, "hard");
    assert.equal(text, "done");
  },
  tools: async () => {
    const { text } = await generateText({
      model: provider(scripted),
      tools: { get_weather: weather },
      stopWhen: stepCountIs(3),
      prompt: 'call get_weather {"city": "Oslo"}',
    });
    assert.match(text, /snow in Oslo/);
  },
  "structured output": async () => {
    const { output } = await generateText({
      model: provider(chat),
      prompt: "who?",
      temperature: 0,
      maxOutputTokens: 300,
      output: Output.object({
        schema: z.object({ name: z.enum(["ana", "rui"]), age: z.number().int().min(0).max(99) }),
      }),
    });
    assert.ok(["ana", "rui"].includes(output.name) && Number.isInteger(output.age));
  },
  errors: async () => {
    await assert.rejects(
      generateText({ model: provider("nobody"), prompt: "x", maxRetries: 0 }),
      (error) => error.statusCode === 404,
    );
  },
  cancel: async () => {
    const controller = new AbortController();
    const result = streamText({
      model: provider(chat),
      prompt: "x",
      maxOutputTokens: 900,
      abortSignal: controller.signal,
      onError: () => {},
    });
    for await (const part of result.textStream) if (part) break;
    controller.abort();
    await settles();
  },
});
