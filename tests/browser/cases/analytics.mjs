// The analytics area of the staff's desk: sound at two widths, the same numbers as the API's, and the rows behind them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { sound, visitor } from '../src/browser.mjs';
import { AXE, inspect } from '../src/sound.mjs';

const VIEWS = { overview: 'Overview', realtime: 'Real-time', funnel: 'Funnel', channels: 'Channels', economics: 'Unit economics', cohorts: 'Cohorts', rfm: 'RFM', quality: 'Data quality' };
const staff = (token) => ({ authorization: `Bearer ${token}` });
const ask = async ({ get, info }, name, query = '') => {
  const { status, json } = await get(`/api/admin/reports/${name}?${query}`, staff(info.viewer_token));
  assert.equal(status, 200, JSON.stringify(json));
  return json;
};
const money = (text) => (text === null ? '–' : new Intl.NumberFormat('en', { style: 'currency', currency: 'USD' }).format(text));
const count = (number) => new Intl.NumberFormat('en').format(number);

/** A visit that goes all the way, and the order it ends with. */
const purchase = async (stack) => {
  const session = `analytics-${randomUUID()}`;
  const steps = ['page_view', 'view_product', 'add_to_cart', 'checkout_start'];
  for (const step of steps) {
    const event = { event_id: randomUUID(), event_type: step, session_id: session, utm_source: 'newsletter', utm_campaign: 'analytics', url: '/' };
    const { status } = await stack.post('/api/events', event, { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36' });
    assert.ok([200, 202].includes(status), `${step}: ${status}`);
  }
  const email = stack.someone('analytics');
  const { json: order } = await stack.post('/api/orders/create', {
    productId: stack.product('01'), nominal: 50, quantity: 1, email, deliveryType: 'myself', sessionId: session, utm: { utm_source: 'newsletter', utm_campaign: 'analytics' },
  });
  await stack.pay(order.billId);
  return { session, email, order };
};

const open = async (page, { shop, info }, path, token = info.viewer_token) => {
  await page.addInitScript((given) => sessionStorage.setItem('staff_token', JSON.stringify(given)), token);
  await page.goto(`${shop}/staff#analytics/${path}`);
  await loaded(page);
};
const loaded = async (page) => {
  await page.getByRole('navigation', { name: 'Analytics' }).waitFor();
  await page.waitForFunction(() => document.querySelector('#view .view-head, #view [role=alert]') && !document.querySelector('#view .bone'));
};
const drawn = (page) => page.waitForFunction(() => [...document.querySelectorAll('#view canvas')].every((canvas) => window.Chart?.getChart(canvas)));
const row = (page, name) => page.locator('#view tr').filter({ has: page.locator('th[scope=row]').filter({ hasText: name }) }).first();

export const analytics = {
  async the_analytics_are_sound_in_every_view({ browser, stack, shots }) {
    await purchase(stack);
    await stack.run('refresh_daily_metrics');
    for (const width of [390, 1280]) {
      const page = await visitor(browser, { width, init: AXE });
      await open(page, stack, 'overview');
      for (const [name, title] of Object.entries(VIEWS)) {
        await page.getByRole('navigation', { name: 'Analytics' }).getByRole('link', { name: title, exact: true }).click();
        await page.getByRole('heading', { name: title, level: 2, exact: true }).waitFor();
        await loaded(page);
        await drawn(page);
        assert.ok(['rfm', 'cohorts'].includes(name) || await page.locator('#view canvas').count() > 0, `${title} has a chart`);
        // Every canvas has its table, and the keyboard finds the numbers there, not in the picture.
        assert.equal(await page.locator('#view canvas[tabindex]').count(), 0);
        assert.ok(await page.locator('#view table').count() > 0, `${title} has a table`);
        await inspect(page, `analytics-${name}`, { shots });
      }
    }
  },

  async the_analytics_say_what_the_api_says({ browser, stack }) {
    await purchase(stack);
    const page = await visitor(browser);
    await open(page, stack, 'economics/7');
    const { rows: [{ today }] } = await ask(stack, 'get_shop_settings');
    const day = (back) => new Date(Date.parse(`${today}T00:00:00Z`) - back * 86_400_000).toISOString().slice(0, 10);
    const week = `start_date=${day(6)}&end_date=${day(-1)}`;
    const { rows: economics } = await ask(stack, 'get_unit_economics', week);
    for (const { metric_name: name, metric_value: value } of economics) {
      const shown = await row(page, name).locator('td').first().innerText();
      const expected = name === 'Total Orders' ? count(value) : name === 'LTV/CAC Ratio' ? value ?? '–' : money(value);
      assert.ok(shown.startsWith(expected), `${name}: ${shown} is not ${expected}`);
    }
    await page.getByRole('navigation', { name: 'Analytics' }).getByRole('link', { name: 'Funnel' }).click();
    await page.getByRole('heading', { name: 'Funnel', level: 2 }).waitFor();
    assert.ok(page.url().endsWith('/7'), 'the period goes along');
    await loaded(page);
    for (const step of (await ask(stack, 'get_funnel_stats', week)).rows) {
      const cells = await row(page, step.step_name).locator('td').allInnerTexts();
      assert.deepEqual(cells.slice(0, 3), [count(step.unique_sessions), step.conversion_from_previous === null ? '–' : `${step.conversion_from_previous}%`, `${step.overall_conversion}%`]);
    }
    await page.getByRole('navigation', { name: 'Analytics' }).getByRole('link', { name: 'Channels' }).click();
    await page.getByRole('heading', { name: 'Channels', level: 2 }).waitFor();
    await loaded(page);
    for (const channel of (await ask(stack, 'get_channel_stats_financial', week)).rows) {
      const cells = await row(page, `${channel.utm_source} / ${channel.utm_campaign}`).locator('td').allInnerTexts();
      assert.deepEqual(cells.slice(0, 6), [count(channel.sessions), count(channel.orders), money(channel.revenue), money(channel.cost), money(channel.profit), money(channel.ad_spend)]);
      if (channel.mer === null) assert.deepEqual(cells.slice(6, 8), ['–', '–'], 'a channel without spend has no ROI and no MER');
    }
    // A period of one's own, and the browser's way back.
    await page.getByLabel('From', { exact: true }).fill(day(1));
    await page.getByLabel('To', { exact: true }).fill(day(0));
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.waitForURL(`**#analytics/channels/${day(1)}/${day(0)}`);
    await loaded(page);
    await page.goBack();
    await page.waitForURL('**/7');
    sound(page);
  },

  async a_figure_opens_the_rows_it_was_made_of({ browser, stack, shots }) {
    const { email, order } = await purchase(stack);
    for (const width of [390, 1280]) {
      const page = await visitor(browser, { width, init: AXE });
      await open(page, stack, 'economics/30');
      const figure = page.getByRole('button', { name: /, Revenue: show the rows/ });
      const said = await figure.innerText();
      // With the keyboard alone.
      await figure.focus();
      await page.keyboard.press('Enter');
      const dialog = page.getByRole('dialog', { name: 'Revenue' });
      await dialog.locator('table').waitFor();
      assert.ok((await dialog.locator('.sums').innerText()).includes(`revenue ${said}`), 'the sum of the rows is the figure');
      const cells = await dialog.locator('tbody tr td:nth-child(6)').allInnerTexts();
      const cents = cells.reduce((all, text) => all + Math.round(Number(text.replace(/[$,]/g, '')) * 100), 0);
      const total = Number((await dialog.locator('.sums').innerText()).match(/^[\d,]+/)[0].replaceAll(',', ''));
      if (total <= 100) assert.equal(money((cents / 100).toFixed(2)), said, 'the rows that are shown add up');
      await inspect(page, 'analytics-rows', { shots });
      await dialog.getByRole('button', { name: 'Copy as CSV' }).click();
      await dialog.getByRole('status').filter({ hasText: 'copied as CSV' }).waitFor();
      const csv = await page.evaluate(() => navigator.clipboard.readText());
      assert.ok(csv.includes(order.orderId) && csv.includes(email) && csv.split('\r\n').length === Math.min(total, 500) + 1);
      // On to the customer, and back.
      await dialog.getByRole('button', { name: email }).click();
      const other = page.getByRole('dialog', { name: `Orders of ${email}` });
      await other.getByText(`1 paid order, revenue ${money(order.amount)}`).waitFor();
      await other.getByRole('button', { name: 'Back' }).click();
      await dialog.locator('table').waitFor();
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
      assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), await figure.getAttribute('aria-label'), 'the focus is where it was');
      sound(page);
    }
  },

  async the_real_time_page_asks_again_while_it_is_looked_at({ browser, stack }) {
    const page = await visitor(browser);
    await page.clock.install();
    let asked = 0;
    page.on('request', (request) => { asked += Number(request.url().includes('/reports/get_realtime')); });
    await open(page, stack, 'realtime');
    await page.locator('[data-now]').waitFor();
    assert.equal(asked, 1);
    const paid = () => page.locator('.card').filter({ hasText: 'Paid orders today' }).locator('.figure').innerText();
    const before = Number((await paid()).replaceAll(',', ''));
    await purchase(stack);
    await page.clock.runFor(20_000);
    assert.equal(asked, 1, 'not before 30 seconds');
    const now = await page.locator('[data-now]').getAttribute('data-now');
    await page.clock.runFor(12_000);
    await page.waitForFunction((old) => document.querySelector('[data-now]').dataset.now !== old, now);
    assert.equal(asked, 2);
    assert.ok(Number((await paid()).replaceAll(',', '')) > before, 'the order that was paid meanwhile is counted');
    // Hidden: it rests. Seen again: it asks at once.
    const hide = (hidden) => page.evaluate((is) => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => is }); }, hidden);
    await hide(true);
    await page.clock.runFor(120_000);
    assert.equal(asked, 2, 'nobody looks');
    await hide(false);
    await page.clock.runFor(2_000);
    assert.equal(asked, 3);
    // On another page it is over.
    await page.getByRole('navigation', { name: 'Staff' }).getByRole('link', { name: 'Copilot' }).click();
    await page.getByLabel('Ask about the shop').waitFor();
    await page.clock.runFor(60_000);
    assert.equal(asked, 3);
    sound(page);
  },

  async analytics_are_for_staff_and_say_so_when_they_cannot_be_had({ browser, stack }) {
    const viewer = await visitor(browser);
    await open(viewer, stack, 'rfm', stack.info.viewer_token);
    await viewer.getByRole('heading', { name: 'RFM', level: 2 }).waitFor();
    sound(viewer);
    const customer = await visitor(browser);
    await open(customer, stack, 'overview', stack.info.customer_token);
    await customer.getByRole('alert').filter({ hasText: 'rights you do not have' }).waitFor();
    assert.equal(await customer.locator('#view table').count(), 0);
    sound(customer, 403);
    // An answer that does not come is said where it would have stood, and can be asked for again.
    const unlucky = await visitor(browser);
    await unlucky.route('**/reports/get_unit_economics*', (route) => route.fulfill({ status: 503, contentType: 'application/json', body: JSON.stringify({ error: 'The database is busy. Please try again.', code: 'database_unavailable' }) }), { times: 1 });
    await open(unlucky, stack, 'economics/30');
    await unlucky.getByRole('alert').filter({ hasText: 'The database is busy.' }).waitFor();
    await unlucky.getByRole('button', { name: 'Try again' }).click();
    await row(unlucky, 'Total Orders').waitFor();
    sound(unlucky, 503);
    // Without its library a page has no pictures, and all of its numbers.
    const plain = await visitor(browser);
    await plain.route('**/vendor/chart.umd.min.js', (route) => route.abort());
    await open(plain, stack, 'funnel/30');
    await plain.getByText('The chart could not be drawn').waitFor();
    await row(plain, 'Page View').waitFor();
  },
};
