// Where the payment page sends the shopper: waits for the payment, then goes to the success page.
import { h } from './dom.js';
import { dateTime } from './money.js';
import { orders } from './store.js';
import { details, lookedEverywhere, say, steps } from './order-view.js';
import { UNPAID, moveTo, openOrder, watch } from './watch.js';

const opened = openOrder();
const { id, kept } = opened;
const failedReturn = new URLSearchParams(location.search).get('result') === 'fail';
const begun = Date.now();

/** Once per order and outcome, and only in the tab that placed it: links in mails are no return from the payment page. */
const returned = (status) => {
  if (kept?.returned === undefined || kept.returned === status) return;
  kept.returned = status;
  orders.set(id, kept);
  window.lv?.paymentReturn({ order_id: id, status });
};

const again = () => kept.paymentUrl && h('p', { class: 'actions' }, h('a', { class: 'button', href: kept.paymentUrl }, 'Back to the payment page'), h('a', { class: 'button quiet', href: '/' }, 'To the shop'));

const states = {
  failed: () => say('bad', 'The payment did not go through', 'Nothing was charged. You can try again on the payment page, or place a new order.', again(), steps(1)),
  expired: () => say('bad', 'This order has expired', 'It was not paid in time. If you did pay, your codes still come by e-mail.', h('p', {}, h('a', { class: 'button', href: '/' }, 'Order again')), steps(1)),
  pending: (order) => {
    if (failedReturn) return states.failed();
    const late = Date.now() - begun > 20_000;
    const text = late ? `This takes longer than usual. You can close this page: your codes come by e-mail as soon as the payment arrives.`
      : 'We are waiting for the payment provider’s word. This page goes on by itself.';
    const until = order.expiresAt && `The order is held for you until ${dateTime(order.expiresAt)}.`;
    return say('wait', 'Waiting for your payment', text, until && h('p', { class: 'soft small' }, until), again(), steps(1));
  },
};

watch(opened, {
  seen(order) {
    if (!UNPAID.includes(order.status)) {
      moveTo('/success', id);
      return true;
    }
    if (order.status !== 'pending' || failedReturn) returned(order.status === 'pending' ? 'failed' : order.status);
    states[order.status](order);
    details(order, kept);
    return false;
  },
  lost: (error) => say('wait', 'No answer yet', `${error.message} This page tries again by itself.`, steps(1)),
  gone: lookedEverywhere,
});
