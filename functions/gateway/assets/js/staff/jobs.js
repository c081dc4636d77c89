// What runs by itself, and whether the books agree.
import { h } from '../dom.js';
import { dateTime } from '../money.js';
import { badge, empty, fill, table, words } from './parts.js';
import { call } from './session.js';

const STATES = { success: 'good', failed: 'bad', running: '', cancelled: 'warn', clean: 'good', differences: 'bad' };
const mark = (state) => (state ? h('span', { class: `badge ${STATES[state] ?? ''}` }, words(state)) : 'Never ran');

const job = [
  { name: 'Job', cell: (row) => words(row.name) },
  { name: 'Last run', cell: (row) => [mark(row.lastRunStatus), row.isLate && badge('warning'), row.lastError && h('p', { class: 'small' }, row.lastError)].filter(Boolean) },
  { name: 'At', cell: (row) => (row.lastRunAt ? dateTime(row.lastRunAt) : '–') },
  { name: 'Next', cell: (row) => (!row.enabled ? 'Switched off' : row.isLate ? `Late, due ${dateTime(row.nextRunAt)}` : row.nextRunAt ? dateTime(row.nextRunAt) : 'At once') },
];
const day = [
  { name: 'Day', cell: (row) => row.day },
  { name: 'Books', cell: (row) => mark(row.status) },
  { name: 'Received', kind: 'number', cell: (row) => row.sums.received ?? '–' },
  { name: 'At the provider', kind: 'number', cell: (row) => row.sums.provider_received ?? '–' },
  { name: 'Codes', kind: 'number', cell: (row) => String(row.counts.codes_sold ?? '–') },
  { name: 'Differences', cell: (row) => (row.differences.length
    ? h('ul', { class: 'plain small' }, row.differences.slice(0, 10).map(({ subject, problem }) => h('li', {}, `${subject}: ${problem}`))) : 'None') },
];

export const jobs = () => {
  const place = h('div', { class: 'answers' });
  fill(place, async () => {
    const found = await call('GET', '/api/admin/jobs');
    return [
      h('section', { class: 'panel' }, h('h2', {}, 'The books, day by day'), found.reports.length ? table('Provider, payments and codes compared', day, found.reports)
        : empty('No day yet', 'A day is compared two hours after it has ended.')),
      h('section', { class: 'panel' }, h('h2', {}, 'What runs by itself'), table('Jobs of this installation', job, found.jobs)),
    ];
  });
  return place;
};
