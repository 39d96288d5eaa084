// The real server for tests: `agent-websocket dev` with a Postgres of its own in a temporary folder.

import { spawn, type ChildProcess } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";
import { WebSocket } from "ws";
import { createClient, type Client, type GetToken, type Observable } from "../src/index.js";

const BINARY = resolve(process.env["AGENT_WEBSOCKET"] ?? "../../target/debug/agent-websocket");

export class Server {
  readonly url: string;
  readonly #port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), "agent-ws-client."));
  readonly #env: Record<string, string>;
  #process: ChildProcess | null = null;
  #log = "";

  private constructor(port: number, env: Record<string, string>) {
    this.#port = port;
    this.#env = env;
    this.url = `ws://127.0.0.1:${port}/v1/ws`;
  }

  static async start(env: Record<string, string> = {}): Promise<Server> {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: cargo build, or name it in AGENT_WEBSOCKET`);
    const server = new Server(await freePort(), env);
    await server.run();
    return server;
  }

  /** Starts the process, on the same port and with the same database as before. */
  async run(): Promise<void> {
    const child = spawn(BINARY, ["dev"], {
      env: {
        PATH: process.env["PATH"] ?? "",
        BIND_ADDR: `127.0.0.1:${this.#port}`,
        ADMIN_BIND_ADDR: "127.0.0.1:0",
        DATA_DIR: this.#folder,
        // What a test does in a second is no attack.
        RATE_LIMIT_PER_MINUTE: "0",
        CONNECTIONS_PER_MINUTE_PER_ADDRESS: "0",
        MAX_CONNECTIONS_PER_USER: "0",
        ...this.#env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    this.#log = "";
    await new Promise<void>((ready, fail) => {
      const heard = (text: Buffer): void => {
        this.#log += String(text);
        if (this.#log.includes("Agent WebSocket is ready")) ready();
      };
      child.stdout.on("data", heard);
      child.stderr.on("data", heard);
      child.on("exit", () => fail(new Error(`The server ended:\n${this.#log}`)));
    });
  }

  /** As a crash would: no farewell. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  async stop(): Promise<void> {
    await this.kill("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  /** A token of `user` that ends in so many seconds. */
  token(user: string, seconds = 3600, claims: Record<string, unknown> = {}): string {
    const now = Math.floor(Date.now() / 1000);
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, iat: now, exp: now + seconds, ...claims })}`;
    const secret = readFileSync(join(this.#folder, "jwt-secret"), "utf8").trim();
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  return port;
}

/** A client of this server as an application would make it; it is reset when the test ends, however that ends. */
export function clientOf(test: TestContext, server: Server, user: string, getToken: GetToken = () => server.token(user)): Client {
  const client = createClient({ url: server.url, getToken, WebSocket });
  test.after(() => client.reset());
  return client;
}

/** Resolves with the first value that fits. */
export function until<T>(observable: Observable<T>, fits: (value: T) => boolean): Promise<T> {
  return new Promise((resolve) => {
    let leave = (): void => {};
    const look = (value: T): void => {
      if (!fits(value)) return;
      resolve(value);
      // It may have fitted at once, before there was anything to leave.
      queueMicrotask(() => leave());
    };
    leave = observable.subscribe(look);
  });
}
