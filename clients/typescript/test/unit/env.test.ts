// What the client takes from where it runs, as it is there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { environment } from "../../src/env.js";
import { sha256 } from "../world.js";

const WebSocket = class {} as never;

test("hashes and names are what they have to be", async () => {
  const env = environment({ WebSocket });
  assert.equal(await env.sha256("naïve 🎉"), sha256("naïve 🎉"));
  const names = Array.from({ length: 100 }, () => env.uniqueName());
  assert.equal(new Set(names).size, 100);
  for (const name of names) assert.match(name, /^[A-Za-z0-9_-]{1,64}$/);
});

test("where there is no WebCrypto a hash is not known, and nothing fails", async () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
  try {
    assert.equal(await environment({ WebSocket }).sha256("x"), null);
  } finally {
    if (own) Object.defineProperty(globalThis, "crypto", own);
  }
});

test("where there is no WebSocket one has to be given", () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  Object.defineProperty(globalThis, "WebSocket", { value: undefined, configurable: true });
  try {
    assert.throws(() => environment({}), /There is no WebSocket here/);
  } finally {
    if (own) Object.defineProperty(globalThis, "WebSocket", own);
    else Reflect.deleteProperty(globalThis, "WebSocket");
  }
});

test("a page wakes by its network, by being seen again and by the back button, until it is told to stop", () => {
  const page = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const network = new EventTarget();
  const globals = globalThis as Record<string, unknown>;
  Object.assign(globals, {
    document: page,
    addEventListener: network.addEventListener.bind(network),
    removeEventListener: network.removeEventListener.bind(network),
  });
  try {
    const woken: string[] = [];
    const stop = environment({ WebSocket }).onWake((wake) => woken.push(wake));
    page.dispatchEvent(new Event("visibilitychange"));
    assert.deepEqual(woken, []);
    page.visibilityState = "visible";
    page.dispatchEvent(new Event("visibilitychange"));
    for (const name of ["online", "offline", "pageshow"]) network.dispatchEvent(new Event(name));
    assert.deepEqual(woken, ["visible", "online", "offline", "visible"]);
    stop();
    page.dispatchEvent(new Event("visibilitychange"));
    for (const name of ["online", "offline", "pageshow"]) network.dispatchEvent(new Event(name));
    assert.equal(woken.length, 4);
  } finally {
    for (const name of ["document", "addEventListener", "removeEventListener"]) delete globals[name];
  }
});

test("a worker has no page, and nothing there is missed", () => {
  environment({ WebSocket }).onWake(() => {})();
});
