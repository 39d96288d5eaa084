// The service's HTTP side, for what needs no socket: one request, one answer, problems as `AgentError`.

import type { Env } from "./env.js";
import { AgentError, type Code } from "./errors.js";
import { fetchToken, type GetToken } from "./token.js";

const SOCKET_PATHS = /\/(v1\/ws|functions\/v1\/agent_websocket)\/?$/;

export interface Addresses {
  /** Of the socket, without parameters. */
  readonly socket: string;
  /** Of the HTTP side, without a slash at its end. */
  readonly http: string;
}

/** Both addresses from one: the service's own, or its socket's; in a page also relative to it. */
export function addresses(url: string): Addresses {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  const parsed = new URL(url, base);
  parsed.search = parsed.hash = "";
  const secure = parsed.protocol === "https:" || parsed.protocol === "wss:";
  const rest = parsed.href.slice(parsed.protocol.length);
  const root = rest.replace(SOCKET_PATHS, "").replace(/\/$/, "");
  const socket = SOCKET_PATHS.test(rest) ? rest.replace(/\/$/, "") : `${root}/v1/ws`;
  return { socket: `${secure ? "wss" : "ws"}:${socket}`, http: `${secure ? "https" : "http"}:${root}` };
}

interface Problem {
  code?: string;
  detail?: string;
  title?: string;
  retry_after_ms?: number;
}

export class Http {
  readonly #env: Env;
  readonly #getToken: GetToken;
  readonly #root: string;

  constructor(env: Env, getToken: GetToken, root: string) {
    this.#env = env;
    this.#getToken = getToken;
    this.#root = root;
  }

  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    let response = await this.#fetch(method, path, body, "connect");
    // The token may have been a stale one that the application had kept.
    if (response.status === 401) response = await this.#fetch(method, path, body, "expired");
    if (response.status === 204) return undefined as T;
    const result: unknown = await response.json().catch(() => null);
    if (response.ok) return result as T;
    const problem = (result ?? {}) as Problem;
    throw new AgentError((problem.code ?? "internal") as Code, problem.detail ?? problem.title ?? `HTTP ${response.status}`, {
      retryable: response.status === 429 || response.status >= 500,
      ...(problem.retry_after_ms === undefined ? {} : { retryAfterMs: problem.retry_after_ms }),
    });
  }

  async #fetch(method: string, path: string, body: unknown, reason: "connect" | "expired"): Promise<Response> {
    const token = await fetchToken(this.#env, this.#getToken, reason);
    if (!token) throw new AgentError("unauthorized", "getToken gave no token");
    try {
      return await this.#env.fetch(this.#root + path, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (cause) {
      throw new AgentError("network", "The request did not arrive", { retryable: true, cause });
    }
  }
}

/** `?a=1&b=2` of what is defined. */
export function query(fields: Record<string, string | number | undefined>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text && `?${text}`;
}
