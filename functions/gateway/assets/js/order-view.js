// What an order looks like on its pages.
import { $, h, svg } from './dom.js';
import { dateTime, face, money } from './money.js';
import { giftCard } from './card.js';

const SIGNS = { good: 'm5 12.5 4.5 4.5L19 7.5', bad: 'M7 7l10 10M17 7L7 17', info: 'M12 11v6M12 7.5v.01' };

/** Replaces the headline, only when it says something new: a page that looks again every few seconds must not be read out each time. */
let said = '';
export const say = (sign, title, text, ...more) => {
  const now = [sign, title, text].join('|');
  if (now === said) return;
  said = now;
  document.title = `${title} · Lonieve`;
  const seal = sign === 'wait' ? h('div', { class: 'seal wait', 'aria-hidden': 'true' })
    : h('div', { class: `seal ${sign}`, 'aria-hidden': 'true' }, svg('svg', { viewBox: '0 0 24 24' }, svg('path', { d: SIGNS[sign] ?? SIGNS.info })));
  $('#state').replaceChildren(seal, h('h1', { id: 'title' }, title), h('p', { class: 'soft', id: 'text' }, text), ...more.filter(Boolean));
};

/** Order, payment, codes: `at` counts the finished ones. */
export const steps = (at) => h('ol', { class: 'steps plain' }, ['Ordered', 'Paid', 'Delivered'].map((name, i) =>
  h('li', { class: i < at && 'done', 'aria-current': i === at && 'step' }, name, i < at && h('span', { class: 'sr' }, ', done'))));

const copied = async (code, button, status) => {
  try {
    await navigator.clipboard.writeText(code);
  } catch {
    // No clipboard without https: the code is selected instead, ready for the person's own copy.
    getSelection().selectAllChildren(button.closest('.ticket').querySelector('.code'));
    status.textContent = 'The code is selected; copy it with your keyboard or menu.';
    return;
  }
  status.textContent = 'Code copied.';
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy code'; }, 2500);
};

/** A code is never told to the server or the tracker; it is on this page only. */
export const ticket = ({ productName, nominal, code }, item, currency) => {
  const status = h('p', { class: 'soft small', role: 'status' });
  const value = currency ? face(nominal, currency) : nominal.replace(/\.00$/, '');
  const copy = h('button', { class: 'button slim', type: 'button', 'aria-label': `Copy code: ${productName}, ${value}` }, 'Copy code');
  copy.addEventListener('click', () => copied(code, copy, status));
  return h('article', { class: 'ticket' },
    giftCard({ id: '', brand: item?.productBrand ?? productName }, value),
    h('div', {}, h('h2', {}, `${productName}, ${value}`), h('p', { class: 'code' }, code), copy, status));
};

export const details = (order, kept) => {
  const facts = [
    ...order.items.map((item) => [item.productName, `${item.quantity} × ${order.currency ? face(item.nominal, order.currency) : item.nominal}`]),
    order.amount && ['Total', money(order.amount, order.currency)],
    kept?.email && ['Receipt to', kept.email],
    order.status === 'pending' && order.expiresAt && ['Pay before', dateTime(order.expiresAt)],
    ['Order', order.orderId],
  ].filter(Boolean);
  $('#details').replaceChildren(h('section', { class: 'panel', 'aria-label': 'Order details' }, h('h2', {}, 'Order details'),
    h('dl', { class: 'facts-list' }, facts.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]))));
};

export const lookedEverywhere = (why) => (why === 'no_token'
  ? say('info', 'We cannot show this order here', 'Please open the link in your e-mail: it holds the key to your order.', h('p', {}, h('a', { class: 'button', href: '/' }, 'To the shop')))
  : say('bad', 'We cannot find this order', 'Please open the link in your e-mail once more. If it does not help, write to us and name the order.', h('p', {}, h('a', { class: 'button', href: '/' }, 'To the shop'))));
