// The client while its server dies and comes back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Session } from "../../src/index.js";
import { Server, clientOf, until } from "../server.js";

let server: Server;
before(async () => {
  // What a run waits for after a crash; the default is made for a busy cluster.
  server = await Server.start({ LEASE_MS: "2000", REAPER_INTERVAL_MS: "500", DRAIN_SECONDS: "1" });
});
after(() => server.stop());

/** As a crash, and starts the server again when the client has noticed. */
async function restart(session: Session): Promise<void> {
  await server.kill("SIGKILL");
  await until(session.connection, ({ status }) => status === "offline");
  await server.run();
}

test("a server killed in mid-answer and started again: the same loop ends with the text that was stored, truthfully incomplete", async (t) => {
  const client = clientOf(t, server, "survivor");
  const session = client.sessions.open();
  const seen: string[] = [];
  session.connection.subscribe(({ status }) => seen.push(status));
  const turn = session.send("Outlive the server [[words=100]] [[delay=80]]");
  let text = "";
  let back: Promise<void> | undefined;
  for await (const event of turn) {
    if (event.type === "text") text += event.text;
    if (event.type === "reset") text = "";
    if (back || text.split(" ").length < 10) continue;
    back = restart(session);
    await until(session.connection, ({ status }) => status === "offline");
    // Said while nobody listens: it goes out once, when somebody does.
    void session.send("Said in the dark");
  }
  await back;
  const { state, content, error } = await turn.answer;
  assert.deepEqual([state, content, error?.retryable], ["incomplete", text, true]);
  assert.ok(text.split(" ").length >= 5, text);
  await until(session.state, ({ cursor }) => cursor === 4);
  const history = await session.history();
  assert.deepEqual(new Set(history.slice(0, 3).map(({ content: one }) => one)), new Set(["Outlive the server [[words=100]] [[delay=80]]", text, "Said in the dark"]));
  assert.deepEqual(session.state.value.messages.map(({ content: one }) => one), history.map(({ content: one }) => one));
  assert.ok(seen.includes("offline") && seen.includes("resuming") && seen.at(-1) === "live", seen.join(" "));
});

test("a server killed before the first word: another attempt answers, and nothing was asked twice", async (t) => {
  const client = clientOf(t, server, "early");
  const session = client.sessions.open();
  const turn = session.send("Think first [[words=1]] [[delay=2500]]");
  await turn.accepted;
  await until(session.state, ({ streaming }) => streaming !== null);
  await restart(session);
  const { state, content } = await turn.answer;
  assert.deepEqual([state, content.split(" ").length], ["complete", 1]);
  assert.equal((await session.history()).length, 2);
});

test("a server that restarts in peace says so, and its clients come back when it asked them to", async (t) => {
  const client = clientOf(t, server, "patient");
  const session = client.sessions.open();
  const { content } = await session.send("Before the restart").answer;
  await server.kill("SIGTERM");
  await until(session.connection, ({ status }) => status === "offline");
  await server.run();
  const after = await session.send("After the restart").answer;
  assert.equal(after.state, "complete");
  assert.deepEqual(session.state.value.messages.map(({ content: one }) => one), ["Before the restart", content, "After the restart", after.content]);
});
