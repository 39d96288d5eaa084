// The README's first example, run as it stands: by Node with nothing but the built package, and by Deno where DENO names it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { readmeExamples } from "../readme.js";
import { Server } from "../server.js";

const folder = mkdtempSync(join(tmpdir(), "agent-ws-readme."));
const example = readmeExamples()[0]?.text ?? "";
let server: Server;
/** Plays the application's own server, which has the token. */
const application = createServer((_, response) => response.end(server.token("demo")));

before(async () => {
  server = await Server.start();
  await new Promise<void>((listening) => application.listen(0, "127.0.0.1", listening));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(resolve("."), join(folder, "node_modules/agent-websocket"));
  symlinkSync(resolve("node_modules/ws"), join(folder, "node_modules/ws"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  // An example has no address of its own: the service's is put in, and what a page takes from where it is.
  const { port } = application.address() as AddressInfo;
  const placed = example
    .replace("https://agent.example.com", server.url)
    .replace('fetch("/agent-token")', `fetch("http://127.0.0.1:${port}/agent-token")`);
  assert.ok(placed.includes(server.url) && placed.includes(String(port)));
  // The session that it leaves open would keep a program running.
  writeFileSync(join(folder, "example.mjs"), `${placed}client.reset();\n`);
  writeFileSync(join(folder, "socket.mjs"), 'import { WebSocket } from "ws";\nglobalThis.WebSocket ??= WebSocket;\n');
});
after(async () => {
  application.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

async function printed(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, [...args, "example.mjs"], { cwd: folder, timeout: 60_000 });
  return stdout;
}

test("the README's example is of ten lines or so, and prints the answer", async () => {
  assert.ok(example.trim().split("\n").length <= 11, example);
  assert.match(await printed(process.execPath, "--import", "./socket.mjs"), /What is a durable log\?/);
});

const deno = process.env["DENO"];
if (deno) {
  test("Deno runs it, too, with its own WebSocket", async () => {
    assert.match(await printed(deno, "run", "--no-lock", "--node-modules-dir=manual", "--allow-net", "--allow-read"), /What is a durable log\?/);
  });
}
