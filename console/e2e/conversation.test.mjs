// What a person does with the page while nothing goes wrong.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { answered, ask, badge, launch, profile, signedIn, until } from "./browser.mjs";
import { Provider, Server } from "./world.mjs";

let provider, server, browser, tabs;
before(async () => {
  provider = await Provider.start();
  [server, browser] = await Promise.all([Server.start(provider), launch()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await provider?.stop();
});
beforeEach(async () => {
  tabs = await profile(browser);
});
afterEach(() => tabs.close());

const MARKDOWN = `## A table

| name | what |
|---|---|
| log | **durable** |

<script>document.title = "owned"</script> and <img src="http://192.0.2.1/x.png" onerror="document.title='owned'">

![a picture](http://192.0.2.1/spy.png) and [a link](javascript:alert(1)) and [one that goes](https://example.com/a)

\`\`\`rust
fn main() {}
\`\`\`
`;

test("the address that dev prints opens the page, signed in, and keeps no token", async () => {
  const page = await tabs.tab();
  await page.goto(server.printed("Open"));
  await badge(page, "Live");
  assert.equal(await page.locator(".side-foot .who").textContent(), "demo");
  assert.doesNotMatch(page.url(), /token/);
});

test("a person signs in with a token, is told when it is refused, and signs out in all tabs", async () => {
  tabs.expect(/status of 401/);
  const page = await tabs.tab();
  await page.goto(server.base);
  const field = page.getByLabel("Access token");
  const signIn = page.getByRole("button", { name: "Sign in" });
  await field.fill("not a token");
  await page.getByText("That is no token").waitFor();
  assert.ok(await signIn.isDisabled());
  await field.fill(`${server.token("ada")}x`);
  await signIn.click();
  await page.getByText("The token was not accepted, or has ended.").waitFor();
  await field.fill(server.token("ada"));
  await field.press("Enter");
  await badge(page, "Live");
  // The browser hands the sign-in on.
  const other = await tabs.tab();
  await other.goto(server.base);
  await badge(other, "Live");
  await page.getByRole("button", { name: "Sign out" }).click();
  for (const tab of [page, other]) await tab.getByLabel("Access token").waitFor();
});

test("an answer is shown as it is written, as Markdown that can neither run nor fetch anything", async () => {
  const script = provider.will("Show me", MARKDOWN, { holdAt: MARKDOWN.indexOf("<script>") });
  const page = await signedIn(tabs, server.base, server.token("bea"));
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await ask(page, "Show me");
  await script.begun;
  await page.locator(".turn.streaming table strong", { hasText: "durable" }).waitFor();
  script.release();
  const answer = await answered(page, "and one that goes");
  assert.equal(await answer.locator("img, script").count(), 0);
  assert.deepEqual(await answer.locator("a").evaluateAll((links) => links.map((link) => link.href)), ["http://192.0.2.1/x.png", "http://192.0.2.1/spy.png", "https://example.com/a"]);
  assert.ok((await answer.textContent()).includes(`<img src="http://192.0.2.1/x.png"`));
  assert.equal(await answer.locator(".code code").textContent(), "fn main() {}");
  await until(() => page.title(), (title) => title.startsWith("Show me · "));
  assert.deepEqual(asked.filter((url) => !url.startsWith(server.base)), []);
});

test("a person stops an answer, has it written again, and says what was good and bad about it", async () => {
  const script = provider.will("Go on", "One two three four five six seven eight nine ten", { holdAt: 24 });
  const page = await signedIn(tabs, server.base, server.token("cyd"));
  await ask(page, "Go on");
  await script.begun;
  await page.locator(".turn.streaming", { hasText: "One two" }).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await answered(page, "One two", "cancelled");
  await page.getByText("Stopped. What was written until then is kept.").waitFor();
  provider.will("Go on", "All of it");
  await page.getByRole("button", { name: "Answer again" }).click();
  await answered(page, "All of it");
  await page.getByText("An earlier answer").waitFor();
  await page.getByRole("button", { name: "Bad answer" }).click();
  await page.getByLabel("What was wrong with it?").fill("Too short");
  await page.locator(".comment").getByRole("button", { name: "Send" }).click();
  const said = await until(() => server.psql("SELECT f.rating || ' ' || f.comment || ' ' || m.content FROM agent.feedback f JOIN agent.messages m USING (message_id) WHERE m.user_id = 'cyd'"), (rows) => rows.includes("Too short"));
  assert.equal(said, "-1 Too short All of it");
  await page.getByText("Thank you").waitFor();
  assert.equal(await page.getByRole("button", { name: "Bad answer" }).getAttribute("aria-pressed"), "true");
});

test("questions asked at once wait for their turn, and are answered in order", async () => {
  const script = provider.will("First", "The first answer is long", { holdAt: 9 });
  const page = await signedIn(tabs, server.base, server.token("dee"));
  await ask(page, "First");
  await script.begun;
  await ask(page, "Second");
  await page.locator(".turn.user.queued", { hasText: "Second" }).getByText("Waits for its turn").waitFor();
  script.release();
  await answered(page, "The answer to “Second”.");
  assert.deepEqual(await page.locator(".turn .says").allInnerTexts(), ["First", "The first answer is long", "Second", "The answer to “Second”."]);
});

test("sessions are searched, opened, renamed and deleted", async () => {
  const page = await signedIn(tabs, server.base, server.token("eve"));
  await ask(page, "Remember the heron");
  await answered(page, "heron");
  const older = page.url();
  await page.getByRole("button", { name: "New conversation", exact: true }).click();
  await badge(page, "Live");
  await ask(page, "Something about otters");
  await answered(page, "otters");
  const list = page.getByRole("navigation", { name: "Sessions" });
  await until(() => list.locator(".title").allInnerTexts(), (titles) => titles.join("|") === "Something about otters|Remember the heron");

  // Found by what was said, which the index learns a moment later.
  await until(async () => {
    await page.getByLabel("Search conversations").fill("");
    await page.getByLabel("Search conversations").fill("heron");
    await page.locator(".sessions [aria-busy=false]").waitFor();
    return list.locator(".under mark").count();
  }, (found) => found > 0);
  await list.locator(".under", { hasText: "Remember the heron" }).click();
  await page.locator(".turn.found", { hasText: "Remember the heron" }).waitFor();
  assert.equal(page.url(), older);
  await page.getByLabel("Search conversations").press("Escape");

  await list.getByRole("button", { name: "Rename Remember the heron" }).click();
  await page.getByLabel("New title").fill("Birds");
  await page.getByLabel("New title").press("Enter");
  await page.getByRole("heading", { level: 1, name: "Birds" }).waitFor();
  await until(() => list.locator(".title").allInnerTexts(), (titles) => titles.includes("Birds"));

  await list.getByRole("button", { name: "Delete Birds" }).click();
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await list.getByRole("button", { name: "Delete Birds" }).count(), 1);
  await list.getByRole("button", { name: "Delete Birds" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { level: 1, name: "Something about otters" }).waitFor();
  await until(() => list.locator(".title").allInnerTexts(), (titles) => titles.join("|") === "Something about otters");
  assert.equal(await server.psql("SELECT count(*) FROM agent.messages WHERE user_id = 'eve' AND content LIKE '%heron%'"), "0");
});

test("the model that answers is chosen among those allowed", async () => {
  const page = await signedIn(tabs, server.base, server.token("fay"));
  await page.getByLabel("Model").selectOption("house/swift");
  await ask(page, "Who are you?");
  await answered(page, "Who are you?");
  await page.locator(".fact", { hasText: "house/swift" }).waitFor();
  await page.reload();
  await badge(page, "Live");
  await until(() => page.getByLabel("Model").inputValue(), (model) => model === "house/swift");
});

test("everything is reached by keys", async () => {
  const page = await signedIn(tabs, server.base, server.token("gil"));
  await page.getByLabel("Your message").fill("One line");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("and another");
  await page.keyboard.press("Enter");
  await page.locator(".turn.user .says", { hasText: "One line\nand another" }).waitFor();
  await answered(page, "The answer");
  await page.keyboard.press("Control+k");
  await until(() => page.evaluate(() => document.activeElement.id), (id) => id === "search");
  await page.keyboard.press("Alt+n");
  await page.locator(".empty h2").waitFor();
  await until(() => page.evaluate(() => document.activeElement.id), (id) => id === "ask");
  const script = provider.will("Long", "A long answer that is stopped", { holdAt: 6 });
  await page.keyboard.type("Long");
  await page.keyboard.press("Enter");
  await script.begun;
  await page.locator(".turn.streaming .says").waitFor();
  await page.keyboard.press("Escape");
  await answered(page, "A long", "cancelled");
  // From the bell with Tab alone: into the list, and with Escape back.
  await page.getByRole("button", { name: /^Notifications/ }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Notifications" }).waitFor();
  await page.keyboard.press("Escape");
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /^Notifications/);
});

test("a notification that psql inserts pops up, is counted, and is gone in all tabs once it is read in one", async () => {
  const token = server.token("hal");
  const page = await signedIn(tabs, server.base, token);
  const other = await signedIn(tabs, server.base, token);
  await server.psql("INSERT INTO agent.notifications (user_id, title, content) VALUES ('hal', 'Build finished', 'All 412 checks passed')");
  for (const tab of [page, other]) {
    await tab.locator(".toast", { hasText: "All 412 checks passed" }).waitFor();
    await tab.getByRole("button", { name: "Notifications: 1 unread" }).waitFor();
    await until(() => tab.title(), (title) => title.startsWith("(1) "));
  }
  await page.getByRole("button", { name: "Notifications: 1 unread" }).click();
  await page.getByRole("dialog", { name: "Notifications" }).getByRole("button", { name: "Mark as read" }).click();
  for (const tab of [page, other]) await tab.getByRole("button", { name: "Notifications: none unread" }).waitFor();
  assert.equal(await other.locator(".toast").count(), 0);
  assert.equal(await server.psql("SELECT count(*) FROM agent.pending_notifications WHERE user_id = 'hal'"), "0");
});

test("several tabs are in step: what is asked, written, renamed and begun in one is seen in the other", async () => {
  const script = provider.will("Both?", "Both of them see this as it is written", { holdAt: 12 });
  const token = server.token("ida");
  const page = await signedIn(tabs, server.base, token);
  const other = await signedIn(tabs, server.base, token);
  await ask(page, "Both?");
  await script.begun;
  for (const tab of [page, other]) {
    await tab.locator(".turn.user .says", { hasText: "Both?" }).waitFor();
    await tab.locator(".turn.streaming .says", { hasText: /^Both of them$/ }).waitFor();
  }
  // One that is opened in the middle of it, too.
  const late = await tabs.tab();
  await late.goto(page.url());
  await late.locator(".turn.streaming .says", { hasText: /^Both of them$/ }).waitFor();
  script.release();
  for (const tab of [page, other, late]) await answered(tab, "see this as it is written");
  await other.getByRole("button", { name: "Rename Both?" }).click();
  await other.getByLabel("New title").fill("In step");
  await other.getByLabel("New title").press("Enter");
  for (const tab of [page, other, late]) await tab.getByRole("heading", { level: 1, name: "In step" }).waitFor();
  await page.getByRole("button", { name: "New conversation", exact: true }).click();
  await page.locator(".empty h2").waitFor();
  await ask(page, "Elsewhere");
  await other.locator(".session .title", { hasText: "Elsewhere" }).waitFor();
  assert.equal(await other.getByRole("heading", { level: 1 }).textContent(), "In step");
});
