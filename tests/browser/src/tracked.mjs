// What the tracker of a browser context keeps and sends.

/** Every event its tabs send, in order, as { event, request, page }. A beacon of a tab that closes may not be seen from outside. */
export const listen = (context) => {
  const sent = [];
  context.on('request', (request) => {
    if (!request.url().endsWith('/api/events')) return;
    for (const event of JSON.parse(request.postData()).events) sent.push({ event, request, at: Date.now() });
  });
  return sent;
};

export const types = (sent) => sent.map(({ event }) => event.event_type);

/** How often each event was sent. */
export const times = (sent) => {
  const counts = {};
  for (const { event } of sent) counts[event.event_id] = (counts[event.event_id] ?? 0) + 1;
  return Object.values(counts);
};

/** The events of a type, each once: what a beacon carried is sent again. */
export const once = (sent, type) => [...new Map(sent.map(({ event }) => [event.event_id, event])).values()].filter((event) => event.event_type === type);

/** The events that wait, in order. */
export const waiting = (page) => page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('lv_q')).sort().map((key) => JSON.parse(localStorage[key])));

export const clicks = (page) => page.evaluate(() => Object.fromEntries(Object.entries(localStorage).filter(([key]) => key.startsWith('utm_'))));

/** Until every event has its verdict. */
export const delivered = async (page, patience = 10_000) => {
  const deadline = Date.now() + patience;
  for (;;) {
    const left = await waiting(page);
    if (!left.length) return;
    if (Date.now() > deadline) throw new Error(`still waiting: ${left.map((event) => event.event_type)}`);
    await page.waitForTimeout(50);
  }
};

export const session = (page) => page.evaluate(() => window.lv.identity().sessionId);

/** Leaves every tab, so that nothing follows, and notes what the session must have stored by then. */
export const finish = async (page, facts, expected) => {
  const id = await session(page);
  for (const tab of page.context().pages()) await tab.goto('about:blank');
  facts.tracked = [...(facts.tracked ?? []), { session: id, types: expected }];
};

/** As when the visitor turns to another tab, and back. */
export const turn = (page, hidden) => page.evaluate((value) => {
  Object.defineProperty(document, 'hidden', { configurable: true, value });
  document.dispatchEvent(new Event('visibilitychange'));
}, hidden);
