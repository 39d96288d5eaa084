// What a person sees while the server dies, the network is away, or the token ends. No page is loaded anew in any of it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { answered, ask, badge, launch, profile, signedIn, until } from "./browser.mjs";
import { Cable, Provider, Server } from "./world.mjs";

let provider, server, browser, tabs, embedder;
before(async () => {
  provider = await Provider.start();
  embedder = createServer((_, response) => response.setHeader("content-type", "text/html").end("<!doctype html><title>An app</title><iframe></iframe>")).listen(0, "127.0.0.1");
  await once(embedder, "listening");
  const origin = `http://127.0.0.1:${embedder.address().port}`;
  [server, browser] = await Promise.all([Server.start(provider, { ALLOWED_ORIGINS: origin, TOKEN_EXPIRY_WARNING_SECONDS: "3" }), launch()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await provider?.stop();
  embedder?.close();
});
beforeEach(async () => {
  tabs = await profile(browser);
});
afterEach(() => tabs.close());

async function mark(page) {
  await page.evaluate(() => (globalThis.notLoadedAnew = true));
}

async function marked(page) {
  assert.equal(await page.evaluate(() => globalThis.notLoadedAnew), true, "the page was loaded anew");
}

test("the server is killed in the middle of an answer: what was stored stays, is said to be incomplete, and the conversation goes on", async () => {
  const text = "What was written before the crash, and what was to follow it.";
  const script = provider.will("Tell me", text, { holdAt: 33 });
  const page = await signedIn(tabs, server.base, server.token("ada"));
  await mark(page);
  await ask(page, "Tell me");
  await script.begun;
  await page.locator(".turn.streaming .says", { hasText: "before the crash" }).waitFor();
  await until(() => server.psql("SELECT count(*) FROM agent.chunks"), (chunks) => chunks !== "0");
  await server.kill();
  await badge(page, "(Offline|Resuming)");
  await page.getByText("No connection to the server.").waitFor();
  // Written while nobody is there: it goes out later.
  await ask(page, "Are you back?");
  await page.locator(".turn.user.sending", { hasText: "Are you back?" }).waitFor();
  await server.run();
  await badge(page, "Live");
  const kept = await answered(page, "What was written", "incomplete");
  assert.ok(text.startsWith((await kept.textContent()).trim()));
  await page.locator(".turn.incomplete .state.bad").waitFor();
  await answered(page, "The answer to “Are you back?”.");
  assert.equal(await page.locator(".turn.user").count(), 2);
  await marked(page);
  // What is shown is what is stored.
  assert.equal(await server.psql("SELECT state FROM agent.messages WHERE user_id = 'ada' AND role = 'assistant' ORDER BY seq LIMIT 1"), "incomplete");
});

test("the server is killed before the first word: the answer is written by the next one, whole", async () => {
  const script = provider.will("Think first", "It was thought about twice.", { holdAt: 0 });
  const page = await signedIn(tabs, server.base, server.token("bea"));
  await mark(page);
  await ask(page, "Think first");
  await script.begun;
  await server.kill();
  script.release();
  await server.run();
  await answered(page, "It was thought about twice.");
  assert.equal(await page.locator(".turn.assistant").count(), 1);
  await marked(page);
});

test("the network goes away and comes back: what was written meanwhile is there, and what was asked meanwhile is answered", async () => {
  const cable = await Cable.to(server.port);
  const script = provider.will("Slowly", "The first half, and then the second half.", { holdAt: 14 });
  const page = await signedIn(tabs, cable.base, server.token("cyd"));
  await mark(page);
  await ask(page, "Slowly");
  await script.begun;
  await page.locator(".turn.streaming .says", { hasText: "The first half" }).waitFor();
  cable.cut();
  await tabs.context.setOffline(true);
  await badge(page, "Offline");
  script.release();
  await ask(page, "Still there?");
  await page.getByText("Not sent yet").waitFor();
  await until(() => server.psql("SELECT count(*) FROM agent.messages WHERE user_id = 'cyd' AND state = 'complete' AND role = 'assistant'"), (count) => count === "1");
  cable.mend();
  await tabs.context.setOffline(false);
  await badge(page, "Live");
  await answered(page, "and then the second half.");
  await answered(page, "The answer to “Still there?”.");
  assert.deepEqual(await page.locator(".turn.user .says").allInnerTexts(), ["Slowly", "Still there?"]);
  await marked(page);
  cable.stop();
});

test("the token ends during an answer: the answer goes on, and another token shows the rest of it", async () => {
  const script = provider.will("Outlive it", "Begun with one token, ended with another.", { holdAt: 20 });
  const page = await signedIn(tabs, server.base, server.token("dee", 20));
  await mark(page);
  await page.getByText("Your token ends within a minute.").waitFor();
  await ask(page, "Outlive it");
  await script.begun;
  await page.locator(".turn.streaming .says", { hasText: "Begun with one token" }).waitFor();
  const dialog = page.getByRole("dialog", { name: "Sign in again" });
  await dialog.waitFor();
  // What was read stays where it was.
  await page.locator(".turn .says", { hasText: "Begun with one token" }).waitFor();
  script.release();
  await dialog.getByLabel("Access token").fill(server.token("dee"));
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await dialog.waitFor({ state: "detached" });
  await answered(page, "Begun with one token, ended with another.");
  await badge(page, "Live");
  await marked(page);
});

test("in a frame the page around it brings each token, and nobody is asked", async () => {
  const script = provider.will("In a frame", "Nobody was asked for anything.", { holdAt: 6 });
  const app = await tabs.tab();
  const reasons = [];
  await app.exposeFunction("freshToken", (reason) => {
    reasons.push(reason);
    return server.token("eve", reasons.length === 1 ? 15 : 3600);
  });
  await app.goto(`http://127.0.0.1:${embedder.address().port}/`);
  await app.evaluate((base) => {
    const frame = document.querySelector("iframe");
    addEventListener("message", async ({ source, data }) => {
      if (source !== frame.contentWindow || data?.type !== "agent-websocket.token-needed") return;
      source.postMessage({ type: "agent-websocket.token", token: await globalThis.freshToken(data.reason) }, base);
    });
    frame.style = "width: 100%; height: 90vh";
    frame.src = base;
  }, server.base);
  const page = app.frameLocator("iframe");
  await page.locator(".badge", { hasText: "Live" }).waitFor();
  await page.getByLabel("Your message").fill("In a frame");
  await page.getByLabel("Your message").press("Enter");
  await script.begun;
  await until(() => reasons.length, (asked) => asked === 2);
  script.release();
  await page.locator(".turn.complete .says", { hasText: "Nobody was asked for anything." }).waitFor();
  assert.equal(await page.getByRole("dialog").count(), 0);
  assert.equal(reasons.length, 2);
});
