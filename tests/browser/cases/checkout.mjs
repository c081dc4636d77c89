// What may stand between a cart and its order.
import assert from 'node:assert/strict';
import { sound, visitor } from '../src/browser.mjs';
import { NIMBUS, choose, order } from '../src/steps.mjs';

const pay = (page) => page.getByRole('button', { name: /^Pay / });

export const checkout = {
  async what_is_sold_out_cannot_be_chosen_and_what_sells_out_is_said({ browser, stack }) {
    const page = await visitor(browser);
    await page.goto(`${stack.shop}/product/${stack.product('06')}`);
    assert.ok(await page.getByRole('radio', { name: /\$120.*Sold out/ }).isDisabled());

    // Somebody else takes the last ones while this shopper fills in the form.
    await page.goto(stack.shop);
    await choose(page, { card: /Quillsong/, face: '$60' });
    for (let taken = 200; taken === 200;) {
      ({ status: taken } = await stack.post('/api/orders/create', { productId: stack.product('06'), nominal: '60', email: stack.someone('quick'), deliveryType: 'myself' }));
    }
    await page.getByLabel('E-mail', { exact: true }).fill(stack.someone('late'));
    await pay(page).click();
    await page.getByRole('heading', { name: 'Out of stock' }).waitFor();
    await page.getByRole('link', { name: 'Choose another face value' }).click();
    await page.getByText('Sold out').first().waitFor();
    assert.ok(await page.getByRole('radio', { name: /\$60/ }).isDisabled());
    sound(page, 409);
  },

  async a_price_that_changed_is_shown_before_anything_is_ordered({ browser, stack, facts }) {
    const page = await visitor(browser);
    await page.goto(stack.shop);
    await choose(page, { quantity: 2 });
    // The page was left open while the price went up.
    await page.evaluate(() => {
      const cart = JSON.parse(sessionStorage.getItem('checkout_config'));
      sessionStorage.setItem('checkout_config', JSON.stringify({ ...cart, price: '30.00' }));
    });
    await page.reload();
    const email = stack.someone('price');
    await page.getByLabel('E-mail', { exact: true }).fill(email);
    await page.getByRole('button', { name: 'Pay $60.00' }).click();
    const notice = page.getByRole('status').filter({ hasText: 'The price has changed' });
    await notice.getByText('$37.50 instead of $30.00').waitFor();
    assert.ok((await notice.innerText()).includes('$75.00'));
    await page.getByRole('button', { name: 'Use the new price' }).click();
    await page.getByRole('button', { name: 'Pay $75.00' }).waitFor();
    const { orderId } = await order(page, { email });
    sound(page, 409);
    Object.assign(facts, { orderId, email });
  },

  async wrong_fields_are_shown_at_the_fields({ browser, stack }) {
    const page = await visitor(browser);
    await page.goto(stack.shop);
    await choose(page, { gift: true });
    const wrong = async (label, words) => {
      const field = page.getByLabel(label, { exact: true });
      assert.equal(await field.getAttribute('aria-invalid'), 'true', label);
      const [id] = (await field.getAttribute('aria-describedby')).split(' ');
      assert.match(await page.locator(`#${id}`).innerText(), words);
    };
    await pay(page).click();
    await wrong('E-mail', /E-mail is missing/);
    await wrong('Recipient’s e-mail', /is missing/);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'email', 'the first wrong field has the focus');
    await page.getByLabel('E-mail', { exact: true }).fill('nobody');
    await page.getByLabel('Recipient’s e-mail').fill('friend@example.com');
    await pay(page).click();
    await wrong('E-mail', /must be an address like/);

    // What only the server refuses.
    await page.getByLabel('E-mail', { exact: true }).fill('somebody@example.com');
    await page.locator('#lastName').evaluate((field) => { field.value = 'x'.repeat(101); });
    await pay(page).click();
    await page.locator('#lastName-error').waitFor();
    assert.equal(await page.locator('#email-error').count(), 0);
    assert.match(await page.locator('#lastName-error').innerText(), /^Last name /);
    sound(page, 400);
  },

  async a_repeat_after_a_lost_answer_has_the_same_key({ browser, stack }) {
    const page = await visitor(browser);
    await page.goto(stack.shop);
    await choose(page);
    const keys = [];
    await page.route('**/api/orders/create', async (route) => {
      keys.push(route.request().headers()['idempotency-key']);
      await route.abort('connectionreset');
    });
    await page.getByLabel('E-mail', { exact: true }).fill(stack.someone('lost'));
    const lost = page.getByRole('alert').filter({ hasText: 'The shop did not answer' });
    for (const email of [null, null, stack.someone('other')]) {
      if (email) await page.getByLabel('E-mail', { exact: true }).fill(email);
      const asked = keys.length;
      await pay(page).click();
      await page.waitForFunction(() => !document.querySelector('#pay').hasAttribute('aria-busy'));
      await lost.waitFor();
      assert.equal(keys.length, asked + 1);
    }
    assert.match(keys[0], /^[!-~]{1,255}$/);
    assert.equal(keys[1], keys[0], 'the same request keeps its key');
    assert.notEqual(keys[2], keys[0], 'another request has another key');
  },

  async a_repeat_after_a_lost_answer_goes_on_with_the_order_that_was_made({ browser, stack, facts }) {
    const page = await visitor(browser);
    await page.goto(stack.shop);
    await choose(page, { quantity: 2 });
    let made;
    await page.route('**/api/orders/create', async (route) => {
      // The shop has made the order; its answer is lost on the way.
      made = await (await route.fetch()).json();
      await route.abort('connectionreset');
    }, { times: 1 });
    const email = stack.someone('again');
    await page.getByLabel('E-mail', { exact: true }).fill(email);
    await page.getByLabel('First name').fill('Sam');
    await pay(page).click();
    await page.getByRole('alert').filter({ hasText: 'The shop did not answer' }).waitFor();
    const { orderId } = await order(page, { email });
    assert.equal(orderId, made.orderId, 'no second order');
    page.problems = page.problems.filter((text) => !text.includes('ERR_CONNECTION_RESET'));
    sound(page);
    Object.assign(facts, { orderId, email });
  },

  async an_order_that_is_being_placed_is_waited_for({ browser, stack }) {
    const page = await visitor(browser);
    await page.goto(stack.shop);
    await choose(page);
    const keys = [];
    const early = { status: 409, headers: { 'retry-after': '1' }, contentType: 'application/json', body: JSON.stringify({ error: 'x', code: 'in_progress', requestId: 'r' }) };
    await page.route('**/api/orders/create', async (route) => {
      keys.push(route.request().headers()['idempotency-key']);
      if (keys.length <= 2) await route.fulfill(early);
      else await route.continue();
    });
    await page.getByLabel('E-mail', { exact: true }).fill(stack.someone('early'));
    await pay(page).click();
    await page.waitForURL(/\/pay\//);
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1, 'one order, one key');
    sound(page, 409);
  },

  async too_many_unpaid_cards_are_said_in_words_and_nothing_is_lost({ browser, stack }) {
    const page = await visitor(browser);
    const email = stack.someone('many');
    // Another device of the same person holds all that one may hold.
    const { status } = await stack.post('/api/orders/create', { productId: stack.product('01'), nominal: '100', quantity: 20, email, deliveryType: 'myself' });
    assert.equal(status, 200);
    await page.goto(stack.shop);
    await choose(page);
    await page.getByLabel('E-mail', { exact: true }).fill(email);
    await pay(page).click();
    const said = page.getByRole('alert').filter({ hasText: 'Too many cards wait for their payment' });
    await said.getByText(/try again in about (69|70) minutes/).waitFor();
    // With another address it is another person.
    await order(page, { email: stack.someone('few') });
    sound(page, 429);
  },

  async the_checkout_works_with_the_keyboard_alone({ browser, stack }) {
    const page = await visitor(browser);
    await page.goto(stack.shop);
    await page.getByRole('link', { name: NIMBUS }).waitFor();
    const focused = () => page.evaluate(() => {
      const element = document.activeElement;
      // A radio button in a tile is drawn by its tile.
      const drawn = element.closest('.tile') ?? element;
      const { outlineStyle, outlineWidth } = getComputedStyle(drawn);
      const box = drawn.getBoundingClientRect();
      const text = element.labels?.[0]?.innerText ?? element.getAttribute('aria-label') ?? element.innerText;
      return { id: element.id, text: text ?? '', visible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2, onScreen: box.bottom > 0 && box.top < innerHeight };
    });
    const tabTo = async (wanted) => {
      for (let i = 0; i < 60; i += 1) {
        await page.keyboard.press('Tab');
        const now = await focused();
        assert.ok(now.visible, `the focus can be seen on "${now.text}"`);
        assert.ok(now.onScreen, `"${now.text}" is on the screen when it has the focus`);
        if (wanted.test(now.text) || wanted.test(now.id)) return;
      }
      throw new Error(`Tab never reaches ${wanted}`);
    };
    await tabTo(/Skip to content/);
    await page.keyboard.press('Enter');
    await tabTo(NIMBUS);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/product/*');
    await page.getByRole('radio', { name: '$50' }).waitFor();
    await tabTo(/\$50/);
    await page.keyboard.press('ArrowRight');
    assert.ok(await page.getByRole('radio', { name: '$100' }).isChecked());
    await page.keyboard.press('ArrowLeft');
    await tabTo(/^quantity$/);
    await page.keyboard.press('ArrowUp');
    await tabTo(/Go to checkout/);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/checkout');
    await pay(page).waitFor();
    await tabTo(/^email$/);
    await page.keyboard.type(stack.someone('keys'));
    await tabTo(/^lastName$/);
    await tabTo(/^Pay \$75\.00/);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/pay\//);
    sound(page);
  },
};
