-- How people behave, per kind of device (L-92).
--
-- What: one row for each device type with visits. A visit has the device of its first event: somebody who turns a tablet into a desktop has
-- not made two visits. A bounce is a visit of one page view and nothing else; that the tracker says when the page is left (`x_page_leave`)
-- is no second act.
--
-- Means are over what is given: a page whose duration is unknown (the tab was killed) does not count as 0 seconds. No mean of means: the sums and counts
-- of the visits are added up first.
--
-- Called by api.get_behavior_stats.

set local role lonieve_owner;

create function analytics.behavior_stats(p_tenant_id uuid, p_period analytics.period)
returns table (device_type text, sessions bigint, page_views bigint, pages_per_session numeric, bounce_rate numeric, avg_session_seconds numeric,
               avg_page_seconds numeric, avg_scroll_depth numeric)
language sql stable set search_path = '' as $$
  select coalesce(v.device_type, 'unknown'), count(*), sum(v.page_views)::bigint,
    round(sum(v.page_views) / count(*), 2),
    round(count(*) filter (where v.page_views = 1 and v.other_events = 0) * 100.0 / count(*), 2),
    round(sum(extract(epoch from v.ended_at - v.started_at)) / count(*), 2),
    round(sum(v.page_seconds) / nullif(sum(v.pages_timed), 0), 2),
    round(sum(v.scroll_sum) / nullif(sum(v.pages_scrolled), 0), 2)
  from analytics.visits(p_tenant_id, (p_period).starts_at, (p_period).ends_at) v
  group by v.device_type
  order by array_position(array['mobile', 'tablet', 'desktop'], v.device_type) nulls last
$$;
comment on function analytics.behavior_stats(uuid, analytics.period) is
  'Per device type: visits, their pages, bounces, length, and the means of page duration and scroll depth where given.';

create function api.get_behavior_stats(start_date timestamptz default null, end_date timestamptz default null)
returns table (device_type text, sessions bigint, page_views bigint, pages_per_session numeric, bounce_rate numeric, avg_session_seconds numeric,
               avg_page_seconds numeric, avg_scroll_depth numeric)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select b.device_type, b.sessions, b.page_views, b.pages_per_session, b.bounce_rate, b.avg_session_seconds, b.avg_page_seconds, b.avg_scroll_depth
  from analytics.behavior_stats(v_tenant, analytics.period_between(v_tenant, start_date, end_date, 7, now())) with ordinality b
  order by b.ordinality;
end
$$;
comment on function api.get_behavior_stats(timestamptz, timestamptz) is
  'Staff (viewer). A row for each of mobile, tablet, desktop and unknown that has visits, over the days from that of start_date to the one before that of end_date; by default 7 days, today included.';
