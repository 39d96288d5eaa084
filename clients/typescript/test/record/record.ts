// Writes the recording that the unit tests replay: npm run record

import { writeFileSync } from "node:fs";
import { record } from "../recorder.js";
import { FIXTURE, pack } from "../recording.js";
import { Server } from "../server.js";

const server = await Server.start();
try {
  const recording = await record(server);
  const { frames, ...rest } = pack(recording);
  const lines = frames.map((frame) => JSON.stringify(frame)).join(",\n");
  writeFileSync(FIXTURE, `${JSON.stringify(rest).slice(0, -1)},"frames":[\n${lines}\n]}\n`);
  console.log(`${recording.live.length} frames live, ${recording.resumed.length} connections that resumed`);
} finally {
  await server.stop();
}
