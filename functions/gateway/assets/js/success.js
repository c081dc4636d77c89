// The paid order: its codes once they are delivered; for a gift, the buyer sees that it is on its way, the recipient sees the code.
import { $, h } from './dom.js';
import { config, orders } from './store.js';
import { details, lookedEverywhere, say, steps, ticket } from './order-view.js';
import { UNPAID, moveTo, openOrder, watch } from './watch.js';

const opened = openOrder();
const { id, kept } = opened;
const shop = () => h('p', { class: 'actions' }, h('a', { class: 'button quiet', href: '/' }, 'Back to the shop'));

const returned = (status) => {
  if (config.get()?.orderId === id) config.set(null);
  if (kept?.returned === undefined || kept.returned === status) return;
  kept.returned = status;
  orders.set(id, kept);
  window.lv?.paymentReturn({ order_id: id, status });
};

const BACK = {
  partially_refunded: ['Partly refunded', 'A part of this order has been refunded.'],
  refunded: ['Refunded', 'This order has been refunded.'],
  chargeback: ['Payment returned', 'The payment of this order has been returned.'],
};

/** Tells the state; true when nothing will change any more. */
const headline = (order) => {
  const recipient = order.amount === undefined;
  const count = order.codes.length;
  if (order.status in BACK) {
    say('info', ...BACK[order.status], shop());
    return true;
  }
  if (order.fulfilment === 'delivered' && count) {
    const many = count > 1 ? 'codes' : 'code';
    if (recipient) say('good', 'A gift for you', `Here ${count > 1 ? 'are' : 'is'} your ${many}. Keep the link in your e-mail to yourself: whoever has it can use the ${many}.`);
    else say('good', 'Thank you! Your order is complete', `Here ${count > 1 ? 'are' : 'is'} your ${many}, also in your e-mail.`, steps(3));
    return true;
  }
  if (order.fulfilment === 'delivered' && !recipient) {
    say('good', 'Your gift is on its way', 'It goes to the recipient by e-mail. Only they see the code.', shop(), steps(3));
    return true;
  }
  if (recipient) say('wait', 'Your gift is being prepared', 'The code appears here as soon as it is ready.');
  else say('wait', 'Your payment has arrived', 'We are preparing your codes. They come by e-mail as soon as they are ready; this page shows them too.', steps(2));
  return false;
};

watch(opened, {
  seen(order) {
    if (UNPAID.includes(order.status)) {
      moveTo('/pending', id);
      return true;
    }
    returned(order.status);
    const final = headline(order);
    $('#codes').replaceChildren(...order.codes.map((code) =>
      ticket(code, order.items.find((item) => item.productName === code.productName && item.nominal === code.nominal), order.currency)));
    details(order, kept);
    return final;
  },
  lost: (error) => say('wait', 'No answer yet', `${error.message} This page tries again by itself.`),
  gone: lookedEverywhere,
});
