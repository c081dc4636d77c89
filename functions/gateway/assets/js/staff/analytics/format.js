// What is asked of the API, and how its figures are written. Amounts are strings and are counted in whole cents.
import { h } from '../../dom.js';
import { money as asMoney } from '../../money.js';
import { call } from '../session.js';

/** Asks for a report by its name; parameters that are undefined are left out. */
export const report = (name, parameters = {}) => {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
  return call('GET', `/api/admin/reports/${name}?${new URLSearchParams(given)}`);
};

/** "12.30" -> 1230, also below zero; null where it is not known. Sums of whole cents are exact. */
export const cents = (text) => {
  if (text === null || text === undefined) return null;
  const [, sign, whole, part = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  const value = Number(whole) * 100 + Number(part.padEnd(2, '0').slice(0, 2));
  return sign ? -value : value;
};
export const fromCents = (value) => (value === null ? null : `${value < 0 ? '-' : ''}${Math.floor(Math.abs(value) / 100)}.${String(Math.abs(value) % 100).padStart(2, '0')}`);
/** A sum with an unknown part is not known. */
export const sum = (texts) => texts.reduce((total, text) => (total === null || text === null || text === undefined ? null : total + cents(text)), 0);

/** Moments are written in the shop's time, wherever the reader sits: days and sums are the shop's too. */
let zone;
export const inZone = (timeZone) => { zone = timeZone; };
export const zoneName = () => zone;
const written = (options) => (text) => new Intl.DateTimeFormat('en', { ...options, timeZone: zone }).format(new Date(text));
export const dateTime = written({ dateStyle: 'medium', timeStyle: 'short' });
export const clock = written({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

export const UNKNOWN = '–';
export const count = (value) => (value === null || value === undefined ? UNKNOWN : new Intl.NumberFormat('en').format(value));
export const money = (value, currency) => (value === null || value === undefined ? UNKNOWN : asMoney(value, currency));
export const percent = (value) => (value === null || value === undefined ? UNKNOWN : `${value}%`);
export const ratio = (value) => value ?? UNKNOWN;

/** A table of figures that stays a table on a phone, where it is moved sideways. Columns: { name, cell(row), kind }. */
export const numbers = (caption, columns, rows, { tall = false } = {}) => h('div', { class: tall ? 'table numbers tall' : 'table numbers', role: 'region', 'aria-label': caption, tabindex: '0' },
  h('table', {}, h('caption', {}, caption),
    h('thead', {}, h('tr', {}, columns.map(({ name, kind = 'number' }) => h('th', { scope: 'col', class: kind }, name)))),
    h('tbody', {}, rows.map((row) => h('tr', { class: row.class }, columns.map(({ cell, kind = 'number' }, index) => (index === 0
      ? h('th', { scope: 'row', class: kind }, cell(row)) : h('td', { class: kind }, cell(row)))))))));
