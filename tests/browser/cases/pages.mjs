// Every page in its states, on a phone and on a desktop.
import assert from 'node:assert/strict';
import { visitor } from '../src/browser.mjs';
import { AXE, inspect } from '../src/sound.mjs';
import { choose, order, payPage } from '../src/steps.mjs';

const WIDTHS = [390, 1280];

/** Runs `work` in a fresh tab of each width; `see(name, expected)` inspects what is on the screen. */
const both = async ({ browser, shots }, work) => {
  for (const width of WIDTHS) {
    const page = await visitor(browser, { width });
    await page.context().addInitScript(AXE);
    await work(page, (name, ...expected) => inspect(page, name, { shots, expected }));
    await page.context().close();
  }
};

const heading = (page, name) => page.getByRole('heading', { name }).first().waitFor();

export const pages = {
  async the_catalogue_and_a_product_are_sound(t) {
    const { shop, product } = t.stack;
    await both(t, async (page, see) => {
      await page.goto(shop);
      await heading(page, 'Nimbus Games Card');
      await see('catalogue');
      await page.getByRole('button', { name: 'Entertainment' }).click();
      await page.getByLabel('Search cards').fill('nothing like this');
      await heading(page, 'No card matches');
      await see('catalogue-empty');
      await page.getByRole('button', { name: 'Show all cards' }).click();
      await heading(page, 'Nimbus Games Card');

      await page.route('**/api/products', (route) => route.fulfill({ status: 503, headers: { 'retry-after': '2' }, json: { error: 'The service is busy; please try again in a moment.', code: 'database_unavailable' } }));
      await page.reload();
      await heading(page, 'The cards could not be loaded');
      await see('catalogue-error', 503);
      await page.unroute('**/api/products');
      await page.getByRole('button', { name: 'Try again' }).click();
      await heading(page, 'Nimbus Games Card');

      await page.goto(`${shop}/product/${product('01')}?ref=PARTNER7`);
      await heading(page, 'Nimbus Games Card');
      await see('product');
      await page.goto(`${shop}/product/${product('06')}`);
      await heading(page, /Quillsong/);
      await see('product-partly-sold-out');
      await page.goto(`${shop}/product/00000000-0000-4000-8000-00000000dead`);
      await heading(page, 'This card is not for sale');
      await see('product-missing', 404);
    });
  },

  async the_checkout_is_sound(t) {
    const { shop } = t.stack;
    await both(t, async (page, see) => {
      await page.goto(`${shop}/checkout`);
      await heading(page, 'Your cart is empty');
      await see('checkout-empty');
      await page.goto(shop);
      await choose(page);
      await see('checkout');
      await page.goto(shop);
      await choose(page, { gift: true, quantity: 3 });
      await page.getByRole('button', { name: /^Pay / }).click();
      await page.locator('#email-error').waitFor();
      await see('checkout-gift-errors');
      await page.route('**/api/orders/create', (route) => route.fulfill({ status: 409, json: { error: 'The price has changed.', code: 'price_changed', price: '41.25' } }));
      await page.getByLabel('E-mail', { exact: true }).fill('you@example.com');
      await page.getByLabel('Recipient’s e-mail').fill('friend@example.com');
      await page.getByRole('button', { name: /^Pay / }).click();
      await heading(page, 'The price has changed');
      await see('checkout-price-changed', 409);
    });
  },

  async the_order_pages_are_sound(t) {
    const { shop, someone, mails } = t.stack;
    await both(t, async (page, see) => {
      await page.goto(shop);
      await choose(page, { face: '$25' });
      const { orderId } = await order(page, { email: someone('sound') });
      const payUrl = page.url();
      await page.goto(`${shop}/pending?orderId=${orderId}`);
      await heading(page, 'Waiting for your payment');
      await see('pending');
      await page.goto(`${shop}/checkout`);
      await heading(page, 'This order already waits for its payment');
      await see('checkout-again');
      await page.goto(payUrl);
      await payPage(page, 'Fail');
      await heading(page, 'The payment did not go through');
      await see('pending-failed');
      await page.goto(payUrl);
      await payPage(page);
      await heading(page, /Your order is complete/);
      await see('success');
      await page.goto(`${shop}/success?orderId=00000000-0000-4000-8000-00000000dead`);
      await heading(page, 'We cannot show this order here');
      await see('order-without-token');

      const friend = someone('sound-friend');
      await page.goto(shop);
      await choose(page, { face: '$25', gift: true });
      await order(page, { email: someone('sound-giver'), recipient: friend });
      await payPage(page);
      await heading(page, 'Your gift is on its way');
      await see('success-gift-buyer');
      const [mail] = await mails(friend);
      await page.goto(mail.text.match(/https?:\/\/\S+#t=\S+/)[0]);
      await heading(page, 'A gift for you');
      await see('success-gift-recipient');
    });
  },

  async the_landing_page_and_the_page_for_404_are_sound(t) {
    const { shop } = t.stack;
    await both(t, async (page, see) => {
      await page.goto(`${shop}/landing`);
      await see('landing');
      await page.getByRole('button', { name: 'Send request' }).click();
      await page.locator('#consent-error').waitFor();
      await see('landing-errors');
      await page.goto(`${shop}/thank-you`);
      await see('thank-you');
      const answer = await page.goto(`${shop}/no/such/page`);
      assert.equal(answer.status(), 404);
      assert.match(answer.headers()['content-security-policy'], /default-src 'self'/);
      await see('not-found', 404);
    });
  },

  async the_staff_pages_are_sound(t) {
    const { shop, info, has } = t.stack;
    const admin = await has('GET', '/api/admin/orders');
    const copilot = await has('POST', '/api/ai/copilot');
    await both(t, async (page, see) => {
      await page.goto(`${shop}/staff`);
      await heading(page, 'Staff');
      await see('staff-sign-in');
      await page.goto(`${shop}/staff#token=${info.admin_token}`);
      await page.getByLabel('Ask about the shop').waitFor();
      for (const question of copilot ? ['How are you?', 'Revenue today', 'Top channels this month', 'Unit economics this month'] : []) {
        const answers = page.locator('.answer');
        const before = await answers.count();
        await page.getByLabel('Ask about the shop').fill(question);
        await page.getByRole('button', { name: 'Ask', exact: true }).click();
        await answers.nth(before).waitFor();
      }
      await see('staff-copilot');
      for (const view of ['Orders', 'Codes', 'Products', 'Mails', 'Alerts', 'Health']) {
        await page.getByRole('navigation', { name: 'Staff' }).getByRole('link', { name: view }).click();
        await page.getByRole('heading', { name: view, level: 1 }).waitFor();
        await page.getByText('Loading', { exact: true }).waitFor({ state: 'detached' });
        if (admin && view === 'Mails') {
          await page.getByLabel('Show').selectOption({ label: 'All' });
          await page.getByText('Loading', { exact: true }).waitFor({ state: 'detached' });
        }
        if (admin && view === 'Products') await page.getByRole('button', { name: /^Change Nimbus/ }).click();
        // Without the function behind it a view says so, and must say it soundly.
        await see(`staff-${view.toLowerCase()}`, ...(admin ? [] : [404]));
      }
    });
  },
};
