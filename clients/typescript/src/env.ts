// What this client takes from where it runs: the clock, chance, sockets, HTTP and hashes. Tests bring their own.

/** The part of a browser's `WebSocket` that is used. The `ws` package's fits, too. */
export interface SocketLike {
  // `any`, because events differ between implementations, and a handler of a wider event would not fit theirs.
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

/** What makes a waiting client look again: the network is back or gone, or the page is seen again. */
export type Wake = "online" | "offline" | "visible";

export interface Env {
  now(): number;
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  random(): number;
  /** A name of 1 to 64 of `[A-Za-z0-9_-]` that nobody else has. */
  uniqueName(): string;
  /** SHA-256 of the text's UTF-8 in hex; null where there is no WebCrypto (a page that is not served securely). */
  sha256(text: string): Promise<string | null>;
  WebSocket: SocketConstructor;
  fetch: typeof fetch;
  onWake(listener: (wake: Wake) => void): () => void;
}

export function environment(options: { WebSocket?: SocketConstructor; fetch?: typeof fetch }): Env {
  const Socket = options.WebSocket ?? (globalThis.WebSocket as unknown as SocketConstructor | undefined);
  if (!Socket) throw new TypeError("There is no WebSocket here: give createClient one, such as that of the package ws");
  return {
    now: () => Date.now(),
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
    random: () => Math.random(),
    uniqueName,
    sha256,
    WebSocket: Socket,
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    onWake,
  };
}

function uniqueName(): string {
  // Not `randomUUID`, which a page that is not served securely lacks.
  return hex(crypto.getRandomValues(new Uint8Array(16)));
}

async function sha256(text: string): Promise<string | null> {
  // Absent in pages that are not served securely, whatever the types say.
  const subtle = crypto.subtle as SubtleCrypto | undefined;
  return subtle ? hex(new Uint8Array(await subtle.digest("SHA-256", new TextEncoder().encode(text)))) : null;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function onWake(listener: (wake: Wake) => void): () => void {
  const target = globalThis as Partial<Pick<Window, "addEventListener" | "removeEventListener">>;
  const page = (globalThis as { document?: Document }).document;
  const online = (): void => listener("online");
  const offline = (): void => listener("offline");
  const visible = (): void => {
    if (page?.visibilityState !== "hidden") listener("visible");
  };
  target.addEventListener?.("online", online);
  target.addEventListener?.("offline", offline);
  // A page that comes back from the back/forward cache.
  target.addEventListener?.("pageshow", visible);
  page?.addEventListener("visibilitychange", visible);
  return () => {
    target.removeEventListener?.("online", online);
    target.removeEventListener?.("offline", offline);
    target.removeEventListener?.("pageshow", visible);
    page?.removeEventListener("visibilitychange", visible);
  };
}
