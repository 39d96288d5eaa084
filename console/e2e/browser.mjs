// Chromium without a window, pages in it, and what is asked of each: that it has no complaint, and that everybody can use it.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join, resolve } from "node:path";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Where pictures are left for people. */
const PICTURES = resolve(process.env.SCREENSHOTS ?? "../target/screenshots");

/** How long something on a page may take on a machine that has much else to do, in milliseconds. */
export const PATIENCE_MS = 30_000;

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

/** What a browser writes down when the network is away, which is no fault of a page. */
const OF_THE_NETWORK = /ERR_(CONNECTION|INTERNET|NETWORK|EMPTY_RESPONSE|SOCKET)|WebSocket connection to .* failed/;

export async function launch() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const executablePath = folders.flatMap((folder) => ["chromium", "chromium-browser"].map((name) => join(folder, name))).find(existsSync);
  assert.ok(executablePath, "chromium is not in PATH");
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** A browser's profile: tabs in it know of each other. Its pages are checked for complaints when it is closed. */
export async function profile(browser, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, reducedMotion: "reduce", locale: "en-GB", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  const expected = [OF_THE_NETWORK];
  context.on("weberror", (error) => complaints.push(String(error.error())));
  context.on("console", (message) => {
    if (message.type() === "error" && !expected.some((known) => known.test(message.text()))) complaints.push(message.text());
  });
  return {
    context,
    tab: () => context.newPage(),
    /** Such an error of the browser's is part of the test. */
    expect: (error) => expected.push(error),
    async close() {
      await context.close();
      assert.deepEqual(complaints, [], "a page complained");
    },
  };
}

/** Opens the page as somebody and waits until it is live. */
export async function signedIn(profile, base, token) {
  const page = await profile.tab();
  await page.goto(`${base}/#token=${token}`);
  await badge(page, "Live");
  return page;
}

export async function badge(page, text) {
  await page.locator(".badge", { hasText: new RegExp(`^${text}$`) }).waitFor();
}

export async function ask(page, text) {
  await page.getByLabel("Your message").fill(text);
  await page.getByLabel("Your message").press("Enter");
}

/** The latest answer's text, once it is as wanted. */
export async function answered(page, text, state = "complete") {
  const found = page.locator(`.turn.assistant.${state} .says`, { hasText: text }).last();
  await found.waitFor();
  return found;
}

/** Waits until a value of the page is as wanted. */
export async function until(what, condition) {
  const began = Date.now();
  let last;
  while (Date.now() - began < PATIENCE_MS) {
    last = await what();
    if (condition(last)) return last;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail(`waited in vain; last: ${JSON.stringify(last)}`);
}

/** A picture of what is shown, in both colours on both sizes; and that nobody is shut out by it. `onPhone` is done first there. */
export async function picture(page, name, onPhone) {
  mkdirSync(PICTURES, { recursive: true });
  for (const [size, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    await page.setViewportSize(viewport);
    if (size === "phone") await onPhone?.();
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.screenshot({ path: join(PICTURES, `${name}-${size}-${colorScheme}.png`) });
      await fitsTheScreen(page, `${name} ${size}`);
      // Each colour and each size once: what is found in the other two is the same.
      if ((size === "desktop") === (colorScheme === "light")) await accessible(page, `${name} ${size} ${colorScheme}`);
    }
  }
  await page.setViewportSize(DESKTOP);
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
}

async function fitsTheScreen(page, what) {
  const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= screen, `${what}: wider than the screen (${wide} of ${screen})`);
}

async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, impact, nodes }) => `${what}: ${impact} ${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join("; ")}`);
  const grave = told.filter((_, index) => ["serious", "critical"].includes(violations[index].impact));
  for (const line of told.filter((line) => !grave.includes(line))) console.log(line);
  assert.deepEqual(grave, []);
}
