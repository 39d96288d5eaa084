import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer } from "../../src/index.js";
import { asker, recording, said } from "../recording.js";
import { SESSION, World, frames } from "../world.js";
import { clientIn, comeBack, follow, lastSaid, live, saidOf, textOf } from "./scene.js";

test("a turn tells what happens, and its text put together is the answer", async () => {
  const { world, session } = await live();
  const turn = session.send("Why?", { priority: "high", onBusy: "interrupt", model: "m", metadata: { page: "docs" } });
  const events = follow(turn);
  assert.deepEqual(lastSaid(world), { type: "query", id: turn.id, content: "Why?", on_busy: "interrupt", priority: "high", model: "m", metadata: { page: "docs" } });
  assert.equal(session.state.value.messages[0]?.state, "sending");
  world.socket.tell(frames.accepted(turn.id, 1), frames.thinking(1));
  await world.settle();
  world.socket.tell(frames.delta(1, 0, "Because "));
  await world.settle();
  world.socket.tell(frames.delta(1, 8, "so"), frames.response(1, 2, "Because so.", { model: "m", usage: { input_tokens: 3 } }));
  await world.settle();
  const answer: Answer = { messageId: "a-1", seq: 2, content: "Because so.", state: "complete", model: "m", usage: { input_tokens: 3 } };
  assert.deepEqual(events.filter(({ type }) => type !== "text"), [
    { type: "accepted", messageId: "m-1", runId: "r-1", queuePosition: 0 }, { type: "thinking" }, { type: "done", answer },
  ]);
  assert.equal(textOf(events), "Because so.");
  assert.deepEqual(await turn.answer, answer);
});

test("whoever waits for an answer finds it in the session's state, too", async () => {
  const { world, session } = await live();
  const turn = session.send("Why?");
  let seen: unknown;
  void turn.answer.then(() => (seen = session.state.value.messages.map(({ content }) => content)));
  world.socket.tell(frames.accepted(turn.id, 1), frames.response(1, 2, "So."));
  await world.settle();
  assert.deepEqual(seen, ["Why?", "So."]);
});

test("a slow reader gets the text in larger pieces, and one who comes late all of it", async () => {
  const { world, session } = await live();
  const turn = session.send("Why?");
  world.socket.tell(frames.accepted(turn.id, 1), frames.thinking(1), ...Array.from({ length: 100 }, (_, at) => frames.delta(1, at, "x")));
  await world.settle();
  const events = follow(turn);
  await world.settle();
  assert.deepEqual(events.map(({ type }) => type), ["accepted", "thinking", "text"]);
  world.socket.tell(frames.response(1, 2, "x".repeat(100)));
  await world.settle();
  const late = follow(turn);
  await world.settle();
  assert.equal(textOf(late), "x".repeat(100));
  assert.equal(late.at(-1)?.type, "done");
});

test("a new attempt takes back what the one before has shown", async () => {
  const { world, session } = await live();
  const turn = session.send("Why?");
  const events = follow(turn);
  world.socket.tell(frames.accepted(turn.id, 1), frames.thinking(1), frames.delta(1, 0, "Once"));
  await world.settle();
  world.socket.tell(frames.delta(1, 0, "Again", 2));
  await world.settle();
  assert.deepEqual(events.slice(2), [{ type: "text", text: "Once" }, { type: "reset" }, { type: "text", text: "Again" }]);
  // What was stored after a crash may be less than what was shown.
  world.socket.tell(frames.response(1, 2, "Aga", { state: "incomplete", error: { code: "internal", retryable: true } }));
  await world.settle();
  assert.equal(textOf(events), "Aga");
});

test("the recorded conversation, cut at every boundary: each turn ends with its answer, and nothing is asked twice", async () => {
  const recorded = recording();
  const questions = Object.entries(recorded.sent);
  const whole = asker(recorded, recorded.live.length);
  for (const { after, frames: resumed } of recorded.resumed) {
    const world = new World();
    const client = clientIn(world);
    // The ids under which it was asked when it was recorded.
    const ids = questions.map(([id]) => id);
    world.env.uniqueName = () => ids.shift() ?? assert.fail("It said more than the recording");
    const session = client.sessions.open();
    await world.settle();
    const turns: { events: ReturnType<typeof follow>; answer: Promise<Answer> }[] = [];
    let done = false;
    const conversation = (async () => {
      await session.ready;
      for (const [, content] of questions) {
        const turn = session.send(content);
        turns.push({ events: follow(turn), answer: turn.answer });
        await turn.answer;
      }
      done = true;
    })();
    for (const frame of recorded.live.slice(0, after)) {
      world.socket.tell(frame);
      await world.settle();
    }
    const [first] = world.sockets;
    if (!done) {
      world.socket.cut();
      await world.pass(1_000);
      assert.equal(world.sockets.length, 2);
      for (const frame of resumed) {
        world.socket.tell(frame);
        await world.settle();
      }
    }
    await conversation;
    const label = `cut after ${after} frames`;
    assert.deepEqual(said(session.state.value), said(whole), label);
    for (const { events, answer } of turns) assert.equal(textOf(events), (await answer).content, label);
    // Again only what was in doubt: sent over the first, and not accepted there.
    const accepted = recorded.live.slice(0, after).flatMap((frame) => (frame.type === "status" && frame.event === "accepted" ? [frame.re] : []));
    const again = world.sockets.slice(1).flatMap((socket) => socket.said.map(({ id }) => id));
    assert.deepEqual(again.filter((id) => accepted.includes(id)), [], label);
    assert.ok((first?.said.length ?? 0) <= questions.length, label);
    session.close();
  }
});

test("what is said while the connection is not live goes out when it is, in its order", async () => {
  const world = new World();
  const session = clientIn(world).sessions.open();
  const turns = ["One", "Two"].map((word) => session.send(word));
  await world.settle();
  world.socket.tell(frames.welcome());
  await world.settle();
  assert.deepEqual(world.socket.said, []);
  world.socket.tell(frames.live());
  await world.settle();
  assert.deepEqual(world.socket.said.map(({ id, content }) => [id, content]), [[turns[0]?.id, "One"], [turns[1]?.id, "Two"]]);
});

test("a question that was not accepted before a cut is sent again under its id; an accepted one is not", async () => {
  const { world, session } = await live();
  const [known, doubtful] = [session.send("One"), session.send("Two")];
  world.socket.tell(frames.accepted(known.id, 1));
  await world.settle();
  await comeBack(world, 1);
  assert.deepEqual(world.socket.said, [{ type: "query", id: doubtful.id, content: "Two" }]);
  world.socket.tell(frames.accepted(doubtful.id, 2, { queue_position: 1 }), frames.response(2, 3, "Yes"));
  assert.equal((await doubtful.answer).content, "Yes");
});

test("a question whose acceptance was lost is found in what is replayed, and not sent again", async () => {
  const { world, session } = await live();
  const turn = session.send("One");
  await comeBack(world, 2, frames.query(1, { id: turn.id, content: "One", replay: true }), frames.response(1, 2, "Yes", { replay: true }));
  assert.equal((await turn.answer).content, "Yes");
  assert.deepEqual(world.socket.said, []);
  assert.deepEqual(session.state.value.messages.map(({ key, seq }) => [key, seq]), [[turn.id, 1], ["a-1", 2]]);
});

test("an answer that lies in a gap is looked for in the history, page by page, to the question", async () => {
  const { world, session } = await live();
  const turn = session.send("One");
  world.socket.tell(frames.accepted(turn.id, 1));
  await world.settle();
  world.socket.cut();
  await world.pass(1_000);
  world.socket.tell(frames.welcome({ resumed: true, head: 500, first_available: 1, gap: { from: 2, to: 499 } }), frames.query(500), frames.live(500));
  await world.settle();
  const item = (seq: number) => ({ session_id: SESSION, seq, message_id: `m-${seq}`, role: "user", content: "", state: "complete", created_at: "" });
  const answer = { ...item(2), message_id: "a-1", role: "assistant", content: "Found", run_id: "r-1", in_reply_to: "m-1" };
  for (const [before, messages] of [[500, [item(300)]], [300, [item(1), answer]]] as const) {
    const asked = lastSaid(world);
    assert.deepEqual([asked.content, asked["args"]], ["history", { before, limit: 200 }]);
    world.socket.tell(frames.done("history", asked.id ?? "", { messages }));
    await world.settle();
  }
  assert.equal((await turn.answer).content, "Found");
});

test("a repeat that was accepted long ago finds its answer", async () => {
  const { world, session } = await live();
  const turn = session.send("One");
  world.socket.tell(frames.query(1, { id: "other" }), frames.response(1, 2, "Yes"), frames.accepted(turn.id, 1, { duplicate: true }));
  await world.settle();
  assert.equal((await turn.answer).content, "Yes");
});

test("many questions go out in a window, the next when one is accepted; too many are refused here", async () => {
  const { world, session } = await live();
  const turns = Array.from({ length: 257 }, (_, index) => session.send(`Question ${index}`));
  assert.equal(saidOf(world, "query").length, 16);
  await assert.rejects(turns[256]?.answer ?? assert.fail(), { code: "outbox_full", retryable: true });
  world.socket.tell(frames.accepted(turns[0]?.id ?? "", 1));
  await world.settle();
  assert.equal(saidOf(world, "query").length, 17);
});

test("a refusal that asks for patience is tried again when the server said, five times", async () => {
  const { world, session } = await live();
  const turn = session.send("One");
  const events = follow(turn);
  for (let tries = 1; tries <= 6; tries++) {
    assert.equal(saidOf(world, "query").length, tries);
    world.socket.tell(frames.error("rate_limited", { re: turn.id, retryable: true, retry_after_ms: 2_000 }));
    await world.pass(1_999);
    assert.equal(saidOf(world, "query").length, tries);
    await world.pass(1);
  }
  assert.deepEqual(events, [{ type: "error", code: "rate_limited" }]);
  assert.deepEqual(session.state.value.messages.map(({ state, error }) => [state, error?.code, error?.retryable]), [["refused", "rate_limited", true]]);
  session.dismiss(turn.id);
  assert.deepEqual(session.state.value.messages, []);
});

test("another refusal is passed on at once, to the promise, the loop and the list", async () => {
  const { world, session } = await live();
  const turn = session.send("One", { onBusy: "reject" });
  const events = follow(turn);
  world.socket.tell(frames.error("busy", { re: turn.id, retryable: true }));
  await world.settle();
  assert.deepEqual(events, [{ type: "error", code: "busy" }]);
  await assert.rejects(turn.accepted, { code: "busy", message: "It is busy", retryable: true });
  assert.equal(session.state.value.messages[0]?.state, "refused");
});

test("what cannot be a question is refused before it is sent", async () => {
  const { world, session } = await live();
  await assert.rejects(session.send(" \n").answer, { code: "content_required" });
  await assert.rejects(session.send("é".repeat(16_385)).answer, { code: "too_large" });
  assert.deepEqual([world.socket.said, session.state.value.messages], [[], []]);
  session.send("é".repeat(16_384));
  assert.equal(world.socket.said.length, 1);
});

test("a question that was not sent is taken back; one that was is cancelled by its run", async () => {
  const world = new World();
  const session = clientIn(world).sessions.open();
  await world.settle();
  const early = session.send("Never mind");
  await early.cancel();
  await assert.rejects(early.answer, { code: "cancelled" });
  world.socket.tell(frames.welcome(), frames.live());
  await world.settle();
  assert.deepEqual([world.socket.said, session.state.value.messages], [[], []]);

  const turn = session.send("Why?");
  const cancelled = turn.cancel();
  world.socket.tell(frames.accepted(turn.id, 1));
  await world.settle();
  const command = lastSaid(world);
  assert.deepEqual([command.content, command["args"]], ["cancel", { run_id: "r-1" }]);
  world.socket.tell(frames.done("cancel", command.id ?? "", { run_id: "r-1", state: "cancelling" }), frames.response(1, 2, "Be", { state: "cancelled" }));
  await cancelled;
  assert.deepEqual([(await turn.answer).state, (await turn.answer).content], ["cancelled", "Be"]);
});

test("a question that may have arrived before a cut is not taken back, but cancelled when its run is known", async () => {
  const { world, session } = await live();
  const turn = session.send("Why?");
  world.socket.cut();
  await world.settle();
  void turn.cancel();
  await world.pass(1_000);
  world.socket.tell(frames.welcome({ resumed: true }), frames.live());
  await world.settle();
  assert.deepEqual(world.socket.said.map(({ id }) => id), [turn.id]);
  world.socket.tell(frames.accepted(turn.id, 1, { duplicate: true }));
  await world.settle();
  const { content, args } = lastSaid(world) as { content?: string; args?: unknown };
  assert.deepEqual([content, args], ["cancel", { run_id: "r-1" }]);
});

test("text that comes before the acceptance belongs to the turn, too", async () => {
  const { world, session } = await live();
  const turn = session.send("Why?");
  const events = follow(turn);
  world.socket.tell(frames.thinking(1), frames.delta(1, 0, "So"), frames.accepted(turn.id, 1));
  await world.settle();
  assert.deepEqual(events.map(({ type }) => type), ["accepted", "thinking", "text"]);
});

test("an answer whose hash is still being computed when the session is closed is not shown any more", async () => {
  const world = new World();
  let hashed: (hash: string | null) => void = () => {};
  world.env.sha256 = () => new Promise((resolve) => (hashed = resolve));
  const session = clientIn(world).sessions.open();
  await world.settle();
  world.socket.tell(frames.welcome(), frames.live(), frames.query(1), frames.response(1, 2, "So"));
  await world.settle();
  session.close();
  hashed(null);
  await world.settle();
  assert.equal(session.state.value.cursor, 1);
});

test("an AbortSignal cancels, also one that was aborted before, and is let go of afterwards", async () => {
  const { world, session } = await live();
  const turn = session.send("Why?", { signal: AbortSignal.abort() });
  world.socket.tell(frames.accepted(turn.id, 1));
  await world.settle();
  assert.equal(lastSaid(world).content, "cancel");
  const controller = new AbortController();
  const other = session.send("Why?", { signal: controller.signal });
  world.socket.tell(frames.response(1, 2, "Be", { state: "cancelled" }), frames.accepted(other.id, 3), frames.response(3, 4, "So"));
  await world.settle();
  const said = world.socket.said.length;
  controller.abort();
  await world.settle();
  assert.equal(world.socket.said.length, said);
});

test("regenerate is a turn of its own", async () => {
  const { world, session } = await live();
  world.socket.tell(frames.query(1), frames.response(1, 2, "One"));
  await world.settle();
  const turn = session.regenerate("m-1");
  assert.deepEqual(lastSaid(world), { type: "command", id: turn.id, content: "regenerate", args: { message_id: "m-1" } });
  world.socket.tell(frames.done("regenerate", turn.id, { run_id: "r-new", in_reply_to: "m-1", message_id: "a-new", queue_position: 0, duplicate: false }));
  world.socket.tell(frames.response(1, 3, "Two", { message_id: "a-new", run_id: "r-new" }));
  assert.equal((await turn.answer).content, "Two");
});

test("commands carry what they are given and give what the server says", async () => {
  const { world, session } = await live();
  const reply = async (event: string, data: object): Promise<unknown> => {
    const { id, content, args } = lastSaid(world) as { id?: string; content?: string; args?: unknown };
    assert.equal(content, event);
    world.socket.tell(frames.done(event, id ?? "", data));
    await world.settle();
    return args;
  };
  const history = session.history({ before: 9, limit: 1 });
  assert.deepEqual(await reply("history", { messages: [{ session_id: SESSION, seq: 8, message_id: "m-8", role: "user", content: "Hi", state: "complete", created_at: "then" }] }), { before: 9, limit: 1 });
  assert.deepEqual(await history, [{ key: "m-8", id: "m-8", seq: 8, role: "user", content: "Hi", state: "complete", createdAt: "then" }]);
  const model = session.setModel("m");
  assert.deepEqual(await reply("model", { model: "m", allowed_models: ["m"] }), { model: "m" });
  assert.deepEqual(await model, { model: "m", allowedModels: ["m"] });
  const queue = session.queue();
  await reply("queue", { queue: [{ message_id: "m-1", run_id: "r-1", seq: 1, content: "Hi", priority: "low", queued_at: "then" }] });
  assert.deepEqual(await queue, [{ messageId: "m-1", runId: "r-1", seq: 1, content: "Hi", priority: "low" }]);
  const unqueue = session.unqueue("m-1");
  assert.deepEqual(await reply("unqueue", { message_id: "m-1", run_id: "r-1" }), { message_id: "m-1" });
  await unqueue;
  const cancel = session.cancel();
  assert.deepEqual(await reply("cancel", { run_id: null, state: "none" }), {});
  assert.equal(await cancel, "none");
  const feedback = session.feedback({ messageId: "a-1", rating: -1, comment: "No", correction: "Yes", tags: ["short"] });
  const { id, ...told } = lastSaid(world);
  assert.deepEqual(told, { type: "human_feedback", message_id: "a-1", content: "No", rating: -1, correction: "Yes", tags: ["short"] });
  world.socket.tell({ type: "status", event: "feedback", content: "Thank you", timestamp: "", re: id, message_id: "a-1" });
  await feedback;
});

test("commands that were under way at a cut are said again, and their answer is given", async () => {
  const { world, session } = await live();
  const rename = session.rename("Herons");
  const { id } = lastSaid(world);
  await comeBack(world, 0);
  assert.deepEqual(lastSaid(world), { type: "command", id, content: "rename", args: { title: "Herons" } });
  world.socket.tell(frames.done("rename", id ?? "", { session_id: SESSION, title: "Herons" }));
  await rename;
  await world.settle();
  assert.equal(session.state.value.title, "Herons");
});

test("loadEarlier reads back to the beginning", async () => {
  const world = new World();
  const session = clientIn(world).sessions.open(SESSION);
  await world.settle();
  world.socket.tell(frames.welcome({ resumed: true, head: 3, first_available: 1 }), frames.query(3), frames.live(3));
  await world.settle();
  assert.equal(session.state.value.hasEarlier, true);
  const more = session.loadEarlier(2);
  const { id, args } = lastSaid(world) as { id?: string; args?: unknown };
  assert.deepEqual(args, { before: 3, limit: 2 });
  const item = (seq: number) => ({ session_id: SESSION, seq, message_id: `m-${seq}`, role: "user", content: "", state: "complete", created_at: "" });
  world.socket.tell(frames.done("history", id ?? "", { messages: [item(1), item(2)] }));
  assert.equal(await more, false);
  assert.deepEqual(session.state.value.messages.map(({ seq }) => seq), [1, 2, 3]);
});

test("closing ends what waits, and what is asked afterwards; the server goes on without", async () => {
  const { world, session } = await live();
  const [turn, ping] = [session.send("Why?"), session.ping()];
  const events = follow(turn);
  session.close();
  await assert.rejects(ping, { code: "closed" });
  await assert.rejects(turn.answer, { code: "closed" });
  await assert.rejects(session.send("And now?").answer, { code: "closed" });
  await world.settle();
  assert.deepEqual(events, [{ type: "error", code: "closed" }]);
});

test("deleting is done also where the word of it is lost with the connection", async () => {
  for (const code of [4509, 4504]) {
    const { world, session } = await live();
    const deleted = session.delete();
    await world.settle();
    assert.deepEqual([lastSaid(world).content, lastSaid(world)["args"]], ["delete", { session_id: SESSION }]);
    world.socket.cut(code);
    await deleted;
    const state = session.connection.value;
    assert.equal(state.status === "closed" && state.reason, "deleted");
  }
});

test("state is told once for a burst of frames", async () => {
  const { world, session } = await live();
  let told = -1;
  session.state.subscribe(() => told++);
  world.socket.tell(frames.query(1), frames.thinking(1), ...Array.from({ length: 50 }, (_, at) => frames.delta(1, at, "x")));
  await world.settle();
  assert.equal(told, 1);
  // Nothing changed.
  world.socket.tell(frames.heartbeat(1), frames.delta(1, 0, "x"));
  await world.settle();
  assert.equal(told, 1);
});
