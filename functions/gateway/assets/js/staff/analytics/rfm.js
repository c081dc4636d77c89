// RFM: customers by how lately, how often and for how much they bought; what to do with each segment.
import { h } from '../../dom.js';
import { empty, field, fill, select } from '../parts.js';
import { chart } from './charts.js';
import { figure } from './figures.js';
import { count, money, numbers, report } from './format.js';
import { ever } from './period.js';
import { openRows } from './rows.js';

export const rfm = ({ currency, today }) => {
  const place = h('div', { class: 'answers' });
  const list = h('div', { class: 'answers' });

  fill(place, async () => {
    const { rows: segments } = await report('get_rfm_summary');
    if (!segments.length) return empty('No customer yet', 'Segments are made of customers with a paid order.');
    const of = (row) => ({ title: `Customers: ${row.segment}`, name: 'get_rfm_customers', parameters: { segment: row.segment } });
    const link = (row, text, what) => figure(text, `${what}: ${row.segment}`, of(row).name, of(row).parameters);
    const chosen = select('segment', [['', 'All'], ...segments.map(({ segment }) => [segment, segment])]);
    const customers = () => fill(list, async () => {
      const { rows, total } = await report('get_rfm_customers', { segment: chosen.value || undefined, limit: 100 });
      const orders = (row, text, what) => figure(text, `${what} of ${row.email}`, 'get_paid_orders', { ...ever(today), email: row.email });
      return [numbers(`Customers: ${count(rows.length)} of ${count(total)}, by value`, [
        { name: 'Customer', kind: 'text', cell: (row) => row.email },
        { name: 'Score', kind: 'text', cell: (row) => row.rfm_score },
        { name: 'Segment', kind: 'text', cell: (row) => row.segment },
        { name: 'Days since', cell: (row) => orders(row, count(row.recency_days), 'Days since the last order') },
        { name: 'Orders', cell: (row) => orders(row, count(row.frequency), 'Orders') },
        { name: 'Value', cell: (row) => orders(row, money(row.monetary, currency), 'Value') },
      ], rows, { tall: true })];
    });
    chosen.addEventListener('change', customers);
    customers();
    return [
      h('div', { class: 'two' },
        h('section', { class: 'panel' }, chart('Customers by segment', {
          sideways: true, labels: segments.map(({ segment }) => segment), datasets: [{ label: 'Customers', data: segments.map(({ customers: found }) => found) }], format: count,
          onpick: (index) => openRows(of(segments[index])),
        })),
        numbers('Segments', [
          { name: 'Segment', kind: 'text', cell: (row) => [row.segment, h('small', {}, row.segment_description)] },
          { name: 'Customers', cell: (row) => link(row, count(row.customers), 'Customers') },
          { name: 'Value', cell: (row) => link(row, money(row.monetary, currency), 'Value') },
        ], segments)),
      h('div', { class: 'filters' }, field('Segment', chosen, { slim: true })),
    ];
  });
  return h('div', { class: 'answers' }, place, list,
    h('p', { class: 'soft small' }, 'The score has three digits from 1 to 5: how lately, how often, for how much. Equal customers have equal scores.'));
};
