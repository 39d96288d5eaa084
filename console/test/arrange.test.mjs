import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { arranged } = await load("console/arrange.ts");

const question = (id) => ({ key: id ?? "unsent", id, role: "user" });
const answer = (key, inReplyTo) => ({ key, id: key, role: "assistant", inReplyTo });
const order = (...messages) => arranged(messages).map(({ key }) => key).join(" ");

test("each answer stands under its question, with those before it", () => {
  assert.equal(order(question("q1"), question("q2"), answer("a1", "q1"), answer("a2", "q2")), "q1 a1 q2 a2");
  assert.equal(order(question("q1"), answer("a1", "q1"), question("q2"), answer("b1", "q1")), "q1 a1 b1 q2");
});

test("nothing is lost: what has no question here, what is no answer, and what was not sent yet", () => {
  assert.equal(order(answer("a0", "earlier"), question("q1"), { key: "n1", id: "n1", role: "notification" }, answer("a1", "q1"), question(null)), "a0 q1 a1 n1 unsent");
  assert.equal(order(answer("x", undefined)), "x");
});
