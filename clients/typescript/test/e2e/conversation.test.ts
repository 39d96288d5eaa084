// The client against the real server.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { AgentError, ConnectionState, Notification, Session, TurnEvent } from "../../src/index.js";
import { assertCutsHeal, recording, type Recording } from "../recording.js";
import { record } from "../recorder.js";
import { Server, clientOf, until } from "../server.js";

let server: Server;
before(async () => {
  server = await Server.start({ TOKEN_EXPIRY_WARNING_SECONDS: "60" });
});
after(() => server.stop());

/** What the connection went through. */
function statuses(session: Session): string[] {
  const seen: string[] = [];
  session.connection.subscribe(({ status }) => seen.push(status));
  return seen;
}

describe("against the real server", { concurrency: true }, () => {
  test("a question is answered piece by piece, and both are in the history", async (t) => {
    const client = clientOf(t, server, "reader");
    const session = client.sessions.open();
    const events: TurnEvent[] = [];
    for await (const event of session.send("What is a durable log? 🎉")) events.push(event);
    const [first, last] = [events[0], events.at(-1)];
    assert.equal(first?.type, "accepted");
    assert.ok(last?.type === "done" && last.answer.state === "complete");
    const text = events.map((event) => (event.type === "text" ? event.text : "")).join("");
    assert.equal(text, last.answer.content);
    assert.match(text, /durable log\? 🎉/u);
    assert.deepEqual((await session.history()).map(({ role, content }) => [role, content]), [["user", "What is a durable log? 🎉"], ["assistant", text]]);
    assert.deepEqual(session.state.value.messages.map(({ role, seq, state }) => [role, seq, state]), [["user", 1, "complete"], ["assistant", 2, "complete"]]);
  });

  test("questions asked at once are answered in their order", async (t) => {
    const client = clientOf(t, server, "hasty");
    const session = client.sessions.open();
    const answers = await Promise.all(["One", "Two", "Three"].map((word) => session.send(word).answer));
    for (const [index, word] of ["One", "Two", "Three"].entries()) assert.match(answers[index]?.content ?? "", new RegExp(`“${word}”`));
    assert.ok(answers.every(({ state }) => state === "complete"));
  });

  test("an answer is stopped with the text that it had, and another one is written instead", async (t) => {
    const client = clientOf(t, server, "impatient");
    const session = client.sessions.open();
    const turn = session.send("Go on and on [[words=2000]] [[delay=50]]");
    for await (const event of turn) if (event.type === "text") void turn.cancel();
    const stopped = await turn.answer;
    assert.equal(stopped.state, "cancelled");
    assert.ok(stopped.content.length > 0);
    const asked = session.state.value.messages[0];
    const again = session.regenerate(asked?.id ?? "");
    await again.accepted;
    await again.cancel();
    const other = await again.answer;
    assert.notEqual(other.messageId, stopped.messageId);
    assert.deepEqual(session.state.value.messages.map(({ superseded }) => superseded === true), [false, true, false]);
  });

  test("commands, feedback, and the list of sessions over HTTP", async (t) => {
    const client = clientOf(t, server, "tidy");
    const session = await client.sessions.create({ title: "First", metadata: { page: "docs" } });
    const { messageId } = await session.send("Remember the heron").answer;
    await session.rename("Herons");
    assert.equal(session.state.value.title, "Herons");
    await session.feedback({ messageId, rating: 1, comment: "Clear", tags: ["birds"] });
    await session.ping();
    assert.deepEqual(await session.queue(), []);
    assert.equal(await session.cancel(), "none");
    const { allowedModels } = await session.setModel(null);
    assert.ok(allowedModels.length > 0);
    await session.clear();
    const [listed] = await client.sessions.list({ limit: 5 });
    assert.deepEqual([listed?.id, listed?.title, listed?.lastSeq, listed?.metadata], [session.id, "Herons", 2, { page: "docs" }]);
    assert.deepEqual((await client.search("heron")).map(({ sessionId }) => sessionId === session.id).includes(true), true);
    await session.delete();
    assert.deepEqual(await client.sessions.list(), []);
    const again = client.sessions.open(listed?.id);
    await assert.rejects(again.ready, { code: "not_found" } satisfies Partial<AgentError>);
    await assert.rejects(again.send("Hello?").answer, { code: "not_found" });
  });

  test("a long session opens at its end, and reads backwards to its beginning", async (t) => {
    const client = clientOf(t, server, "archivist");
    const writer = client.sessions.open();
    for (let note = 0; note < 40; note++) await writer.send(`Note ${note} [[words=1]]`).answer;
    const reader = clientOf(t, server, "archivist").sessions.open(writer.id ?? assert.fail());
    await reader.ready;
    assert.deepEqual([reader.state.value.messages.length, reader.state.value.hasEarlier], [50, true]);
    while (await reader.loadEarlier(20));
    assert.deepEqual(reader.state.value.messages.map(({ seq }) => seq), Array.from({ length: 80 }, (_, index) => index + 1));
  });

  test("what is said in one window is seen in the other", async (t) => {
    const [here, there] = [clientOf(t, server, "twice"), clientOf(t, server, "twice")];
    const mine = here.sessions.open();
    await mine.ready;
    const other = there.sessions.open("latest");
    await other.ready;
    assert.equal(other.id, mine.id);
    const { content } = await mine.send("Both see this").answer;
    const { messages } = await until(other.state, ({ cursor }) => cursor === 2);
    assert.deepEqual(messages.map((message) => message.content), ["Both see this", content]);
  });

  test("a notification reaches every device, and is gone everywhere when one has seen it", async (t) => {
    const [phone, desk] = [clientOf(t, server, "owner"), clientOf(t, server, "owner")];
    const heard: Notification[] = [];
    phone.notifications.onNew((notification) => heard.push(notification));
    phone.sessions.open();
    desk.sessions.open();
    const response = await fetch(`${server.url.replace("ws:", "http:").replace("/v1/ws", "")}/v1/notifications`, {
      method: "POST",
      headers: { authorization: `Bearer ${server.token("deployer", 60, { scope: "agent:notify" })}`, "content-type": "application/json" },
      body: JSON.stringify({ user_id: "owner", content: "Deployed", title: "Deployment", kind: "deploy", data: { version: "1.4.2" }, priority: "high" }),
    });
    assert.equal(response.status, 201);
    const [there] = await until(desk.notifications.items, ({ length }) => length === 1);
    const [here] = await until(phone.notifications.items, ({ length }) => length === 1);
    assert.deepEqual(here, there);
    assert.deepEqual([here?.content, here?.title, here?.kind, here?.data, here?.priority], ["Deployed", "Deployment", "deploy", { version: "1.4.2" }, "high"]);
    await phone.notifications.ack(here?.id ?? "");
    await until(desk.notifications.items, ({ length }) => length === 0);
    assert.equal(heard.length, 1);
  });

  test("a token that ends during an answer is renewed without a cut", async (t) => {
    const asked: string[] = [];
    const client = clientOf(t, server, "renewer", ({ reason }) => {
      asked.push(reason);
      return server.token("renewer", reason === "connect" ? 8 : 3600);
    });
    const session = client.sessions.open();
    const seen = statuses(session);
    const { state, content } = await session.send("Longer than the token [[words=110]] [[delay=90]]").answer;
    assert.deepEqual([state, content.split(/\s+/).length], ["complete", 110]);
    assert.deepEqual(asked, ["connect", "expiring"]);
    assert.deepEqual(seen, ["connecting", "live"]);
  });

  test("where no token can be had in time the connection ends, and the answer goes on with the next one", async (t) => {
    const asked: string[] = [];
    const client = clientOf(t, server, "latecomer", ({ reason }) => {
      asked.push(reason);
      if (reason === "expiring") throw new Error("The identity provider is away");
      return server.token("latecomer", reason === "connect" ? 3 : 3600);
    });
    const session = client.sessions.open();
    const seen = statuses(session);
    let text = "";
    let resets = 0;
    const turn = session.send("Longer than the token [[words=50]] [[delay=90]]");
    for await (const event of turn) {
      if (event.type === "text") text += event.text;
      if (event.type === "reset") resets++;
    }
    const { state, content } = await turn.answer;
    assert.deepEqual([state, content, resets], ["complete", text, 0]);
    assert.equal(asked.at(-1), "expired");
    assert.equal(seen.at(-1), "live");
    assert.ok(seen.includes("resuming"));
  });

  test("a token that is not accepted is told, and nothing is tried again", async (t) => {
    const client = clientOf(t, server, "stranger", () => `${server.token("stranger")}x`);
    const session = client.sessions.open();
    await assert.rejects(session.send("Hello?").answer, { code: "unauthorized" });
    const state = session.connection.value as Extract<ConnectionState, { status: "closed" }>;
    assert.deepEqual([state.status, state.reason], ["closed", "unauthorized"]);
    await assert.rejects(client.sessions.list(), { code: "unauthorized" });
  });

  test("the recording is still what the server sends, and a new one heals as well", async () => {
    const fresh = await record(server);
    assertCutsHeal(fresh);
    assert.deepEqual(shapes(fresh), shapes(recording()), "npm run record, and look at the difference");
  });
});

/** The kinds of frames with their fields. Which frames of a resume are repeats is a matter of the moment. */
function shapes({ live, resumed }: Recording): string[] {
  const frames = [...live, ...resumed.flatMap((one) => one.frames)] as unknown as Record<string, unknown>[];
  return [...new Set(frames.map((frame) => {
    const fields = Object.keys(frame).filter((field) => field !== "replay").sort();
    return [frame["type"], frame["event"] ?? "", frame["state"] ?? "", ...fields].join(" ");
  }))].sort();
}
