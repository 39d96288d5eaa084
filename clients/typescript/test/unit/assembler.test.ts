import assert from "node:assert/strict";
import { test } from "node:test";
import { place, type Draft } from "../../src/assembler.js";
import { random } from "../random.js";

const EMPTY: Draft = { attempt: 0, text: "" };

test("a delta is placed at its offset, and twice changes nothing", () => {
  const one = place(EMPTY, { attempt: 1, offset: 0, content: "Hello " });
  assert.deepEqual(one, { attempt: 1, text: "Hello " });
  const two = place(one ?? EMPTY, { attempt: 1, offset: 6, content: "world" });
  assert.equal(two?.text, "Hello world");
  assert.equal(place(two ?? EMPTY, { attempt: 1, offset: 0, content: "Hello " }), two);
  assert.equal(place(two ?? EMPTY, { attempt: 1, offset: 6, content: "world" }), two);
});

test("a delta that overlaps adds only what is new", () => {
  assert.equal(place({ attempt: 1, text: "Hello wo" }, { attempt: 1, offset: 6, content: "world" })?.text, "Hello world");
});

test("a delta beyond what is held shows that something was missed", () => {
  assert.equal(place({ attempt: 1, text: "Hello" }, { attempt: 1, offset: 6, content: "world" }), null);
});

test("a higher attempt starts from nothing, a lower one is ignored", () => {
  const held = { attempt: 1, text: "Hello" };
  assert.deepEqual(place(held, { attempt: 2, offset: 0, content: "Bye" }), { attempt: 2, text: "Bye" });
  assert.equal(place(held, { attempt: 2, offset: 3, content: "Bye" }), null);
  assert.equal(place({ attempt: 2, text: "Bye" }, { attempt: 1, offset: 0, content: "Hello" })?.text, "Bye");
});

test("offsets count UTF-16 code units", () => {
  const smile = "🎉👩‍👩‍👧";
  assert.equal(place({ attempt: 1, text: smile }, { attempt: 1, offset: smile.length, content: "!" })?.text, `${smile}!`);
  assert.equal(place({ attempt: 1, text: smile }, { attempt: 1, offset: [...smile].length, content: "!" })?.text.length, [...smile].length + 1);
});

test("any order of repeats and overlaps that leaves no hole gives the text", () => {
  const text = "Any text 🎉 with “some” length, so that pieces overlap in many ways.";
  for (let seed = 1; seed <= 500; seed++) {
    const chance = random(seed);
    let draft: Draft = EMPTY;
    while (draft.text !== text) {
      const offset = Math.floor(chance() * (draft.text.length + 1));
      const content = text.slice(offset, offset + 1 + Math.floor(chance() * 12));
      draft = place(draft, { attempt: 1, offset, content }) ?? assert.fail(`seed ${seed}: no hole was made`);
      assert.ok(text.startsWith(draft.text), `seed ${seed}: ${draft.text}`);
    }
  }
});
