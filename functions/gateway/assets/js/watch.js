// The state of one order, asked again until it is final. Used by the pending and the success page.
import { get } from './api.js';
import { orders } from './store.js';

const FIRST_WAIT = 1200;
const LONGEST_WAIT = 15_000;

const givenToken = () => new URLSearchParams(location.hash.slice(1)).get('t');
// A mail's link opened in a tab that shows the order already changes the fragment only, which loads nothing by itself.
addEventListener('hashchange', () => givenToken() && location.reload());

/** Id of the order in the address, and what this tab knows of it. A mail's link brings the token behind the `#`; it is kept and taken
 * out of the address at once, so that it is in no history, bookmark or screenshot. */
export const openOrder = () => {
  const id = new URLSearchParams(location.search).get('orderId') ?? '';
  const token = givenToken();
  // Another token is another viewer: what this tab knew as the buyer is not the recipient's to see.
  if (id && token && orders.get(id)?.token !== token) orders.set(id, { token });
  if (token) history.replaceState(null, '', location.pathname + location.search);
  return { id, kept: (id && orders.get(id)) || null };
};

/** States that still belong to the payment; all others are for the success page. */
export const UNPAID = ['pending', 'failed', 'expired'];

/** Calls `seen(order)` after each answer until it returns true, and `lost(error)` when an answer does not come; `gone()` when there is
 * no such order for this token. */
export const watch = ({ id, kept }, { seen, lost, gone }) => {
  if (!id || !kept?.token) return gone('no_token');
  let wait = FIRST_WAIT;
  const again = (ms) => setTimeout(look, ms);
  const look = async () => {
    try {
      if (seen(await get(`/api/orders/${encodeURIComponent(id)}`, { token: kept.token }))) return;
      wait = Math.min(wait * 1.3, LONGEST_WAIT);
      again(wait);
    } catch (error) {
      if (error.status === 404) return gone('not_found');
      lost(error);
      again(error.retryAfter ?? Math.min((wait *= 1.6), LONGEST_WAIT));
    }
  };
  return look();
};

/** The same page of the other state, without the token and without a way back to this one. */
export const moveTo = (page, id) => location.replace(`${page}?orderId=${encodeURIComponent(id)}`);
