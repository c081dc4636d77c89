// The funnel of five steps, where most sessions are lost, and what people use.
import { h } from '../../dom.js';
import { empty, fill, words } from '../parts.js';
import { chart } from './charts.js';
import { figure } from './figures.js';
import { count, numbers, percent, report } from './format.js';
import { dates } from './period.js';
import { openRows } from './rows.js';

/** The step that keeps the smallest share of those who reached the one before. */
const bottleneck = (rows) => rows.slice(1).map((row, index) => ({ ...row, before: rows[index] }))
  .filter((row) => row.conversion_from_previous !== null && row.before.unique_sessions > row.unique_sessions)
  .sort((a, b) => Number(a.conversion_from_previous) - Number(b.conversion_from_previous))[0];

export const funnel = ({ period }) => {
  const asked = dates(period);
  const steps = h('div', { class: 'answers' });
  const devices = h('div', { class: 'answers' });
  const of = (index) => ({ name: 'get_funnel_sessions', parameters: { ...asked, step: index + 1 } });

  fill(steps, async () => {
    const { rows } = await report('get_funnel_stats', asked);
    if (!rows[0]?.unique_sessions) return empty('No visit in this period', 'The funnel begins with a page view. Choose a longer period, or check that the tracker is on every page.');
    const worst = bottleneck(rows);
    const open = (index) => openRows({ title: `Sessions that reached ${rows[index].step_name}`, ...of(index) });
    const link = (row, text, what) => figure(text, `${what} ${row.step_name}`, of(rows.indexOf(row)).name, of(rows.indexOf(row)).parameters);
    return [
      worst && h('p', { class: 'notice' }, h('strong', {}, 'Where most are lost: '),
        `from ${worst.before.step_name} to ${worst.step_name}. ${percent(worst.conversion_from_previous)} went on, ${count(worst.before.unique_sessions - worst.unique_sessions)} sessions did not.`),
      h('div', { class: 'two' },
        h('section', { class: 'panel' }, chart('Sessions that reached each step', {
          sideways: true, labels: rows.map((row) => row.step_name), datasets: [{ label: 'Sessions', data: rows.map((row) => row.unique_sessions) }], format: count, onpick: open,
        })),
        numbers('The five steps', [
          { name: 'Step', kind: 'text', cell: (row) => row.step_name },
          { name: 'Sessions', cell: (row) => link(row, count(row.unique_sessions), 'Sessions that reached') },
          { name: 'Of the step before', cell: (row) => (row.conversion_from_previous === null ? '–' : link(row, percent(row.conversion_from_previous), 'Share of the step before that reached')) },
          { name: 'Of all', cell: (row) => (row.overall_conversion === null ? '–' : link(row, percent(row.overall_conversion), 'Share of all that reached')) },
          { name: 'Lost here', cell: (row) => (rows.indexOf(row) ? count(rows[rows.indexOf(row) - 1].unique_sessions - row.unique_sessions) : null) },
        ], rows)),
      h('p', { class: 'soft small' }, 'A session reaches a step when it reached the one before, and then did this one. Programs are left out.'),
    ];
  });

  fill(devices, async () => {
    const { rows } = await report('get_behavior_stats', asked);
    if (!rows.length) return null;
    return numbers('What people use', [
      { name: 'Device', kind: 'text', cell: (row) => words(row.device_type) },
      { name: 'Visits', cell: (row) => figure(count(row.sessions), `Visits by ${row.device_type}`, 'get_visits', { ...asked, device_type: row.device_type }) },
      { name: 'Pages a visit', cell: (row) => row.pages_per_session ?? '–' },
      { name: 'Bounced', cell: (row) => percent(row.bounce_rate) },
      { name: 'Seconds a visit', cell: (row) => row.avg_session_seconds ?? '–' },
      { name: 'Seconds a page', cell: (row) => row.avg_page_seconds ?? '–' },
      { name: 'Scrolled', cell: (row) => percent(row.avg_scroll_depth) },
    ], rows);
  });
  return h('div', { class: 'answers' }, steps, devices);
};
