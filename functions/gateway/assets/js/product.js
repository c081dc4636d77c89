// One product: choose a face value, how many, and for whom; then to the checkout with that choice.
import { $, h, notice } from './dom.js';
import { get } from './api.js';
import { amount, cents, face, money, times } from './money.js';
import { giftCard } from './card.js';
import { config, ref } from './store.js';

const MAX_QUANTITY = 20;
const page = $('#product');
const id = decodeURIComponent(location.pathname.split('/')[2] ?? '');

const tile = (product, { nominal, price, inStock }, checked) => {
  const cost = inStock ? money(price, product.currency) : 'Sold out';
  return h('label', { class: inStock ? 'tile' : 'tile sold' },
    h('input', { type: 'radio', name: 'nominal', value: nominal, checked, disabled: !inStock }),
    h('span', { class: 'face' }, face(nominal, product.currency)),
    h('span', { class: 'cost' }, cost));
};

const choice = (name, value, title, text, checked) => h('label', { class: 'tile' },
  h('input', { type: 'radio', name, value, checked }), h('span', { class: 'face' }, title), h('span', { class: 'cost' }, text));

/** The configurator; `before` is a choice made earlier in this tab. */
const configurator = (product, before) => {
  const { currency, nominals } = product;
  const stocked = nominals.filter((n) => n.inStock);
  const first = stocked.find((n) => n.nominal === before?.nominal) ?? stocked[Math.min(1, stocked.length - 1)];
  const quantity = h('input', { id: 'quantity', name: 'quantity', type: 'number', min: 1, max: MAX_QUANTITY, value: before?.quantity ?? 1, inputmode: 'numeric', 'aria-label': 'Quantity' });
  const total = h('output', { class: 'total', for: 'quantity' });
  const problem = h('div');
  const step = (by, name) => h('button', { type: 'button', 'aria-label': name, onclick: () => { quantity.value = count() + by; changed(); } }, by > 0 ? '+' : '−');
  const count = () => Math.min(MAX_QUANTITY, Math.max(1, Math.round(Number(quantity.value)) || 1));
  const form = h('form', { class: 'config panel', id: 'config' },
    h('fieldset', {}, h('legend', { class: 'legend' }, 'Face value'), h('div', { class: 'tiles' }, nominals.map((n) => tile(product, n, n === first)))),
    h('fieldset', {}, h('legend', { class: 'legend' }, 'Who is it for?'), h('div', { class: 'tiles two' },
      choice('deliveryType', 'myself', 'For me', 'Codes to your e-mail', before?.deliveryType !== 'gift'),
      choice('deliveryType', 'gift', 'A gift', 'To someone else’s e-mail', before?.deliveryType === 'gift'))),
    h('div', { class: 'field' }, h('span', { class: 'label', 'aria-hidden': 'true' }, 'Quantity'), h('div', { class: 'stepper' }, step(-1, 'One less'), quantity, step(1, 'One more'))),
    problem,
    h('div', { class: 'buy' }, total, h('button', { class: 'button' }, 'Go to checkout')));

  const chosen = () => {
    const values = new FormData(form);
    const unit = nominals.find((n) => n.nominal === values.get('nominal'));
    return { unit, deliveryType: values.get('deliveryType'), quantity: count() };
  };
  const show = () => {
    const { unit } = chosen();
    quantity.value = count();
    const saved = (cents(unit.nominal) - cents(unit.price)) * count();
    const words = [count() > 1 && `${count()} × ${money(unit.price, currency)}`, saved > 0 && `You save ${money(amount(saved), currency)}`].filter(Boolean).join(' · ');
    total.replaceChildren(h('small', {}, words || 'Total'), money(times(unit.price, count()), currency));
    $('.value', page).textContent = face(unit.nominal, currency);
  };
  const changed = () => {
    const { unit, deliveryType } = chosen();
    show();
    window.lv?.configuratorChange({ product_id: product.id, nominal: unit.nominal, delivery_type: deliveryType, quantity: count() });
  };
  form.addEventListener('change', changed);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const { unit, deliveryType } = chosen();
    if (!unit) return notice(problem, 'bad', h('p', {}, 'Please choose a face value.'));
    const cart = {
      productId: product.id, productName: product.name, productBrand: product.brand, region: product.region, imageUrl: product.imageUrl,
      nominal: unit.nominal, price: unit.price, currency, quantity: count(), deliveryType, ref: ref.get() ?? undefined,
    };
    config.set(cart);
    window.lv?.addToCart({ product_id: product.id, brand: product.brand, nominal: unit.nominal, price: unit.price, quantity: cart.quantity, delivery_type: deliveryType });
    return location.assign('/checkout');
  });
  return { form, start: show, first };
};

const about = (product) => {
  const features = Array.isArray(product.features) ? product.features : [];
  return h('div', { class: 'stack about-card' },
    h('p', {}, product.description),
    features.length > 0 && h('ul', { class: 'ticks plain' }, features.map((text) => h('li', {}, text))),
    product.termsConditions && h('p', { class: 'soft small' }, product.termsConditions));
};

const show = (product) => {
  document.title = `${product.name} · Lonieve`;
  const saving = Number(product.discountPercentage);
  const stocked = product.nominals.some((n) => n.inStock);
  const before = config.get();
  const order = stocked && configurator(product, before?.productId === product.id ? before : null);
  page.replaceChildren(
    h('a', { class: 'back', href: '/' }, '← All cards'),
    h('div', { class: 'head' },
      h('p', { class: 'headline' }, h('span', { class: 'eyebrow' }, product.brand), h('span', { class: 'badge' }, product.region), saving > 0 && h('span', { class: 'badge gold' }, `${saving}% off`)),
      h('h1', {}, product.name)),
    giftCard(product, ' '),
    order ? order.form : h('div', { class: 'panel config' }, h('h2', {}, 'Sold out'), h('p', { class: 'soft' }, 'Every face value of this card is sold out at the moment.'),
      h('p', {}, h('a', { class: 'button', href: '/' }, 'See other cards'))),
    about(product));
  page.removeAttribute('aria-busy');
  if (order) order.start();
  window.lv?.viewProduct({ product_id: product.id, brand: product.brand, nominal: order ? order.first.nominal : null });
};

const missing = (title, text, ...actions) => {
  page.classList.remove('product-page');
  page.removeAttribute('aria-busy');
  page.replaceChildren(h('div', { class: 'empty', role: 'alert' }, h('h1', {}, title), h('p', { class: 'soft' }, text), ...actions));
};

const load = async () => {
  try {
    show(await get(`/api/products/${encodeURIComponent(id)}`));
  } catch (error) {
    if (error.code === 'product_not_found') {
      document.title = 'Card not found · Lonieve';
      return missing('This card is not for sale', 'It may have been taken out of the shop.', h('a', { class: 'button', href: '/' }, 'See all cards'));
    }
    return missing('The card could not be loaded', error.message ?? 'Please try again.', h('button', { class: 'button', type: 'button', onclick: () => location.reload() }, 'Try again'));
  }
  return undefined;
};

load();
