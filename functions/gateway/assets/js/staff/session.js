// Who is signed in: a token in this tab's sessionStorage, sent as a bearer token to the shop's own address only.
import { request } from '../api.js';
import { staff } from '../store.js';

let ended = () => {};
/** What happens when the token is refused. */
export const onEnd = (callback) => { ended = callback; };

export const signedIn = () => Boolean(staff.get());
export const signIn = (token) => staff.set(token);
export const signOut = (why) => {
  staff.set(null);
  ended(why);
};

export const call = async (method, path, options = {}) => {
  try {
    return await request(method, path, { ...options, token: staff.get() });
  } catch (error) {
    if (error.status === 401) signOut('Your access has ended. Please sign in again.');
    throw error;
  }
};
