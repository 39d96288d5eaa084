import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServerFrame } from "../../src/generated/frames.js";
import { EMPTY, dismissed, prepended, reduce, refused, resumePoint, sending, type SessionState } from "../../src/state.js";
import { random } from "../random.js";
import { asker, assertCutsHeal, play, recording, said } from "../recording.js";
import { frames, SESSION } from "../world.js";

const recorded = recording();

const whole = asker(recorded, recorded.live.length);

test("the recording holds what the tests need", () => {
  assert.deepEqual(whole.messages.map(({ role, state }) => `${role} ${state}`), [
    "user complete", "assistant complete", "user complete", "assistant incomplete", "user complete", "assistant failed",
  ]);
  assert.ok(recorded.live.filter((frame) => frame.type === "delta").length >= 30);
  assert.match(whole.messages[1]?.content ?? "", /🎉.*👩‍👩‍👧/u);
  assert.match(whole.messages[3]?.error?.message ?? "", /^Failed to generate response: /);
});

test("a cut at every boundary, and the resume that the server gave, end in the same conversation", () => {
  assertCutsHeal(recorded);
});

test("a second cut at every boundary of every resume ends in the same conversation", () => {
  for (const first of recorded.resumed) {
    let state = asker(recorded, first.after);
    for (const [index, frame] of first.frames.entries()) {
      state = play(state, frame);
      // Somebody who came back later, from the cursor that this one has by now.
      const second = recorded.resumed.find((one) => one.after > first.after && one.cursor === state.cursor);
      if (second) assert.deepEqual(said(play(state, ...second.frames)), said(whole), `cut after ${first.after} frames, then after ${index + 1}`);
    }
  }
});

test("text on the screen only ever grows towards the answer, through a cut too", () => {
  for (const { after, frames: resumed } of recorded.resumed) {
    let state = asker(recorded, after);
    for (const frame of resumed) {
      state = play(state, frame);
      const { streaming } = state;
      if (!streaming) continue;
      const end = whole.messages.find((message) => message.id === streaming.id);
      assert.ok(end?.content.startsWith(streaming.content), `${JSON.stringify(streaming.content)} of ${JSON.stringify(end?.content)}`);
    }
  }
});

test("any frame may come twice at once", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const chance = random(seed);
    const one = recorded.resumed[Math.floor(chance() * recorded.resumed.length)] ?? assert.fail();
    const doubled = one.frames.flatMap((frame) => (chance() < 0.3 ? [frame, frame] : [frame]));
    assert.deepEqual(said(play(asker(recorded, one.after), ...doubled)), said(whole), `seed ${seed}`);
  }
});

test("a lost frame is noticed before the next message, or makes no difference", () => {
  for (const { after, frames: resumed } of recorded.resumed) {
    for (let lost = 1; lost < resumed.length; lost++) {
      let state = asker(recorded, after);
      let noticed = false;
      for (const frame of resumed.filter((_, index) => index !== lost)) {
        const step = reduce(state, frame);
        state = step.state;
        noticed ||= step.resync !== undefined;
        if (noticed) break;
      }
      // Only the very last frame leaves nothing behind it that could tell; the next heartbeat does.
      if (!noticed && lost === resumed.length - 1) noticed = reduce({ ...state, live: true }, { ...frames.heartbeat(6), session_id: state.sessionId } as ServerFrame).resync !== undefined;
      if (!noticed) assert.deepEqual(sameLog(state), sameLog(whole), `without frame ${lost} of the resume after ${after}`);
    }
  }
});

function sameLog(state: SessionState): unknown {
  return state.messages.map(({ seq, role, content }) => ({ seq, role, content }));
}

const connected = play(EMPTY, frames.welcome(), frames.live());

test("a new session resumes from its start, one never caught up with from wherever the server begins", () => {
  assert.deepEqual(resumePoint(EMPTY), {});
  assert.deepEqual(resumePoint(play(EMPTY, frames.welcome())), { session_id: SESSION });
  assert.deepEqual(resumePoint(connected), { session_id: SESSION, after: 0 });
  assert.deepEqual(resumePoint(play(EMPTY, frames.welcome({ head: 60 }), frames.query(11))), { session_id: SESSION, after: 11 });
});

test("the newest messages of a long session may begin anywhere, and tell that there are earlier ones", () => {
  const state = play(EMPTY, frames.welcome({ head: 60, first_available: 1 }), frames.query(59), frames.response(59, 60, "Yes"), frames.live(60));
  assert.deepEqual([state.cursor, state.hasEarlier, state.messages.length], [60, true, 2]);
});

test("earlier messages join without a hole or are left out", () => {
  const state = play(EMPTY, frames.welcome({ head: 4, first_available: 1 }), frames.query(3), frames.response(3, 4, "Yes"), frames.live(4));
  const item = (seq: number) => ({ session_id: SESSION, seq, message_id: `m-${seq}`, role: "user" as const, content: `${seq}`, state: "complete" as const, created_at: "" });
  const more = prepended(state, [item(2)]);
  assert.deepEqual(more.messages.map(({ seq }) => seq), [2, 3, 4]);
  assert.equal(more.hasEarlier, true);
  assert.equal(prepended(more, [item(1), item(2)]).hasEarlier, false);
  assert.equal(prepended(state, [item(1)]), state);
});

test("a gap drops what lies before it, so that the list has no hole", () => {
  const before = play(connected, frames.query(1), frames.response(1, 2, "Yes"));
  const after = play(before, frames.welcome({ resumed: true, head: 1203, first_available: 1, gap: { from: 3, to: 1202 } }), frames.query(1203), frames.live(1203));
  assert.deepEqual(after.messages.map(({ seq }) => seq), [1203]);
  assert.deepEqual([after.gap, after.hasEarlier, after.cursor], [{ from: 3, to: 1202 }, true, 1203]);
});

test("a log that ends before the cursor is another one: the copy is dropped", () => {
  const before = play(connected, frames.query(1), frames.response(1, 2, "Yes"));
  const after = play(before, frames.welcome({ resumed: true, head: 1, first_available: 1 }), frames.query(1, { content: "Restored" }), frames.live(1));
  assert.deepEqual(after.messages.map(({ content }) => content), ["Restored"]);
  assert.equal(after.cursor, 1);
});

test("a hole in the order, text after a hole and a head that is ahead ask for a resume", () => {
  assert.match(reduce(connected, frames.query(2)).resync ?? "", /message 1 /);
  assert.match(reduce(connected, frames.delta(1, 5, "late")).resync ?? "", /text/);
  assert.match(reduce(connected, frames.heartbeat(1)).resync ?? "", /heartbeat/);
  assert.match(reduce(play(EMPTY, frames.welcome({ head: 1 })), frames.live(1)).resync ?? "", /head/);
});

test("a query is shown while it is sent, keeps its key, and is refused or dismissed", () => {
  const sent = sending(connected, { id: "q", content: "Hello", createdAt: "now" });
  assert.deepEqual(sent.messages.map(({ key, state }) => [key, state]), [["q", "sending"]]);
  const queued = play(sent, frames.accepted("q", 1, { queue_position: 2 }));
  assert.deepEqual(queued.messages.map(({ key, seq, content, state }) => [key, seq, content, state]), [["q", 1, "Hello", "queued"]]);
  assert.equal(play(queued, frames.thinking(1)).messages[0]?.state, "complete");
  const wrong = refused(sent, "q", { code: "busy", retryable: true });
  assert.deepEqual([wrong.messages[0]?.state, wrong.messages[0]?.error?.code], ["refused", "busy"]);
  assert.equal(dismissed(wrong, "q").messages.length, 0);
  assert.equal(dismissed(queued, "q").messages.length, 1);
});

test("a duplicate's answer never moves the cursor", () => {
  const state = play(connected, frames.query(1), frames.response(1, 2, "Yes"));
  const repeated = play(sending(state, { id: "q", content: "Again", createdAt: "" }), frames.accepted("q", 1, { duplicate: true }));
  assert.deepEqual([repeated.cursor, repeated.messages.length], [2, 2]);
  assert.equal(play(state, frames.accepted("q", 9, { duplicate: true })).cursor, 2);
});

test("an answer that the server no longer speaks of goes when the catch-up is complete", () => {
  const writing = play(connected, frames.query(1), frames.thinking(1), frames.delta(1, 0, "Half"));
  const again = play(writing, frames.welcome({ resumed: true, head: 1 }));
  assert.equal(again.streaming?.content, "Half");
  assert.equal(play(again, frames.live(1)).streaming, null);
  const same = play(again, frames.thinking(1, { replay: true }), frames.delta(1, 0, "Half a"), frames.live(1));
  assert.equal(same.streaming?.content, "Half a");
});

test("a run that is given back waits again", () => {
  const state = play(connected, frames.query(1), frames.thinking(1),
    { type: "status", event: "run", content: "", timestamp: "", session_id: SESSION, run_id: "r-1", state: "queued", attempt: 1 });
  assert.deepEqual([state.streaming, state.messages[0]?.state], [null, "queued"]);
  assert.equal(play(state, frames.thinking(1), frames.delta(1, 0, "Now", 2)).streaming?.content, "Now");
});

test("a new answer to the same question supersedes the old one", () => {
  const state = play(connected, frames.query(1), frames.response(1, 2, "One"), frames.response(1, 3, "Two", { message_id: "a-new", run_id: "r-new" }));
  assert.deepEqual(state.messages.map(({ superseded }) => superseded), [undefined, true, undefined]);
});

test("a notification in the conversation has its place, one beside it has none", () => {
  const state = play(connected, frames.notification("n", { session_id: SESSION, seq: 1, message_id: "m-1" }), frames.notification("n2"));
  assert.deepEqual(state.messages.map(({ role, seq }) => [role, seq]), [["notification", 1]]);
});

test("frames of another session, of unknown kinds and late deltas change nothing", () => {
  const state = play(connected, frames.query(1), frames.response(1, 2, "Yes"));
  const other = { session_id: "another" };
  for (const frame of [frames.query(3, other), frames.delta(1, 0, "late"), frames.thinking(1), frames.response(1, 3, "No", other),
    { type: "hologram" } as unknown as ServerFrame, { type: "status", event: "new-thing" } as unknown as ServerFrame]) {
    assert.deepEqual(reduce(state, frame), { state });
  }
});

test("the title follows a rename here and elsewhere", () => {
  assert.equal(play(connected, frames.done("rename", "c", { title: "Here" })).title, "Here");
  assert.equal(play(connected, { type: "status", event: "session", content: "", timestamp: "", session_id: SESSION, title: "There", deleted: false }).title, "There");
});
