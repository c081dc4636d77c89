// The tracker's queue, leave events, experiments and consent. What arrived is counted in the database afterwards (`facts.tracked`).
import assert from 'node:assert/strict';
import { sound, visitor } from '../src/browser.mjs';
import { clicks, delivered, finish, listen, once, session, times, turn, types, waiting } from '../src/tracked.mjs';

const EVENTS = '**/api/events';
const idle = (page, ms) => page.waitForTimeout(ms);
const track = (page, ...names) => page.evaluate((all) => all.forEach((name) => window.lv.track(name)), names);
const refuse = (status, headers, body = '{}') => (route) => route.fulfill({ status, headers, body, contentType: 'application/json' });

export const tracker = {
  async every_typed_call_is_an_event_of_its_type({ browser, stack, facts }) {
    const page = await visitor(browser);
    await page.goto(`${stack.shop}/landing`);
    await page.evaluate(() => {
      const { lv } = window;
      const choice = { product_id: 'p', nominal: '50.00', delivery_type: 'myself' };
      lv.viewCatalog({ filters: {} });
      lv.viewProduct({ product_id: 'p', brand: 'b', nominal: null });
      lv.configuratorOpen({ product_id: 'p' });
      lv.configuratorChange(choice);
      lv.addToCart({ ...choice, brand: 'b', price: '37.50', quantity: 1 });
      lv.checkoutStart(choice);
      lv.checkoutSubmit(choice);
      lv.paymentReturn({ order_id: 'o', status: 'paid' });
      lv.supportOpen();
      lv.supportRequest({ topic: 'x' });
      lv.resendEmailRequest();
      lv.accountLogin();
    });
    await delivered(page);
    const all = 'page_view x_page_leave view_catalog view_product configurator_open configurator_change add_to_cart checkout_start checkout_submit payment_return support_open support_request resend_email_request account_login';
    const declarations = await page.request.get(`${stack.shop}/lv.d.ts`);
    assert.equal(declarations.headers()['content-type'], 'application/typescript; charset=utf-8');
    assert.match(await declarations.text(), /declare namespace Lv/);
    sound(page);
    await finish(page, facts, Object.fromEntries(all.split(' ').map((name) => [name, 1])));
  },

  async what_happens_offline_is_sent_once_when_the_network_is_back({ browser, stack, facts }) {
    const page = await visitor(browser);
    const context = page.context();
    await page.goto(`${stack.shop}/landing`);
    await delivered(page);
    const sent = listen(context);
    await context.setOffline(true);
    await track(page, 'x_one', 'x_two');
    await idle(page, 400);
    await track(page, 'x_three');
    // Attempts without a network fail before they leave the browser.
    assert.deepEqual((await waiting(page)).map((event) => event.event_type), ['x_one', 'x_two', 'x_three']);
    sent.length = 0;
    await context.setOffline(false);
    await delivered(page);
    assert.deepEqual(types(sent), ['x_one', 'x_two', 'x_three']);
    // A page that ends without a network leaves its events to the next one.
    await context.setOffline(true);
    await track(page, 'x_four');
    await page.close();
    await context.setOffline(false);
    const next = await context.newPage();
    await next.goto(`${stack.shop}/landing`);
    await delivered(next);
    await idle(next, 300);
    assert.equal(Math.max(...times(sent)), 1);
    await finish(next, facts, { page_view: 2, x_one: 1, x_two: 1, x_three: 1, x_four: 1, x_page_leave: 2 });
  },

  async a_busy_server_is_left_alone_for_as_long_as_it_asks({ browser, stack, facts }) {
    for (const status of [503, 429]) {
      const page = await visitor(browser);
      const context = page.context();
      await context.route(EVENTS, refuse(status, { 'retry-after': '2' }), { times: 1 });
      const sent = listen(context);
      await page.goto(`${stack.shop}/landing`);
      await page.waitForResponse(EVENTS);
      // Neither this page nor another tab asks again before.
      await track(page, 'x_later');
      const second = await context.newPage();
      await second.goto(`${stack.shop}/landing`);
      await second.evaluate(() => window.lv.flush());
      await second.close();
      // When closing it took longer than the two seconds, its last events wait for the next that anybody sends.
      await page.evaluate(() => window.lv.flush());
      await delivered(page);
      const [first, again] = [...new Set(sent.map(({ at }) => at))];
      assert.ok(again - first >= 1950, `asked again after ${again - first} ms`);
      sound(page, status);
      await finish(page, facts, { page_view: 2, x_later: 1, x_page_leave: 2 });
    }
  },

  async what_waits_for_a_slow_answer_heeds_it_too({ browser, stack, facts }) {
    const page = await visitor(browser);
    const context = page.context();
    let answered;
    await context.route(EVENTS, async (route) => {
      await idle(page, 1200);
      await refuse(503, { 'retry-after': '2' })(route);
      answered = Date.now();
    }, { times: 1 });
    const sent = listen(context);
    await page.goto(`${stack.shop}/landing`);
    // Each of them plans a request while the first one is under way.
    for (let i = 0; i < 4; i++) {
      await track(page, 'x_meanwhile');
      await idle(page, 200);
    }
    await delivered(page);
    const asked = [...new Set(sent.map(({ at }) => at))];
    assert.equal(asked.length, 2);
    assert.ok(asked[1] - answered >= 1900, `asked again after ${asked[1] - answered} ms`);
    sound(page, 503);
    await finish(page, facts, { page_view: 1, x_meanwhile: 4, x_page_leave: 1 });
  },

  async an_answer_without_verdicts_is_none({ browser, stack, facts }) {
    const page = await visitor(browser);
    const answers = [[200, '<html>Welcome to our network</html>'], [200, '{"success":true,"results":[]}'], [404, '{}'], [500, '{}']];
    let asked = 0;
    await page.context().route(EVENTS, (route) => {
      const answer = answers[asked++];
      return answer ? route.fulfill({ status: answer[0], body: answer[1] }) : route.continue();
    });
    await page.goto(`${stack.shop}/landing`);
    for (const count of [1, 2, 3, 4]) {
      while (asked < count) await idle(page, 20);
      await idle(page, 100);
      assert.deepEqual((await waiting(page)).map((event) => event.event_type), ['page_view']);
      // Does not wait as long as the tracker would.
      await page.evaluate(() => dispatchEvent(new Event('online')));
    }
    await delivered(page);
    sound(page, 404, 500);
    await finish(page, facts, { page_view: 1, x_page_leave: 1 });
  },

  async one_bad_event_does_not_hold_up_the_others({ browser, stack, facts }) {
    const page = await visitor(browser);
    await page.goto(`${stack.shop}/landing`);
    await delivered(page);
    for (const status of [400, 413]) {
      const bad = `x_bad_${status}`;
      await page.context().route(EVENTS, (route) => (route.request().postData().includes(bad) ? refuse(status)(route) : route.fallback()));
      await track(page, 'x_good', 'x_good', bad, 'x_good', 'x_good', 'x_good');
      await delivered(page);
    }
    // A final rejection is a verdict as well.
    await track(page, 'payment_success', 'x_good');
    await delivered(page);
    sound(page, 400, 413);
    await finish(page, facts, { page_view: 1, x_good: 11, x_page_leave: 1 });
  },

  async what_a_beacon_carried_is_asked_about_once({ browser, stack, facts }) {
    const page = await visitor(browser);
    const context = page.context();
    await page.goto(`${stack.shop}/landing`);
    await delivered(page);
    const next = await context.newPage();
    await page.close();
    await idle(next, 500);
    const sent = listen(context);
    const answered = next.waitForResponse(EVENTS);
    await next.goto(`${stack.shop}/landing`);
    const { results } = await (await answered).json();
    assert.deepEqual(types(sent), ['x_page_leave', 'page_view']);
    assert.deepEqual(results.map(({ status }) => status), ['duplicate', 'stored']);
    await delivered(next);
    await next.reload();
    await delivered(next);
    // By beacon (when that is seen) or to ask: never a third time.
    assert.equal(sent.filter(({ event }) => event.event_id === results[0].eventId).length, 1);
    assert.ok(Math.max(...times(sent)) <= 2);
    sound(page);
    await finish(next, facts, { page_view: 3, x_page_leave: 3 });
  },

  async nothing_is_sent_with_a_preflight({ browser, stack }) {
    const page = await visitor(browser);
    const kinds = [];
    page.context().on('request', (request) => request.url().endsWith('/api/events') && kinds.push([request.method(), request.headers()['content-type']]));
    await page.goto(`${stack.shop}/landing`);
    await delivered(page);
    await turn(page, true);
    await turn(page, false);
    await delivered(page);
    assert.equal(kinds.length, 3, 'page_view, the beacon, and the question about it');
    for (const [method, type] of kinds) assert.ok(method === 'POST' && /^text\/plain/.test(type), `${method} ${type}`);
  },

  async two_tabs_lose_and_multiply_nothing({ browser, stack, facts }) {
    const page = await visitor(browser);
    const context = page.context();
    await page.goto(`${stack.shop}/landing`);
    await delivered(page);
    const other = await context.newPage();
    await other.goto(`${stack.shop}/landing`);
    await delivered(other);
    const sent = listen(context);
    const burst = (tab) => tab.evaluate(async () => {
      for (let i = 0; i < 40; i++) {
        window.lv.track('x_burst');
        if (i % 5 === 0) window.lv.flush();
        await new Promise((done) => setTimeout(done, 10));
      }
    });
    await Promise.all([burst(page), burst(other)]);
    await delivered(page);
    assert.equal(times(sent).length, 80);
    // One tab sends at a time; without that every event goes twice. A tab may see a moment late what the other has taken from the queue.
    const again = sent.length - 80;
    assert.ok(again <= 4, `${again} were sent again`);
    sound(page);
    await finish(page, facts, { page_view: 2, x_burst: 80, x_page_leave: 2 });
  },

  async leaving_tells_how_long_and_how_far_a_page_was_read({ browser, stack, facts }) {
    const page = await visitor(browser, { width: 390, height: 500 });
    const sent = listen(page.context());
    const asked = Date.now();
    await page.goto(`${stack.shop}/landing`);
    await idle(page, 2000);
    await turn(page, true);
    const turned = Date.now();
    await idle(page, 1500);
    const back = Date.now();
    await turn(page, false);
    const half = await page.evaluate(() => {
      const { scrollHeight } = document.documentElement;
      scrollTo(0, scrollHeight / 2 - innerHeight);
      return scrollHeight > 2 * innerHeight;
    });
    assert.ok(half, 'the page is long enough');
    await idle(page, 1000);
    await page.evaluate(() => scrollTo(0, 0));
    await page.goto('about:blank');
    const left = Date.now();
    await page.goto(`${stack.shop}/landing`);
    await delivered(page);
    const [first, second] = once(sent, 'x_page_leave');
    /** Whole seconds: what was waited for, and what the steps of a busy machine took. */
    const about = (seconds, least, most) => assert.ok(seconds >= least && seconds <= Math.round(most / 1000), `${seconds} s, not ${least} s to ${most} ms`);
    about(first.page_duration, 2, turned - asked);
    about(first.session_duration, 2, turned - asked);
    assert.ok(first.scroll_depth > 0 && first.scroll_depth < 50, String(first.scroll_depth));
    // What was hidden is not counted, and what was told is not told again.
    about(second.page_duration, 1, left - back);
    about(second.session_duration, 4, left - asked);
    assert.ok(second.scroll_depth >= 49 && second.scroll_depth <= 51, String(second.scroll_depth));
    sound(page);
    await finish(page, facts, { page_view: 2, x_page_leave: 3 });
  },

  async a_visit_ends_after_half_an_hour_of_silence({ browser, stack }) {
    const page = await visitor(browser);
    await page.goto(`${stack.shop}/landing`);
    const lasted = async (start, last) => {
      await page.evaluate(([begun, active]) => localStorage.setItem('lv_visit', `${Date.now() - begun},${Date.now() - active}`), [start, last]);
      await page.evaluate(() => { window.lv.flush(); dispatchEvent(new Event('pagehide')); });
      const event = (await waiting(page)).filter(({ event_type: type }) => type === 'x_page_leave').at(-1);
      await page.reload();
      return event.session_duration;
    };
    assert.equal(await lasted(3_600_000, 29 * 60_000), 3600);
    assert.equal(await lasted(3_600_000, 31 * 60_000), 0);
    // A clock that was set back gives no negative duration, which the server would refuse.
    assert.equal(await lasted(-3_600_000, -3_600_000), 0);
  },

  async without_storage_events_are_sent_all_the_same({ browser, stack, facts }) {
    const none = () => {
      for (const name of ['localStorage', 'sessionStorage']) {
        Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
      }
    };
    const page = await visitor(browser, { init: none });
    await page.context().route(EVENTS, refuse(503), { times: 1 });
    const sent = listen(page.context());
    await page.goto(`${stack.shop}/landing`);
    await page.waitForResponse(EVENTS);
    await track(page, 'x_kept_in_memory');
    while (types(sent).length < 3) await idle(page, 50);
    assert.deepEqual(types(sent), ['page_view', 'page_view', 'x_kept_in_memory']);
    facts.tracked = [{ session: await session(page), types: { page_view: 1, x_kept_in_memory: 1 } }];
    assert.equal(await page.evaluate(() => window.lv.consent('off')), false, 'the choice holds on this page');
    await track(page, 'x_after_no');
    await idle(page, 400);
    assert.equal(types(sent).length, 3);
    sound(page, 503);
  },

  async the_queue_has_bounds({ browser, stack }) {
    const page = await visitor(browser);
    await page.goto(`${stack.shop}/landing`);
    await delivered(page);
    const sent = listen(page.context());
    /** Events that an earlier page left: [number, age in ms, characters more]. */
    const left = async (...events) => {
      sent.length = 0;
      await page.evaluate((all) => {
        for (const [i, age, more = 0] of all) {
          const id = `00000000-0000-4000-9000-${String(i).padStart(12, '0')}`;
          const at = Date.now() - age;
          const event = { event_id: id, event_type: 'x_old', session_id: 's-bounds', sent_at: new Date(at).toISOString(), data: { i, more: 'x'.repeat(more) } };
          localStorage.setItem(`lv_q${at}${id}`, JSON.stringify(event));
        }
        window.lv.flush();
      }, events);
      await delivered(page);
      return sent.map(({ event }) => event.data.i);
    };
    const day = 86_400_000;
    assert.deepEqual(await left([1, 6.9 * day], [2, 7.1 * day], [3, 1000]), [1, 3], 'not what is a week old');
    assert.deepEqual(await left([4, 3000], [5, 2000, 20_000], [6, 1000]), [4, 6], 'not what is too large for a request, but what is older');
    assert.deepEqual(await left(...Array.from({ length: 60 }, (_, i) => [100 + i, 60_000 - i, 6000])), Array.from({ length: 32 }, (_, i) => 128 + i), 'the newest 200,000 characters');
    assert.deepEqual(await left(...Array.from({ length: 250 }, (_, i) => [200 + i, 60_000 - i])), Array.from({ length: 200 }, (_, i) => 250 + i), 'the newest 200, in their order');
    const requests = [...new Set(sent.map(({ request }) => request))];
    sent.length = 0;
    await page.evaluate(() => {
      const circle = {};
      window.lv.track('x_large', { text: 'x'.repeat(70_000) });
      window.lv.track('x_circle', { circle: Object.assign(circle, { circle }) });
      window.lv.track('x_fine');
    });
    await delivered(page);
    assert.deepEqual(types(sent), ['x_fine'], 'what no request can carry holds nothing up');
    assert.ok(requests.length >= 4 && requests.every((request) => request.postData().length < 21_000));
    sound(page);
  },

  async a_no_empties_the_queue({ browser, stack, facts }) {
    const page = await visitor(browser);
    await page.goto(`${stack.shop}/landing?utm_source=news`);
    await delivered(page);
    const before = await session(page);
    await page.context().setOffline(true);
    await track(page, 'x_unsent');
    assert.equal((await waiting(page)).length, 1);
    await page.evaluate(() => window.lv.consent('off'));
    assert.deepEqual(await page.evaluate(() => [Object.entries(localStorage), Object.keys(sessionStorage)]), [[['lv_consent', 'off']], []]);
    assert.deepEqual(await page.context().cookies(), []);
    const sent = listen(page.context());
    await page.context().setOffline(false);
    await idle(page, 300);
    await page.goto('about:blank');
    await page.goto(`${stack.shop}/landing`);
    await idle(page, 300);
    assert.deepEqual(sent, []);
    facts.tracked = [{ session: before, types: { page_view: 1 } }];
  },

  async a_shop_that_asks_keeps_nothing_before_a_yes({ browser, stack, facts }) {
    const page = await visitor(browser);
    const sent = listen(page.context());
    await page.route('**/landing*', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace('src="/lv.js"', 'src="/lv.js" data-consent="ask"') });
    });
    await page.goto(`${stack.shop}/landing?utm_source=news`);
    await track(page, 'x_before');
    assert.equal(await page.evaluate(() => window.lv.experiment('hero')), undefined);
    await idle(page, 300);
    assert.deepEqual([sent, await clicks(page), await page.context().cookies()], [[], {}, []]);
    assert.equal(await page.evaluate(() => localStorage.length), 0);
    // The page that was agreed on counts, with the click that led to it.
    assert.equal(await page.evaluate(() => window.lv.consent('on')), true);
    await delivered(page);
    assert.deepEqual([types(sent), sent[0].event.utm_source], [['page_view'], 'news']);
    sound(page);
    await finish(page, facts, { page_view: 1, x_page_leave: 1 });
  },

  async an_experiment_is_asked_about_once_a_page_and_told_once({ browser, stack, facts }) {
    const page = await visitor(browser);
    const context = page.context();
    const asked = [];
    await context.route('**/api/experiments?*', (route) => {
      asked.push(new URL(route.request().url()).searchParams.get('visitor_id'));
      return route.fulfill({ json: { assignments: { hero: 'blue', price: 'b' } } });
    });
    const sent = listen(context);
    await page.goto(`${stack.shop}/landing`);
    const ask = (...keys) => page.evaluate((all) => Promise.all(all.map((key) => window.lv.experiment(key))), keys);
    assert.deepEqual(await ask('hero', 'hero', 'none'), ['blue', 'blue', undefined]);
    await page.reload();
    assert.deepEqual(await ask('hero', 'price'), ['blue', 'b']);
    await delivered(page);
    // Each page asks: the experiment may have been paused meanwhile.
    const { visitorId } = await page.evaluate(() => window.lv.identity());
    assert.deepEqual(asked, [visitorId, visitorId]);
    const exposures = once(sent, 'x_exposure').map(({ data }) => data);
    assert.deepEqual(exposures, [{ experiment: 'hero', variant: 'blue' }, { experiment: 'price', variant: 'b' }]);
    facts.tracked = [{ session: await session(page), types: { page_view: 2, x_exposure: 2, x_page_leave: 1 } }];
    // Another visitor is asked about anew; where there is no answer there is no variant, and the next page asks again.
    await page.evaluate(() => { window.lv.consent('off'); window.lv.consent('on'); });
    await context.route('**/api/experiments?*', (route) => route.fulfill({ status: 503, json: { error: 'x', code: 'unavailable' } }), { times: 1 });
    assert.deepEqual(await ask('hero'), [undefined]);
    await page.reload();
    assert.deepEqual(await ask('hero'), ['blue']);
    assert.equal(new Set(asked).size, 2);
    sound(page, 503);
  },
};
