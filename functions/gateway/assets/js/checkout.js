// From the cart to the payment page.
//
// 1. The cart is in sessionStorage; without one there is nothing to check out.
// 2. Wrong fields are shown at the fields, the page's own findings and the server's alike.
// 3. A changed price or missing stock is shown with a way on; nothing is ordered at a price nobody has seen.
// 4. The order's token is kept in sessionStorage and the browser goes to the payment page.
import { $, busy, h, notice } from './dom.js';
import { post } from './api.js';
import { face, money, times } from './money.js';
import { giftCard } from './card.js';
import { check, clear, showErrors } from './form.js';
import { attempt, config, orders } from './store.js';
import { identity } from './site.js';

const form = $('#form');
const problem = $('#problem');
let cart = config.get();

const cartEvent = () => ({ product_id: cart.productId, nominal: cart.nominal, quantity: cart.quantity, delivery_type: cart.deliveryType });
const toProduct = (text) => h('a', { class: 'button quiet slim', href: `/product/${cart.productId}` }, text);

const summarise = () => {
  const { currency } = cart;
  const row = (name, value, kind) => [h('dt', { class: kind }, name), h('dd', { class: kind }, value)];
  $('#summary').replaceChildren(
    giftCard({ id: cart.productId, brand: cart.productBrand, region: cart.region, imageUrl: cart.imageUrl }, face(cart.nominal, currency)),
    h('dl', { class: 'lines' },
      row(cart.productName, face(cart.nominal, currency)),
      row('Price per card', money(cart.price, currency)),
      row('Quantity', String(cart.quantity)),
      row('Delivery', cart.deliveryType === 'gift' ? 'As a gift, by e-mail' : 'To you, by e-mail'),
      row('Total', money(times(cart.price, cart.quantity), currency), 'sum')),
    h('p', { class: 'small' }, h('a', { class: 'back', href: `/product/${cart.productId}` }, 'Change the order')));
  $('#pay').textContent = `Pay ${money(times(cart.price, cart.quantity), currency)}`;
};

const body = () => {
  const text = (name) => form.elements.namedItem(name).value.trim() || undefined;
  const gift = cart.deliveryType === 'gift';
  const { sessionId, visitorId, utm } = identity();
  return JSON.stringify({
    productId: cart.productId, nominal: cart.nominal, quantity: cart.quantity, price: cart.price, currency: cart.currency,
    email: text('email'), firstName: text('firstName'), lastName: text('lastName'), deliveryType: cart.deliveryType,
    recipientEmail: gift ? text('recipientEmail') : undefined, giftMessage: gift ? text('giftMessage') : undefined,
    sessionId, visitorId, utm, ref: cart.ref, locale: navigator.language?.toLowerCase().startsWith('ru') ? 'ru' : 'en',
  });
};

/** The key of this body: the same until an answer has come, so that a repeat after a lost answer is no second order. */
const keyFor = (text) => {
  const before = attempt.get();
  if (before?.body === text) return before.key;
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  attempt.set({ key, body: text });
  return key;
};

const priceChanged = (price) => {
  const before = cart.price;
  const accept = () => {
    cart = { ...cart, price };
    config.set(cart);
    summarise();
    problem.replaceChildren();
    $('#pay').focus();
  };
  notice(problem, '', h('h2', {}, 'The price has changed'),
    h('p', {}, `One card now costs ${money(price, cart.currency)} instead of ${money(before, cart.currency)}; the total would be ${money(times(price, cart.quantity), cart.currency)}. Nothing has been ordered yet.`),
    h('p', { class: 'actions' }, h('button', { class: 'button slim', type: 'button', onclick: accept }, 'Use the new price'), toProduct('Choose another')));
};

const inAWhile = (ms) => {
  const minutes = Math.ceil((ms ?? 600_000) / 60_000);
  return minutes > 1 ? `in about ${minutes} minutes` : 'in a minute';
};

const refused = (error) => {
  const { code } = error;
  if (code === 'invalid_request') {
    const homeless = showErrors(form, error.fields);
    if (homeless.length) notice(problem, 'bad', h('p', {}, 'The order could not be placed as it is: ', homeless.join('; '), '.'), toProduct('Choose again'));
  } else if (code === 'price_changed') {
    priceChanged(error.body.price);
  } else if (code === 'out_of_stock') {
    const words = cart.quantity > 1 ? `There are not ${cart.quantity} cards of this face value left. Fewer may still be in stock.` : 'The last card of this face value has just been taken.';
    notice(problem, 'bad', h('h2', {}, 'Out of stock'), h('p', {}, words), toProduct(cart.quantity > 1 ? 'Change quantity or face value' : 'Choose another face value'));
  } else if (code === 'too_many_pending') {
    const waiting = cart.orderId && orders.get(cart.orderId);
    notice(problem, 'bad', h('h2', {}, 'Too many cards wait for their payment'),
      h('p', {}, `More cards cannot be held at the moment. If you have an open order, please pay for it first; otherwise try again ${inAWhile(error.retryAfter)}.`),
      waiting?.paymentUrl && h('p', { class: 'actions' }, h('a', { class: 'button slim', href: waiting.paymentUrl }, 'To the payment page')));
  } else if (code === 'in_progress') {
    notice(problem, '', h('h2', {}, 'Your order is still being placed'), h('p', {}, 'This takes longer than usual. Please press the button once more in a moment: it stays one order.'));
  } else if (['nominal_not_offered', 'product_not_found', 'currency_mismatch'].includes(code)) {
    notice(problem, 'bad', h('h2', {}, 'This card is no longer sold like this'), h('p', {}, error.message), toProduct('Choose again'));
  } else {
    notice(problem, 'bad', h('h2', {}, 'The order could not be placed'), h('p', {}, error.message), h('p', {}, 'What you have entered is still here.'));
  }
};

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Longer than the shop itself takes for an order (30 s). */
const PATIENCE = 40_000;

const place = async (until = Date.now() + PATIENCE) => {
  const text = body();
  try {
    const placed = await post('/api/orders/create', text, { headers: { 'idempotency-key': keyFor(text) } });
    attempt.set(null);
    return placed;
  } catch (error) {
    // The first request of this key is still being worked on: its answer comes.
    if (error.code === 'in_progress' && Date.now() < until) {
      await wait(error.retryAfter ?? 1500);
      return place(until);
    }
    // A final answer would be replayed for this key; the next press is a new question. After 429, 5xx or no answer, and while an order is
    // being placed, the key stays.
    const final = error.status >= 400 && error.status < 500 && error.status !== 429 && error.code !== 'in_progress';
    if (final) attempt.set(null);
    throw error;
  }
};

const submit = async () => {
  clear(form);
  problem.replaceChildren();
  const found = check(form);
  if (cart.deliveryType === 'gift' && !form.elements.recipientEmail.value.trim()) found.recipientEmail = 'is missing';
  if (Object.keys(found).length) return showErrors(form, found);
  window.lv?.checkoutSubmit(cartEvent());
  try {
    const { orderId, orderToken, paymentUrl, amount, currency, expiresAt } = await place();
    if (!/^https?:\/\//.test(paymentUrl)) throw new Error('The payment page has no usable address.');
    orders.set(orderId, { token: orderToken, paymentUrl, amount, currency, expiresAt, email: form.elements.email.value.trim(), returned: null });
    config.set({ ...cart, orderId });
    window.lv?.flush();
    location.assign(paymentUrl);
  } catch (error) {
    refused(error);
  }
  return undefined;
};

const begin = () => {
  if (!cart?.productId) {
    notice(problem, '', h('h2', {}, 'Your cart is empty'), h('p', {}, 'Choose a card first; the checkout comes after.'), h('a', { class: 'button', href: '/' }, 'See all cards'));
    return;
  }
  $('#checkout').hidden = false;
  $('#gift').hidden = cart.deliveryType !== 'gift';
  $('#email-hint').textContent = cart.deliveryType === 'gift' ? 'The receipt goes here.' : 'Your codes and the receipt go here.';
  summarise();
  const waiting = cart.orderId && orders.get(cart.orderId);
  if (waiting?.paymentUrl) {
    notice(problem, '', h('h2', {}, 'This order already waits for its payment'), h('p', {}, 'Go on where you left off, or order once more below.'),
      h('a', { class: 'button slim', href: waiting.paymentUrl }, 'To the payment page'));
  }
  window.lv?.checkoutStart(cartEvent());
};

form.addEventListener('submit', (event) => {
  event.preventDefault();
  busy($('#pay'), submit);
});
$('#giftMessage').addEventListener('input', (event) => { $('#left').textContent = String(500 - event.target.value.length); });
// Back from the payment page the browser may show this page as it was: look at the cart anew.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload();
});
begin();
