// The overview: what came in today, in 7 and in 30 days, what is out of the ordinary, the trend, and the products that sell.
import { h } from '../../dom.js';
import { dateTime } from '../../money.js';
import { badge, empty, fill } from '../parts.js';
import { chart } from './charts.js';
import { card, figure } from './figures.js';
import { count, fromCents, money, numbers, percent, report, sum } from './format.js';
import { dates, dayMark, dayName, oneDay, plusDays } from './period.js';
import { openRows } from './rows.js';

/** Where an insight's rows are: the day it speaks of. */
const BEHIND = { conversion_drop: ['get_visits', 'Visits of the day'], revenue_spike: ['get_paid_orders', 'Orders of the day'], revenue_drop: ['get_paid_orders', 'Orders of the day'], best_channel: ['get_paid_orders', 'Orders of the day'] };

const insights = ({ today }) => async () => {
  const { rows } = await report('detect_anomalies');
  const day = plusDays(today, -1);
  if (!rows.length) return h('p', { class: 'panel soft' }, `Nothing out of the ordinary on ${dayName(day)}.`);
  return h('ul', { class: 'alerts plain' }, rows.map((row) => {
    const [name, what] = BEHIND[row.insight_type] ?? BEHIND.revenue_drop;
    return h('li', { class: `panel alert ${row.severity}` },
      h('header', {}, badge(row.severity), h('h3', {}, row.title)),
      h('p', {}, row.description), h('p', { class: 'soft' }, row.recommendation),
      h('div', { class: 'actions' }, h('button', { class: 'button quiet slim', type: 'button', onclick: () => openRows({ title: what, name, parameters: oneDay(day) }) }, what)));
  }));
};

/** The channels of a day together: counts, and amounts in cents (null where one is not known). */
const byDay = (rows, period) => {
  const days = [];
  for (let day = period.from; day <= period.to; day = plusDays(day, 1)) {
    const found = rows.filter((row) => row.date === day);
    const total = (key) => found.reduce((all, row) => all + row[key], 0);
    const sessions = total('sessions');
    const orders = total('paid_orders');
    days.push({
      day, sessions, orders, revenue: fromCents(sum(found.map((row) => row.revenue))), profit: fromCents(sum(found.map((row) => row.profit))),
      conversion: sessions > 0 && orders <= sessions ? (Math.round(orders * 10000 / sessions) / 100).toFixed(2) : null,
    });
  }
  return days;
};

const trend = ({ today, currency }) => async () => {
  const period = { from: plusDays(today, -29), to: today };
  const { rows } = await report('get_daily_metrics', dates(period));
  if (!rows.length) return empty('No day to show yet', 'The daily figures are worked out each hour.');
  const days = byDay(rows, period);
  const drawn = (what, label, key, format) => chart(what, {
    kind: 'line', labels: days.map(({ day }) => dayMark(day)), format,
    datasets: [].concat(key).map((one, index) => ({ label: [].concat(label)[index], data: days.map((row) => (row[one] === null ? null : Number(row[one]))) })),
    onpick: (index) => openRows({ title: `Orders of ${dayName(days[index].day)}`, name: 'get_paid_orders', parameters: oneDay(days[index].day) }),
  });
  const link = (row, text, what, name = 'get_paid_orders') => (text === '–' ? text : figure(text, `${what} of ${dayName(row.day)}`, name, oneDay(row.day)));
  return [
    h('div', { class: 'two' },
      h('section', { class: 'panel' }, drawn('Revenue and gross profit by day', ['Revenue', 'Gross profit'], ['revenue', 'profit'], (value) => money(value, currency))),
      h('section', { class: 'panel' }, drawn('Conversion by day, percent', 'Paid orders of visits', 'conversion', (value) => `${value}%`))),
    numbers('The last 30 days', [
      { name: 'Day', kind: 'text', cell: (row) => dayName(row.day) },
      { name: 'Visits', cell: (row) => link(row, count(row.sessions), 'Visits', 'get_visits') },
      { name: 'Paid orders', cell: (row) => link(row, count(row.orders), 'Paid orders') },
      { name: 'Revenue', cell: (row) => link(row, money(row.revenue, currency), 'Revenue') },
      { name: 'Gross profit', cell: (row) => link(row, money(row.profit, currency), 'Gross profit') },
      { name: 'Conversion', cell: (row) => link(row, percent(row.conversion), 'Conversion') },
    ], [...days].reverse(), { tall: true }),
    h('p', { class: 'soft small' }, `As of ${dateTime(rows[0].refreshed_at)}. The rows behind a figure are those of this moment.`),
  ];
};

const products = ({ currency, today }) => async () => {
  const { rows } = await report('ai_get_top_products', { limit_count: 10 });
  if (!rows.length) return null;
  const month = dates({ from: plusDays(today, -29), to: today });
  return numbers('Products by revenue, 30 days', [
    { name: 'Product', kind: 'text', cell: (row) => row.product_name },
    { name: 'Orders', cell: (row) => figure(count(row.orders_count), `Orders with ${row.product_name}`, 'get_product_rows', { ...month, product_name: row.product_name, brand: row.brand }) },
    { name: 'Revenue', cell: (row) => figure(money(row.revenue, currency), `Revenue of ${row.product_name}`, 'get_product_rows', { ...month, product_name: row.product_name, brand: row.brand }) },
  ], rows);
};

export const overview = (context) => {
  const { today, currency } = context;
  const cards = h('div', { class: 'cards' });
  const places = [insights, trend, products].map((part) => [h('div', { class: 'answers' }), part]);
  fill(cards, async () => {
    const spans = [['today', 1], ['7 days', 7], ['30 days', 30]].map(([label, days]) => [label, dates({ from: plusDays(today, 1 - days), to: today })]);
    const found = await Promise.all(spans.map(([, asked]) => report('get_paid_orders', { ...asked, limit: 1 })));
    return spans.map(([label, asked], index) => card(`Revenue, ${label}`,
      figure(money(found[index].sums.revenue, currency), `Revenue, ${label}`, 'get_paid_orders', asked),
      [figure(count(found[index].total), `Paid orders, ${label}`, 'get_paid_orders', asked), found[index].total === 1 ? ' paid order' : ' paid orders']));
  });
  for (const [place, part] of places) fill(place, part(context));
  return h('div', { class: 'answers' }, cards, places.map(([place]) => place));
};
