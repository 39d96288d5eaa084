import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { group, length } = await load("when.ts");

test("a session belongs to the day on which something happened in it, as the reader's calendar has it", () => {
  const now = new Date(2026, 10, 26, 0, 30);
  const at = (...moment) => group(new Date(...moment).toISOString(), now);
  assert.equal(at(2026, 10, 26, 0, 10), "Today");
  assert.equal(at(2026, 10, 25, 23, 59), "Yesterday");
  assert.equal(at(2026, 10, 24, 23, 59), "This week");
  assert.equal(at(2026, 10, 20), "This week");
  assert.equal(at(2026, 10, 19, 23, 59), "Earlier");
});

test("lengths are as exact as a person needs", () => {
  assert.deepEqual([0, 12.4, 999, 1_000, 59_900, 60_000, 3_600_000].map((ms) => length(ms)), ["0 ms", "12 ms", "999 ms", "1.0 s", "59.9 s", "1 min 0 s", "1 h 0 min"]);
});
