// What happens now. Asked again every 30 seconds, not while nobody looks at the page.
import { h } from '../../dom.js';
import { badge, fill, words } from '../parts.js';
import { chart } from './charts.js';
import { card, figure } from './figures.js';
import { clock, count, dateTime, money, numbers, percent, report, zoneName } from './format.js';
import { oneDay } from './period.js';
import { openRows } from './rows.js';

const EVERY = 30_000;
const MINUTE = 60_000;
const later = (text, milliseconds) => new Date(Date.parse(text) + milliseconds).toISOString();

/** The window's thirty minutes, each with its end: the last one ends now. */
const minutesOf = ({ from_time: from, now }) => Array.from({ length: 30 }, (_, index) => {
  const start = later(from, index * MINUTE);
  return { start, end: index === 29 ? now : later(from, (index + 1) * MINUTE) };
});

const shown = ({ rows: [row], currency }) => {
  const today = oneDay(row.today);
  const window = { start_time: row.from_time, end_time: row.now };
  const minutes = minutesOf(row);
  const types = [...new Set(row.events.map((one) => one.event_type))].sort();
  const of = (start, type) => row.events.filter((one) => (start === undefined || Date.parse(one.minute) === Date.parse(start)) && (type === undefined || one.event_type === type)).reduce((all, one) => all + one.events, 0);
  const since = (count5) => ({ active_since: later(row.now, -count5 * MINUTE) });
  const busy = [...minutes].reverse().filter(({ start }) => of(start) > 0);
  return [
    h('div', { class: 'cards' },
      card('Active, 5 minutes', figure(count(row.active_5), 'Visits of the last 5 minutes', 'get_visits', since(5)), 'visits'),
      card('Active, 30 minutes', figure(count(row.active_30), 'Visits of the last 30 minutes', 'get_visits', since(30)), 'visits'),
      card('Visits today', figure(count(row.visits), 'Visits today', 'get_visits', today)),
      card('Paid orders today', figure(count(row.orders), 'Paid orders today', 'get_paid_orders', today)),
      card('Revenue today', figure(money(row.revenue, currency), 'Revenue today', 'get_paid_orders', today)),
      card('Conversion today', row.conversion_rate === null ? '–' : figure(percent(row.conversion_rate), 'Conversion today: paid orders', 'get_paid_orders', today), 'paid orders of visits')),
    types.length > 0 ? [
      h('section', { class: 'panel' }, chart('Events of the last 30 minutes, by minute', {
        stacked: true, labels: minutes.map(({ start }) => clock(start)), datasets: types.map((type) => ({ label: words(type), data: minutes.map(({ start }) => of(start, type)) })), format: count,
        onpick: (index, dataset) => openRows({ title: `${words(types[dataset])}, ${clock(minutes[index].start)}`, name: 'get_event_rows', parameters: { start_time: minutes[index].start, end_time: minutes[index].end, event_type: types[dataset] } }),
      })),
      h('div', { class: 'two' },
        numbers('Events by type, 30 minutes', [
          { name: 'Event', kind: 'text', cell: (type) => words(type) },
          { name: 'Events', cell: (type) => figure(count(of(undefined, type)), words(type), 'get_event_rows', { ...window, event_type: type }) },
        ], types),
        numbers('Events by minute', [
          { name: 'Minute', kind: 'text', cell: ({ start }) => clock(start) },
          { name: 'Events', cell: ({ start, end }) => figure(count(of(start)), `Events at ${clock(start)}`, 'get_event_rows', { start_time: start, end_time: end }) },
        ], busy, { tall: true })),
    ] : h('p', { class: 'panel soft' }, 'No event in the last 30 minutes.'),
    row.latest_orders.length > 0 && numbers('The newest orders', [
      { name: 'Placed', kind: 'keep', cell: (order) => dateTime(order.created_at) },
      { name: 'Order', kind: 'text', cell: (order) => h('span', { title: order.order_id }, order.order_id.slice(0, 8)) },
      { name: 'Customer', kind: 'text', cell: (order) => figure(order.email, `Orders of ${order.email}`, 'get_paid_orders', { email: order.email, start_date: '2000-01-01' }) },
      { name: 'Amount', cell: (order) => money(order.amount, currency) },
      { name: 'Status', kind: 'text', cell: (order) => badge(order.status) },
      { name: 'Source', kind: 'text', cell: (order) => order.utm_source },
    ], row.latest_orders),
    h('p', { class: 'soft small', 'data-now': row.now }, `As of ${clock(row.now)}, time of the shop (${zoneName()}). Asked again every 30 seconds while this page is looked at.`),
  ].flat();
};

export const realtime = () => {
  const place = h('div', { class: 'answers' });
  const trouble = h('div');
  let asked = 0;
  const ask = async () => shown(await report('get_realtime'));
  // Only the first time shows that it loads: later the page keeps its figures until new ones are there, and when none come it says so.
  const load = async () => {
    asked = Date.now();
    if (!place.querySelector('[data-now]')) return fill(place, ask);
    let content;
    try {
      content = await ask();
    } catch (error) {
      return trouble.replaceChildren(h('p', { class: 'notice bad', role: 'status' }, `${error.message} The figures are those of the last answer; they are asked for again.`));
    }
    // Whoever works with the keyboard keeps the place: a button or table is found again by what it shows, whatever its figure is now.
    const name = (button) => button.getAttribute('aria-label')?.split(', ').at(-1);
    const focused = place.contains(document.activeElement) ? name(document.activeElement) : undefined;
    trouble.replaceChildren();
    place.replaceChildren(...content.filter(Boolean));
    return focused && [...place.querySelectorAll('button, [tabindex]')].find((button) => name(button) === focused)?.focus();
  };
  const due = () => !document.hidden && !document.querySelector('dialog[open]') && Date.now() - asked >= EVERY;
  const timer = setInterval(() => {
    if (!place.isConnected && asked) clearInterval(timer);
    else if (due()) load();
  }, 1000);
  load();
  return h('div', { class: 'answers' }, trouble, place);
};
