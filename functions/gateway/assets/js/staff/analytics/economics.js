// Unit economics: the twelve figures, from revenue to true profit as a waterfall, and what they say.
import { h } from '../../dom.js';
import { empty, fill } from '../parts.js';
import { chart, GAIN, LOSS, TOTAL } from './charts.js';
import { figure } from './figures.js';
import { cents, count, money, numbers, percent, report } from './format.js';
import { dates } from './period.js';
import { openRows } from './rows.js';

/** Metric: the rows behind it, and how it comes out of them. */
const BEHIND = {
  'Total Orders': ['get_paid_orders', 'orders whose money came in'],
  Revenue: ['get_paid_orders', 'what they brought'],
  Cost: ['get_paid_orders', 'what their codes cost'],
  'Gross Profit': ['get_paid_orders', 'revenue - cost'],
  'Transaction Fees': ['get_fee_rows', 'fees of these orders'],
  Refunds: ['get_refund_rows', 'given back in the period'],
  'Ad Spend': ['get_ad_spend_rows', 'advertising of these days'],
  'True Profit': ['get_paid_orders', 'gross profit - fees - refunds - ad spend'],
  AOV: ['get_paid_orders', 'revenue / orders'],
  LTV: ['get_paid_orders', 'revenue / customers of the period'],
  CAC: ['get_paid_orders', 'ad spend / first-time customers', { first_orders: 'true' }],
  'LTV/CAC Ratio': ['get_ad_spend_rows', 'LTV / CAC'],
};
const WATERFALL = [['Revenue', 1], ['Cost', -1], ['Gross Profit', 0], ['Transaction Fees', -1], ['Refunds', -1], ['Ad Spend', -1], ['True Profit', 0]];

/** Bars from where the one before ended; a total stands on the ground. Whole cents. */
const bars = (values) => {
  let level = 0;
  return WATERFALL.map(([name, sign]) => {
    const value = cents(values[name]);
    const from = sign === 0 ? 0 : level;
    level = sign === 0 ? value : level + sign * value;
    return { range: [from / 100, level / 100], colour: sign === 0 ? (value < 0 ? LOSS : TOTAL) : sign > 0 ? GAIN : LOSS };
  });
};

const advice = (values) => {
  const said = [];
  const relation = values['LTV/CAC Ratio'];
  if (relation !== null) {
    said.push(Number(relation) >= 3 ? `A customer brings ${relation} times what winning one costs: there is room to advertise more.`
      : Number(relation) >= 1 ? `A customer brings ${relation} times what winning one costs. From 3 on growth pays well: look for cheaper channels, or give customers a reason to come back.`
        : `Winning a customer costs more than a customer brings (${relation}): advertise less until that has changed.`);
  }
  if (values['True Profit'] !== null && cents(values['True Profit']) < 0) said.push('The period ended with a loss. The waterfall shows which part took the profit.');
  if (cents(values.Revenue) > 0 && cents(values.Refunds) * 20 > cents(values.Revenue)) said.push('Over 5% of the revenue went back: look at the refunds and their reasons.');
  return said;
};

export const economics = ({ period, currency }) => {
  const asked = dates(period);
  const place = h('div', { class: 'answers' });
  fill(place, async () => {
    const { rows } = await report('get_unit_economics', asked);
    const values = Object.fromEntries(rows.map((row) => [row.metric_name, row.metric_value]));
    if (cents(values['Total Orders']) === 0 && cents(values['Ad Spend']) === 0 && cents(values.Refunds) === 0) return empty('No paid order in this period', 'Choose a longer period.');
    const shown = (name) => (name === 'Total Orders' ? count(Number(values[name])) : name === 'LTV/CAC Ratio' ? values[name] ?? '–' : money(values[name], currency));
    const target = (name) => ({ name: BEHIND[name][0], parameters: { ...asked, ...BEHIND[name][2] } });
    const link = (name) => figure(shown(name), name, target(name).name, target(name).parameters);
    const known = WATERFALL.every(([name]) => values[name] !== null);
    const steps = known && bars(values);
    return [
      ...advice(values).map((text) => h('p', { class: 'notice' }, text)),
      !known && h('p', { class: 'notice bad' }, 'The cost of some orders is not known (codes not assigned yet, or imported without a cost), so neither is the profit. The rows of Cost show which.'),
      h('div', { class: 'two' },
        known && h('section', { class: 'panel' }, chart('From revenue to true profit', {
          sideways: true, labels: WATERFALL.map(([name]) => name), size: 'high', datasets: [{ label: 'Amount', data: steps.map((step) => step.range), backgroundColor: steps.map((step) => step.colour) }],
          format: (value) => money(value, currency), onpick: (index) => openRows({ title: WATERFALL[index][0], said: shown(WATERFALL[index][0]), ...target(WATERFALL[index][0]) }),
        })),
        numbers('The twelve figures', [
          { name: 'Figure', kind: 'text', cell: (row) => [row.metric_name, h('small', {}, BEHIND[row.metric_name]?.[1])] },
          { name: 'Value', cell: (row) => (row.metric_name === 'True Profit' ? parts(link) : link(row.metric_name)) },
          { name: 'Change', cell: (row) => (row.period_comparison === null ? '–' : percent(row.period_comparison)) },
        ], rows)),
      h('p', { class: 'soft small' }, 'Change: against as many days right before. A figure that cannot be known, or has nothing to be divided by, is –.'),
    ];
  });
  return place;
};

/** True profit is made of four figures; each of them leads to its own rows. */
const parts = (link) => [link('True Profit'), h('small', {}, '= ', link('Gross Profit'), ' - ', link('Transaction Fees'), ' - ', link('Refunds'), ' - ', link('Ad Spend'))];
