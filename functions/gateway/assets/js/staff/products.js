// Products: what is sold, its stock, on and off sale, new ones and changes.
import { busy, h, notice } from '../dom.js';
import { clear, showErrors } from '../form.js';
import { face, money } from '../money.js';
import { badge, empty, field, fill, input, select, table } from './parts.js';
import { call } from './session.js';

const same = (names) => names.map((name) => [name, name]);
const decimal = { inputmode: 'decimal' };

/** The same form makes a product and changes one. */
const editor = (product, saved, cancelled) => {
  const problem = h('div');
  const value = (name) => product?.[name] ?? '';
  const description = h('textarea', { class: 'input', id: 'description', name: 'description', maxlength: 5000 });
  description.value = value('description');
  const button = h('button', { class: 'button' }, product ? 'Save' : 'Create');
  const form = h('form', { class: 'panel fields', novalidate: true, 'aria-label': product ? `Change ${product.name}` : 'New product' },
    h('h2', {}, product ? product.name : 'New product'), problem,
    h('div', { class: 'pair' }, field('Name', input('name', { value: value('name'), maxlength: 200 })), field('Brand', input('brand', { value: value('brand'), maxlength: 100 }))),
    h('div', { class: 'pair' }, field('Region', select('region', same(['USA', 'EUR', 'Global']), product?.region)),
      field('Category', select('category', [['', 'None'], ...same(['Gaming', 'Shopping', 'Entertainment'])], product?.category ?? ''))),
    field('Face values, with commas between them', input('nominals', { value: product ? product.nominals.filter((n) => n.offered !== false).map((n) => n.nominal.replace(/\.00$/, '')).join(', ') : '' })),
    h('div', { class: 'pair' }, field('Price per 100 of face value', input('basePrice', { value: value('basePrice'), ...decimal })), field('Discount, percent', input('discountPercentage', { value: value('discountPercentage') || '0', ...decimal }))),
    field('Description', description, { optional: true }),
    h('div', { class: 'actions' }, button, h('button', { class: 'button quiet', type: 'button', onclick: cancelled }, 'Cancel')));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    clear(form);
    const body = Object.fromEntries([...new FormData(form)].map(([name, text]) => [name, text.trim()]));
    body.nominals = body.nominals.split(/[,;\s]+/).filter(Boolean);
    busy(button, async () => {
      try {
        saved(await (product ? call('PATCH', `/api/admin/products/${product.id}`, { body }) : call('POST', '/api/admin/products', { body })));
      } catch (error) {
        const homeless = showErrors(form, error.fields);
        if (homeless.length || !Object.keys(error.fields).length) notice(problem, 'bad', h('p', {}, error.message, ' ', homeless.join('; ')));
      }
    });
  });
  return form;
};

const stock = (product) => h('div', { class: 'stock' }, product.nominals.map((n) =>
  h('span', { class: `badge ${n.available > 0 ? (n.lowStock ? 'warn' : '') : 'bad'}`, title: n.price ? `sold at ${money(n.price, product.currency)}` : undefined }, `${face(n.nominal, product.currency)}: ${n.available ?? '?'}`)));

export const products = () => {
  const problem = h('div');
  const form = h('div');
  const list = h('div');
  const done = (text) => {
    form.replaceChildren();
    notice(problem, 'good', h('p', {}, text));
    load();
  };
  const edit = (product) => {
    problem.replaceChildren();
    form.replaceChildren(editor(product, (saved) => done(`${saved.name ?? 'The product'} is saved.`), () => form.replaceChildren()));
    form.querySelector('input').focus();
  };
  const toggle = (product, button) => busy(button, async () => {
    const status = product.status === 'inactive' ? 'active' : 'inactive';
    try {
      await call('PATCH', `/api/admin/products/${product.id}`, { body: { status } });
      done(`${product.name} is ${status === 'active' ? 'on sale' : 'off sale'}.`);
    } catch (error) {
      notice(problem, 'bad', h('p', {}, error.message));
    }
  });
  const columns = [
    { name: 'Card', cell: (p) => [p.name, h('small', {}, [p.brand, p.region, p.category].filter(Boolean).join(', '))] },
    { name: 'Discount', kind: 'number', cell: (p) => `${Number(p.discountPercentage)}%` },
    { name: 'Free codes', cell: stock },
    { name: 'Status', cell: (p) => badge(p.status) },
    { name: 'Actions', cell: (p) => h('div', { class: 'actions' },
      h('button', { class: 'button quiet slim', type: 'button', 'aria-label': `Change ${p.name}`, onclick: () => edit(p) }, 'Change'),
      h('button', { class: 'button quiet slim', type: 'button', 'aria-label': `${p.status === 'inactive' ? 'Activate' : 'Deactivate'} ${p.name}`, onclick: (event) => toggle(p, event.currentTarget) }, p.status === 'inactive' ? 'Activate' : 'Deactivate')) },
  ];
  const load = () => fill(list, async () => {
    const { products: rows } = await call('GET', '/api/admin/products');
    return rows.length ? table(`${rows.length} products`, columns, rows) : empty('No products yet', 'Create the first one.');
  });
  load();
  return h('div', { class: 'answers' }, h('div', { class: 'actions' }, h('button', { class: 'button', type: 'button', onclick: () => edit(null) }, 'New product')), problem, form, list);
};
