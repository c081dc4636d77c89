// Giving money of an order back: how much, why, and a word that it is meant. What cannot be undone is asked for in a dialog.
import { busy, h, notice } from '../dom.js';
import { amount as text, cents, money } from '../money.js';
import { field, input } from './parts.js';
import { call } from './session.js';

const OPEN = ['pending', 'approved'];
const sum = (refunds) => refunds.reduce((all, refund) => all + cents(refund.amount), 0);

/** Whether there is money that could go back. */
export const refundable = (order) => ['paid', 'partially_refunded', 'manual_review'].includes(order.status) && cents(order.refundableAmount ?? '0') > 0;

/** What of an order's money has gone back, or is on its way. */
export const givenBack = (order) => {
  const refunds = order.refunds ?? [];
  const done = sum(refunds.filter((refund) => refund.status === 'completed'));
  const open = sum(refunds.filter((refund) => OPEN.includes(refund.status)));
  return [
    done > 0 && h('small', {}, `${money(text(done), order.currency)} given back`),
    open > 0 && h('small', {}, `${money(text(open), order.currency)} on its way back`),
  ].filter(Boolean);
};

export const refund = (order, done) => {
  const problem = h('div');
  const left = money(order.refundableAmount, order.currency);
  const sumOf = input('refund-amount', { inputmode: 'decimal', required: true, value: order.refundableAmount, 'aria-describedby': 'refund-left' });
  const reason = h('textarea', { class: 'input', id: 'refund-reason', name: 'reason', required: true, maxlength: 500 });
  const button = h('button', { class: 'button' }, 'Give back');
  const form = h('form', { class: 'fields' },
    h('h2', { id: 'refund' }, 'Give money back'),
    h('p', { class: 'soft', id: 'refund-left' }, `${order.email}. Up to ${left} can go back. When all of it has, the codes of the order are revoked.`),
    field('Amount', sumOf), field('Reason', reason),
    h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'sure', required: true }), h('span', {}, 'I am sure. Money that has gone back cannot be fetched again.')),
    problem,
    h('div', { class: 'actions' }, button, h('button', { class: 'button quiet', type: 'button', onclick: () => dialog.close() }, 'Cancel')));
  const dialog = h('dialog', { 'aria-labelledby': 'refund' }, form);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy(button, async () => {
      const wanted = sumOf.value.trim().replace(',', '.');
      try {
        await call('POST', `/api/admin/orders/${order.id}/refund`, { body: { amount: wanted, reason: reason.value.trim() } });
        dialog.close();
        done(`${money(wanted, order.currency)} is on its way back to ${order.email}.`);
      } catch (error) {
        notice(problem, 'bad', h('p', {}, [error.message, ...Object.entries(error.fields ?? {}).map(([name, wrong]) => ` ${name}: ${wrong}.`)].join('')));
      }
    });
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
};
