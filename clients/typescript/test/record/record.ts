// Records what the real server sends, for the unit tests: node scripts/test.mjs record
//
// One conversation, watched live; and at each frame of it another connection that resumes from the cursor of that moment,
// watched to the end. So the fixture holds, for a cut at every boundary, what the server did send to the one who came back.

import { writeFileSync } from "node:fs";
import { WebSocket } from "ws";
import type { ServerFrame } from "../../src/generated/frames.js";
import type { Packed, Recording } from "../recording.js";
import { Server } from "../server.js";

const QUESTIONS: [string, string][] = [
  ["q-1", "Answer 🎉 “naïve 👩‍👩‍👧 ideas” [[delay=60]]"],
  ["q-2", "Break later [[delay=60]] [[fail=4]]"],
  ["q-3", "Say nothing [[empty]]"],
];

const server = await Server.start();
const token = server.token("recorder");

function connect(parameters: string): WebSocket {
  return new WebSocket(`${server.url}?${parameters}`, ["agentws.v1", `agentws.bearer.${token}`]);
}

async function record(): Promise<Recording> {
  const recording: Recording = { sent: Object.fromEntries(QUESTIONS), live: [], resumed: [] };
  const watchers: Promise<void>[] = [];
  const socket = connect("");
  let cursor = 0;
  let session = "";
  const waiting = [...QUESTIONS];
  const last = QUESTIONS.length * 2;
  const ask = (): void => {
    const next = waiting.shift();
    if (next) socket.send(JSON.stringify({ type: "query", id: next[0], content: next[1] }));
  };
  await new Promise<void>((done) => {
    socket.on("message", (data) => {
      const frame = JSON.parse(String(data)) as ServerFrame & { seq?: number; session_id?: string };
      recording.live.push(frame);
      session ||= frame.session_id ?? "";
      cursor = frame.seq ?? cursor;
      const live = frame.type === "status" && frame.event === "live";
      if (live || frame.type === "response") ask();
      watchers.push(watch(recording, session, cursor, last));
      if (cursor === last) done();
    });
  });
  await Promise.all(watchers);
  socket.close();
  recording.resumed.sort((a, b) => a.after - b.after);
  return recording;
}

/** Resumes from here on, and reads until the conversation is over. */
async function watch(recording: Recording, session: string, cursor: number, last: number): Promise<void> {
  const resumed = { after: recording.live.length, cursor, frames: [] as ServerFrame[] };
  recording.resumed.push(resumed);
  const socket = connect(`session_id=${session}&after=${cursor}`);
  let live = false;
  let head = cursor;
  await new Promise<void>((done) => {
    socket.on("message", (data) => {
      const frame = JSON.parse(String(data)) as ServerFrame & { seq?: number };
      resumed.frames.push(frame);
      live ||= frame.type === "status" && frame.event === "live";
      head = frame.seq ?? head;
      if (live && head === last) done();
    });
  });
  socket.close();
}

/** Most frames came over many connections: each is written once. */
function pack(recording: Recording): Packed {
  const frames = new Map<string, number>();
  const number = (frame: ServerFrame): number => {
    const text = JSON.stringify(frame);
    return frames.get(text) ?? (frames.set(text, frames.size), frames.size - 1);
  };
  const live = recording.live.map(number);
  const resumed = recording.resumed.map((one) => ({ ...one, frames: one.frames.map(number) }));
  return { sent: recording.sent, live, resumed, frames: [...frames.keys()].map((text) => JSON.parse(text) as ServerFrame) };
}

try {
  const recording = await record();
  const { frames, ...rest } = pack(recording);
  const lines = frames.map((frame) => JSON.stringify(frame)).join(",\n");
  writeFileSync("test/fixtures/conversation.json", `${JSON.stringify(rest).slice(0, -1)},"frames":[\n${lines}\n]}\n`);
  console.log(`${recording.live.length} frames live, ${recording.resumed.length} connections that resumed`);
} finally {
  await server.stop();
}
