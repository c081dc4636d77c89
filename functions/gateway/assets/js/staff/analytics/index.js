// The analytics area: its views, the period they share, and what a page must know of the shop before it asks for anything.
import { h } from '../../dom.js';
import { empty, fill } from '../parts.js';
import { channels } from './channels.js';
import { cohorts } from './cohorts.js';
import { economics } from './economics.js';
import { inZone, report } from './format.js';
import { funnel } from './funnel.js';
import { overview } from './overview.js';
import { periodName, periodOf, picker } from './period.js';
import { quality } from './quality.js';
import { realtime } from './realtime.js';
import { rfm } from './rfm.js';

/** Name in the address: title, view(context), and whether it takes a period. */
const VIEWS = {
  overview: { title: 'Overview', view: overview },
  realtime: { title: 'Real-time', view: realtime },
  funnel: { title: 'Funnel', view: funnel, period: true },
  channels: { title: 'Channels', view: channels, period: true },
  economics: { title: 'Unit economics', view: economics, period: true },
  cohorts: { title: 'Cohorts', view: cohorts },
  rfm: { title: 'RFM', view: rfm },
  quality: { title: 'Data quality', view: quality, period: true },
};

/** `parts` is what follows #analytics/ in the address. */
export const analytics = ([name, ...rest]) => {
  const chosen = Object.hasOwn(VIEWS, name) ? name : 'overview';
  const { title, view, period: takesPeriod } = VIEWS[chosen];
  const place = h('div', { class: 'answers' });
  const nav = h('nav', { class: 'subtabs', 'aria-label': 'Analytics' }, Object.entries(VIEWS).map(([key, { title: text, period }]) => h('a', {
    // The period goes with the reader from view to view.
    href: `#analytics/${[key, ...(period && takesPeriod ? rest : [])].join('/')}`, 'aria-current': key === chosen && 'page',
  }, text)));
  const go = (parts) => { location.hash = `#analytics/${chosen}/${parts.join('/')}`; };

  fill(place, async () => {
    const { rows: [shop] } = await report('get_shop_settings');
    inZone(shop.time_zone);
    const period = periodOf(rest, shop.today);
    const context = { currency: shop.currency, today: shop.today, zone: shop.time_zone, period, empty };
    return [
      h('div', { class: 'view-head' }, h('h2', {}, title), takesPeriod && h('p', { class: 'soft' }, periodName(period))),
      takesPeriod && picker(period, { today: shop.today, zone: shop.time_zone, go }),
      view(context),
    ];
  });
  return h('div', { class: 'analytics' }, nav, place);
};
