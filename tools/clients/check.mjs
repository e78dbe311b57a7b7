// SPDX-License-Identifier: Apache-2.0
// check.mjs - a table of checks: what each client does, and whether it went as it should.

import assert from "node:assert/strict";

export const server = process.env.ENXAME_URL;
export const scripted = "scripted";
export const chat = "chat";
export { assert };

const TIMEOUT_MS = 30000;

// Run every check of one client and print a line each: CLIENT, WHAT, ok or why not.
export async function run(client, checks) {
  let failed = 0;
  for (const [what, check] of Object.entries(checks)) {
    let timer;
    const late = new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error("took too long")), TIMEOUT_MS);
    });
    try {
      await Promise.race([check(), late]);
      console.log(`${client}\t${what}\tok`);
    } catch (error) {
      failed += 1;
      const why = String(error?.stack ?? error)
        .replaceAll(/\s+/g, " ")
        .slice(0, 600);
      console.log(`${client}\t${what}\tFAILED: ${why}`);
    }
    clearTimeout(timer);
  }
  process.exit(failed ? 1 : 0);
}

export const weather = {
  name: "get_weather",
  description: "the weather of a city",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};

export const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 8 },
    age: { type: "integer", minimum: 0, maximum: 120 },
  },
  required: ["name", "age"],
  additionalProperties: false,
};

export async function openTurns() {
  const response = await fetch(`${server}/metrics`);
  return Number((await response.text()).match(/^enxame_turns_open (\d+)$/m)[1]);
}

// The server has nothing to do any more: what was left is given up.
export async function settles() {
  for (let i = 0; i < 200; i++) {
    if ((await openTurns()) === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail("a turn is still open");
}
