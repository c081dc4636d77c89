// Who visits: a session of 30 days and a visitor of 365, and since when this visit lasts.
import { cookie, read, setCookie, write } from './store';

const DAY = 86400;
const LIVES = { lv_sess: 30 * DAY, lv_visitor: 365 * DAY };
type Name = keyof typeof LIVES;
/** Silence that ends a visit, as on the server. */
const VISIT_ENDS = 1800e3;

/** Of version 4; crypto.randomUUID exists on https and localhost only. */
export const uuid = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 15) | 64;
  bytes[8] = (bytes[8]! & 63) | 128;
  return [...bytes].map((byte, i) => ([4, 6, 8, 10].includes(i) ? '-' : '') + byte.toString(16).padStart(2, '0')).join('');
};

/** Of a browser without cookies: as long as the page. */
let made: Partial<Record<Name, string>> = {};

/** Set once and not renewed. */
export const id = (name: Name) => {
  const found = cookie(name);
  if (found) return found;
  const fresh = (made[name] ??= uuid());
  setCookie(name, fresh, LIVES[name]);
  return fresh;
};

/** What the server takes as a duration: whole seconds, at most the life of a session. */
export const seconds = (ms: number) => Math.round(Math.min(Math.max(ms / 1e3, 0), LIVES.lv_sess));

let visit = '';

/** Tells that the visitor is active; returns how long the visit has lasted, in seconds. */
export const active = () => {
  const now = Date.now();
  const [start, last] = (read('lv_visit') ?? visit).split(',').map(Number);
  const begun = now - last! < VISIT_ENDS ? start! : now;
  write('lv_visit', (visit = `${begun},${now}`));
  return seconds(now - begun);
};

export const forget = () => {
  for (const name in LIVES) setCookie(name, '', 0);
  made = {};
  visit = '';
};
