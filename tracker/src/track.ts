// One event.
import { clean, utm } from './attribution';
import { allowed } from './consent';
import { active, id, uuid } from './identity';
import { put } from './queue';

interface Measures {
  page_duration: number;
  session_duration: number;
  scroll_depth: number;
}

let last = 0;

export const track = (type: string, data?: Lv.Data, measures?: Measures) => {
  if (!allowed()) return;
  active();
  // Events of one page keep their order, also within a millisecond.
  last = Math.max(Date.now(), last + 1);
  const event_id = uuid();
  put(last, event_id, {
    event_id, event_type: type, session_id: id('lv_sess'), visitor_id: id('lv_visitor'), sent_at: new Date(last).toISOString(),
    url: clean(location.href), referrer: clean(document.referrer), ...utm(), data, ...measures,
  });
};
