// Periods in days of the shop. A period is kept in the address (#analytics/funnel/30 or #analytics/funnel/2026-01-01/2026-01-31), so that it
// survives another view, a link and the browser's back button.
import { h } from '../../dom.js';
import { field, input } from '../parts.js';

const DAY = 86_400_000;
const asDay = (milliseconds) => new Date(milliseconds).toISOString().slice(0, 10);
/** Days are counted in UTC: here they are only names, which day it is the shop says. */
export const plusDays = (day, count) => asDay(Date.parse(`${day}T00:00:00Z`) + count * DAY);
const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text ?? '') && !Number.isNaN(Date.parse(`${text}T00:00:00Z`)) && plusDays(text, 0) === text;

export const LENGTHS = [7, 30, 90];

/** { from, to } of the address's last parts, both included; `today` is the shop's. */
export const periodOf = ([first, second], today) => {
  if (isDay(first) && isDay(second) && first <= second) return { from: first, to: second, parts: [first, second] };
  const days = LENGTHS.includes(Number(first)) ? Number(first) : 30;
  return { from: plusDays(today, 1 - days), to: today, days, parts: [String(days)] };
};

/** What the API takes: its end day is excluded. */
export const dates = ({ from, to }) => ({ start_date: from, end_date: plusDays(to, 1) });
export const oneDay = (day) => dates({ from: day, to: day });
export const ever = (today) => dates({ from: '2000-01-01', to: today });

const shown = (day) => new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeZone: 'UTC' }).format(new Date(`${day}T00:00:00Z`));
export const dayName = (day) => shown(day);
/** For an axis: "Nov 5". */
export const dayMark = (day) => new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric', timeZone: 'UTC' }).format(new Date(`${day}T00:00:00Z`));
export const periodName = ({ from, to }) => (from === to ? shown(from) : `${shown(from)} to ${shown(to)}`);

/** The picker; `go` gets the new last parts of the address. */
export const picker = (period, { today, zone, go }) => {
  const from = input('from', { type: 'date', value: period.from, max: today, required: true });
  const to = input('to', { type: 'date', value: period.to, max: today, required: true });
  const form = h('form', { class: 'period', 'aria-label': 'Period' },
    h('div', { class: 'examples', role: 'group', 'aria-label': 'Length' }, LENGTHS.map((days) => h('button', {
      type: 'button', 'aria-pressed': String(period.days === days), onclick: () => go([String(days)]),
    }, `${days} days`))),
    field('From', from, { slim: true }), field('To', to, { slim: true }),
    h('button', { class: 'button quiet slim' }, 'Show'),
    h('p', { class: 'soft small' }, `Days are those of the shop (${zone}), both included.`));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (from.value && to.value) go(from.value <= to.value ? [from.value, to.value] : [to.value, from.value]);
  });
  return form;
};
