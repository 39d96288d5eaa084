// Records what the real server sends.
//
// One conversation, watched live; and at each frame of it another connection that resumes from the cursor of that moment,
// watched to the end. So a recording holds, for a cut at every boundary, what the server did send to the one who came back.

import { WebSocket } from "ws";
import type { ServerFrame } from "../src/generated/frames.js";
import type { Recording } from "./recording.js";
import type { Server } from "./server.js";

const QUESTIONS: [string, string][] = [
  ["q-1", "Answer 🎉 “naïve 👩‍👩‍👧 ideas” [[delay=60]]"],
  ["q-2", "Break later [[delay=60]] [[fail=4]]"],
  ["q-3", "Say nothing [[empty]]"],
];

type Frame = ServerFrame & { seq?: number; session_id?: string };

export async function record(server: Server): Promise<Recording> {
  const token = server.token("recorder");
  const connect = (parameters: string): WebSocket =>
    new WebSocket(`${server.url}?${parameters}`, ["agentws.v1", `agentws.bearer.${token}`]);
  const recording: Recording = { sent: Object.fromEntries(QUESTIONS), live: [], resumed: [] };
  const last = QUESTIONS.length * 2;

  /** Resumes from here on, and reads until the conversation is over. */
  async function watch(session: string, cursor: number): Promise<void> {
    const resumed = { after: recording.live.length, cursor, frames: [] as ServerFrame[] };
    recording.resumed.push(resumed);
    const socket = connect(`session_id=${session}&after=${cursor}`);
    let live = false;
    let head = cursor;
    await new Promise<void>((done, fail) => {
      socket.on("error", fail);
      socket.on("close", (code) => fail(new Error(`Closed with ${code} before the end`)));
      socket.on("message", (data) => {
        const frame = JSON.parse(String(data)) as Frame;
        resumed.frames.push(frame);
        live ||= frame.type === "status" && frame.event === "live";
        head = frame.seq ?? head;
        if (live && head === last) done();
      });
    });
    socket.close();
  }

  const watchers: Promise<void>[] = [];
  const socket = connect("");
  const waiting = [...QUESTIONS];
  let cursor = 0;
  let session = "";
  await new Promise<void>((done, fail) => {
    socket.on("error", fail);
    socket.on("close", (code) => fail(new Error(`Closed with ${code} before the end`)));
    socket.on("message", (data) => {
      const frame = JSON.parse(String(data)) as Frame;
      recording.live.push(frame);
      session ||= frame.session_id ?? "";
      cursor = frame.seq ?? cursor;
      if ((frame.type === "status" && frame.event === "live") || frame.type === "response") {
        const next = waiting.shift();
        if (next) socket.send(JSON.stringify({ type: "query", id: next[0], content: next[1] }));
      }
      watchers.push(watch(session, cursor));
      if (cursor === last) done();
    });
  });
  await Promise.all(watchers);
  socket.close();
  recording.resumed.sort((a, b) => a.after - b.after);
  return recording;
}
