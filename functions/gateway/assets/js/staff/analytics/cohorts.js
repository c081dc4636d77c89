// Cohorts: customers by the month of their first order, what they are worth, and how many of them come back.
import { h } from '../../dom.js';
import { empty, field, fill, select } from '../parts.js';
import { chart } from './charts.js';
import { figure } from './figures.js';
import { count, money, numbers, percent, report } from './format.js';
import { openRows } from './rows.js';

const LENGTHS = [['7', '7 days'], ['30', '30 days'], ['90', '90 days']];

/** Ten shades by percent; the text stays readable on each. */
const shade = (rate) => `heat heat-${Math.min(9, Math.floor(Number(rate) / 10))}`;

export const cohorts = ({ currency }) => {
  const length = select('length', LENGTHS, '30');
  const place = h('div', { class: 'answers' });

  const load = () => fill(place, async () => {
    const days = length.value;
    const { rows } = await report('get_ltv_by_cohort', { cohort_period_days: days });
    if (!rows.length) return empty('No customer yet', 'A cohort is the customers who paid for the first time in a month.');
    const of = (row, more = {}) => ({ cohort_month: row.cohort_month, cohort_period_days: days, ...more });
    const link = (row, text, what, more) => (text === '–' ? text : figure(text, `${what}, cohort ${row.cohort_month}`, 'get_cohort_customers', of(row, more)));
    const oldest = [...rows].reverse();
    const widest = Math.max(0, ...rows.map((row) => row.retention_rates.length));
    const periods = Array.from({ length: widest }, (_, index) => index + 1);
    return [
      h('section', { class: 'panel' }, chart('Average value of a customer by cohort', {
        labels: oldest.map((row) => row.cohort_month), datasets: [{ label: 'Average value', data: oldest.map((row) => Number(row.avg_ltv)) }],
        format: (value) => money(value, currency), onpick: (index) => openRows({ title: `Customers of cohort ${oldest[index].cohort_month}`, name: 'get_cohort_customers', parameters: of(oldest[index]) }),
      })),
      numbers('Value by cohort', [
        { name: 'First order in', kind: 'text', cell: (row) => row.cohort_month },
        { name: 'Customers', cell: (row) => link(row, count(row.customers_count), 'Customers') },
        { name: 'Value', cell: (row) => link(row, money(row.total_ltv, currency), 'Value') },
        { name: 'A customer', cell: (row) => link(row, money(row.avg_ltv, currency), 'Average value') },
        { name: 'Came back', cell: (row) => link(row, count(row.repeat_customers), 'Customers with two or more orders', { repeat_only: 'true' }) },
        { name: 'Repeat rate', cell: (row) => link(row, percent(row.repeat_rate), 'Repeat rate', { repeat_only: 'true' }) },
        { name: 'Orders a customer', cell: (row) => link(row, row.avg_orders_per_customer ?? '–', 'Orders a customer') },
      ], rows),
      widest > 0 ? numbers(`Retention: percent of a cohort that bought again, by ${days} days after the first order`, [
        { name: 'First order in', kind: 'text', cell: (row) => row.cohort_month },
        { name: 'Customers', cell: (row) => count(row.customers_count) },
        ...periods.map((k) => ({
          name: `${k * days} to ${(k + 1) * days - 1}`,
          cell: (row) => {
            const rate = row.retention_rates[k - 1];
            return rate === undefined ? null : h('span', { class: shade(rate) }, link(row, percent(rate), `Bought again in days ${k * days} to ${(k + 1) * days - 1}`, { retention_period: k }));
          },
        })),
      ], rows) : h('p', { class: 'soft' }, 'Retention is shown once a period is over for all customers of a cohort.'),
      h('p', { class: 'soft small' }, 'Value: what the customers have paid to this day, less what went back.'),
    ];
  });
  length.addEventListener('change', load);
  load();
  return h('div', { class: 'answers' }, h('div', { class: 'filters' }, field('Length of a period', length, { slim: true })), place);
};
