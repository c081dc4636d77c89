// Pages that are closed in every way, right after they are there or later: each must have told its page_view and its leave event.
import { visitor } from '../src/browser.mjs';
import { delivered } from '../src/tracked.mjs';

const COUNT = Number(process.env.TRACKER_CLOSES ?? 60);
const AT_ONCE = 4;

/** Before and after the first batch has left, and in the middle of it. */
const LINGER = [0, 60, 160, 400];
const WAYS = [
  (page) => page.close(),
  (page) => page.goto('about:blank').then(() => page.close()),
  (page) => page.evaluate(() => location.assign('/thank-you')).then(() => page.waitForURL('**/thank-you')).then(() => page.close()),
  // As a browser that is told to end, which asks its pages first.
  async (page) => {
    const closed = page.waitForEvent('close');
    await page.close({ runBeforeUnload: true });
    await closed;
  },
];

export const closes = {
  async pages_that_close_lose_nothing({ browser, stack, facts }) {
    const run = Math.random().toString(36).slice(2, 10);
    const shared = (await visitor(browser)).context();
    let next = 0;
    const worker = async () => {
      while (next < COUNT) {
        const i = next++;
        // Every second one is the only page its visitor ever opens: no later page can send what was lost.
        const page = i % 2 ? await shared.newPage() : await visitor(browser);
        await page.goto(`${stack.shop}/landing?close=${run}-${i}`, { waitUntil: 'domcontentloaded' });
        await page.waitForTimeout(LINGER[(i >> 3) % LINGER.length]);
        await WAYS[(i >> 1) % WAYS.length](page);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    // The visitor of many pages has a last one, which sends what is still in the queue. A browser that ends takes requests under way with it.
    const last = await shared.newPage();
    await last.goto(`${stack.shop}/thank-you`);
    await delivered(last);
    await last.waitForTimeout(3000);
    facts.closes = { run, count: COUNT };
  },
};
