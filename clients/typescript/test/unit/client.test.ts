import assert from "node:assert/strict";
import { test } from "node:test";
import { clientWith } from "../../src/client.js";
import { addresses } from "../../src/http.js";
import type { Notification } from "../../src/index.js";
import { SESSION, World, frames } from "../world.js";
import { clientIn, comeBack, lastSaid, live } from "./scene.js";

const ROW = {
  session_id: SESSION, title: "Herons", model: null, metadata: { page: "docs" }, last_seq: 2, active_run_id: null, created_at: "then", last_activity_at: "now",
};
const INFO = { id: SESSION, title: "Herons", model: null, metadata: { page: "docs" }, lastSeq: 2, activeRunId: null, createdAt: "then", lastActivityAt: "now" };

test("both addresses follow from any of the service's", () => {
  const both = { socket: "wss://a.test/v1/ws", http: "https://a.test" };
  for (const url of ["https://a.test", "https://a.test/", "wss://a.test", "wss://a.test/v1/ws", "https://a.test/v1/ws/?x=1#y"]) assert.deepEqual(addresses(url), both);
  assert.deepEqual(addresses("http://127.0.0.1:8080"), { socket: "ws://127.0.0.1:8080/v1/ws", http: "http://127.0.0.1:8080" });
  assert.deepEqual(addresses("https://a.test/agent/"), { socket: "wss://a.test/agent/v1/ws", http: "https://a.test/agent" });
  assert.deepEqual(addresses("wss://a.test/functions/v1/agent_websocket"), { socket: "wss://a.test/functions/v1/agent_websocket", http: "https://a.test" });
  assert.throws(() => addresses("/agent"), TypeError);
});

test("in a page an address may be relative", () => {
  const globals = globalThis as { location?: unknown };
  globals.location = { href: "https://app.test/chat/42?x=1" };
  try {
    assert.deepEqual(addresses("/"), { socket: "wss://app.test/v1/ws", http: "https://app.test" });
    assert.deepEqual(addresses("/agent"), { socket: "wss://app.test/agent/v1/ws", http: "https://app.test/agent" });
  } finally {
    delete globals.location;
  }
});

test("sessions are listed, read, changed and deleted over HTTP, with a token in the header", async () => {
  const world = new World();
  const asked: unknown[] = [];
  world.http = ({ method, path, headers, body }) => {
    assert.equal(headers["authorization"], "Bearer token");
    asked.push([method, path, body]);
    if (method === "DELETE") return { status: 204 };
    if (path.startsWith("https://agent.test/v1/search")) {
      return { status: 200, body: { matches: [{ session_id: SESSION, seq: 1, message_id: "m-1", role: "user", content: "A heron", state: "complete", created_at: "then" }] } };
    }
    return { status: 200, body: path.includes("?") ? { sessions: [ROW] } : ROW };
  };
  const client = clientIn(world);
  assert.deepEqual(await client.sessions.list({ limit: 5, before: SESSION }), [INFO]);
  assert.deepEqual(await client.sessions.get(SESSION), INFO);
  assert.deepEqual(await client.sessions.rename(SESSION, "Herons"), INFO);
  await client.sessions.delete("a/b");
  const [match] = await client.search("heron & co", { limit: 3 });
  assert.deepEqual([match?.sessionId, match?.seq, match?.content], [SESSION, 1, "A heron"]);
  const root = "https://agent.test/v1";
  assert.deepEqual(asked, [
    ["GET", `${root}/sessions?limit=5&before=${SESSION}`, undefined],
    ["GET", `${root}/sessions/${SESSION}`, undefined],
    ["PATCH", `${root}/sessions/${SESSION}`, { title: "Herons" }],
    ["DELETE", `${root}/sessions/a%2Fb`, undefined],
    ["GET", `${root}/search?q=heron+%26+co&limit=3`, undefined],
  ]);
});

test("a session that is made is opened from its start", async () => {
  const world = new World();
  world.http = ({ method, body }) => {
    assert.deepEqual([method, body], ["POST", { title: "Herons" }]);
    return { status: 201, body: ROW };
  };
  const session = await clientIn(world).sessions.create({ title: "Herons" });
  await world.settle();
  assert.deepEqual([session.id, world.socket.parameters], [SESSION, { session_id: SESSION, after: "0", device_id: "device-1" }]);
});

test("a request whose token had ended is made once more with a new one", async () => {
  const world = new World();
  const asked: string[] = [];
  world.http = ({ headers }) => (headers["authorization"] === "Bearer expired" ? { status: 200, body: { sessions: [] } } : { status: 401, body: { code: "unauthorized", detail: "No" } });
  const client = clientWith(world.env, { url: "https://agent.test", getToken: ({ reason }) => (asked.push(reason), reason) });
  assert.deepEqual(await client.sessions.list(), []);
  assert.deepEqual(asked, ["connect", "expired"]);
  world.http = () => ({ status: 401, body: { code: "unauthorized", detail: "No" } });
  await assert.rejects(client.sessions.list(), { code: "unauthorized", message: "No", retryable: false });
  assert.equal(asked.length, 4);
});

test("problems are errors with the server's code; a request that does not arrive is one, too", async () => {
  const world = new World();
  const client = clientIn(world);
  world.http = () => ({ status: 429, body: { code: "rate_limited", detail: "Slower", retry_after_ms: 300 } });
  await assert.rejects(client.sessions.list(), { name: "AgentError", code: "rate_limited", message: "Slower", retryable: true, retryAfterMs: 300 });
  world.http = () => ({ status: 502, body: "<html>" });
  await assert.rejects(client.sessions.list(), { code: "internal", message: "HTTP 502", retryable: true });
  world.http = () => new TypeError("fetch failed");
  await assert.rejects(client.sessions.list(), { code: "network", retryable: true });
});

test("a session that is open already is shared, and opened anew once it is closed", async () => {
  const world = new World();
  const client = clientIn(world);
  const session = client.sessions.open(SESSION);
  assert.equal(client.sessions.open(SESSION), session);
  session.close();
  assert.notEqual(client.sessions.open(SESSION), session);
  assert.notEqual(client.sessions.open(), client.sessions.open());
  await world.settle();
  assert.deepEqual(new Set(world.sockets.map(({ parameters }) => parameters["device_id"])).size, world.sockets.length);
});

test("the latest session is asked for once; after a cut it is the one that it was", async () => {
  const world = new World();
  clientIn(world).sessions.open("latest");
  await world.settle();
  assert.equal(world.socket.parameters["session_id"], "latest");
  world.socket.tell(frames.welcome(), frames.live());
  await world.settle();
  world.socket.cut();
  await world.pass(1_000);
  assert.equal(world.socket.parameters["session_id"], SESSION);
});

test("a notification is told once, whichever sockets bring it and however often", async () => {
  const { world, client } = await live();
  const told: Notification[] = [];
  const leave = client.notifications.onNew((notification) => told.push(notification));
  client.sessions.open("another");
  await world.settle();
  world.socket.tell(frames.welcome({ session_id: "another" }), frames.notification("n-1"), frames.live());
  world.sockets[0]?.tell(frames.notification("n-1", { title: "T", data: { a: 1 } }), frames.notification("n-2"));
  await world.settle();
  assert.deepEqual(told.map(({ id }) => id), ["n-1", "n-2"]);
  assert.deepEqual(client.notifications.items.value, told);
  leave();
  world.socket.tell(frames.notification("n-3"));
  await world.settle();
  assert.deepEqual([told.length, client.notifications.items.value.length], [2, 3]);
});

test("an acknowledged notification goes here at once, and comes back if the server refuses", async () => {
  const { world, client } = await live();
  world.socket.tell(frames.notification("n-1"), frames.notification("n-2"));
  await world.settle();
  const ids = (): string[] => client.notifications.items.value.map(({ id }) => id);
  const acked = client.notifications.ack("n-1");
  assert.deepEqual(ids(), ["n-2"]);
  assert.deepEqual([lastSaid(world).content, lastSaid(world)["args"]], ["ack", { notification_ids: ["n-1"] }]);
  world.socket.tell(frames.done("ack", lastSaid(world).id ?? "", { notification_ids: ["n-1"] }));
  await acked;
  const refused = client.notifications.ack(["n-2"]);
  assert.deepEqual(ids(), []);
  world.socket.tell(frames.error("invalid_message", { re: lastSaid(world).id }));
  await assert.rejects(refused, { code: "invalid_message" });
  assert.deepEqual(ids(), ["n-2"]);
});

test("an acknowledgement is said again after a cut; a repeat of what it named is not shown", async () => {
  const { world, client } = await live();
  world.socket.tell(frames.notification("n-1"));
  await world.settle();
  const acked = client.notifications.ack("n-1");
  await comeBack(world, 0, frames.notification("n-1", { replay: true }));
  assert.deepEqual(client.notifications.items.value, []);
  assert.equal(lastSaid(world).content, "ack");
  world.socket.tell(frames.done("ack", lastSaid(world).id ?? "", { notification_ids: ["n-1"] }));
  await acked;
});

test("all are acknowledged at once, also over HTTP where no session is open; other devices' are taken away", async () => {
  const { world, client, session } = await live();
  world.socket.tell(frames.notification("n-1"), frames.notification("n-2"), frames.notification("n-3"));
  world.socket.tell({ type: "notification", event: "cleared", content: "", timestamp: "", notification_ids: ["n-2"] });
  await world.settle();
  assert.deepEqual(client.notifications.items.value.map(({ id }) => id), ["n-1", "n-3"]);
  session.close();
  world.http = ({ method, path, body }) => {
    assert.deepEqual([method, path, body], ["POST", "https://agent.test/v1/notifications/ack", { all: true }]);
    return { status: 200, body: { notification_ids: ["n-1", "n-3"] } };
  };
  await client.notifications.ackAll();
  assert.deepEqual(client.notifications.items.value, []);
});

test("of more notifications than are held the newest stay", async () => {
  const { world, client } = await live();
  world.socket.tell(...Array.from({ length: 1_005 }, (_, index) => frames.notification(`n-${index}`)));
  await world.settle();
  const { value } = client.notifications.items;
  assert.deepEqual([value.length, value[0]?.id, value.at(-1)?.id], [1_000, "n-5", "n-1004"]);
});

test("reset forgets the user: sessions, notifications, and answers that are under way", async () => {
  const { world, client, session } = await live();
  world.socket.tell(frames.notification("n-1"));
  await world.settle();
  let answer: (value: Response) => void = () => {};
  world.env.fetch = () => new Promise((resolve) => (answer = resolve));
  const listed = client.sessions.list();
  const turn = session.send("Why?");
  await world.settle();
  const old = world.socket;
  client.reset();
  answer(new Response('{"sessions":[]}'));
  await assert.rejects(listed, { code: "closed" });
  await assert.rejects(turn.answer, { code: "closed" });
  old.tell(frames.notification("n-2"));
  await world.settle();
  assert.deepEqual([client.notifications.items.value, old.dropped, world.timers.size, world.wakeListeners], [[], true, 0, 0]);
  const state = session.connection.value;
  assert.equal(state.status === "closed" && state.reason, "reset");
  // The next one to sign in is told what was told before: it may be the same person.
  client.sessions.open();
  await world.settle();
  world.socket.tell(frames.welcome(), frames.notification("n-1"), frames.live());
  await world.settle();
  assert.equal(client.notifications.items.value.length, 1);
});

test("a token of someone else without a reset does not show them what the one before was told", async () => {
  const { world, client } = await live();
  world.socket.tell(frames.notification("n-1"));
  await world.settle();
  client.sessions.open("another");
  await world.settle();
  world.socket.tell(frames.welcome({ session_id: "another", user_id: "somebody-else" }), frames.live());
  await world.settle();
  assert.deepEqual(client.notifications.items.value, []);
});

test("a listener that throws is reported, and stops neither the others nor the client", async () => {
  const { world, client, session } = await live();
  const uncaught: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error));
  try {
    let calls = 0;
    const leave = session.state.subscribe(() => {
      if (++calls > 1) throw new Error("The application's fault");
    });
    let seen = 0;
    client.notifications.items.subscribe(({ length }) => (seen = length));
    world.socket.tell(frames.query(1), frames.notification("n-1"));
    await world.settle();
    assert.deepEqual([calls, seen, uncaught.length, session.state.value.cursor], [2, 1, 1, 1]);
    leave();
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  }
});
