// What the tracker keeps and sends, and when it does neither.
import assert from 'node:assert/strict';
import { sound, visitor } from '../src/browser.mjs';
import { choose, order } from '../src/steps.mjs';
import { delivered } from '../src/tracked.mjs';

/** Every event a page sends, as sent. */
const listen = (page) => {
  const events = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/api/events')) events.push(...JSON.parse(request.postData()).events);
  });
  return events;
};
const kept = (page) => page.evaluate(() => Object.fromEntries(Object.entries(localStorage).filter(([key]) => key.startsWith('utm_'))));
/** Lets the waiting events go now: what a page sends while it is being left cannot be watched from outside. */
const settle = async (page) => {
  await page.evaluate(() => window.lv.flush());
  await delivered(page);
};

export const privacy = {
  async with_global_privacy_control_nothing_is_kept_or_sent({ browser, stack, facts }) {
    const page = await visitor(browser, { init: () => Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true }) });
    const events = listen(page);
    await page.goto(`${stack.shop}/?utm_source=newsletter`);
    await choose(page);
    assert.deepEqual(await kept(page), {});
    assert.deepEqual(await page.context().cookies(), []);
    const { orderId } = await order(page, { email: stack.someone('quiet') });
    assert.deepEqual(events, []);
    sound(page);
    Object.assign(facts, { orderId });
  },

  async a_visitor_can_turn_statistics_off_and_on({ browser, stack }) {
    const page = await visitor(browser);
    const events = listen(page);
    await page.goto(`${stack.shop}/?utm_source=newsletter`);
    await settle(page);
    assert.ok(events.length > 0);
    await page.getByRole('button', { name: 'Turn off visit statistics' }).click();
    assert.deepEqual(await page.context().cookies(), []);
    assert.deepEqual(await kept(page), {});
    const sent = events.length;
    await page.goto(`${stack.shop}/landing`);
    await page.getByRole('button', { name: 'Turn on visit statistics' }).waitFor();
    await settle(page);
    assert.equal(events.length, sent);
    await page.getByRole('button', { name: 'Turn on visit statistics' }).click();
    await page.goto(stack.shop);
    await settle(page);
    assert.ok(events.length > sent);
    sound(page);
  },

  async the_last_non_direct_click_is_kept_and_tokens_are_not({ browser, stack }) {
    const page = await visitor(browser);
    const events = listen(page);
    await page.goto(`${stack.shop}/?utm_source=Google&utm_medium=cpc&utm_term=gift&token=secret-1&orderToken=secret-2#t=secret-3`);
    await page.getByRole('heading', { name: 'All cards' }).waitFor();
    assert.deepEqual(await kept(page), { utm_source: 'Google', utm_medium: 'cpc', utm_term: 'gift' });
    await settle(page);
    // A direct visit keeps it; a new campaign replaces it as a whole.
    await page.goto(`${stack.shop}/landing`);
    assert.equal((await kept(page)).utm_source, 'Google');
    await settle(page);
    await page.goto(`${stack.shop}/?utm_source=partner`);
    assert.deepEqual(await kept(page), { utm_source: 'partner' });
    await settle(page);
    // A link on another site is a click as well; coming back from the payment page is not.
    await page.goto(`${stack.shop}/landing`, { referer: 'https://blog.example/cards?email=a@b.c' });
    assert.deepEqual(await kept(page), { utm_source: 'blog.example', utm_medium: 'referral' });
    await settle(page);
    await page.goto(`${stack.shop}/pending`, { referer: 'https://pay.example/' });
    assert.equal((await kept(page)).utm_source, 'blog.example');
    await settle(page);
    const sent = JSON.stringify(events);
    assert.ok(events.length >= 5 && events[0].utm_term === 'gift', sent);
    assert.ok(!sent.includes('secret') && !sent.includes('a@b.c'), sent);
    for (const event of events) assert.match(event.event_id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    sound(page);
  },
};
