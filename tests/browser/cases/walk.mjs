// A purchase, from the first click to the code.
import assert from 'node:assert/strict';
import { sound, visitor } from '../src/browser.mjs';
import { choose, order, payPage, shownCodes } from '../src/steps.mjs';
import { readStack } from '../src/stack.mjs';

const CODE = /^[A-Z0-9]{4}(-[A-Z0-9]{4}){3}$/;

export const walk = {
  async a_visit_with_utm_ends_with_the_codes_on_the_success_page({ browser, stack, facts }) {
    const page = await visitor(browser);
    const email = stack.someone('walk');
    await page.goto(`${stack.shop}/?utm_source=Newsletter&utm_medium=email&utm_campaign=autumn&ref=PARTNER7`);
    await choose(page, { quantity: 2 });
    assert.equal(await page.getByRole('button', { name: /^Pay / }).innerText(), 'Pay $75.00');
    const { orderId, billId, sent } = await order(page, { email });
    assert.equal(sent.ref, 'PARTNER7', 'the partner code of the first page');
    assert.match(sent.key, /^[!-~]{1,255}$/);
    await payPage(page);
    await page.waitForURL(`**/success?orderId=${orderId}`);
    await page.getByRole('heading', { name: /Your order is complete/ }).waitFor();
    const codes = await shownCodes(page);
    assert.equal(codes.length, 2);
    for (const code of codes) assert.match(code, CODE);

    await page.getByRole('button', { name: /^Copy code/ }).first().click();
    await page.getByText('Code copied.').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), codes[0]);

    const [mail] = await stack.mails(email);
    for (const code of codes) assert.ok(mail.text.includes(code), 'the mail has the same codes');
    assert.ok(!page.url().includes('#'), 'no token in the address');
    assert.equal(await page.evaluate(() => sessionStorage.getItem('checkout_config')), null, 'the cart is empty again');
    const cookies = Object.fromEntries((await page.context().cookies()).map((cookie) => [cookie.name, cookie]));
    const days = (name) => Math.round((cookies[name].expires - Date.now() / 1000) / 86400);
    assert.deepEqual([days('lv_sess'), days('lv_visitor')], [30, 365]);
    assert.ok(['lv_sess', 'lv_visitor'].every((name) => cookies[name].sameSite === 'Lax' && cookies[name].path === '/' && !cookies[name].domain.startsWith('.')));
    sound(page);
    Object.assign(facts, { orderId, billId, email, session: cookies.lv_sess.value, visitor: cookies.lv_visitor.value });
    // Lets the last events leave.
    await page.goto('about:blank');
  },

  async under_cardlink_v1_the_walk_ends_with_the_codes_too({ browser, skip }) {
    if (!process.env.LONIEVE_STACK_V1) skip('LONIEVE_STACK_V1 names no stack that speaks Cardlink v1');
    const stack = await readStack(process.env.LONIEVE_STACK_V1);
    const page = await visitor(browser);
    const email = stack.someone('walk-v1');
    await page.goto(`${stack.shop}/?utm_source=Newsletter`);
    await choose(page, { quantity: 1 });
    const { orderId } = await order(page, { email });
    await payPage(page);
    await page.waitForURL(`**/success?orderId=${orderId}`);
    await page.getByRole('heading', { name: /Your order is complete/ }).waitFor();
    const codes = await shownCodes(page);
    assert.equal(codes.length, 1);
    assert.match(codes[0], CODE);
    const [mail] = await stack.mails(email);
    assert.ok(mail.text.includes(codes[0]), 'the mail has the same code');
    sound(page);
  },

  async a_gift_shows_its_code_to_the_recipient_only({ browser, stack, facts }) {
    const page = await visitor(browser);
    const [email, recipient] = [stack.someone('giver'), stack.someone('friend')];
    await page.goto(stack.shop);
    await choose(page, { gift: true });
    const { orderId } = await order(page, { email, recipient, message: 'Happy birthday!\nYours, Sam' });
    await payPage(page);
    await page.getByRole('heading', { name: 'Your gift is on its way' }).waitFor();
    assert.deepEqual(await shownCodes(page), []);
    sound(page);

    const [mail] = await stack.mails(recipient);
    assert.ok(mail.text.includes('Happy birthday!'));
    const link = mail.text.match(/https?:\/\/\S+#t=\S+/)[0];
    const friend = await visitor(browser);
    await friend.goto(link);
    await friend.getByRole('heading', { name: 'A gift for you' }).waitFor();
    assert.ok(!friend.url().includes('t='), 'the token leaves the address at once');
    const [code] = await shownCodes(friend);
    assert.ok(mail.text.includes(code));
    assert.ok(!(await friend.locator('main').innerText()).includes('37.50'), 'the recipient sees no price');
    await friend.reload();
    await friend.getByRole('heading', { name: 'A gift for you' }).waitFor();
    sound(friend);

    const [receipt] = await stack.mails(email);
    assert.ok(!receipt.text.includes(code), 'the buyer is not told the code');
    Object.assign(facts, { orderId, recipient });
  },

  async a_failed_payment_is_said_and_can_be_tried_again({ browser, stack, facts }) {
    const page = await visitor(browser);
    await page.goto(stack.shop);
    await choose(page);
    const { orderId } = await order(page, { email: stack.someone('again') });
    await payPage(page, 'Fail');
    await page.getByRole('heading', { name: 'The payment did not go through' }).waitFor();
    await page.getByRole('link', { name: 'Back to the payment page' }).click();
    await payPage(page);
    await page.getByRole('heading', { name: /Your order is complete/ }).waitFor();
    assert.equal((await shownCodes(page)).length, 1);
    sound(page);
    Object.assign(facts, { orderId, session: (await page.context().cookies()).find(({ name }) => name === 'lv_sess').value });
    await page.goto('about:blank');
  },

  async an_order_page_without_its_token_shows_nothing({ browser, stack }) {
    const page = await visitor(browser);
    const { json } = await stack.post('/api/orders/create', { productId: stack.product('01'), nominal: '25', email: stack.someone('other'), deliveryType: 'myself' });
    for (const path of ['pending', 'success']) {
      await page.goto(`${stack.shop}/${path}?orderId=${json.orderId}`);
      await page.getByRole('heading', { name: 'We cannot show this order here' }).waitFor();
      await page.goto(`${stack.shop}/${path}?orderId=${json.orderId}#t=wrong`);
      await page.getByRole('heading', { name: 'We cannot find this order' }).waitFor();
      await page.evaluate(() => sessionStorage.clear());
    }
    sound(page, 404);
  },
};
