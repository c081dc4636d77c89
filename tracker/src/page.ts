// One page: seen, scrolled, left.
import { attribute } from './attribution';
import { allowed } from './consent';
import { active, seconds } from './identity';
import { beacon, resume } from './queue';
import { track } from './track';

let begun = false;
/** What has been seen since the page was last shown is told. */
let told = false;
/** When the page was last shown; never, while it waits in the background. */
let since = Infinity;
/** Lowest point seen, in pixels. How much of the page that is, is worked out at the end: pages grow while they load. */
let deepest = 0;

const look = () => {
  deepest = Math.max(deepest, scrollY + innerHeight);
};

const show = () => {
  told = false;
  if (begun && allowed()) active();
  if (!document.hidden) since = performance.now();
};

export const begin = () => {
  if (begun || !allowed() || document.prerendering) return;
  begun = true;
  show();
  attribute();
  track('page_view');
};

/** Consent was withdrawn: another yes begins anew. */
export const end = () => {
  begun = false;
};

const leave = () => {
  if (begun && !told && allowed()) {
    told = true;
    look();
    track('x_page_leave', undefined, {
      page_duration: seconds(performance.now() - since),
      session_duration: active(),
      scroll_depth: Math.min(100, Math.round((100 * deepest) / document.documentElement.scrollHeight)),
    });
  }
  beacon();
};

export const watch = () => {
  addEventListener('scroll', look, { passive: true });
  addEventListener('pagehide', leave);
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return leave();
    show();
    resume();
  });
  // Back and forward show the same page again without loading it.
  addEventListener('pageshow', ({ persisted }) => {
    if (!persisted) return;
    deepest = 0;
    show();
    if (begun) track('page_view');
    resume();
  });
  document.addEventListener('prerenderingchange', begin);
  begin();
};

declare global {
  interface Document {
    readonly prerendering?: boolean;
  }
}
