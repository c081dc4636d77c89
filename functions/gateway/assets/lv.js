// The tracker: who visits (two cookies), where from (last non-direct click), and what they do (events to /api/events).
//
//   <script src="/lv.js" defer></script>
//   lv.track('add_to_cart', { product_id })   one event; page_view is sent by itself
//   lv.identity()                             { sessionId, visitorId, utm }, for orders and forms; {} when nothing may be kept
//   lv.consent('off' | 'on')                  the visitor's choice, kept; without an argument: whether tracking is on
//
// With Global Privacy Control, or after consent('off'), nothing is stored and nothing is sent. `data-consent="ask"` on the script tag
// keeps it off until consent('on'). Fragments and parameters that may hold a token never leave the page.
(() => {
  const script = document.currentScript;
  const endpoint = new URL('/api/events', script.src).href;
  const DAY = 86400;
  const COOKIES = { lv_sess: 30 * DAY, lv_visitor: 365 * DAY };
  const UTM = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term'];
  // Pages that a shopper reaches from the payment page or a mail of the shop: coming here is no new click.
  const RETURN_PAGES = /^\/(pending|success|pay)(\/|$)/;
  const PRIVATE = /^(t|code|key|sig|email|phone)$|token|secret|signature|password/i;

  // Storage and cookies throw or vanish in some privacy modes; the page must work all the same.
  const kept = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value); } catch { /* not kept */ } },
  };
  const cookie = (name) => document.cookie.split('; ').find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
  const setCookie = (name, value, seconds) => {
    const secure = location.protocol === 'https:' ? '; Secure' : '';
    document.cookie = `${name}=${value}; Max-Age=${seconds}; Path=/; SameSite=Lax${secure}`;
  };

  const uuid = () => {
    // randomUUID exists on https and localhost only.
    if (crypto.randomUUID) return crypto.randomUUID();
    const b = crypto.getRandomValues(new Uint8Array(16));
    b[6] = (b[6] & 15) | 64;
    b[8] = (b[8] & 63) | 128;
    const hex = [...b].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  };

  const allowed = () => {
    if (navigator.globalPrivacyControl === true) return false;
    const choice = kept.get('lv_consent');
    return script.dataset.consent === 'ask' ? choice === 'on' : choice !== 'off';
  };

  const clean = (address) => {
    let url;
    try { url = new URL(address, location.href); } catch { return undefined; }
    for (const name of [...url.searchParams.keys()]) if (PRIVATE.test(name)) url.searchParams.delete(name);
    const path = url.pathname + url.search;
    return (url.origin === location.origin ? path : url.origin + path).slice(0, 2048);
  };

  const id = (name) => {
    const found = cookie(name);
    if (found) return found;
    // Set once and not renewed: a session lasts 30 days, a visitor 365 days, from the first visit.
    setCookie(name, uuid(), COOKIES[name]);
    return cookie(name);
  };

  // Last non-direct click: a campaign link or another site's link replaces what was kept, as a whole; a direct visit keeps it.
  const attribute = () => {
    const given = new URLSearchParams(location.search);
    let click = null;
    if (UTM.some((name) => given.get(name))) {
      click = Object.fromEntries(UTM.map((name) => [name, given.get(name)]));
    } else if (document.referrer && !RETURN_PAGES.test(location.pathname)) {
      const host = URL.canParse?.(document.referrer) ? new URL(document.referrer).hostname : location.hostname;
      if (host !== location.hostname) click = { utm_source: host, utm_medium: 'referral' };
    }
    if (click) for (const name of UTM) kept.set(name, click[name]?.trim().slice(0, 255) || null);
  };
  const utm = () => Object.fromEntries(UTM.map((name) => [name, kept.get(name)]).filter(([, value]) => value));

  let queue = [];
  let timer;
  let last = 0;

  const send = (body) => {
    // A text body is a "simple" request: no preflight, also when the page is going away.
    if (navigator.sendBeacon?.(endpoint, body)) return;
    fetch(endpoint, { method: 'POST', body, headers: { 'content-type': 'text/plain' }, keepalive: true }).catch(() => {});
  };
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    const events = queue.splice(0, 10);
    if (!events.length) return;
    send(JSON.stringify({ events }));
    flush();
  };

  const track = (type, data) => {
    if (!allowed()) return;
    // Events of one page keep their order, also within a millisecond.
    last = Math.max(Date.now(), last + 1);
    queue.push({
      event_id: uuid(), event_type: type, session_id: id('lv_sess'), visitor_id: id('lv_visitor'), sent_at: new Date(last).toISOString(),
      url: clean(location.href), referrer: document.referrer ? clean(document.referrer) : undefined, ...utm(), data,
    });
    timer ??= setTimeout(flush, 150);
  };

  const identity = () => (allowed() ? { sessionId: id('lv_sess'), visitorId: id('lv_visitor'), utm: utm() } : {});

  const consent = (choice) => {
    if (choice !== undefined) {
      kept.set('lv_consent', choice);
      if (!allowed()) {
        queue = [];
        for (const name of Object.keys(COOKIES)) setCookie(name, '', 0);
        for (const name of UTM) kept.set(name, null);
      }
    }
    return allowed();
  };

  const begin = () => {
    if (allowed()) attribute();
    track('page_view');
  };

  window.lv = { track, flush, identity, consent };
  addEventListener('pagehide', flush);
  document.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && flush());
  // Back and forward show the same page again without loading it.
  addEventListener('pageshow', (event) => event.persisted && track('page_view'));
  if (document.prerendering) document.addEventListener('prerenderingchange', begin, { once: true });
  else begin();
})();
