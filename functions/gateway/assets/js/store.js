// What a tab remembers, in sessionStorage: it ends with the tab and is never sent by itself. Keys: docs/pages.md.

const read = (key) => {
  try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; }
};
const write = (key, value) => {
  try {
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(value));
  } catch { /* a private window without storage: the page works until it is left */ }
};

/** The cart: what is being bought, before it is an order. */
export const config = {
  get: () => read('checkout_config'),
  set: (value) => write('checkout_config', value),
};
/** A request that may have arrived although no answer came: the same body is sent again under the same key. */
export const attempt = {
  get: () => read('checkout_attempt'),
  set: (value) => write('checkout_attempt', value),
};
/** Order -> { token, ... }. The token opens the order; it goes into the Authorization header and nowhere else. */
export const orders = {
  get: (id) => read(`order:${id}`),
  set: (id, value) => write(`order:${id}`, value),
};
/** A partner's code from `?ref=`. */
export const ref = {
  get: () => read('ref'),
  set: (value) => write('ref', value),
};
export const lead = {
  get: () => read('lead'),
  set: (value) => write('lead', value),
};
export const staff = {
  get: () => read('staff_token'),
  set: (value) => write('staff_token', value),
};
