// What the staff's views share: tables, fields, states of loading.
import { h } from '../dom.js';

/** "true_profit", "ordersCount" -> "True profit", "Orders count"; what has spaces is words already. */
export const words = (name) => {
  if (String(name).includes(' ')) return name;
  const text = String(name).replace(/([a-z])([A-Z])/g, '$1 $2').replaceAll('_', ' ').toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
};

/** Columns: { name, cell(row), kind: 'number' | 'keep' }. The roles stay, because on phones rows are laid out as blocks. */
export const table = (caption, columns, rows) => h('div', { class: 'table' }, h('table', { role: 'table' },
  caption && h('caption', {}, caption),
  h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map(({ name, kind }) => h('th', { scope: 'col', role: 'columnheader', class: kind }, name)))),
  h('tbody', { role: 'rowgroup' }, rows.map((row) => h('tr', { role: 'row' }, columns.map(({ name, cell, kind }) => {
    return h('td', { role: 'cell', 'data-label': name, class: kind }, h('div', {}, cell(row)));
  }))))));

export const field = (label, input, { slim = false, optional = false } = {}) => h('div', { class: slim ? 'field slim' : 'field' },
  h('label', { for: input.id }, label, optional && h('span', { class: 'optional' }, ' (optional)')), input);
export const input = (id, attributes = {}) => h('input', { class: 'input', id, name: id, autocomplete: 'off', ...attributes });
export const select = (id, options, chosen) => h('select', { class: 'input', id, name: id },
  options.map(([value, name]) => h('option', { value, selected: value === chosen }, name)));

export const empty = (title, text) => h('div', { class: 'empty' }, h('h2', {}, title), text && h('p', { class: 'soft' }, text));
export const loading = () => h('div', { class: 'bone block-bone', role: 'status' }, h('span', { class: 'sr' }, 'Loading'));

/** What each place was last to be filled with: an answer that comes after a later question is nobody's any more. */
const latest = new WeakMap();

/** Fills `place` with what `work` gives; shows that it is loading, and what went wrong with a way to try again. */
export const fill = async (place, work) => {
  latest.set(place, work);
  place.replaceChildren(loading());
  try {
    const content = [await work()].flat().filter(Boolean);
    if (latest.get(place) === work) place.replaceChildren(...content);
  } catch (error) {
    if (latest.get(place) !== work) return;
    const text = error.status === 404 && error.code === 'not_found' ? 'This part of the shop is not running.' : error.message;
    place.replaceChildren(h('div', { class: 'empty', role: 'alert' }, h('h2', {}, 'This could not be loaded'), h('p', { class: 'soft' }, text),
      h('button', { class: 'button', type: 'button', onclick: () => fill(place, work) }, 'Try again')));
  }
};

const KINDS = { active: 'good', paid: 'good', delivered: 'good', sent: 'good', manual_review: 'warn', waiting: 'warn', pending: '', out_of_stock: 'warn', failed: 'bad', critical: 'bad', chargeback: 'bad', warning: 'warn', done: 'good', dead: 'bad', bounced: 'bad', suppressed: 'bad', complained: 'warn', delayed: 'warn' };
export const badge = (state) => h('span', { class: `badge ${KINDS[state] ?? ''}` }, words(state));
