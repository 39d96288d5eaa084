// A picture of each main state, in both colours, on a desk and on a phone, left in target/screenshots for people to look at.
// Each is also checked by axe, and that nothing is wider than the screen.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { answered, ask, badge, launch, picture, profile, signedIn, until } from "./browser.mjs";
import { Cable, Provider, Server } from "./world.mjs";

let provider, server, browser, tabs;
before(async () => {
  provider = await Provider.start();
  [server, browser] = await Promise.all([Server.start(provider), launch()]);
  tabs = await profile(browser);
});
after(async () => {
  try {
    await tabs?.close();
  } finally {
    await browser?.close();
    await server?.stop();
    await provider?.stop();
  }
});

const QUESTION = "How does a session survive a lost connection?";
const ANSWER = `A session is a **durable log** in the database, and a socket only reads it. Three things make that work:

1. **Every message has a place.** \`seq\` numbers them without gaps, so a client knows exactly what it has.
2. **An answer belongs to its session**, not to the socket that asked for it. Close the laptop, and it is still written.
3. **Coming back is reading on.** The client names the last place that it has:

\`\`\`ts
const session = client.sessions.open("latest");
for await (const event of session.send("Hello")) {
  if (event.type === "text") process.stdout.write(event.text);
}
\`\`\`

| What is lost | What a person sees |
|---|---|
| the network | *Offline*, then everything that was written meanwhile |
| the server | the text so far, and the truth about the rest |
| the token | a question for another one |

> A hint that is lost costs time, and nothing else.

More about it in [the documentation](https://example.com/docs).`;

test("signing in", async () => {
  const page = await tabs.tab();
  await page.goto(server.base);
  await page.getByLabel("Access token").waitFor();
  await picture(page, "01-sign-in");
  await page.close();
});

test("a conversation, from its beginning to what a person thinks of it", async () => {
  const page = await signedIn(tabs, server.base, server.token("olga"));
  await page.locator(".empty h2").waitFor();
  await picture(page, "02-empty");
  for (const question of ["Which index does this query need?", "Draft the release notes", "Plan the database migration for Thursday"]) {
    await ask(page, question);
    await answered(page, question);
    await page.getByRole("button", { name: "New conversation", exact: true }).click();
    await page.locator(".empty h2").waitFor();
  }
  const script = provider.will(QUESTION, ANSWER, { holdAt: ANSWER.indexOf("3. **Coming") });
  await ask(page, QUESTION);
  await script.begun;
  await page.locator(".turn.streaming li", { hasText: "it is still written" }).waitFor();
  await page.locator(".session.chosen .title", { hasText: QUESTION }).waitFor();
  await picture(page, "03-streaming");
  script.release();
  await answered(page, "A hint that is lost");
  await until(() => page.locator(".session .title").count(), (count) => count === 4);
  await picture(page, "04-conversation");
  await page.locator(".talk").evaluate((box) => (box.scrollTop = 0));
  await page.getByRole("button", { name: "To the end" }).waitFor();
  await picture(page, "05-scrolled-back");
  await page.getByRole("button", { name: "To the end" }).click();
  await page.getByRole("button", { name: "Good answer" }).click();
  await page.getByLabel("What should we know about it?").fill("The table says it all.");
  await page.getByText("Thank you").waitFor();
  await picture(page, "06-feedback");
  await page.locator(".comment").getByRole("button", { name: "Close" }).click();

  await page.getByLabel("Search conversations").fill("index");
  await until(async () => {
    await page.getByLabel("Search conversations").fill("");
    await page.getByLabel("Search conversations").fill("durable");
    await page.locator(".sessions [aria-busy=false]").waitFor();
    return page.locator(".under mark").count();
  }, (found) => found > 0);
  const openList = () => page.getByRole("button", { name: "Conversations", exact: true }).click();
  await picture(page, "07-search", openList);
  await page.getByLabel("Search conversations").fill("");
  await picture(page, "08-sessions");
  await page.keyboard.press("Escape");
  await page.locator(".session", { hasText: "release notes" }).getByRole("button", { name: /^Delete/ }).click();
  await page.getByRole("dialog").waitFor();
  await picture(page, "09-delete");
  await page.getByRole("button", { name: "Keep it" }).click();
  await page.close();
});

test("notifications", async () => {
  const page = await signedIn(tabs, server.base, server.token("olga"));
  await server.psql("INSERT INTO agent.notifications (user_id, kind, title, content) VALUES ('olga', 'deploy', 'Version 1.4.2 is out', 'All nodes run it since a minute ago.')");
  await page.locator(".toast").waitFor();
  await server.psql("INSERT INTO agent.notifications (user_id, kind, title, content, priority) VALUES ('olga', 'alert', 'Disk almost full', 'Node n3 has 4 % left; it refuses new sessions at 2 %.', 'high')");
  await page.locator(".toast.high").waitFor();
  await picture(page, "10-toasts");
  await page.getByRole("button", { name: "Notifications: 2 unread" }).click();
  await page.getByRole("dialog", { name: "Notifications" }).waitFor();
  await picture(page, "11-inbox");
  await page.getByRole("button", { name: "Mark all as read" }).click();
  await page.getByText("You have read them all.").waitFor();
  await picture(page, "12-inbox-empty");
  await page.close();
});

test("what went wrong", async () => {
  const cable = await Cable.to(server.port);
  const page = await signedIn(tabs, cable.base, server.token("pia"));
  const script = provider.will("Stop me", "This is as far as it went before somebody stopped it, and no further.", { holdAt: 54 });
  await ask(page, "Stop me");
  await script.begun;
  await page.locator(".turn.streaming .says").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await answered(page, "This is as far", "cancelled");
  provider.will("Fail", "", { status: 400 });
  await ask(page, "Fail");
  await page.locator(".turn.failed .state.bad").waitFor();
  await page.locator(".session .title", { hasText: "Stop me" }).waitFor();
  await picture(page, "13-stopped-and-failed");
  cable.cut();
  await badge(page, "Offline");
  await ask(page, "Will this get through?");
  await page.getByText("Not sent yet").waitFor();
  await picture(page, "14-offline");
  cable.mend();
  await badge(page, "Live");
  await page.close();
  cable.stop();

  const short = await signedIn(tabs, server.base, server.token("pia", 15));
  await short.getByRole("dialog", { name: "Sign in again" }).waitFor();
  await picture(short, "15-sign-in-again");
  await short.close();
  // The others of this profile are signed in with what this one was given.
  const lost = await tabs.tab();
  await lost.goto(`${server.base}/#token=${server.token("pia")}`);
  await badge(lost, "Live");
  await lost.goto(`${server.base}/#s=01a1fb21-2c73-71b8-a89e-a54c8f823890`);
  await lost.getByText("There is no such session").waitFor();
  await lost.locator(".session .title", { hasText: "Stop me" }).waitFor();
  await picture(lost, "16-no-such-session");
  await lost.close();
});

test("the inspector", async () => {
  const users = await signedIn(tabs, server.base, server.token("olga"));
  const page = await tabs.tab();
  await page.goto(server.printed("Inspector"));
  await page.getByText("live connections").first().waitFor();
  await until(() => page.locator(".tile b").first().textContent(), (count) => count !== "0");
  assert.doesNotMatch(page.url(), /token/);
  await picture(page, "20-inspector-overview");
  await page.getByRole("link", { name: "Connections" }).click();
  await page.locator("td", { hasText: "olga" }).first().waitFor();
  await picture(page, "21-inspector-connections");
  await page.getByRole("link", { name: "Sessions" }).click();
  await page.getByRole("link", { name: QUESTION }).waitFor();
  await picture(page, "22-inspector-sessions");
  await page.getByRole("link", { name: QUESTION }).click();
  await page.locator(".line-of-time").waitFor();
  await picture(page, "23-inspector-session");
  await page.getByRole("link", { name: "question 1" }).click();
  await page.locator(".said", { hasText: QUESTION }).waitFor();
  await picture(page, "24-inspector-prompt");
  await server.psql("INSERT INTO agent.notifications (user_id, title, content) VALUES ('nobody', 'Nightly report', 'It waits until somebody comes.')");
  await page.getByRole("link", { name: "Notifications" }).click();
  await page.locator("td", { hasText: "Nightly report" }).waitFor();
  await picture(page, "25-inspector-notifications");
  await page.close();
  await users.close();
});

test("the inspector shows a user nothing, and says why", async () => {
  tabs.expect(/status of 403/);
  const page = await tabs.tab();
  await page.goto(`${server.admin}/#token=${server.token("olga")}`);
  await page.getByLabel("Access token").waitFor();
  await page.getByText("agent:inspect").first().waitFor();
  await page.close();
});
