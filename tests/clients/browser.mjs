// A page in headless Chromium, driven by lines: each is a JSON array of a verb and its arguments, and is answered by a line.
// Arguments: the browser's program, and the folder of its profile.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [executablePath, profile] = process.argv.slice(2);
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = await context.newPage();
const complaints = [];
page.on('pageerror', (error) => complaints.push(String(error)));
page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));

const verbs = {
  go: async (url) => void (await page.goto(url)),
  reload: async () => void (await page.reload()),
  fill: (name, text) => page.getByLabel(name, { exact: true }).fill(text),
  press: (name) => page.getByRole('button', { name, exact: true }).click(),
  key: (key) => page.keyboard.press(key),
  texts: (selector) => page.locator(selector).allTextContents(),
  offline: (is) => context.setOffline(is),
  picture: async (path) => void (await page.screenshot({ path })),
  complaints: () => complaints.splice(0),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...args] = JSON.parse(line);
  console.log(JSON.stringify((await verbs[verb](...args)) ?? null));
}
await context.close();
process.exit(0);
