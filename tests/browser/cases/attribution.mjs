// Last non-direct click, as a table: where a visitor comes from, and what is kept afterwards.
import assert from 'node:assert/strict';
import { sound, visitor } from '../src/browser.mjs';
import { clicks, delivered, listen } from '../src/tracked.mjs';

const KEPT = { utm_source: 'before', utm_medium: 'email', utm_campaign: 'spring' };
const SHOP = 'the shop itself';
const click = (source, medium) => ({ utm_source: source, utm_medium: medium });

/** [what it shows, address, referrer, kept before, kept after] */
const TABLE = [
  ['a first direct visit keeps nothing', '/landing', undefined, {}, {}],
  ['a direct visit changes nothing', '/landing', undefined, KEPT, KEPT],
  ['a campaign is kept', '/landing?utm_source=news&utm_medium=email&utm_campaign=autumn&utm_content=top&utm_term=gift', undefined, {},
    { utm_source: 'news', utm_medium: 'email', utm_campaign: 'autumn', utm_content: 'top', utm_term: 'gift' }],
  ['a campaign replaces a campaign as a whole', '/landing?utm_source=partner', undefined, KEPT, { utm_source: 'partner' }],
  ['a campaign is stronger than the site it stands on', '/landing?utm_campaign=x', 'https://blog.example/', KEPT, { utm_campaign: 'x' }],
  ['a link on another site is a referral by its host', '/landing', 'https://blog.example/cards?email=a@b.c', KEPT, click('blog.example', 'referral')],
  ['another host of the same domain is another site', '/landing', 'https://news.127.0.0.1.example/', KEPT, click('news.127.0.0.1.example', 'referral')],
  ['a link within the shop changes nothing', '/landing', SHOP, KEPT, KEPT],
  ['from the payment page to the order there is no click', '/pending', 'https://pay.example/', KEPT, KEPT],
  ['nor to the codes', '/success?orderId=1', 'https://pay.example/', KEPT, KEPT],
  ['nor where nothing was kept', '/success', 'https://mail.example/', {}, {}],
  ['a campaign on such a page is one all the same', '/success?utm_source=receipt', 'https://mail.example/', KEPT, { utm_source: 'receipt' }],
  ['a page that is only called alike is an ordinary one', '/pendings', 'https://pay.example/', KEPT, click('pay.example', 'referral')],
  ['gclid is a paid click at Google', '/landing?gclid=a1', 'https://www.google.com/', KEPT, click('google', 'cpc')],
  ['gbraid too', '/landing?gbraid=a1', undefined, KEPT, click('google', 'cpc')],
  ['wbraid too', '/landing?wbraid=a1', undefined, KEPT, click('google', 'cpc')],
  ['fbclid is one at Facebook', '/landing?fbclid=a1', 'https://l.facebook.com/', KEPT, click('facebook', 'cpc')],
  ['yclid is one at Yandex', '/landing?yclid=a1', undefined, KEPT, click('yandex', 'cpc')],
  ['ttclid is one at TikTok', '/landing?ttclid=a1', undefined, KEPT, click('tiktok', 'cpc')],
  ['dclid is one at Google', '/landing?dclid=a1', undefined, KEPT, click('google', 'cpc')],
  ['twclid is one at Twitter', '/landing?twclid=a1', undefined, KEPT, click('twitter', 'cpc')],
  ['li_fat_id is one at LinkedIn', '/landing?li_fat_id=a1', undefined, KEPT, click('linkedin', 'cpc')],
  ['msclkid is one at Bing', '/landing?msclkid=a1', undefined, KEPT, click('bing', 'cpc')],
  ['a campaign names itself, whatever click id it has', '/landing?utm_source=Ads&gclid=a1', undefined, KEPT, { utm_source: 'Ads' }],
  ['an empty click id is none', '/landing?gclid=', undefined, KEPT, KEPT],
  ['an unknown one is none', '/landing?clickid=a1', undefined, KEPT, KEPT],
  ['values keep their letter case, names have one', '/landing?utm_source=News&UTM_MEDIUM=Email', undefined, KEPT, { utm_source: 'News' }],
  ['empty values are no campaign', '/landing?utm_source=&utm_medium=', undefined, KEPT, KEPT],
  ['nor are blanks, and another site is seen behind them', '/landing?utm_source=%20%20', 'https://blog.example/', KEPT, click('blog.example', 'referral')],
  ['blanks around a value go', '/landing?utm_source=%20news%20', undefined, {}, { utm_source: 'news' }],
  ['the first of two values counts', '/landing?utm_source=one&utm_source=two', undefined, {}, { utm_source: 'one' }],
  ['255 characters are kept', `/landing?utm_source=${'x'.repeat(300)}`, undefined, {}, { utm_source: 'x'.repeat(255) }],
  ['whole characters, that is', `/landing?utm_source=${'x'.repeat(254)}%F0%9F%8E%81%F0%9F%8E%81`, undefined, {}, { utm_source: `${'x'.repeat(254)}🎁` }],
  ['what cannot be seen goes', '/landing?utm_source=%00ne%08w%C2%85s%09', undefined, {}, { utm_source: 'news' }],
];

export const attribution = {
  async each_way_into_the_shop_keeps_the_click_it_should({ browser, stack }) {
    const page = await visitor(browser);
    await page.goto(`${stack.shop}/landing`);
    for (const [what, address, referrer, before, after] of TABLE) {
      await page.evaluate((kept) => {
        localStorage.clear();
        for (const [name, value] of Object.entries(kept)) localStorage.setItem(name, value);
      }, before);
      const referer = referrer === SHOP ? `${stack.shop}/thank-you` : referrer;
      await page.goto(stack.shop + address, { referer, waitUntil: 'domcontentloaded' });
      assert.deepEqual(await clicks(page), after, what);
    }
    // The page that is loaded again is no new click.
    await page.goto(`${stack.shop}/landing?utm_source=first`);
    await page.evaluate(() => localStorage.setItem('utm_source', 'second'));
    await page.reload();
    assert.deepEqual(await clicks(page), { utm_source: 'second' });
    // What an earlier version kept is still fit to be sent.
    await page.evaluate(() => localStorage.setItem('utm_source', 'a\ud83d\u0008b'));
    assert.deepEqual(await page.evaluate(() => window.lv.identity().utm), { utm_source: 'ab' });
    sound(page, 404);
  },

  async click_ids_stay_in_the_address_and_private_parameters_never_leave({ browser, stack }) {
    const page = await visitor(browser);
    const sent = listen(page.context());
    const ids = { gclid: 'Ab-1_x', gbraid: 'b2', wbraid: 'c3', fbclid: 'd4', yclid: '55', ttclid: 'e6', msclkid: 'f7' };
    const hidden = {
      t: 'secret-1', code: 'secret-2', key: 'secret-3', sig: 'secret-4', email: 'secret-5', Phone: 'secret-6', orderToken: 'secret-7', client_secret: 'secret-8',
      'X-Signature': 'secret-9', password2: 'secret-10',
    };
    await page.context().route('**/api/events', (route) => route.fulfill({ status: 503, body: '{}' }));
    await page.goto(`${stack.shop}/landing?${new URLSearchParams({ ...ids, ...hidden })}#t=secret-11`, { referer: `https://blog.example/?token=secret-12` });
    await page.evaluate(() => window.lv.flush());
    await page.waitForRequest('**/api/events');
    const stored = await page.evaluate(() => JSON.stringify(localStorage));
    assert.ok(stored.includes('page_view') && !stored.includes('secret-'), stored);
    await page.context().unroute('**/api/events');
    await page.reload();
    await delivered(page);
    assert.ok(sent.length >= 2 && !JSON.stringify(sent.map(({ event }) => event)).includes('secret-'));
    const { searchParams } = new URL(sent[0].event.url, stack.shop);
    assert.deepEqual(Object.fromEntries(searchParams), ids);
    assert.equal(sent[0].event.referrer, 'https://blog.example/');
    sound(page, 503);
  },
};
