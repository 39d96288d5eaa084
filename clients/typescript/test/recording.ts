// What the real server sent, recorded by test/record/record.ts.

import { readFileSync } from "node:fs";
import type { ServerFrame } from "../src/generated/frames.js";

export interface Recording {
  /** What a client sent, by its `id`. */
  sent: Record<string, string>;
  live: ServerFrame[];
  /** `after`: how many frames of `live` had arrived; `cursor`: the highest `seq` among them. */
  resumed: { after: number; cursor: number; frames: ServerFrame[] }[];
}

/** The form of the file: frames by their number. */
export interface Packed {
  sent: Record<string, string>;
  live: number[];
  resumed: { after: number; cursor: number; frames: number[] }[];
  frames: ServerFrame[];
}

export function recording(): Recording {
  const packed = JSON.parse(readFileSync("test/fixtures/conversation.json", "utf8")) as Packed;
  const frame = (number: number): ServerFrame => {
    const found = packed.frames[number];
    if (!found) throw new Error(`The recording has no frame ${number}`);
    return found;
  };
  return {
    sent: packed.sent,
    live: packed.live.map(frame),
    resumed: packed.resumed.map((one) => ({ ...one, frames: one.frames.map(frame) })),
  };
}
