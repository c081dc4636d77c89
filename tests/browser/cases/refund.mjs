// Staff give money back at the desk, under the contract that knows refunds and under the one that does not.
import assert from 'node:assert/strict';
import { sound, visitor } from '../src/browser.mjs';
import { AXE, inspect } from '../src/sound.mjs';
import { readStack } from '../src/stack.mjs';
import { choose, order, payPage } from '../src/steps.mjs';

/** An order that is paid; the address it was made with is its name at the desk. */
const bought = async (browser, stack, name) => {
  const page = await visitor(browser);
  const email = stack.someone(name);
  await page.goto(stack.shop);
  await choose(page);
  const { orderId } = await order(page, { email });
  await payPage(page);
  await page.getByRole('heading', { name: /Your order is complete/ }).waitFor();
  return { email, orderId };
};

const desk = async (page, stack, email) => {
  await page.context().addInitScript(AXE);
  await page.goto(`${stack.shop}/staff#token=${stack.info.admin_token}`);
  await page.getByRole('navigation', { name: 'Staff' }).getByRole('link', { name: 'Orders' }).click();
  await page.getByLabel('E-mail contains').fill(email);
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  return page.getByRole('button', { name: `Refund the order of ${email}` });
};

export const refund = {
  async staff_give_money_back_with_the_keyboard_alone({ browser, shots, skip }) {
    if (!process.env.LONIEVE_STACK_V1) skip('LONIEVE_STACK_V1 names no stack that speaks Cardlink v1');
    const stack = await readStack(process.env.LONIEVE_STACK_V1);
    const { email, orderId } = await bought(browser, stack, 'refund');
    for (const width of [390, 1280]) {
      const page = await visitor(browser, { width });
      const button = await desk(page, stack, email);
      const dialog = page.getByRole('dialog', { name: 'Give money back' });
      await button.focus();
      await page.keyboard.press('Enter');
      await dialog.waitFor();
      await inspect(page, 'staff-refund', { shots, expected: [] });
      // Escape leaves everything as it was.
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
      await button.focus();
      await page.keyboard.press('Enter');
      const amount = dialog.getByLabel('Amount');
      assert.match(await dialog.innerText(), width < 600 ? /Up to \$\d+\.\d\d can go back/ : /can go back/);
      await amount.focus();
      await page.keyboard.press('ControlOrMeta+A');
      await page.keyboard.type('5.00');
      await page.keyboard.press('Tab');
      await page.keyboard.type('A goodwill.');
      await page.keyboard.press('Tab');
      // Without the word that it is meant nothing is sent.
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      assert.ok(await dialog.isVisible(), 'the box must be ticked first');
      await dialog.getByRole('checkbox').focus();
      await page.keyboard.press('Space');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.getByText(`$5.00 is on its way back to ${email}.`).waitFor();
      const given = width < 600 ? '$5.00 given back' : '$10.00 given back';
      for (let i = 0; i < 60 && !await page.getByText(given).isVisible(); i += 1) {
        await page.getByRole('button', { name: 'Show', exact: true }).click();
        await page.getByText('Loading', { exact: true }).waitFor({ state: 'detached' });
        await page.waitForTimeout(200);
      }
      await page.getByText(given).waitFor();
      await inspect(page, 'staff-refunded', { shots, expected: [] });
    }
    const { json } = await stack.get(`/api/admin/orders?email=${encodeURIComponent(email)}`, { authorization: `Bearer ${stack.info.admin_token}` });
    const [row] = json.orders;
    assert.equal(row.id, orderId);
    assert.deepEqual([row.status, row.refundAmount, row.refunds.map((one) => `${one.amount} ${one.status} ${one.reason}`)],
      ['partially_refunded', '10.00', ['5.00 completed A goodwill.', '5.00 completed A goodwill.']]);
  },

  async where_the_contract_knows_no_refunds_the_desk_says_so({ browser, stack }) {
    const { email } = await bought(browser, stack, 'no-refund');
    const page = await visitor(browser);
    await (await desk(page, stack, email)).click();
    const dialog = page.getByRole('dialog', { name: 'Give money back' });
    await dialog.getByLabel('Reason').fill('Not wanted.');
    await dialog.getByRole('checkbox').check();
    await dialog.getByRole('button', { name: 'Give back' }).click();
    await dialog.getByRole('alert').filter({ hasText: 'knows no refunds' }).waitFor();
    sound(page, 409);
  },
};
