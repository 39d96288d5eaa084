// The page's token: where it comes from, and where it is kept.
//
// It comes behind the `#` of the address (as `dev` prints it), from the page around a frame, or from a person who pastes it. It
// is kept for this tab only (`sessionStorage`), and told to other tabs of the same address when they ask, so that a new tab
// need not ask a person; it is never on the disk. Decides nothing: the server does.

const KEY = "agent-websocket.token";

/** How long the page around a frame may take to bring a token, in milliseconds. */
const PARENT_PATIENCE_MS = 20_000;

/** How long to wait for other tabs when this one starts, in milliseconds. */
const TABS_PATIENCE_MS = 150;

/** A token that ends so soon is not worth a connection, in milliseconds. */
const MARGIN_MS = 1_000;

/** Where `dev` is, and where a port is forwarded to. */
const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

type Told = { token: string | null } | { ask: true };
type Listener = (token: string | null) => void;

export class TokenKeeper {
  #token: string | null = null;
  /** The one that was last given away: when it is said to have ended, it is not given again. */
  #given: string | null = null;
  readonly #listeners = new Set<Listener>();
  readonly #tabs = new BroadcastChannel(KEY);

  constructor() {
    this.#tabs.onmessage = ({ data }: MessageEvent<Told>) => {
      if ("ask" in data) {
        if (this.#token !== null) this.#tabs.postMessage({ token: this.#token });
      } else if (data.token !== this.#token) {
        this.#keep(data.token);
      }
    };
    // Only the page around this one may bring a token; which pages may be that, the server says (frame-ancestors).
    if (parent !== window) {
      addEventListener("message", ({ source, data }: MessageEvent) => {
        const token: unknown = source === parent && data?.type === "agent-websocket.token" ? data.token : undefined;
        if (typeof token === "string" && token !== "") this.set(token);
      });
    }
    addEventListener("hashchange", () => this.#takeFromAddress());
  }

  /** Finds the token with which to start, if there is one. */
  async start(): Promise<string | null> {
    if (!this.#takeFromAddress()) {
      const kept = sessionStorage.getItem(KEY);
      if (kept !== null) this.#keep(kept);
      else await this.#askTabs();
    }
    if (this.#token === null && parent !== window) await this.fresh("start");
    return this.#token;
  }

  get value(): string | null {
    return this.#token;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A new token, for all tabs. */
  set(token: string): void {
    this.#keep(token);
    this.#tabs.postMessage({ token });
  }

  /** Signs out, in all tabs. */
  clear(): void {
    this.#keep(null);
    this.#tabs.postMessage({ token: null });
  }

  /** The token, if it has not ended. Else one that the page around this one brings; else null, and a person has to. */
  async fresh(reason: string): Promise<string | null> {
    if (reason === "start" || reason === "connect" || this.#token !== this.#given) {
      if (isAlive(this.#token)) return this.#give();
    }
    if (parent === window) return null;
    const before = this.#token;
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        leave();
        resolve(this.#token === before ? null : this.#give());
      };
      const timer = setTimeout(done, PARENT_PATIENCE_MS);
      const leave = this.subscribe((token) => token !== before && done());
      // To whoever it is: nothing secret is in it.
      parent.postMessage({ type: "agent-websocket.token-needed", reason }, "*");
    });
  }

  #give(): string | null {
    this.#given = this.#token;
    return this.#token;
  }

  #keep(token: string | null): void {
    this.#token = token;
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
    for (const listener of [...this.#listeners]) listener(token);
  }

  /**
   * Takes the token out of the address, which histories and screenshots would keep. On this machine's own addresses only: elsewhere
   * a stranger's link could sign a person in as the stranger, who would then read what that person writes.
   */
  #takeFromAddress(): boolean {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!token) return false;
    history.replaceState(null, "", location.pathname + location.search);
    if (!LOOPBACK.includes(location.hostname)) return false;
    this.set(token);
    return true;
  }

  #askTabs(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        leave();
        resolve();
      };
      const timer = setTimeout(done, TABS_PATIENCE_MS);
      const leave = this.subscribe(done);
      this.#tabs.postMessage({ ask: true });
    });
  }
}

/** What a token says of itself. For display: only the server can check it. */
export function claims(token: string | null): { sub?: string; exp?: number } {
  try {
    const part = (token ?? "").split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (char) => char.charCodeAt(0))));
  } catch {
    return {};
  }
}

function isAlive(token: string | null): boolean {
  if (token === null) return false;
  const { exp } = claims(token);
  return exp === undefined || exp * 1000 > Date.now() + MARGIN_MS;
}
