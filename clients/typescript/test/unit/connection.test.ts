import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { DEFAULT_BACKOFF, delayMs } from "../../src/backoff.js";
import { clientWith, type Client } from "../../src/client.js";
import { verdict } from "../../src/close.js";
import type { ConnectionState } from "../../src/connection.js";
import type { Session } from "../../src/session.js";
import type { GetToken, TokenRequest } from "../../src/token.js";
import { SESSION, World, frames } from "../world.js";

interface Scene {
  world: World;
  client: Client;
  session: Session;
  asked: TokenRequest["reason"][];
  states: string[];
}

async function scene(getToken?: GetToken): Promise<Scene> {
  const world = new World();
  const asked: TokenRequest["reason"][] = [];
  const client = clientWith(world.env, {
    url: "https://agent.test",
    getToken: (request) => {
      asked.push(request.reason);
      return getToken ? getToken(request) : `token-${asked.length}`;
    },
  });
  const session = client.sessions.open();
  const states: string[] = [];
  session.connection.subscribe((state) => states.push(state.status));
  await world.settle();
  return { world, client, session, asked, states };
}

async function live(getToken?: GetToken): Promise<Scene> {
  const all = await scene(getToken);
  all.world.socket.tell(frames.welcome(), frames.live());
  await all.world.settle();
  assert.equal(all.session.connection.value.status, "live");
  return all;
}

function offline(session: Session): Extract<ConnectionState, { status: "offline" }> {
  const state = session.connection.value;
  return state.status === "offline" ? state : assert.fail(`It is ${state.status}`);
}

test("the token goes into the sub-protocols, never into the address", async () => {
  const { world } = await scene();
  assert.deepEqual(world.socket.protocols, ["agentws.v1", "agentws.bearer.token-1"]);
  assert.match(world.socket.url, /^wss:\/\/agent\.test\/v1\/ws\?device_id=name-\d+-1$/);
});

test("a session goes from connecting to live, and over offline and resuming back to live", async () => {
  const { world, session, states } = await live();
  world.socket.cut();
  await world.pass(1_000);
  assert.deepEqual(world.socket.parameters, { session_id: SESSION, after: "0", device_id: world.sockets[0]?.parameters["device_id"] });
  world.socket.tell(frames.welcome({ resumed: true }), frames.live());
  await world.settle();
  assert.deepEqual(states, ["connecting", "live", "offline", "resuming", "live"]);
  assert.equal(session.id, SESSION);
});

test("each connection asks for a token of its own", async () => {
  const { world, asked } = await live();
  world.socket.cut();
  await world.pass(1_000);
  assert.deepEqual(asked, ["connect", "connect"]);
  assert.equal(world.socket.protocols[1], "agentws.bearer.token-2");
});

test("the table of close codes in PROTOCOL.md is what a client does", () => {
  const table = /## Close codes\n([\s\S]*?)\n## /.exec(readFileSync("../../PROTOCOL.md", "utf8"))?.[1] ?? "";
  const rows = [...table.matchAll(/^\| (\d{4}) \|([^|]*)\|[^|]*\|([^|]*)\|$/gm)];
  assert.ok(rows.length >= 20);
  for (const [, code, reason, action] of rows) {
    const told = verdict(Number(code), (reason ?? "").replaceAll("`", "").trim());
    const text = (action ?? "").trim();
    if (/^(Stop|Nothing)/.test(text)) assert.equal(told.action, "stop", `${code}: ${text}`);
    else if (/when the user comes back/.test(text)) assert.deepEqual(told, { action: "stop", reason: "timeout" });
    else if (/^Back off/.test(text) || text === "") assert.deepEqual(told, { action: "back_off" }, `${code}: ${text}`);
    else assert.deepEqual(told, { action: "now" }, `${code}: ${text}`);
  }
});

const STOPS: [number, string, string][] = [
  [1000, "Session timeout", "timeout"], [1002, "", "protocol"], [1003, "", "protocol"], [1007, "", "protocol"], [1009, "", "protocol"],
  [4409, "", "replaced"], [4500, "", "protocol"], [4501, "", "unauthorized"], [4503, "", "forbidden"], [4504, "", "not_found"],
  [4509, "", "deleted"], [4599, "", "refused"],
];

for (const [code, text, reason] of STOPS) {
  test(`close code ${code} ends the session's connection as ${reason}`, async () => {
    const { world, session } = await live();
    world.socket.cut(code, text);
    await world.pass(3_600_000);
    const state = session.connection.value;
    assert.deepEqual([state.status, state.status === "closed" && state.reason], ["closed", reason]);
    assert.equal(world.sockets.length, 1);
    assert.equal(world.timers.size, 0);
  });
}

for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 1013, 3000, 4000, 4429, 4499, 4505]) {
  test(`close code ${code} is waited out, then resumed`, async () => {
    const { world, session } = await live();
    await world.pass(6_000);
    world.socket.cut(code);
    await world.settle();
    assert.equal(offline(session).retryAt - world.time, 500);
    await world.pass(500);
    assert.equal(world.sockets.length, 2);
    assert.equal(session.connection.value.status, "resuming");
  });
}

for (const code of [4401, 4408, 4413]) {
  test(`close code ${code} resumes at once after a connection that held, and backs off after one that did not`, async () => {
    const { world, session } = await live();
    await world.pass(6_000);
    world.socket.cut(code);
    await world.settle();
    assert.equal(world.sockets.length, 2);
    world.socket.cut(code);
    await world.settle();
    assert.equal(session.connection.value.status, "offline");
  });
}

test("an expired token is replaced by a new one", async () => {
  const { world, asked } = await live();
  await world.pass(6_000);
  world.socket.cut(4401, "Token expired");
  await world.settle();
  assert.deepEqual(asked, ["connect", "expired"]);
  world.socket.tell(frames.welcome({ resumed: true }), frames.live());
  await world.settle();
  world.socket.cut();
  await world.pass(1_000);
  assert.deepEqual(asked, ["connect", "expired", "connect"]);
});

test("a renewal that comes after its connection is gone is not presented to the next one", async () => {
  let give: (token: string) => void = () => {};
  const { world } = await live(({ reason }) => (reason === "expiring" ? new Promise((resolve) => (give = resolve)) : "token"));
  world.socket.tell({ type: "status", event: "token_expiring", content: "", timestamp: "", expires_at: "" });
  await world.settle();
  world.socket.cut();
  await world.pass(1_000);
  world.socket.tell(frames.welcome({ resumed: true }), frames.live());
  await world.settle();
  give("late");
  await world.settle();
  assert.deepEqual(world.socket.said, []);
});

test("a token that ends soon is renewed on the live connection", async () => {
  const { world, session, asked } = await live();
  world.socket.tell({ type: "status", event: "token_expiring", content: "", timestamp: "", expires_at: "" });
  await world.settle();
  assert.deepEqual(asked, ["connect", "expiring"]);
  assert.deepEqual(world.socket.said, [{ type: "command", id: "renew", content: "auth", args: { token: "token-2" } }]);
  assert.equal(session.connection.value.status, "live");
});

test("a renewal that fails is tried again while the old token holds", async () => {
  let fail = true;
  const { world } = await live(({ reason }) => {
    if (reason === "expiring" && fail) throw new Error("no network");
    return "token";
  });
  world.socket.tell({ type: "status", event: "token_expiring", content: "", timestamp: "", expires_at: "" });
  await world.settle();
  assert.equal(world.socket.said.length, 0);
  fail = false;
  await world.pass(5_000);
  assert.equal(world.socket.said.length, 1);
});

test("a getToken that throws, or hangs, is asked again; one that gives nothing ends it", async () => {
  let mode = "throw";
  const { world, session } = await scene(() => {
    if (mode === "throw") throw new Error("no network");
    return mode === "hang" ? new Promise<string>(() => {}) : null;
  });
  assert.equal(offline(session).error.message, "getToken failed");
  mode = "hang";
  await world.pass(1_000);
  assert.equal(session.connection.value.status as string, "connecting");
  await world.pass(30_000);
  assert.match(String((offline(session).error.cause as Error).message), /too long/);
  mode = "nobody";
  await world.pass(60_000);
  const state = session.connection.value;
  assert.equal(state.status === "closed" && state.reason, "unauthorized");
  assert.equal(world.sockets.length, 0);
});

test("the wait grows to the server's maximum and is spread over all of it", () => {
  const backoff = { base_ms: 100, max_ms: 1_000, jitter_ms: 50 };
  assert.deepEqual([0, 1, 2, 3, 4, 99, 5_000].map((attempt) => delayMs(attempt, backoff, () => 1)), [150, 250, 450, 850, 1_050, 1_050, 1_050]);
  assert.equal(delayMs(3, backoff, () => 0), 0);
  assert.equal(delayMs(0, DEFAULT_BACKOFF, () => 0.5), 500);
});

test("attempts that fail wait longer each time; a connection that held begins anew", async () => {
  const { world, session } = await live();
  world.chance = 1;
  const waits: number[] = [];
  await world.pass(6_000);
  for (let attempt = 0; attempt < 5; attempt++) {
    world.socket.cut();
    await world.settle();
    waits.push(offline(session).retryAt - world.time);
    await world.pass(offline(session).retryAt - world.time);
  }
  assert.deepEqual(waits, [1_000, 1_500, 2_500, 4_500, 8_500]);
  world.socket.tell(frames.welcome({ resumed: true }), frames.live());
  await world.pass(1_000);
  world.socket.cut();
  await world.settle();
  // Live for a second only: a server that accepts and drops at once is not hammered.
  assert.equal(offline(session).retryAt - world.time, 16_500);
  await world.pass(16_500);
  world.socket.tell(frames.welcome({ resumed: true }), frames.live());
  await world.pass(6_000);
  world.socket.cut();
  await world.settle();
  assert.equal(offline(session).retryAt - world.time, 1_000);
});

test("the welcome's numbers for coming back are used", async () => {
  const { world, session } = await scene();
  world.chance = 1;
  world.socket.tell(frames.welcome({ reconnect: { base_ms: 40, max_ms: 60, jitter_ms: 7 } }), frames.live());
  await world.settle();
  world.socket.cut();
  await world.settle();
  assert.equal(offline(session).retryAt - world.time, 47);
});

test("after draining nobody comes back before the moment that the server named", async () => {
  const { world, session } = await live();
  world.chance = 0;
  world.socket.tell({ type: "status", event: "draining", content: "", timestamp: "", retry_after_ms: 4_000 });
  await world.settle();
  assert.equal(session.connection.value.status, "live");
  world.socket.cut(1006);
  await world.settle();
  assert.equal(offline(session).retryAt - world.time, 4_000);
  world.wake("online");
  await world.pass(3_999);
  assert.equal(world.sockets.length, 1);
  await world.pass(1);
  assert.equal(world.sockets.length, 2);
});

test("a refusal says why, and when to come back", async () => {
  const { world, session } = await scene();
  world.socket.tell(frames.error("rate_limited", { retryable: true, retry_after_ms: 9_000 }));
  world.socket.cut(4429, "Too many frames");
  await world.settle();
  assert.deepEqual([offline(session).error.code, offline(session).retryAt - world.time], ["rate_limited", 9_000]);
});

test("a refused token is reported with the server's code", async () => {
  const { world, session } = await scene();
  world.socket.tell(frames.error("unauthorized"));
  world.socket.cut(4501, "Unauthorized");
  await world.settle();
  const state = session.connection.value;
  assert.deepEqual(state.status === "closed" && [state.reason, state.error.code, state.error.message], ["unauthorized", "unauthorized", "It is unauthorized"]);
  await assert.rejects(session.ready, { code: "unauthorized" });
});

test("a socket that never opens is given up", async () => {
  const { world, session } = await scene();
  await world.pass(15_000);
  assert.equal(session.connection.value.status, "offline");
  assert.equal(world.sockets[0]?.dropped, true);
});

test("silence beyond the heartbeat ends a connection; any frame counts as life", async () => {
  const { world, session } = await live();
  for (let beat = 0; beat < 10; beat++) {
    await world.pass(25_000);
    world.socket.tell(frames.heartbeat());
    await world.settle();
  }
  assert.equal(world.sockets.length, 1);
  await world.pass(34_999);
  assert.equal(session.connection.value.status, "live");
  await world.pass(1);
  assert.equal(session.connection.value.status, "offline");
  assert.equal(world.sockets[0]?.dropped, true);
});

test("after a short sleep a timer that is late asks before it judges", async () => {
  const { world, session } = await live();
  await world.sleep(120_000);
  assert.deepEqual(world.socket.said, [{ type: "command", id: "probe", content: "ping" }]);
  world.socket.tell(frames.heartbeat());
  await world.pass(20_000);
  assert.equal(session.connection.value.status, "live");
  await world.sleep(120_000);
  await world.pass(5_000);
  assert.equal(session.connection.value.status, "offline");
});

test("a page that is seen again asks whether its connection lives, and replaces a dead one", async () => {
  const { world, session, asked } = await live();
  await world.pass(10_000);
  world.wake("visible");
  world.wake("online");
  assert.deepEqual(world.socket.said, [{ type: "command", id: "probe", content: "ping" }]);
  await world.pass(4_999);
  assert.equal(session.connection.value.status, "live");
  await world.pass(1);
  assert.equal(session.connection.value.status, "offline");
  await world.pass(1_000);
  assert.deepEqual(asked, ["connect", "connect"]);
});

test("the network's return and the user's end a wait at once", async () => {
  for (const wake of ["online", "visible"] as const) {
    const { world, session } = await live();
    for (let attempt = 0; attempt < 6; attempt++) {
      world.socket.cut();
      await world.pass(60_000);
    }
    world.socket.cut();
    await world.settle();
    assert.ok(offline(session).retryAt > world.time + 1_000);
    world.wake(wake);
    await world.settle();
    assert.equal(session.connection.value.status, "resuming");
  }
});

test("a session that timed out comes back with its user: seen again, or used", async () => {
  for (const back of [({ world }: Scene) => world.wake("visible"), ({ session }: Scene) => void session.ping(), ({ session }: Scene) => void session.send("Hi")]) {
    const all = await live();
    all.world.socket.cut(1000, "Session timeout");
    await all.world.settle();
    all.world.wake("online");
    await all.world.settle();
    assert.equal(all.world.sockets.length, 1);
    back(all);
    await all.world.settle();
    assert.equal(all.world.sockets.length, 2);
    assert.equal(all.world.socket.parameters["after"], "0");
  }
});

test("a closed session leaves nothing behind: no timer, no listener, no socket", async () => {
  const { world, session } = await live();
  session.close();
  await world.settle();
  assert.deepEqual([world.timers.size, world.wakeListeners, world.sockets[0]?.dropped], [0, 0, true]);
  const state = session.connection.value;
  assert.equal(state.status === "closed" && state.reason, "client");
});

test("what an earlier attempt waited for does nothing", async () => {
  let give: (token: string) => void = () => {};
  const { world, session } = await scene(() => new Promise<string>((resolve) => (give = resolve)));
  session.close();
  give("late");
  await world.settle();
  assert.equal(world.sockets.length, 0);
});

test("a hash that does not fit asks again, and shows a text that stays wrong, marked", async () => {
  const { world, session } = await live();
  const wrong = frames.response(1, 2, "What was stored?", { sha256: "00" });
  world.socket.tell(frames.query(1), wrong);
  await world.settle();
  assert.equal(session.connection.value.status, "offline");
  assert.deepEqual(session.state.value.messages.map(({ seq }) => seq), [1]);
  for (let again = 0; again < 2; again++) {
    await world.pass(60_000);
    assert.equal(world.socket.parameters["after"], "1");
    world.socket.tell(frames.welcome({ resumed: true, head: 2 }), wrong, frames.live(2));
    await world.settle();
  }
  assert.deepEqual(session.state.value.messages.map(({ seq, unverified }) => [seq, unverified]), [[1, undefined], [2, true]]);
  assert.equal(session.connection.value.status, "live");
});

test("a flood that nobody could read in time is cut, and resumed from what was applied", async () => {
  const { world, session } = await live();
  let unlock: (hash: null) => void = () => {};
  world.env.sha256 = () => new Promise((resolve) => (unlock = resolve));
  const { world: other, session: stuck } = await (async () => {
    const slow = new World();
    slow.env.sha256 = world.env.sha256;
    const opened = clientWith(slow.env, { url: "https://agent.test", getToken: () => "t" }).sessions.open();
    await slow.settle();
    slow.socket.tell(frames.welcome(), frames.live());
    await slow.settle();
    return { world: slow, session: opened };
  })();
  other.socket.tell(frames.query(1), frames.response(1, 2, "Yes"));
  for (let count = 0; count <= 20_000; count++) other.socket.tell(frames.heartbeat());
  await other.settle();
  assert.equal(other.sockets[0]?.dropped, true);
  unlock(null);
  await other.pass(60_000);
  assert.equal(other.socket.parameters["after"], "1");
  assert.notEqual(stuck.connection.value.status, "closed");
  assert.equal(session.connection.value.status, "live");
});
