// Data quality: whether the numbers of the other pages can be trusted, and what is wrong where they cannot.
import { h } from '../../dom.js';
import { fill, words } from '../parts.js';
import { chart } from './charts.js';
import { figure } from './figures.js';
import { count, numbers, percent, report } from './format.js';
import { dates } from './period.js';
import { openRows } from './rows.js';

const STATES = { ok: 'good', warning: 'warn', critical: 'bad', info: '', unknown: '' };
const mark = (state) => h('span', { class: `badge ${STATES[state] ?? ''}` }, words(state));
/** Short enough for an axis on a phone. */
const SHORT = { orders_without_session_id: 'No session', orders_without_utm: 'No source', orphaned_events: 'Orphaned events', funnel_integrity: 'Funnel', events_without_visit: 'No visit', sql_functions_health: 'Reports' };
const WITH_ROWS = ['orders_without_session_id', 'orders_without_utm', 'orphaned_events', 'funnel_integrity', 'events_without_visit'];
const SAID = {
  ok: 'The figures of these days can be trusted.',
  warning: 'Most figures of these days can be trusted. Look at the checks that are not ok.',
  critical: 'Figures of these days may be wrong. Look at the checks that are critical first.',
  unknown: 'There was nothing to check.',
};

export const quality = ({ period }) => {
  const asked = dates(period);
  const place = h('div', { class: 'answers' });
  fill(place, async () => {
    const { rows } = await report('get_data_quality', asked);
    const score = rows.find((row) => row.check_name === 'health_score');
    const checks = rows.filter((row) => row !== score);
    const drawn = checks.filter((row) => row.failed_percentage !== null);
    const link = (row, text) => (WITH_ROWS.includes(row.check_name) && text !== '–' ? figure(text, `Failed: ${words(row.check_name)}`, 'get_data_quality_rows', { ...asked, check_name: row.check_name }) : text);
    return [
      score && h('section', { class: 'panel card wide' }, h('h3', {}, 'Health score'), h('p', { class: 'figure' }, score.checked === null ? '–' : `${score.checked} of 100`, ' ', mark(score.status)), h('p', {}, SAID[score.status] ?? SAID.unknown)),
      drawn.length > 0 && h('section', { class: 'panel' }, chart('Failed, in percent of what was checked', {
        sideways: true, labels: drawn.map((row) => SHORT[row.check_name] ?? words(row.check_name)), datasets: [{ label: 'Failed', data: drawn.map((row) => Number(row.failed_percentage)) }], format: (value) => `${value}%`,
        onpick: (index) => WITH_ROWS.includes(drawn[index].check_name) && openRows({ title: `Failed: ${words(drawn[index].check_name)}`, name: 'get_data_quality_rows', parameters: { ...asked, check_name: drawn[index].check_name } }),
      })),
      numbers('Checks', [
        { name: 'Check', kind: 'text', cell: (row) => words(row.check_name) },
        { name: 'Checked', cell: (row) => count(row.checked) },
        { name: 'Failed', cell: (row) => link(row, count(row.failed)) },
        { name: 'Percent', cell: (row) => link(row, percent(row.failed_percentage)) },
        { name: 'State', kind: 'text', cell: (row) => mark(row.status) },
        { name: 'What it means', kind: 'text long', cell: (row) => row.description },
      ], checks),
    ];
  });
  return place;
};
