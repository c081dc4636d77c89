// One Chromium for all cases; every case gets contexts of its own, that is: cookies and storage of its own.
import { accessSync, constants } from 'node:fs';
import { chromium } from 'playwright-core';

const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable', '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome', '/Applications/Chromium.app/Contents/MacOS/Chromium',
];
// The browser shall do nothing of its own accord; without a sandbox of its own it also runs as root, in a container.
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const executable = () => PLACES.find((path) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

let shop;

export const launch = async (origin) => {
  shop = origin;
  const path = executable();
  if (!path) throw new Error('There is no Chromium on this machine: install the package chromium, or name one in CHROMIUM.');
  return chromium.launch({ executablePath: path, args: FLAGS });
};

/** A tab of a new visitor. What goes wrong on the shop's pages is kept in `page.problems`: script errors, refused sources, failed
 * requests. The payment page is not the shop's. */
export const visitor = async (browser, { width = 1280, height, init, ...options } = {}) => {
  const context = await browser.newContext({
    viewport: { width, height: height ?? (width < 600 ? 844 : 900) }, reducedMotion: 'reduce', locale: 'en-US', permissions: ['clipboard-read', 'clipboard-write'], ...options,
  });
  context.setDefaultTimeout(15_000);
  if (init) await context.addInitScript(init);
  const page = await context.newPage();
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(`script: ${error.message}`));
  page.on('console', (message) => {
    const { url } = message.location();
    const own = !url || url.startsWith(shop);
    if (own && ['error', 'warning'].includes(message.type())) page.problems.push(`console: ${message.text()} (${url})`);
  });
  return page;
};

/** Fails when a page had problems. A refusal the case asks for is logged by the browser too: `expected` are the statuses of those. */
export const sound = (page, ...expected) => {
  const mine = (text) => expected.some((status) => text.includes(`status of ${status}`));
  const left = page.problems.filter((text) => !mine(text));
  if (left.length) throw new Error(`the page had problems:\n${left.join('\n')}`);
};
