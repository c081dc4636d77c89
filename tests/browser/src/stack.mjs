// The stack under test, as its stack.json describes it, and what a test asks of it beside the pages.
import { readFile } from 'node:fs/promises';

export const readStack = async (path) => {
  const info = JSON.parse(await readFile(path, 'utf8'));
  const get = async (url, options) => {
    const answer = await fetch(url, { ...options, headers: { accept: 'application/json', ...options?.headers } });
    return { status: answer.status, json: await answer.json().catch(() => null) };
  };
  const post = (path, body, headers = {}) => get(info.gateway + path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } });
  const mails = async (to) => (await get(`${info.sandbox}/mailbox?to=${encodeURIComponent(to)}`)).json;
  return {
    info,
    shop: info.gateway,
    post,
    get: (path, headers) => get(info.gateway + path, { headers }),
    /** Whether a route is there; those of functions that do not exist yet answer 404 `not_found`. */
    has: async (method, path) => {
      const { status, json } = await get(info.gateway + path, { method, body: method === 'POST' ? '{}' : undefined, headers: { 'content-type': 'application/json' } });
      return !(status === 404 && json?.code === 'not_found');
    },
    /** Waits for this many mails to an address. The webhook wakes the outbox once; what follows later would wait for the next tick. */
    mails: async (to, count = 1) => {
      const deadline = Date.now() + 30_000;
      for (;;) {
        const found = await mails(to);
        if (found.length >= count) return found;
        if (Date.now() > deadline) throw new Error(`${found.length} of ${count} mails came to ${to}`);
        await get(`${info.gateway}/api/jobs/run/outbox`, { method: 'POST', headers: { authorization: `Bearer ${info.jobs_secret}` } });
        await new Promise((done) => setTimeout(done, 200));
      }
    },
    run: (job) => get(`${info.gateway}/api/jobs/run/${job}`, { method: 'POST', headers: { authorization: `Bearer ${info.jobs_secret}` } }),
    pay: (billId, how = 'pay') => get(`${info.sandbox}/pay/${billId}/${how}`, { method: 'POST' }),
    product: (last) => `00000000-0000-4000-8000-0000000001${last}`,
    someone: (name) => `${name}-${Math.random().toString(36).slice(2, 10)}@example.com`,
  };
};
