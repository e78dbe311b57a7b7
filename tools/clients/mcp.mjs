// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { assert, run } from "./check.mjs";

const folder = await mkdtemp(join(tmpdir(), "enxame-mcp-"));
const client = new Client({ name: "check", version: "1" });
await client.connect(
  new StdioClientTransport({
    command: process.env.ENXAME,
    args: ["mcp", "-s", process.env.ENXAME_SWARM],
    env: { ...process.env },
  }),
);
const lines = [
  "por quanto tempo o povo",
  "ola que tal amigo",
  "ela e a herdeira",
  "mais uma linha",
];

process.on("exit", () => client.close());
await run("@modelcontextprotocol/sdk", {
  tools: async () => {
    const { tools } = await client.listTools();
    assert.deepEqual(
      tools.map((tool) => tool.name),
      ["delegate", "map"],
    );
    await client.ping();
  },
  delegate: async () => {
    const path = join(folder, "in.txt");
    await writeFile(path, `${lines.join("\n")}\n`);
    const result = await client.callTool({
      name: "delegate",
      arguments: { goal: "put the accents back", files: [path] },
    });
    assert.equal(result.content[0].text.trim().split("\n").length, 4);
    assert.equal(result.structuredContent.state, "done");
    assert.ok(result.structuredContent.bill.total_usd > 0);
  },
  map: async () => {
    const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
    await writeFile(input, lines.map((text) => JSON.stringify({ text })).join("\n") + "\n");
    await client.callTool({
      name: "map",
      arguments: { goal: "put the accents back", input, output },
    });
    assert.equal((await readFile(output, "utf8")).trim().split("\n").length, 4);
  },
  errors: async () => {
    const result = await client.callTool({
      name: "delegate",
      arguments: { goal: "x", files: ["/nowhere"] },
    });
    assert.ok(result.isError);
    await assert.rejects(client.callTool({ name: "fly", arguments: {} }));
    await rm(folder, { recursive: true });
  },
});
