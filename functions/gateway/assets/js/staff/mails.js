// Mails: what was given up and why, and trying it again.
import { busy, h, notice } from '../dom.js';
import { dateTime } from '../money.js';
import { badge, empty, field, fill, select, table } from './parts.js';
import { call } from './session.js';

const KINDS = { 'mail.codes': 'Codes', 'mail.gift': 'Gift', 'mail.receipt': 'Receipt' };
const STATES = [['dead', 'Dead'], ['pending', 'Waiting'], ['done', 'Sent'], ['replaced', 'Replaced'], ['cancelled', 'Cancelled'], ['', 'All']];

const result = (m) => [
  badge(m.status === 'done' ? m.delivery ?? 'sent' : m.status),
  m.lastError && h('small', {}, m.lastError),
  m.deliveryReason && h('small', {}, m.deliveryReason),
  m.nextAttemptAt && h('small', {}, `next attempt ${dateTime(m.nextAttemptAt)}`),
].filter(Boolean);

/** What to know before it is tried again. */
const remarks = (m) => [
  m.sentSince && h('small', {}, 'A later mail of this order was sent.'),
  m.status === 'dead' && m.mayHaveBeenSent && h('small', {}, 'It may have arrived: the provider did not answer. Within a day it is not sent twice (Resend).'),
].filter(Boolean);

export const mails = () => {
  const problem = h('div');
  const list = h('div', { class: 'results' });
  const which = select('which', STATES);

  const replay = (mail, button) => busy(button, async () => {
    try {
      await call('POST', `/api/admin/outbox/${mail.id}/replay`);
      notice(problem, 'good', h('p', {}, `The mail to ${mail.to} is on its way again.`));
      load();
    } catch (error) {
      notice(problem, 'bad', h('p', {}, error.message));
    }
  });
  const replayAll = (found, button) => busy(button, async () => {
    let count = 0;
    try {
      for (const mail of found) {
        await call('POST', `/api/admin/outbox/${mail.id}/replay`);
        count += 1;
      }
      notice(problem, 'good', h('p', {}, `${count} mails are on their way again.`));
    } catch (error) {
      notice(problem, 'bad', h('p', {}, `${count} of ${found.length} are on their way again. ${error.message}`));
    }
    load();
  });
  const columns = [
    { name: 'Written', kind: 'keep', cell: (m) => [dateTime(m.createdAt), h('small', { title: m.orderId }, `order ${m.orderId.slice(0, 8)}`)] },
    { name: 'Mail', cell: (m) => KINDS[m.kind] ?? m.kind },
    { name: 'To', cell: (m) => [m.to, ...remarks(m)] },
    { name: 'Attempts', kind: 'number', cell: (m) => String(m.attempts) },
    { name: 'Result', cell: result },
    { name: 'Actions', cell: (m) => (m.status === 'dead' ? h('div', { class: 'actions' },
      h('button', { class: 'button quiet slim', type: 'button', 'aria-label': `Try again: the mail to ${m.to}`, onclick: (event) => replay(m, event.currentTarget) }, 'Try again')) : null) },
  ];
  const load = () => fill(list, async () => {
    const { messages: found } = await call('GET', `/api/admin/outbox${which.value ? `?status=${which.value}` : ''}`);
    if (!found.length) return empty('Nothing here', which.value === 'dead' ? 'No mail was given up.' : 'There are no mails of this kind.');
    const open = found.filter((m) => m.status === 'dead' && !m.sentSince);
    const all = which.value === 'dead' && open.length > 1 && h('p', { class: 'actions' },
      h('button', { class: 'button', type: 'button', onclick: (event) => replayAll(open, event.currentTarget) }, `Try all ${open.length} again`));
    return [all, table(`${found.length} ${found.length === 1 ? 'mail' : 'mails'}`, columns, found)];
  });
  which.addEventListener('change', load);
  load();
  return h('div', { class: 'answers' }, h('div', { class: 'filters' }, field('Show', which, { slim: true })), problem, list);
};
