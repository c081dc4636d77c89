// The landing form and the staff's desk. What needs a function that does not exist yet is skipped as long as its route answers 404.
import assert from 'node:assert/strict';
import { sound, visitor } from '../src/browser.mjs';
import { AXE, inspect } from '../src/sound.mjs';
import { choose, order, payPage } from '../src/steps.mjs';

const desk = async (page, { shop }, token, view = '') => {
  await page.goto(`${shop}/staff#token=${token}`);
  await page.getByRole('heading', { name: 'Copilot' }).waitFor();
  assert.ok(!page.url().includes('token'), 'the token leaves the address at once');
  if (view) await page.getByRole('navigation', { name: 'Staff' }).getByRole('link', { name: view }).click();
};
const randomCode = () => `TEST-${Math.random().toString(36).slice(2, 6).padEnd(4, 'X')}-${Math.random().toString(36).slice(2, 6).padEnd(4, 'X')}-0001`.toUpperCase();

const revenueToday = async (page) => {
  const answered = page.waitForResponse('**/api/ai/copilot');
  const before = await page.locator('.answer').count();
  await page.getByRole('button', { name: 'Revenue today', exact: true }).click();
  const { result } = await (await answered).json();
  await page.locator('.answer').nth(before).waitFor();
  assert.ok((await page.locator('.answer').first().innerText()).includes(result.formatted), 'the answer is on the page');
  return Math.round(Number(result.value) * 100);
};

export const staff = {
  async the_landing_form_leaves_a_lead({ browser, stack, facts, skip }) {
    if (!await stack.has('POST', '/api/leads')) skip('POST /api/leads answers 404: the function leads does not exist yet');
    const page = await visitor(browser);
    const email = stack.someone('lead');
    await page.goto(`${stack.shop}/landing?utm_source=Telegram&utm_campaign=teams`);
    await page.getByRole('textbox', { name: 'Name' }).fill('Alex Doe');
    await page.getByRole('textbox', { name: 'E-mail' }).fill(email);
    await page.getByRole('textbox', { name: /^Phone/ }).fill('+1 202 555 0147');
    await page.getByLabel('How many cards?').selectOption('21-100');
    await page.getByRole('button', { name: 'Send request' }).click();
    await page.getByText('Please tick this box').waitFor();
    await page.getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Send request' }).click();
    await page.waitForURL('**/thank-you');
    await page.getByText('Your reference:').waitFor();
    sound(page);
    Object.assign(facts, { email });
  },

  async the_landing_form_works_without_script({ browser, stack, facts, skip }) {
    if (!await stack.has('POST', '/api/leads')) skip('POST /api/leads answers 404: the function leads does not exist yet');
    const page = await visitor(browser, { javaScriptEnabled: false });
    const email = stack.someone('plain');
    await page.goto(`${stack.shop}/landing`);
    await page.getByRole('textbox', { name: 'Name' }).fill('Plain Person');
    await page.getByRole('textbox', { name: 'E-mail' }).fill(email);
    await page.getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Send request' }).click();
    await page.getByRole('heading', { name: 'Thank you' }).waitFor();
    Object.assign(facts, { email });
  },

  async the_copilot_names_the_revenue_that_was_paid({ browser, stack, facts, skip }) {
    if (!await stack.has('POST', '/api/ai/copilot')) skip('POST /api/ai/copilot answers 404: the function copilot does not exist yet');
    const page = await visitor(browser);
    await desk(page, stack, stack.info.admin_token);
    const before = await revenueToday(page);
    const buyer = await visitor(browser);
    await buyer.goto(stack.shop);
    await choose(buyer, { quantity: 2 });
    await order(buyer, { email: stack.someone('revenue') });
    await payPage(buyer);
    await buyer.getByRole('heading', { name: /Your order is complete/ }).waitFor();
    const after = await revenueToday(page);
    assert.equal(after - before, 7500, 'the amount paid');
    sound(page);
    Object.assign(facts, { revenue: (after / 100).toFixed(2) });
  },

  async staff_import_codes_and_look_after_orders({ browser, stack, facts, skip }) {
    if (!await stack.has('GET', '/api/admin/orders')) skip('GET /api/admin/orders answers 404: the function admin does not exist yet');
    const buyer = await visitor(browser);
    const email = stack.someone('desk');
    await buyer.goto(stack.shop);
    await choose(buyer);
    const { orderId } = await order(buyer, { email });
    await payPage(buyer);
    await buyer.getByRole('heading', { name: /Your order is complete/ }).waitFor();
    await stack.mails(email);

    const page = await visitor(browser);
    await desk(page, stack, stack.info.admin_token, 'Codes');
    const codes = [randomCode(), randomCode()];
    const csv = ['code,nominal,product_id,cost_price', ...[...codes, codes[0]].map((code) => `${code},50,${stack.product('01')},33.00`)].join('\n');
    await page.getByLabel('CSV file').setInputFiles({ name: 'codes.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) });
    await page.getByRole('button', { name: 'Import the file' }).click();
    await page.getByText('2 imported, 1 not.').waitFor();
    const verdict = page.getByRole('row').filter({ hasText: 'Duplicate code' });
    assert.ok((await verdict.innerText()).includes('0001'));
    assert.ok(!(await page.locator('main').innerText()).includes(codes[0]), 'no code is shown in full');

    await page.getByRole('link', { name: 'Orders' }).click();
    await page.getByLabel('E-mail contains').fill(email);
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.getByText('1 order', { exact: true }).waitFor();
    await page.getByRole('button', { name: `Resend the codes of ${email}` }).click();
    await page.getByText(`on their way to ${email} again`).waitFor();
    await stack.mails(email, 2);

    await page.getByRole('link', { name: 'Products' }).click();
    await page.getByRole('button', { name: 'Deactivate Moonreel Cinema Pass' }).click();
    await page.getByText('Moonreel Cinema Pass is off sale.').waitFor();
    await buyer.goto(`${stack.shop}/product/${stack.product('05')}`);
    await buyer.getByRole('heading', { name: 'This card is not for sale' }).waitFor();
    await page.getByRole('button', { name: 'Activate Moonreel Cinema Pass', exact: true }).click();
    await page.getByText('Moonreel Cinema Pass is on sale.').waitFor();
    await buyer.reload();
    await buyer.getByRole('heading', { name: 'Moonreel Cinema Pass' }).waitFor();
    sound(page);
    sound(buyer, 404);
    Object.assign(facts, { orderId });
  },

  async a_bad_code_is_replaced_at_the_desk({ browser, stack, facts, skip }) {
    if (!await stack.has('GET', '/api/admin/orders')) skip('GET /api/admin/orders answers 404: the function admin does not exist yet');
    const buyer = await visitor(browser);
    const email = stack.someone('replace');
    await buyer.goto(stack.shop);
    await choose(buyer);
    const { orderId } = await order(buyer, { email });
    await payPage(buyer);
    await buyer.getByRole('heading', { name: /Your order is complete/ }).waitFor();
    await stack.mails(email);

    const page = await visitor(browser);
    await page.context().addInitScript(AXE);
    await desk(page, stack, stack.info.admin_token, 'Orders');
    await page.getByLabel('E-mail contains').fill(email);
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    // With the keyboard alone, and once given up first.
    const open = page.getByRole('button', { name: `Replace a code of ${email}` });
    const dialog = page.getByRole('dialog', { name: 'Replace a code' });
    await open.focus();
    await page.keyboard.press('Enter');
    await dialog.getByText(`mailed to ${email}`).waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await open.focus();
    await page.keyboard.press('Enter');
    await inspect(page, 'staff-replace');
    await dialog.getByLabel('Reason').focus();
    await page.keyboard.type('The store refuses it.');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText(/The code …\S+ is replaced by …\S+\./).waitFor();
    await stack.mails(email, 2);
    sound(page);
    Object.assign(facts, { orderId });
  },

  async an_order_under_review_is_resolved_at_the_desk({ browser, stack, facts, skip }) {
    if (!await stack.has('GET', '/api/admin/orders')) skip('GET /api/admin/orders answers 404: the function admin does not exist yet');
    const buyer = await visitor(browser);
    const email = stack.someone('review');
    await buyer.goto(stack.shop);
    await choose(buyer);
    const { orderId, billId } = await order(buyer, { email });
    // Less came in than the order asks for.
    await stack.pay(billId, 'pay?amount=30.00');
    await buyer.goto(`${stack.shop}/success?orderId=${orderId}`);
    await buyer.getByRole('heading', { name: 'Your payment has arrived' }).waitFor();

    const page = await visitor(browser);
    await desk(page, stack, stack.info.admin_token, 'Alerts');
    const alert = page.getByRole('listitem').filter({ hasText: orderId });
    await alert.waitFor();
    await page.getByRole('link', { name: 'Orders' }).click();
    await page.getByLabel('E-mail contains').fill(email);
    await page.getByLabel('Status').selectOption('manual_review');
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.getByRole('button', { name: `Resolve the order of ${email}` }).click();
    const dialog = page.getByRole('dialog', { name: 'Resolve the order' });
    await dialog.getByText('received $30.00').waitFor();
    await dialog.getByRole('radio', { name: /^Deliver/ }).check();
    await dialog.getByLabel('Note').fill('The rest was paid in cash.');
    await dialog.getByRole('button', { name: 'Resolve' }).click();
    await page.getByText('The order is resolved.').waitFor();
    await buyer.getByRole('heading', { name: /Your order is complete/ }).waitFor({ timeout: 30_000 });
    await page.getByRole('link', { name: 'Alerts' }).click();
    await page.getByText('Loading', { exact: true }).waitFor({ state: 'detached' });
    assert.equal(await alert.count(), 0, 'the alert is closed with the order');
    sound(page);
    sound(buyer);
    Object.assign(facts, { orderId });
  },

  async a_mail_that_was_given_up_is_tried_again_at_the_desk({ browser, stack, facts, shots, skip }) {
    if (!await stack.has('GET', '/api/admin/outbox')) skip('GET /api/admin/outbox answers 404: the function admin does not exist yet');
    const buyer = await visitor(browser);
    const email = stack.someone('dead');
    const faults = (rules) => fetch(`${stack.info.sandbox}/faults`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ rules }) });
    await faults([{ route: 'mail.send', match: email, status: 422, body: { name: 'invalid_parameter' } }]);
    await buyer.goto(stack.shop);
    await choose(buyer);
    const { orderId } = await order(buyer, { email });
    await payPage(buyer);
    await buyer.getByRole('heading', { name: /Your order is complete/ }).waitFor();

    const page = await visitor(browser, { init: AXE });
    await desk(page, stack, stack.info.admin_token);
    const again = page.getByRole('button', { name: `Try again: the mail to ${email}` });
    for (let n = 0; n < 50 && !await again.count(); n += 1) {
      await stack.run('outbox');
      await page.getByRole('link', { name: 'Copilot' }).click();
      await page.getByRole('link', { name: 'Mails' }).click();
      await page.getByText('Loading', { exact: true }).waitFor({ state: 'detached' });
    }
    const row = page.getByRole('row').filter({ hasText: email });
    await row.getByText('HTTP 422 invalid_parameter').waitFor();
    await inspect(page, 'staff-mails-dead', { shots });
    await faults([]);
    // With the keyboard alone.
    await again.focus();
    await page.keyboard.press('Enter');
    await page.getByText(`The mail to ${email} is on its way again.`).waitFor();
    await stack.mails(email);
    // The mail is in the mailbox a moment before that is booked.
    for (let n = 0; n < 50 && !await row.getByText('Sent', { exact: true }).count(); n += 1) {
      for (const label of ['Waiting', 'Sent']) {
        await page.getByLabel('Show').selectOption({ label });
        await page.getByText('Loading', { exact: true }).waitFor({ state: 'detached' });
      }
    }
    await row.getByText('Sent', { exact: true }).waitFor();
    sound(page);
    sound(buyer);
    Object.assign(facts, { orderId });
  },

  async a_viewer_is_told_what_only_managers_may_do({ browser, stack, skip }) {
    if (!await stack.has('GET', '/api/admin/orders')) skip('GET /api/admin/orders answers 404: the function admin does not exist yet');
    const page = await visitor(browser);
    await desk(page, stack, stack.info.viewer_token, 'Codes');
    await page.getByRole('rowheader').or(page.getByRole('row')).first().waitFor();
    await page.getByLabel('One code per line').fill(randomCode());
    await page.getByRole('button', { name: 'Import these codes' }).click();
    await page.getByRole('alert').filter({ hasText: 'rights you do not have' }).waitFor();
    sound(page, 403);
  },

  async an_ended_access_leads_back_to_the_sign_in({ browser, stack, skip }) {
    if (!await stack.has('GET', '/api/admin/orders')) skip('GET /api/admin/orders answers 404: the function admin does not exist yet');
    const page = await visitor(browser);
    await desk(page, stack, 'no-such-token', 'Orders');
    await page.getByText('Your access has ended').waitFor();
    await page.getByLabel('Access token').waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.getItem('staff_token')), null);
    sound(page, 401);
  },
};
