// Steps that several cases take, the way a person takes them.
import assert from 'node:assert/strict';

export const NIMBUS = /Nimbus Games Card/;

/** From the catalogue to the checkout. */
export const choose = async (page, { card = NIMBUS, face = '$50', quantity = 1, gift = false } = {}) => {
  await page.getByRole('link', { name: card }).click();
  await page.waitForURL('**/product/*');
  await page.getByRole('radio', { name: face }).check();
  if (gift) await page.getByRole('radio', { name: /A gift/ }).check();
  if (quantity !== 1) {
    await page.getByLabel('Quantity').fill(String(quantity));
    await page.getByLabel('Quantity').press('Tab');
  }
  await page.getByRole('button', { name: 'Go to checkout' }).click();
  await page.waitForURL('**/checkout');
  await page.getByRole('heading', { name: 'Your order' }).waitFor();
};

/** Fills in the checkout and goes to the payment page; returns what was sent, the order's id and its bill. */
export const order = async (page, { email, recipient, message } = {}) => {
  await page.getByLabel('E-mail', { exact: true }).fill(email);
  await page.getByLabel('First name').fill('Sam');
  if (recipient) await page.getByLabel('Recipient’s e-mail').fill(recipient);
  if (message) await page.getByLabel('Message').fill(message);
  const answered = page.waitForResponse('**/api/orders/create');
  await page.getByRole('button', { name: /^Pay / }).click();
  const answer = await answered;
  assert.equal(answer.status(), 200);
  const sent = { ...answer.request().postDataJSON(), key: answer.request().headers()['idempotency-key'] };
  // The browser is on its way to the payment page: the answer's body may be gone, the address has what is needed.
  await page.waitForURL(/\/pay\/[^/?]+$/);
  const billId = page.url().split('/').at(-1);
  const orderId = await page.locator('dd').nth(1).innerText();
  return { orderId, billId, sent };
};

/** Presses a button of the payment page and lets it lead back to the shop. */
export const payPage = async (page, button = /^Pay /) => page.getByRole('button', { name: button }).click();

export const shownCodes = (page) => page.locator('.ticket .code').allInnerTexts();
