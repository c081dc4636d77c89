// Asks for the order's state until it is final. The token comes from the mail's link (#t=) or from the checkout (sessionStorage);
// it goes into the Authorization header and nowhere else.
const id = new URLSearchParams(location.search).get('orderId') ?? '';
const fragment = new URLSearchParams(location.hash.slice(1)).get('t');
const key = `order:${id}`;
if (fragment) {
  sessionStorage.setItem(key, fragment);
  history.replaceState(null, '', location.pathname + location.search);
}
const token = fragment ?? sessionStorage.getItem(key);

const say = (title, text) => {
  document.getElementById('title').textContent = title;
  document.getElementById('text').textContent = text;
};

const show = (order) => {
  const list = order.codes.map(({ productName, nominal, code }) => {
    const box = document.createElement('div');
    box.className = 'card';
    const name = document.createElement('h2');
    name.textContent = `${productName}, ${nominal}`;
    const text = document.createElement('p');
    text.className = 'code';
    text.textContent = code;
    box.append(name, text);
    return box;
  });
  document.getElementById('codes').replaceChildren(...list);
};

// What each state means to the shopper, and whether it may still change.
const states = {
  pending: ['Waiting for your payment', 'We have not heard from the payment provider yet. This page looks again by itself.', true],
  paid: ['Thank you!', 'Your order is paid.', false],
  manual_review: ['Your payment has arrived', 'We are preparing your codes; they come by e-mail as soon as they are ready.', true],
  failed: ['The payment did not go through', 'Nothing was charged. You can still pay on the payment page, or place a new order.', true],
  expired: ['This order has expired', 'It was not paid in time. If you did pay, your codes come by e-mail.', true],
  partially_refunded: ['Partly refunded', 'A part of this order has been refunded.', false],
  refunded: ['Refunded', 'This order has been refunded.', false],
  chargeback: ['Payment returned', 'The payment of this order has been returned.', false],
};

const look = async (wait) => {
  if (!id || !token) {
    say('We cannot show this order here', 'Please open the link in your e-mail: it holds the key to your order.');
    return;
  }
  try {
    const answer = await fetch(`/api/orders/${encodeURIComponent(id)}`, { headers: { authorization: `Bearer ${token}` } });
    if (answer.status === 404) {
      say('We cannot find this order', 'Please open the link in your e-mail.');
      return;
    }
    if (answer.ok) {
      const order = await answer.json();
      const [title, text, open] = states[order.status] ?? states.pending;
      say(title, order.codes.length ? 'Here are your codes. They are also in your e-mail.' : text);
      show(order);
      if (!open) return;
    }
  } catch {
    say('No connection', 'This page tries again by itself.');
  }
  setTimeout(() => look(Math.min(wait * 1.5, 30000)), wait);
};

look(1500);
