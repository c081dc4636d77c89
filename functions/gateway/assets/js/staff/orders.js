// Orders: filters, one page after the other, mailing codes again, replacing bad ones, deciding on orders under review, giving money back.
import { busy, h, notice } from '../dom.js';
import { dateTime, face, money } from '../money.js';
import { badge, empty, field, fill, input, select, table, words } from './parts.js';
import { givenBack, refund, refundable } from './refund.js';
import { call } from './session.js';

const STATUSES = ['all', 'pending', 'paid', 'manual_review', 'failed', 'expired', 'partially_refunded', 'refunded', 'chargeback'];

/** A decision is final and needs a reason: it is asked for in a dialog. */
const decide = (order, decided) => {
  const problem = h('div');
  const note = h('textarea', { class: 'input', id: 'note', name: 'note', required: true, maxlength: 500 });
  const choice = (value, title, text, checked) => h('label', { class: 'check' }, h('input', { type: 'radio', name: 'action', value, checked }), h('span', {}, title, h('small', {}, text)));
  const button = h('button', { class: 'button' }, 'Resolve');
  const form = h('form', { class: 'fields' },
    h('h2', { id: 'decide' }, 'Resolve the order'),
    h('p', { class: 'soft' }, `${order.email}: ${money(order.amount, order.currency)}${order.receivedAmount ? `, received ${money(order.receivedAmount, order.currency)}` : ''}. ${order.reviewReason ? `${words(order.reviewReason)}.` : ''}`),
    h('fieldset', { class: 'choices' }, h('legend', { class: 'legend' }, 'Decision'),
      choice('deliver', 'Deliver', 'Accept the payment as it came in and send the codes.', true),
      choice('close', 'Close without codes', 'Free what was reserved. The money stays booked until it is given back.', false)),
    field('Note', note), problem,
    h('div', { class: 'actions' }, button, h('button', { class: 'button quiet', type: 'button', onclick: () => dialog.close() }, 'Cancel')));
  const dialog = h('dialog', { 'aria-labelledby': 'decide' }, form);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy(button, async () => {
      try {
        await call('POST', `/api/admin/orders/${order.id}/resolve`, { body: { action: new FormData(form).get('action'), note: note.value.trim() } });
        dialog.close();
        decided();
      } catch (error) {
        notice(problem, 'bad', h('p', {}, error.message));
      }
    });
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
};

const inHand = (order) => (order.items ?? []).flatMap((item) => (item.codes ?? [])
  .filter((code) => ['sold', 'reserved'].includes(code.status))
  .map((code) => [code.id, `${item.productName}, ${face(item.nominal, order.currency)}: …${code.last4}`]));

/** Taking a code out of circulation is final: which one and why is asked for in a dialog. */
const replace = (order, replaced) => {
  const problem = h('div');
  const reason = h('textarea', { class: 'input', id: 'reason', name: 'reason', required: true, maxlength: 500 });
  const button = h('button', { class: 'button' }, 'Replace');
  const form = h('form', { class: 'fields' },
    h('h2', { id: 'replace' }, 'Replace a code'),
    h('p', { class: 'soft' }, order.fulfilment === 'delivered'
      ? `The code is taken out of circulation for good. Another one is mailed to ${order.recipientEmail ?? order.email}; the cost of both stays with the order.`
      : 'The code is taken out of circulation for good, and another one is reserved for this order.'),
    field('Code', select('code', inHand(order))),
    field('Reason (not the code itself)', reason), problem,
    h('div', { class: 'actions' }, button, h('button', { class: 'button quiet', type: 'button', onclick: () => dialog.close() }, 'Cancel')));
  const dialog = h('dialog', { 'aria-labelledby': 'replace' }, form);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy(button, async () => {
      try {
        const { code, replacement } = await call('POST', `/api/admin/codes/${new FormData(form).get('code')}/replace`, { body: { reason: reason.value.trim() } });
        dialog.close();
        replaced(code, replacement);
      } catch (error) {
        notice(problem, 'bad', h('p', {}, error.message));
      }
    });
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
};

export const orders = () => {
  const problem = h('div');
  const list = h('div', { class: 'results' });
  const form = h('form', { class: 'panel filters', 'aria-label': 'Filters' },
    field('Status', select('status', STATUSES.map((status) => [status, words(status)])), { slim: true }),
    field('From', input('from', { type: 'date' }), { slim: true }),
    field('To', input('to', { type: 'date' }), { slim: true }),
    field('E-mail contains', input('email'), { slim: true }),
    field('Amount from', input('min_amount', { inputmode: 'decimal' }), { slim: true }),
    field('Amount to', input('max_amount', { inputmode: 'decimal' }), { slim: true }),
    h('button', { class: 'button slim' }, 'Show'));

  const resend = (order, button) => busy(button, async () => {
    try {
      await call('POST', `/api/admin/orders/${order.id}/resend`);
      notice(problem, 'good', h('p', {}, `The codes are on their way to ${order.recipientEmail ?? order.email} again.`));
    } catch (error) {
      notice(problem, 'bad', h('p', {}, error.message));
    }
  });
  const actions = (order) => {
    const send = order.fulfilment === 'delivered' && h('button', { class: 'button quiet slim', type: 'button', 'aria-label': `Resend the codes of ${order.email}`, onclick: (event) => resend(order, event.currentTarget) }, 'Resend');
    const resolve = order.status === 'manual_review' && h('button', { class: 'button slim', type: 'button', 'aria-label': `Resolve the order of ${order.email}`, onclick: () => decide(order, () => { notice(problem, 'good', h('p', {}, 'The order is resolved.')); load(); }) }, 'Resolve');
    const back = refundable(order) && h('button', { class: 'button quiet slim', type: 'button', 'aria-label': `Refund the order of ${order.email}`, onclick: () => refund(order, async (said) => { await load(); notice(problem, 'good', h('p', {}, said)); }) }, 'Refund');
    const told = (code, other) => { notice(problem, 'good', h('p', {}, `The code …${code.last4} is replaced by …${other.last4}.`)); load(); };
    const swap = inHand(order).length > 0 && h('button', { class: 'button quiet slim', type: 'button', 'aria-label': `Replace a code of ${order.email}`, onclick: () => replace(order, told) }, 'Replace a code');
    return send || resolve || swap || back ? h('div', { class: 'actions' }, [send, resolve, swap, back]) : null;
  };
  const columns = [
    { name: 'Order', kind: 'keep', cell: (o) => [dateTime(o.createdAt), h('small', { title: o.id }, o.id.slice(0, 8))] },
    { name: 'Buyer', cell: (o) => [o.email, o.recipientEmail && h('small', {}, `gift for ${o.recipientEmail}`)].filter(Boolean) },
    { name: 'Cards', cell: (o) => (o.items ?? []).map((item) => h('div', {}, `${item.quantity} × ${item.productName}, ${face(item.nominal, o.currency)}`)) },
    { name: 'Amount', kind: 'number', cell: (o) => [money(o.amount, o.currency), givenBack(o)] },
    { name: 'Status', cell: (o) => [badge(o.status), o.reviewReason && h('small', {}, words(o.reviewReason))].filter(Boolean) },
    { name: 'Mail', cell: (o) => (o.emailStatus ? badge(o.emailStatus) : null) },
    { name: 'Source', cell: (o) => [o.utmSource, o.utmCampaign].filter(Boolean).join(' / ') || null },
    { name: 'Actions', cell: actions },
  ];

  let rows = [];
  const page = async (cursor) => {
    const filters = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim() && value !== 'all'));
    if (cursor) filters.set('cursor', cursor);
    const answer = await call('GET', `/api/admin/orders?${filters}`);
    rows = cursor ? [...rows, ...answer.orders] : answer.orders;
    if (!rows.length) return empty('No orders', 'Nothing matches these filters.');
    const more = answer.nextCursor && h('p', { class: 'actions' }, h('button', { class: 'button quiet', type: 'button', onclick: (event) => busy(event.currentTarget, () => add(answer.nextCursor)) }, 'Show more'));
    return [table(`${rows.length}${answer.nextCursor ? ' newest' : ''} ${rows.length === 1 ? 'order' : 'orders'}`, columns, rows), more];
  };
  const load = () => fill(list, () => page());
  const add = async (cursor) => {
    try {
      list.replaceChildren(...(await page(cursor)).filter(Boolean));
    } catch (error) {
      notice(problem, 'bad', h('p', {}, error.message));
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    load();
  });
  load();
  return h('div', { class: 'answers' }, form, problem, list);
};
