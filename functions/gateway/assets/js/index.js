// The catalogue: every product as a card, filtered by category and by a search over name, brand and description.
import { $, h } from './dom.js';
import { get } from './api.js';
import { face, money, cents } from './money.js';
import { giftCard } from './card.js';

const list = $('#list');
const filters = { category: '', query: '' };
let products = [];

const cheapest = (product) => product.nominals.filter((n) => n.inStock).sort((a, b) => cents(a.price) - cents(b.price))[0];

const card = (product) => {
  const best = cheapest(product);
  const saving = Number(product.discountPercentage);
  const faces = product.nominals.map((n) => face(n.nominal, product.currency));
  const range = faces.length > 1 ? `${faces[0]} – ${faces.at(-1)}` : faces[0];
  return h('li', {}, h('a', { class: 'product', href: `/product/${product.id}` },
    giftCard(product, range),
    h('div', { class: 'body' },
      h('div', {}, h('h3', {}, product.name), h('p', { class: 'about' }, product.description)),
      h('p', { class: 'meta' },
        best ? h('span', { class: 'from' }, `from ${money(best.price, product.currency)}`) : h('span', { class: 'sold' }, 'Sold out'),
        best && saving > 0 ? h('span', { class: 'badge gold' }, `${saving}% off`) : h('span', { class: 'badge' }, product.region)))));
};

const matches = (product) => {
  const text = [product.name, product.brand, product.region, product.category, product.description].join(' ').toLowerCase();
  return (!filters.category || product.category === filters.category) && text.includes(filters.query.toLowerCase());
};

const show = () => {
  const found = products.filter(matches);
  $('#count').textContent = found.length === 1 ? '1 card' : `${found.length} cards`;
  for (const chip of $('#categories').children) chip.setAttribute('aria-pressed', String(chip.dataset.category === filters.category));
  if (found.length) return list.replaceChildren(h('ul', { class: 'grid plain' }, found.map(card)));
  const all = () => {
    Object.assign(filters, { category: '', query: '' });
    $('#query').value = '';
    changed();
    $('#query').focus();
  };
  const words = products.length ? ['No card matches', 'Try another word, or look through all cards.'] : ['No cards yet', 'The shelves are being filled. Please come back soon.'];
  return list.replaceChildren(h('div', { class: 'empty' }, h('h3', {}, words[0]), h('p', { class: 'soft' }, words[1]),
    products.length > 0 && h('button', { class: 'button quiet', type: 'button', onclick: all }, 'Show all cards')));
};

const sent = () => window.lv?.viewCatalog({ filters: Object.fromEntries(Object.entries(filters).filter(([, value]) => value)) });
const changed = () => { show(); sent(); };

const chips = () => {
  const categories = [...new Set(products.map((product) => product.category).filter(Boolean))];
  const chip = (name, category) => h('button', { class: 'chip', type: 'button', 'data-category': category, onclick: () => { filters.category = category; changed(); } }, name);
  $('#categories').replaceChildren(...(categories.length > 1 ? [chip('All', ''), ...categories.map((name) => chip(name, name))] : []));
};

let typing;
$('#query').addEventListener('input', (event) => {
  filters.query = event.target.value.trim();
  show();
  // One event for a word, not one for each letter.
  clearTimeout(typing);
  typing = setTimeout(sent, 800);
});

const load = async () => {
  list.replaceChildren(h('div', { class: 'grid', 'aria-hidden': 'true' }, [1, 2, 3].map(() => h('div', { class: 'bone card-bone' }))));
  try {
    ({ products } = await get('/api/products'));
  } catch (error) {
    list.replaceChildren(h('div', { class: 'empty', role: 'alert' }, h('h3', {}, 'The cards could not be loaded'), h('p', { class: 'soft' }, error.message),
      h('button', { class: 'button', type: 'button', onclick: load }, 'Try again')));
    return;
  }
  chips();
  changed();
  $('#fan').replaceChildren(...products.slice(0, 3).map((product) => giftCard(product, face(product.nominals.at(-1).nominal, product.currency))));
};

load();
