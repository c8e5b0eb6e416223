// Asks `clerk-access mcp` with the official TypeScript client, and compares with what the commands answer.
//
// usage: node ask.mjs PROGRAM FOLDER

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [program, folder] = process.argv.slice(2);

function run(...command) {
  const { stdout } = spawnSync(program, ["--url", folder, ...command], { maxBuffer: 2 ** 30 });
  return JSON.parse(stdout);
}

async function answered(client, name, options) {
  const result = await client.callTool({ name, arguments: options });
  assert.ok(!result.isError, JSON.stringify(result));
  assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
  return result.structuredContent;
}

const client = new Client({ name: "clerk-access-client", version: "0" });
await client.connect(new StdioClientTransport({ command: program, args: ["--url", folder, "mcp"] }));

const { tools } = await client.listTools();
assert.equal(tools.length, 10);
assert.ok(tools.every((tool) => tool.annotations.readOnlyHint));

const holder = run("holders").holders[0];
const [person, organization] = [holder.user.id, holder.organization.id];
const permission = "org:sys_memberships:manage";
const questions = [
  ["who", { person }, ["who", person]],
  ["can", { permission, in: organization }, ["can", permission, "--in", organization]],
  ["holders", { role: "org:admin" }, ["holders", "--role", "org:admin"]],
  ["access", { in: organization }, ["access", "--in", organization]],
  ["diff", {}, ["diff"]],
  ["history", { id: organization }, ["history", organization]],
  ["findings", {}, ["findings"]],
  ["stats", {}, ["stats"]],
  ["verify", {}, ["verify"]],
  ["snapshots", {}, ["snapshots"]],
];
// All at once: each gets its own answer.
await Promise.all(
  questions.map(async ([name, options, command]) => {
    const expected = { ...run(...command), command, next_cursor: null };
    assert.deepEqual(await answered(client, name, { ...options, limit: 1000 }), expected, name);
  }),
);
assert.deepEqual(questions.map(([name]) => name).sort(), tools.map((tool) => tool.name).sort());

const rows = [];
let cursor;
do {
  const page = await answered(client, "holders", { limit: 50, ...(cursor && { cursor }) });
  rows.push(...page.holders);
  cursor = page.next_cursor;
} while (cursor);
assert.deepEqual(rows, run("holders").holders);

const refused = await client.callTool({ name: "who", arguments: { person: "a", key: "b" } });
assert.ok(refused.isError && refused.structuredContent.errorMessage.includes('"key"'));

const { resources } = await client.listResources();
for (const { uri, mimeType } of resources) {
  const { contents } = await client.readResource({ uri });
  assert.equal(contents[0].mimeType, mimeType);
  JSON.parse(contents[0].text);
}
await client.close();
