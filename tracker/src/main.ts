// The tracker: who visits (two cookies), where from (last non-direct click), and what they do (events to /api/events).
// docs/pages.md describes it, functions/gateway/assets/lv.d.ts its calls.
import { utm } from './attribution';
import { allowed, choose } from './consent';
import { experiment } from './experiment';
import { forget, id } from './identity';
import { begin, end, watch } from './page';
import { empty, flush } from './queue';
import { wipe } from './store';
import { track } from './track';

const identity = (): Lv.Identity => (allowed() ? { sessionId: id('lv_sess'), visitorId: id('lv_visitor'), utm: utm() } : {});

const consent = (choice?: 'on' | 'off') => {
  if (choice) {
    choose(choice);
    if (allowed()) begin();
    else {
      end();
      empty();
      forget();
      wipe();
    }
  }
  return allowed();
};

/** `view_catalog` is `lv.viewCatalog(data)`, and so on. */
const calls = 'viewCatalog viewProduct configuratorOpen configuratorChange addToCart checkoutStart checkoutSubmit paymentReturn supportOpen supportRequest resendEmailRequest accountLogin'
  .split(' ')
  .map((name) => [name, (data?: Lv.Data) => track(name.replace(/[A-Z]/g, (letter) => '_' + letter.toLowerCase()), data)]);

window.lv = { track, flush, identity, consent, experiment, ...Object.fromEntries(calls) };
watch();
