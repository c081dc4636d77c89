// What needs somebody's attention.
import { busy, h, notice } from '../dom.js';
import { dateTime } from '../money.js';
import { badge, empty, field, fill, select } from './parts.js';
import { call } from './session.js';

export const alerts = () => {
  const problem = h('div');
  const list = h('div');
  const which = select('which', [['false', 'Open'], ['true', 'Resolved'], ['', 'All']]);

  const resolve = (alert, button) => busy(button, async () => {
    try {
      await call('POST', `/api/admin/alerts/${alert.id}/resolve`);
      notice(problem, 'good', h('p', {}, `“${alert.title}” is marked as resolved.`));
      load();
    } catch (error) {
      notice(problem, 'bad', h('p', {}, error.message));
    }
  });
  const card = (alert) => h('li', { class: `panel alert ${alert.severity}` },
    h('header', {}, badge(alert.severity), h('h2', {}, alert.title), alert.occurrences > 1 && h('span', { class: 'badge' }, `${alert.occurrences} times`)),
    h('p', {}, alert.message),
    h('p', { class: 'soft small' }, [alert.subject, dateTime(alert.lastSeenAt ?? alert.createdAt)].filter(Boolean).join(' · ')),
    alert.isResolved ? h('p', { class: 'soft small' }, `Resolved ${dateTime(alert.resolvedAt)}`)
      : h('div', { class: 'actions' }, h('button', { class: 'button quiet slim', type: 'button', 'aria-label': `Mark as resolved: ${alert.title}`, onclick: (event) => resolve(alert, event.currentTarget) }, 'Mark as resolved')));
  const load = () => fill(list, async () => {
    const { alerts: found } = await call('GET', `/api/admin/alerts${which.value ? `?resolved=${which.value}` : ''}`);
    return found.length ? h('ul', { class: 'alerts plain' }, found.map(card)) : empty('Nothing here', which.value === 'false' ? 'No alert is open.' : 'There are no alerts of this kind.');
  });
  which.addEventListener('change', load);
  load();
  return h('div', { class: 'answers' }, h('div', { class: 'filters' }, field('Show', which, { slim: true })), problem, list);
};
