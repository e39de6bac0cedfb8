// Drives a real Chromium for the tests: one JSON command a line on standard input, one JSON answer
// a line on standard output. What is to be done and what has to hold is said by the test.
//
//   node drive.mjs FOLDER CHROMIUM
//
// FOLDER holds node_modules with playwright-core; scripts/test-browser.sh makes it.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

const [folder, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(resolve(folder, 'package.json'))('playwright-core');

// How long a page may take to show what it is asked for, in milliseconds.
const PATIENCE = 30_000;

const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', // root has none
    '--no-first-run',
    '--disable-quic',
    '--disable-sync',
    '--disable-background-networking',
    '--disable-component-update',
  ],
});
let page;
let asked = [];
let complaints = [];

// Each gives what the answer carries.
const commands = {
  // A person with a browser of their own: no cookies, nothing remembered.
  async person({ width, height, locale, user_agent: userAgent, dark, serve }) {
    await page?.context().close();
    const context = await browser.newContext({
      viewport: { width, height },
      locale,
      ...(userAgent && { userAgent }),
      deviceScaleFactor: width < 600 ? 2 : 1,
      colorScheme: dark ? 'dark' : 'light',
      reducedMotion: 'reduce',
    });
    context.setDefaultTimeout(PATIENCE);
    // Places on the network that are not there.
    for (const { url, type, body } of serve ?? []) {
      await context.route(url, (route) => route.fulfill({ contentType: type, body }));
    }
    page = await context.newPage();
    asked = [];
    complaints = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
  },
  // Types an address: no page sends the browser there.
  async open({ url }) {
    const answer = await page.goto(url);
    return answer.status();
  },
  async click({ selector }) {
    await page.click(selector);
  },
  async tick({ selector, to }) {
    await page.setChecked(selector, to);
  },
  // Waits until the page, or one that follows it, shows this.
  async wait({ selector }) {
    await page.waitForSelector(selector);
    await page.waitForLoadState();
  },
  async see() {
    return {
      url: page.url(),
      title: await page.title(),
      text: await page.innerText('body'),
      html: await page.content(),
    };
  },
  // Whether it takes up room on the page.
  async shows({ selector }) {
    return page.isVisible(selector);
  },
  async href({ selector }) {
    return page.getAttribute(selector, 'href');
  },
  // By how many pixels the page is wider than the window; and what was decoded of its pictures.
  async measure() {
    return page.evaluate(() => ({
      overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      pictures: Array.from(document.images, (image) => image.naturalWidth),
    }));
  },
  async shot({ path }) {
    await page.screenshot({ path, fullPage: true });
  },
  // What the browser asked for, and what it complained about, since the last time.
  async traffic() {
    const seen = { asked, complaints };
    asked = [];
    complaints = [];
    return seen;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...input } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await commands[name](input)) ?? null };
  } catch (error) {
    answer = { error: `${name}: ${error.message} (at ${page?.url()})` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
