// The real program with a database of its own, a model that says what a test wants, and the ways to disturb both.

import { spawn, execFile } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";

const BINARY = resolve(process.env.AGENT_WEBSOCKET ?? "../target/debug/agent-websocket");

/** `agent-websocket dev`, on ports that stay the same when it is started again. */
export class Server {
  #folder = mkdtempSync(join(tmpdir(), "agent-ws-page."));
  #process = null;
  #log = "";

  static async start(provider, settings = {}) {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: cargo build, or name it in AGENT_WEBSOCKET`);
    const server = new Server();
    // As root, Postgres runs as another user, who else would find no way in and leave its data elsewhere.
    chmodSync(server.#folder, 0o755);
    const [port, admin] = [await freePort(), await freePort()];
    server.base = `http://127.0.0.1:${port}`;
    server.admin = `http://127.0.0.1:${admin}`;
    server.port = port;
    server.settings = {
      PATH: process.env.PATH ?? "",
      BIND_ADDR: `127.0.0.1:${port}`,
      ADMIN_BIND_ADDR: `127.0.0.1:${admin}`,
      DATA_DIR: server.#folder,
      OPENROUTER_BASE_URL: provider.base,
      MODEL: "house/calm",
      ALLOWED_MODELS: "house/calm,house/swift",
      // So that what a killed process left is taken over while a test waits.
      LEASE_MS: "2000",
      REAPER_INTERVAL_MS: "500",
      // What a test does in a second is no attack.
      RATE_LIMIT_PER_MINUTE: "0",
      CONNECTIONS_PER_MINUTE_PER_ADDRESS: "0",
      MAX_CONNECTIONS_PER_USER: "0",
      ...settings,
    };
    await server.run();
    return server;
  }

  /** Starts the process, with the database of before. */
  async run() {
    const child = spawn(BINARY, ["dev"], { env: this.settings, stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    this.#log = "";
    await new Promise((ready, fail) => {
      const heard = (text) => {
        this.#log += text;
        if (this.#log.includes("Agent WebSocket is ready")) ready();
      };
      child.stdout.on("data", heard);
      child.stderr.on("data", heard);
      child.on("exit", () => fail(new Error(`The server ended:\n${this.#log}`)));
    });
  }

  /** As a crash would: no farewell. */
  async kill(signal = "SIGKILL") {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  async stop() {
    await this.kill("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  /** The address that `dev` printed for a person: of the page, or the inspector's. */
  printed(name) {
    return new RegExp(`^ *${name} +(http\\S+)`, "m").exec(this.#log)?.[1] ?? "";
  }

  /** A token of `user` that ends in so many seconds. */
  token(user, seconds = 3600, more = {}) {
    const now = Math.floor(Date.now() / 1000);
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, iat: now, exp: now + seconds, jti: randomUUID(), ...more })}`;
    const secret = readFileSync(join(this.#folder, "jwt-secret"), "utf8").trim();
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  }

  /** Runs a statement with psql, as another service would. */
  async psql(sql) {
    const url = readFileSync(join(this.#folder, "database-url"), "utf8").trim();
    const { stdout } = await promisify(execFile)(psqlProgram(), ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url, "-c", sql]);
    return stdout.trim();
  }
}

/** Debian has it in PATH, and of each version where few look. */
function psqlProgram() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const debian = "/usr/lib/postgresql";
  if (existsSync(debian)) folders.push(...readdirSync(debian).map((version) => join(debian, version, "bin")));
  return folders.map((folder) => join(folder, "psql")).find(existsSync) ?? "psql";
}

/** A chat-completions server: what it answers is said beforehand, by the question. */
export class Provider {
  #server = createHttpServer((request, response) => void this.#answer(request, response).catch(() => response.destroy()));
  #scripts = new Map();

  static async start() {
    const provider = new Provider();
    provider.#server.listen(0, "127.0.0.1");
    await once(provider.#server, "listening");
    provider.base = `http://127.0.0.1:${provider.#server.address().port}/v1`;
    return provider;
  }

  /**
   * Answers `question` with `text`. With `holdAt` it stops after so many characters until `release` is called; `begun` is
   * resolved once it has stopped there. With `status` it refuses instead.
   */
  will(question, text, { holdAt, status } = {}) {
    const script = { text, holdAt, status };
    script.begun = new Promise((done) => (script.stopped = done));
    script.gate = new Promise((done) => (script.release = done));
    this.#scripts.set(question, script);
    return script;
  }

  async stop() {
    for (const { release } of this.#scripts.values()) release();
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request, response) {
    let body = "";
    for await (const piece of request) body += piece;
    const { messages, model } = JSON.parse(body);
    const question = messages.findLast(({ role }) => role === "user")?.content ?? "";
    const script = this.#scripts.get(question) ?? { text: `The answer to “${question}”.` };
    if (script.status) {
      response.writeHead(script.status, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: { code: script.status, message: "no" } }));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const say = (value) => response.write(`data: ${JSON.stringify({ id: "gen-1", object: "chat.completion.chunk", model, ...value })}\n\n`);
    const { text, holdAt = Infinity } = script;
    for (let at = 0; at < text.length;) {
      if (at === holdAt) {
        script.stopped();
        await script.gate;
      }
      const to = Math.min(text.length, at + 24, at < holdAt ? holdAt : Infinity);
      say({ choices: [{ index: 0, delta: { role: "assistant", content: text.slice(at, to) }, finish_reason: null }] });
      at = to;
    }
    say({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage: { prompt_tokens: 40, completion_tokens: Math.ceil(text.length / 4), total_tokens: 40 + Math.ceil(text.length / 4), cost: 0.0004 } });
    response.end("data: [DONE]\n\n");
  }
}

/** The network between a page and the server, which a test can cut. */
export class Cable {
  #ends = new Set();
  #whole = true;

  static async to(port) {
    const cable = new Cable();
    cable.server = createServer((near) => {
      if (!cable.#whole) return void near.destroy();
      const far = connect(port, "127.0.0.1");
      for (const [end, other] of [[near, far], [far, near]]) {
        cable.#ends.add(end);
        end.on("error", () => {});
        end.on("close", () => {
          cable.#ends.delete(end);
          other.destroy();
        });
        end.pipe(other);
      }
    });
    cable.server.listen(0, "127.0.0.1");
    await once(cable.server, "listening");
    cable.base = `http://127.0.0.1:${cable.server.address().port}`;
    return cable;
  }

  cut() {
    this.#whole = false;
    for (const end of this.#ends) end.destroy();
  }

  mend() {
    this.#whole = true;
  }

  stop() {
    this.cut();
    this.server.close();
  }
}

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}
