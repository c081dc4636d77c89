// Events on their way: kept in localStorage under a key each until the server's verdict on them has come.
//
// While the page lives they go by fetch, whose answer can be read; one tab at a time sends what all tabs have kept. When the page goes, what
// it has not heard about goes by sendBeacon and stays kept: the next page sends it once more and hears `stored` or `duplicate`. The event
// id is the key on the server, so nothing is counted twice.
import { allowed, script } from './consent';
import { attempt, erase, keys, read, write } from './store';

export const api = new URL('/api/', script.src).href;

const PREFIX = 'lv_q';
const MOST_EVENTS = 200;
/** Characters of all that waits, and of one request: 64 KB is the server's and the browsers' limit, and a character takes up to 3 bytes. */
const MOST = 2e5;
const MOST_AT_ONCE = 2e4;
/** The server refuses what is older. */
const WEEK = 7 * 86400e3;
const HOUR = 3600e3;

/** Keys of this page's events; with the text where storage does not keep it. */
const own = new Map<string, string>();
/** Under way, or handed to a beacon. */
const flying = new Set<string>();
let timer: number | undefined;
let pause = 0;
let failures = 0;

const text = (key: string) => own.get(key) || read(key);

const drop = (key: string) => {
  own.delete(key);
  erase(key);
};

const plan = (ms: number) => {
  timer ??= setTimeout(flush, ms);
};

/** `at` is the event's time, by which events are sent in their order. What cannot be written as JSON, or is larger than any request may be, is no event. */
export const put = (at: number, id: string, event: object) => {
  const key = PREFIX + at + id;
  const json = attempt(() => JSON.stringify(event));
  if (!json || json.length > MOST_AT_ONCE) return;
  own.set(key, write(key, json) ? '' : json);
  plan(150);
};

/** What may still be sent, the oldest first. What is too much or too old is given up. */
const waiting = () => {
  let room = MOST;
  let count = 0;
  const all = new Set([...own.keys(), ...keys().filter((key) => key.startsWith(PREFIX))]);
  return [...all].sort().reverse().filter((key) => {
    const { length } = text(key) ?? '';
    const fits = length && length <= MOST_AT_ONCE && length < room && count < MOST_EVENTS && Date.now() - +key.slice(4, 17) < WEEK;
    if (fits) {
      room -= length;
      count++;
    } else drop(key);
    return fits;
  }).reverse();
};

const batch = (from: string[], size: number) => {
  let room = MOST_AT_ONCE;
  return from.filter((key) => text(key) && !flying.has(key)).slice(0, size).filter((key, i) => (room -= text(key)!.length) > 0 || !i);
};

const body = (some: string[]) => `{"sent_at":"${new Date().toISOString()}","events":[${some.map(text).filter(Boolean)}]}`;

/** How long the server wants to be left alone. More than an hour is a clock that was set meanwhile. */
const told = () => {
  const wait = +(read('lv_wait') ?? 0) - Date.now();
  return wait > 0 && wait <= HOUR ? wait : 0;
};

/** Whether to be silent after a failure; then it goes on later. */
const rest = () => {
  const wait = Math.max(told(), pause - Date.now());
  if (wait > 0) plan(wait);
  return wait > 0;
};

const send = async () => {
  let size = 50;
  let some: string[];
  // Asked again before each request: this may have waited for its turn, and another have failed meanwhile.
  while (allowed() && !rest() && (some = batch(waiting(), size)).length) {
    for (const key of some) flying.add(key);
    try {
      const answer = await fetch(api + 'events', { method: 'POST', body: body(some), keepalive: true, signal: AbortSignal.timeout?.(2e4) });
      if (answer.status === 400 || answer.status === 413) {
        // One of them spoils the others: halves, down to that one.
        if (some.length > 1) size = some.length >> 1;
        else drop(some[0]!);
      } else if (answer.ok) {
        const { results } = await answer.json();
        // An answer without verdicts (of a hotel's network, say) is none.
        if (!results[0].status) throw 0;
        for (const i in results) drop(some[+i]!);
        size = 50;
        failures = 0;
      } else throw answer;
    } catch (error) {
      const after = +((error as Response).headers?.get('retry-after') ?? 0) * 1e3;
      const wait = Math.min(after || 2 ** failures++ * 1e3, HOUR);
      pause = Date.now() + wait;
      if (after) write('lv_wait', '' + pause);
    } finally {
      for (const key of some) flying.delete(key);
    }
  }
};

export const flush = () => {
  clearTimeout(timer);
  timer = undefined;
  if (rest()) return;
  if (navigator.locks) navigator.locks.request('lv', send).catch(send);
  else send();
};

/** At once, without an answer: for a page that may not live to read one. */
export const beacon = () => {
  let some: string[];
  while (allowed() && !told() && (some = batch([...own.keys()], 50)).length && navigator.sendBeacon?.(api + 'events', body(some))) {
    for (const key of some) flying.add(key);
  }
};

/** The page is shown again: what went by beacon is asked about. */
export const resume = () => {
  flying.clear();
  flush();
};

/** The network is back. */
addEventListener('online', () => {
  pause = 0;
  flush();
});

export const empty = () => own.clear();
