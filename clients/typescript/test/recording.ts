// What the real server sent, recorded by `npm run record`, and what has to hold of any such recording.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { ServerFrame } from "../src/generated/frames.js";
import { EMPTY, reduce, sending, type SessionState } from "../src/state.js";

export const FIXTURE = "test/fixtures/conversation.json";

export interface Recording {
  /** What a client sent, by its `id`, each when the one before was answered. */
  sent: Record<string, string>;
  live: ServerFrame[];
  /** `after`: how many frames of `live` had arrived; `cursor`: the highest `seq` among them. */
  resumed: { after: number; cursor: number; frames: ServerFrame[] }[];
}

/** The form of the file: frames by their number, since most came over many connections. */
interface Packed {
  sent: Record<string, string>;
  live: number[];
  resumed: { after: number; cursor: number; frames: number[] }[];
  frames: ServerFrame[];
}

export function recording(): Recording {
  const packed = JSON.parse(readFileSync(FIXTURE, "utf8")) as Packed;
  const frame = (number: number): ServerFrame => packed.frames[number] ?? assert.fail(`The recording has no frame ${number}`);
  return {
    sent: packed.sent,
    live: packed.live.map(frame),
    resumed: packed.resumed.map((one) => ({ ...one, frames: one.frames.map(frame) })),
  };
}

export function pack(recording: Recording): Packed {
  const frames = new Map<string, number>();
  const number = (frame: ServerFrame): number => {
    const text = JSON.stringify(frame);
    return frames.get(text) ?? (frames.set(text, frames.size), frames.size - 1);
  };
  const live = recording.live.map(number);
  const resumed = recording.resumed.map((one) => ({ ...one, frames: one.frames.map(number) }));
  return { sent: recording.sent, live, resumed, frames: [...frames.keys()].map((text) => JSON.parse(text) as ServerFrame) };
}

/** Applies frames; what the reducer misses fails the test. */
export function play(state: SessionState, ...list: readonly ServerFrame[]): SessionState {
  for (const frame of list) {
    const step = reduce(state, frame);
    assert.equal(step.resync, undefined, `${JSON.stringify(frame)}: ${step.resync}`);
    state = step.state;
  }
  return state;
}

/** The state of the one who asked, after so many frames: questions are in it from the moment of their sending. */
export function asker(recorded: Recording, count: number): SessionState {
  let state = EMPTY;
  const waiting = Object.entries(recorded.sent);
  for (const frame of recorded.live.slice(0, count)) {
    state = play(state, frame);
    if ((frame.type === "status" && frame.event === "live") || frame.type === "response") {
      const next = waiting.shift();
      if (next) state = sending(state, { id: next[0], content: next[1], createdAt: "" });
    }
  }
  return state;
}

/** What has to be the same however the frames came. */
export function said(state: SessionState): unknown {
  return state.messages.map(({ key, id, seq, role, content, state: how, runId, inReplyTo, model, usage, error }) =>
    ({ key, id, seq, role, content, how, runId, inReplyTo, model, usage, error: error?.code }));
}

/** A cut at every boundary, and the resume that the server gave, end in the same conversation. */
export function assertCutsHeal(recorded: Recording): void {
  const whole = said(asker(recorded, recorded.live.length));
  assert.equal(recorded.resumed.length, recorded.live.length);
  for (const { after, cursor, frames } of recorded.resumed) {
    const cut = asker(recorded, after);
    assert.equal(cut.cursor, cursor);
    const state = play(cut, ...frames);
    assert.deepEqual(said(state), whole, `cut after ${after} frames`);
    assert.equal(state.streaming, null);
  }
}
