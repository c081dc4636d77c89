// The rows behind a figure, in a dialog: what they add up to, the rows themselves, and the same as CSV. A row leads on to an order's customer
// or a session's events; "Back" leads back.
import { busy, h, notice } from '../../dom.js';
import { badge, fill, words } from '../parts.js';
import { count, dateTime, money, numbers, report, zoneName } from './format.js';

const CSV_LIMIT = 500;
const time = (name, label) => ({ name: label, kind: 'keep', cell: (row) => (row[name] ? dateTime(row[name]) : null) });
const text = (name, label) => ({ name: label, kind: 'text', cell: (row) => row[name] ?? null });
const whole = (name, label) => ({ name: label, cell: (row) => count(row[name]) });
const sumOf = (name, label) => ({ name: label, cell: (row, { currency }) => money(row[name], currency) });
const state = (name, label) => ({ name: label, kind: 'text', cell: (row) => (row[name] ? badge(row[name]) : null) });
const channel = { name: 'Channel', kind: 'text', cell: (row) => `${row.utm_source} / ${row.utm_campaign}` };
const lead = (label, title, target) => h('button', { class: 'num', type: 'button', onclick: () => push(target(title)) }, label);
const orderId = { name: 'Order', kind: 'text', cell: (row) => (row.order_id ? h('span', { title: row.order_id }, row.order_id.slice(0, 8)) : null) };
const customer = { name: 'Customer', kind: 'text', cell: (row) => lead(row.email, `Orders of ${row.email}`, (title) => ({ title, name: 'get_paid_orders', parameters: { email: row.email, start_date: '2000-01-01' } })) };
const session = {
  name: 'Session', kind: 'text',
  cell: (row) => lead(row.session_id.slice(0, 12), `Events of session ${row.session_id.slice(0, 12)}`, (title) => ({ title, name: 'get_event_rows', parameters: { session_id: row.session_id, start_time: '2000-01-01T00:00:00Z' } })),
};

/** Per function: what its rows are, its columns, and which sums are said. */
const KINDS = {
  get_paid_orders: {
    noun: 'paid order', sums: ['revenue', 'cost', 'profit', 'fees', 'refunded'], numbers: ['customers', 'first_orders', 'unclear_orders'],
    columns: [time('paid_at', 'Paid'), orderId, customer, channel, state('status', 'Status'), sumOf('revenue', 'Revenue'), sumOf('cost', 'Cost'), sumOf('profit', 'Gross profit'), sumOf('fees', 'Fees'), sumOf('refunded', 'Refunded')],
  },
  get_fee_rows: { noun: 'fee', sums: ['fee_amount'], columns: [time('paid_at', 'Order paid'), orderId, customer, text('fee_type', 'Fee'), sumOf('fee_amount', 'Amount')] },
  get_refund_rows: { noun: 'refund', sums: ['refund_amount'], columns: [time('refunded_at', 'Given back'), orderId, customer, text('kind', 'Kind'), text('refund_reason', 'Reason'), sumOf('refund_amount', 'Amount')] },
  get_ad_spend_rows: { noun: 'day of a channel', nouns: 'days of channels', sums: ['spend'], numbers: ['clicks', 'impressions'], columns: [text('date', 'Day'), channel, text('utm_content', 'Creative'), sumOf('spend', 'Spend'), whole('clicks', 'Clicks'), whole('impressions', 'Impressions')] },
  get_visits: { noun: 'visit', numbers: ['page_views'], columns: [time('started_at', 'Began'), time('ended_at', 'Last event'), session, channel, text('device_type', 'Device'), whole('page_views', 'Pages'), whole('other_events', 'Other events')] },
  get_funnel_sessions: {
    noun: 'session', numbers: ['product_view', 'add_to_cart', 'checkout_start', 'payment'],
    columns: [session, time('page_view_at', 'Page view'), time('product_view_at', 'Product view'), time('add_to_cart_at', 'Add to cart'), time('checkout_start_at', 'Checkout start'), time('paid_at', 'Payment'), orderId],
  },
  get_cohort_customers: {
    noun: 'customer', sums: ['value', 'revenue', 'refunded'], numbers: ['orders', 'repeat_customers'],
    columns: [customer, time('first_paid_at', 'First order'), time('last_paid_at', 'Last order'), whole('orders', 'Orders'), sumOf('revenue', 'Revenue'), sumOf('refunded', 'Refunded'), sumOf('value', 'Value')],
  },
  get_product_rows: { noun: 'item', sums: ['revenue'], numbers: ['orders', 'units'], columns: [time('paid_at', 'Paid'), orderId, customer, text('product_name', 'Product'), sumOf('nominal', 'Face value'), whole('quantity', 'Units'), sumOf('revenue', 'Revenue')] },
  get_rfm_customers: {
    noun: 'customer', sums: ['monetary'], numbers: ['frequency'],
    columns: [customer, { name: 'Score', kind: 'text', cell: (row) => row.rfm_score }, text('segment', 'Segment'), whole('recency_days', 'Days since'), whole('frequency', 'Orders'), sumOf('monetary', 'Value')],
  },
  get_event_rows: { noun: 'event', numbers: ['sessions'], columns: [time('created_at', 'Time'), { name: 'Event', kind: 'text', cell: (row) => words(row.event_type) }, session, text('url', 'Page'), text('utm_source', 'Source'), text('device_type', 'Device'), { name: 'Data', kind: 'text', cell: (row) => (row.data && Object.keys(row.data).length ? JSON.stringify(row.data) : null) }] },
  get_data_quality_rows: { noun: 'row', columns: [time('at', 'Time'), { name: 'What', kind: 'text', cell: (row) => words(row.kind) }, { name: 'Id', kind: 'text', cell: (row) => h('span', { title: row.id }, row.id.slice(0, 8)) }, text('about', 'About'), { name: 'State', kind: 'text', cell: (row) => words(row.state) }] },
};

const plural = (total, { noun, nouns = `${noun}s` }) => `${count(total)} ${total === 1 ? noun : nouns}`;
const summary = ({ total, sums = {}, currency }, kind) => [plural(total, kind),
  ...(kind.sums ?? []).map((name) => `${words(name).toLowerCase()} ${sums[name] === null ? 'not known' : money(sums[name], currency)}`),
  ...(kind.numbers ?? []).filter((name) => sums[name] > 0).map((name) => `${words(name).toLowerCase()} ${count(sums[name])}`)].join(', ');

/** What a spreadsheet would take for a formula gets a quote in front: an address or a page may begin with anything. */
const safe = (value) => {
  const plain = value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
  const harmless = /^[=+\-@\t\r]/.test(plain) && !/^-?\d+(\.\d+)?$/.test(plain) ? `'${plain}` : plain;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
};
const csv = (rows) => {
  const names = Object.keys(rows[0] ?? {});
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(safe).join(',')).join('\r\n');
};

let dialog;
let trail = [];
const body = h('div', { class: 'answers' });

const show = () => {
  const asked = trail.at(-1);
  const kind = KINDS[asked.name];
  const problem = h('div');
  const list = h('div', { class: 'answers' });
  body.replaceChildren(
    h('div', { class: 'bar' }, h('h2', { id: 'rows-title', tabindex: '-1' }, asked.title), h('button', { class: 'button quiet slim', type: 'button', onclick: () => dialog.close() }, 'Close')),
    problem, list);
  body.querySelector('h2').focus();
  fill(list, async () => {
    const found = await report(asked.name, { limit: 100, ...asked.parameters });
    const { rows, total } = found;
    const columns = kind.columns.map((column) => ({ ...column, cell: (row) => column.cell(row, found) }));
    const copy = async (button) => busy(button, async () => {
      try {
        const all = total > rows.length ? (await report(asked.name, { ...asked.parameters, limit: CSV_LIMIT })).rows : rows;
        await navigator.clipboard.writeText(csv(all));
        notice(problem, 'good', h('p', {}, `${count(all.length)} of ${plural(total, kind)} copied as CSV.`));
      } catch (error) {
        notice(problem, 'bad', h('p', {}, error.status === undefined ? 'The browser does not let this page copy.' : error.message));
      }
    });
    return [
      h('p', { class: 'sums' }, summary(found, kind), '.'),
      rows.length > 0 && h('p', { class: 'soft small' }, `Times are those of the shop (${zoneName()}).`),
      total > rows.length && h('p', { class: 'soft small' }, `The sums are those of all ${count(total)}; the first ${count(rows.length)} are shown.`),
      rows.length > 0 ? numbers(`Rows: ${asked.title}`, columns, rows) : h('p', { class: 'soft' }, 'There is no row: nothing of this happened in the period.'),
      h('div', { class: 'actions' },
        trail.length > 1 && h('button', { class: 'button quiet slim', type: 'button', onclick: () => { trail.pop(); show(); } }, 'Back'),
        rows.length > 0 && h('button', { class: 'button quiet slim', type: 'button', onclick: (event) => copy(event.currentTarget) }, 'Copy as CSV')),
    ].filter(Boolean);
  });
};

const push = (target) => {
  trail.push(target);
  show();
};

/** { title, name, parameters } of the rows to show. */
export const openRows = (target) => {
  trail = [target];
  dialog = h('dialog', { class: 'rows', 'aria-labelledby': 'rows-title' }, body);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  show();
};
