// Channels: what each brought and cost, sorted as one likes, and what that says about its budget.
import { h } from '../../dom.js';
import { empty, field, fill, select } from '../parts.js';
import { chart, GAIN, LOSS } from './charts.js';
import { figure } from './figures.js';
import { cents, count, money, numbers, percent, report, sum, fromCents } from './format.js';
import { dates } from './period.js';
import { openRows } from './rows.js';

const SORTS = [['profit', 'Profit'], ['roi_percentage', 'ROI'], ['mer', 'MER'], ['revenue', 'Revenue'], ['ad_spend', 'Ad spend'], ['sessions', 'Visits'], ['conversion_rate', 'Conversion']];

/** Advice, not a rule of the shop: by return on what was spent. A channel without spend has none. */
const advice = (row) => {
  if (cents(row.ad_spend) === 0) return null;
  if (row.orders === 0) return ['bad', 'Stop: spend without orders'];
  if (row.roi_percentage === null) return ['', 'Cost not known'];
  const roi = Number(row.roi_percentage);
  if (roi >= 100) return ['good', 'Raise the budget'];
  return roi >= 0 ? ['', 'Keep'] : ['bad', 'Cut: it costs more than it brings'];
};
const largest = (key) => (a, b) => (b[key] === null ? -Infinity : Number(b[key])) - (a[key] === null ? -Infinity : Number(a[key]));
const name = (row) => `${row.utm_source} / ${row.utm_campaign}`;

export const channels = ({ period, currency }) => {
  const asked = dates(period);
  const place = h('div', { class: 'answers' });
  const sort = select('sort', SORTS);

  fill(place, async () => {
    const { rows } = await report('get_channel_stats_financial', asked);
    if (!rows.length) return empty('Nothing in this period', 'No visit, no paid order and no ad spend. Choose a longer period.');
    const of = (row) => ({ ...asked, utm_source: row.utm_source, utm_campaign: row.utm_campaign });
    const orders = (row, text, what) => figure(text, `${what} of ${name(row)}`, 'get_paid_orders', of(row));
    const columns = [
      { name: 'Channel', kind: 'text', cell: name },
      { name: 'Visits', cell: (row) => figure(count(row.sessions), `Visits of ${name(row)}`, 'get_visits', of(row)) },
      { name: 'Orders', cell: (row) => orders(row, count(row.orders), 'Orders') },
      { name: 'Revenue', cell: (row) => orders(row, money(row.revenue, currency), 'Revenue') },
      { name: 'Cost', cell: (row) => orders(row, money(row.cost, currency), 'Cost') },
      { name: 'Gross profit', cell: (row) => orders(row, money(row.profit, currency), 'Gross profit') },
      { name: 'Ad spend', cell: (row) => figure(money(row.ad_spend, currency), `Ad spend of ${name(row)}`, 'get_ad_spend_rows', of(row)) },
      { name: 'ROI', cell: (row) => (row.roi_percentage === null ? '–' : figure(percent(row.roi_percentage), `ROI of ${name(row)}`, 'get_ad_spend_rows', of(row))) },
      { name: 'MER', cell: (row) => (row.mer === null ? '–' : figure(row.mer, `MER of ${name(row)}`, 'get_ad_spend_rows', of(row))) },
      { name: 'Conversion', cell: (row) => (row.conversion_rate === null ? '–' : figure(percent(row.conversion_rate), `Conversion of ${name(row)}`, 'get_visits', of(row))) },
      { name: 'Budget', kind: 'text', cell: (row) => advice(row) && h('span', { class: `badge ${advice(row)[0]}` }, advice(row)[1]) },
    ];
    const list = h('div', { class: 'answers' });
    const draw = () => list.replaceChildren(numbers('Channels', columns, [...rows].sort(largest(sort.value))));
    sort.addEventListener('change', draw);
    draw();
    const top = rows.filter((row) => row.profit !== null).slice(0, 8);
    const all = (key) => money(fromCents(sum(rows.map((row) => row[key]))), currency);
    return [
      h('p', { class: 'soft' }, `All channels: revenue ${all('revenue')}, gross profit ${all('profit')}, ad spend ${all('ad_spend')}. Profit here is before fees and refunds.`),
      top.length > 0 && h('section', { class: 'panel' }, chart('Gross profit and ad spend, the first channels by profit', {
        labels: top.map(name), datasets: [
          { label: 'Gross profit', data: top.map((row) => Number(row.profit)), backgroundColor: GAIN },
          { label: 'Ad spend', data: top.map((row) => Number(row.ad_spend)), backgroundColor: LOSS },
        ],
        sideways: true, size: top.length > 4 ? 'high' : '', format: (value) => money(value, currency),
        onpick: (index, dataset) => openRows({ title: `${dataset ? 'Ad spend' : 'Gross profit'} of ${name(top[index])}`, name: dataset ? 'get_ad_spend_rows' : 'get_paid_orders', parameters: of(top[index]) }),
      })),
      h('div', { class: 'filters' }, field('Sort by', sort, { slim: true })),
      list,
      h('p', { class: 'soft small' }, 'ROI: (gross profit - ad spend) / ad spend. MER: revenue / ad spend. A channel without ad spend has neither. Raise from 100% ROI on, cut below 0%.'),
    ];
  });
  return place;
};
