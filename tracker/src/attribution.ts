// Where visitors come from: the last non-direct click, and addresses without what is private.
import { erase, read, write } from './store';

const UTM = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term'] as const;
/** Parameters that advertising networks add to the addresses of paid clicks. */
const CLICK_IDS: Record<string, string> = {
  gclid: 'google', gbraid: 'google', wbraid: 'google', dclid: 'google', fbclid: 'facebook', yclid: 'yandex', ttclid: 'tiktok', msclkid: 'bing',
  twclid: 'twitter', li_fat_id: 'linkedin',
};
/** Pages that a shopper reaches from the payment page or a mail of the shop: coming here is no new click. */
const RETURN_PAGES = /^\/(pending|success|pay)(\/|$)/;
const PRIVATE = /^(t|code|key|sig|email|phone)$|token|secret|signature|password/i;

/** Path and query on this site, absolute elsewhere; without fragment and private parameters. */
export const clean = (address: string) => {
  if (!/^https?:/.test(address)) return undefined;
  const url = new URL(address);
  for (const name of [...url.searchParams.keys()]) if (PRIVATE.test(name)) url.searchParams.delete(name);
  return ((url.origin === location.origin ? '' : url.origin) + url.pathname + url.search).slice(0, 2048);
};

/** What the server takes as a label: whole characters that can be seen, at most 255. */
const label = (text?: string | null) => [...(text ?? '').replace(/[\p{Cc}\p{Cs}]/gu, '').trim()].slice(0, 255).join('');

/** A campaign, a paid click or another site's link replaces what was kept, as a whole; a direct visit keeps it, and so does a page that is loaded again. */
export const attribute = () => {
  const [load] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  if (load?.type !== 'navigate' && read('utm_source')) return;
  const given = new URLSearchParams(location.search);
  const value = (name: string) => label(given.get(name));
  const paid = Object.keys(CLICK_IDS).find(value);
  const host = /^https?:/.test(document.referrer) && !RETURN_PAGES.test(location.pathname) && new URL(document.referrer).hostname;
  let click: (string | undefined)[] | undefined;
  if (UTM.some(value)) click = UTM.map(value);
  else if (paid) click = [CLICK_IDS[paid], 'cpc'];
  else if (host && host !== location.hostname) click = [host, 'referral'];
  if (click) UTM.forEach((name, i) => (click[i] ? write(name, click[i]) : erase(name)));
};

export const utm = (): Lv.Utm => Object.fromEntries(UTM.map((name) => [name, label(read(name))]).filter(([, value]) => value));
