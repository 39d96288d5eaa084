// What the page does with the service: one client, one open session, the list of sessions. No component knows the wire.

import { AgentError, type Client, createClient, type Match, type Session, type SessionInfo } from "agent-websocket";
import { claims, type TokenKeeper } from "../token.ts";
import { Value } from "./Value.ts";

export interface Models {
  models: string[];
  default: string;
}

/** Sessions of the list at once. */
const PAGE = 50;

/** Changes come in bursts: the list is read again once they are over, in milliseconds. */
const LIST_AFTER_MS = 250;

export class ChatService {
  readonly client: Client;
  readonly session: Value<Session>;
  /** Null until it was read. */
  readonly sessions = new Value<readonly SessionInfo[] | null>(null);
  /** Whether there are more than `sessions`. */
  readonly more = new Value(false);
  /** Why the list is not up to date. */
  readonly listFault = new Value<string | null>(null);
  readonly models = new Value<Models | null>(null);
  readonly #tokens: TokenKeeper;
  readonly #tabs = new BroadcastChannel("agent-websocket.sessions");
  readonly #leave: (() => void)[] = [];
  #watching: (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wanted = PAGE;
  #reads = 0;

  constructor(tokens: TokenKeeper, id: string | undefined) {
    this.#tokens = tokens;
    this.client = createClient({ url: location.origin, getToken: ({ reason }) => tokens.fresh(reason) });
    this.session = new Value(this.client.sessions.open(id ?? "latest"));
    this.#watch();
    // Other tabs change the list, and other devices while nobody looked.
    this.#tabs.onmessage = () => this.#changed();
    const seen = (): void => {
      if (!document.hidden) this.#changed();
    };
    document.addEventListener("visibilitychange", seen);
    this.#leave.push(() => document.removeEventListener("visibilitychange", seen));
    this.#leave.push(tokens.subscribe((token) => {
      if (token !== null) this.wake();
    }));
    void this.#readModels();
    void this.#readList();
  }

  /** Who is signed in, as the token says. */
  get user(): string {
    return claims(this.#tokens.value).sub ?? "";
  }

  open(id: string | undefined): void {
    if (id !== undefined && this.session.value.id === id) return;
    this.session.value.close();
    this.session.set(this.client.sessions.open(id));
    this.#watch();
  }

  /** A new session; the open one, where nothing was said in it. */
  begin(): void {
    const { messages, live } = this.session.value.state.value;
    if (!live || messages.length > 0) this.open(undefined);
  }

  /** Connects again, now. */
  wake(): void {
    this.session.value.connect();
    this.#changed();
    if (this.models.value === null) void this.#readModels();
  }

  async rename(id: string, title: string): Promise<void> {
    await this.client.sessions.rename(id, title);
    this.#tell();
  }

  async delete(id: string): Promise<void> {
    const open = this.session.value.id === id;
    await this.client.sessions.delete(id);
    if (open) this.open("latest");
    this.#tell();
  }

  showMore(): void {
    this.#wanted += PAGE;
    this.#changed();
  }

  search(words: string): Promise<Match[]> {
    return this.client.search(words, { limit: 30 });
  }

  /** Ends it: sockets are closed, and nothing of the user stays here. */
  end(): void {
    for (const leave of [...this.#leave, ...this.#watching]) leave();
    clearTimeout(this.#timer);
    this.#tabs.close();
    this.client.reset();
  }

  /** The list changes when something is said, begins to be answered, or the session is named. */
  #watch(): void {
    for (const leave of this.#watching) leave();
    const session = this.session.value;
    let before = "";
    this.#watching = [session.state.subscribe((state) => {
      const now = JSON.stringify([state.sessionId, state.live, state.title, state.cursor, state.streaming?.key]);
      if (now === before) return;
      const first = before === "";
      before = now;
      this.#changed();
      if (!first && state.live) this.#tabs.postMessage("changed");
    })];
  }

  #tell(): void {
    this.#tabs.postMessage("changed");
    this.#changed();
  }

  #changed(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#readList(), LIST_AFTER_MS);
  }

  async #readList(): Promise<void> {
    const read = ++this.#reads;
    try {
      const rows: SessionInfo[] = [];
      let more = true;
      while (more && rows.length < this.#wanted) {
        const before = rows.at(-1)?.id;
        const page = await this.client.sessions.list({ limit: PAGE, ...(before !== undefined && { before }) });
        rows.push(...page);
        more = page.length === PAGE;
      }
      // A later one has begun, and knows better.
      if (read !== this.#reads) return;
      this.sessions.set(rows);
      this.more.set(more);
      this.listFault.set(null);
    } catch (error) {
      // The page says of itself when somebody has to sign in again.
      if (error instanceof AgentError && (error.code === "closed" || error.code === "unauthorized")) return;
      this.listFault.set("The list could not be read.");
    }
  }

  async #readModels(): Promise<void> {
    const token = await this.#tokens.fresh("connect");
    if (token === null) return;
    const reply = await fetch("/v1/models", { headers: { authorization: `Bearer ${token}` } }).catch(() => null);
    if (reply?.ok) this.models.set(await reply.json() as Models);
  }
}

/** What a person is told of an error. */
export function words(error: unknown): string {
  if (!(error instanceof AgentError)) return "Something went wrong in this page.";
  return error.code === "network" ? "The server cannot be reached." : error.message;
}
