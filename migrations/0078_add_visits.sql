-- Visits: what a session of a report is (LD-69, LD-74).
--
-- What: `analytics.visits` gives one row for each visit that began in a period, with all that reports ask of a visit: when it began and
-- ended, its channel and device, its pages. It is the one place that decides what a visit is, so that channels, behaviour, anomalies
-- and the daily figures cannot disagree. Programs (`bot`) and the server's own events are left out.
--
-- A visit belongs to the period of its first event, and is counted with all its events. So the two ends of the period need a look
-- beyond it: a visit whose first event here lies within 30 minutes of the start may have begun before it, and one whose last event
-- lies within 30 minutes of the end may go on after it. No other can, since the events of a visit are never further apart. Only these few are
-- looked up by session; all else is one range of the new index.
--
-- Days begin with their first midnight (`day_begins`), in every period of a report: `make_period` of 0047 is replaced for it.
--
-- How it is planned: in plpgsql with custom plans, because the planner must know how long the period is. A plain SQL function is planned without
-- its arguments, for a two-hundredth of the table, and would take a year of events one by one.
--
-- The index on (tenant_id, created_at) is what every report with a range reads. The BRIN index on created_at stays for purges; it
-- knows no tenant, and a small shop beside a large one would read the large one's pages.
--
-- Rejected: a table of visits kept up to date by the ingest (a second truth about the same events, and a write more for each);
-- window functions over the sessions (they sort all of a session's events to find the first).

set local role lonieve_owner;

create index events_tenant_created on analytics.events (tenant_id, created_at);

create function analytics.day_begins(p_day date, p_time_zone text) returns timestamptz
language sql stable set search_path = '' as $$
  -- Where clocks are set back over midnight it comes twice (Havana, the Azores). Postgres means the second one; the hour between is of the new day.
  select case when ((m.at - interval '1 hour') at time zone p_time_zone)::date = p_day then m.at - interval '1 hour' else m.at end
  from (select p_day::timestamp at time zone p_time_zone as at) m
$$;
comment on function analytics.day_begins(date, text) is 'The first moment of a day in a time zone: its first midnight, or where clocks jump over it the moment they jump to.';

create or replace function analytics.make_period(p_tenant_id uuid, p_from_day date, p_to_day date, p_now timestamptz) returns analytics.period
language sql stable set search_path = '' as $$
  select row(p_from_day, p_to_day, analytics.day_begins(p_from_day, t.time_zone), analytics.day_begins(p_to_day, t.time_zone),
             (p_now at time zone t.time_zone)::date, t.time_zone)::analytics.period
  from shop.tenants t where t.id = p_tenant_id
$$;

create function analytics.all_time() returns analytics.period
language sql immutable set search_path = '' as $$
  select row(null, null, '-infinity', 'infinity', null, null)::analytics.period
$$;
comment on function analytics.all_time() is 'The period that holds every moment, for figures over the whole history. It has no days.';

create function analytics.visits(p_tenant_id uuid, p_from timestamptz, p_to timestamptz)
returns table (visit_id uuid, session_id text, started_at timestamptz, ended_at timestamptz, utm_source text, utm_campaign text, device_type text,
               page_views bigint, other_events bigint, page_seconds bigint, pages_timed bigint, scroll_sum bigint, pages_scrolled bigint)
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_custom_plan' set work_mem = '32MB' as $$
#variable_conflict use_column
begin
  return query
  with at_start as (
    select distinct e.visit_id, e.session_id
    from analytics.events e,
      -- The limit keeps this a look-up by session, however many rows the planner expects; so does the offset below.
      lateral (
        select from analytics.events b
        where b.tenant_id = p_tenant_id and b.session_id = e.session_id and b.created_at < p_from and b.visit_id = e.visit_id
          and b.bot is null and b.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
        limit 1) earlier
    where e.tenant_id = p_tenant_id and e.created_at >= p_from and e.created_at < least(p_from + interval '30 minutes', p_to) and e.visit_id is not null
      and e.bot is null and e.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
  ), at_end as (
    select distinct e.visit_id, e.session_id
    from analytics.events e
    where e.tenant_id = p_tenant_id and e.created_at >= greatest(p_to - interval '30 minutes', p_from) and e.created_at < p_to and e.visit_id is not null
      and e.bot is null and e.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
  ), whole as (
    select e.visit_id, e.session_id, e.event_id, e.created_at, e.event_type, e.utm_source, e.utm_campaign, e.device_type, e.page_duration, e.scroll_depth
    from analytics.events e
    where e.tenant_id = p_tenant_id and e.created_at >= p_from and e.created_at < p_to and e.visit_id is not null
      and e.bot is null and e.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
    union all
    select a.visit_id, a.session_id, l.event_id, l.created_at, l.event_type, l.utm_source, l.utm_campaign, l.device_type, l.page_duration, l.scroll_depth
    from at_end a,
      lateral (
        select * from analytics.events b
        where b.tenant_id = p_tenant_id and b.session_id = a.session_id and b.created_at >= p_to and b.visit_id = a.visit_id
          and b.bot is null and b.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
        offset 0) l
  )
  select w.visit_id, w.session_id, min(w.created_at), max(w.created_at),
    (array_agg(w.utm_source order by w.created_at, w.event_id) filter (where w.utm_source is not null))[1],
    (array_agg(w.utm_campaign order by w.created_at, w.event_id) filter (where w.utm_source is not null))[1],
    (array_agg(w.device_type order by w.created_at, w.event_id))[1],
    count(*) filter (where w.event_type = 'page_view'), count(*) filter (where w.event_type not in ('page_view', 'x_page_leave')),
    sum(w.page_duration), count(w.page_duration), sum(w.scroll_depth), count(w.scroll_depth)
  from whole w
  where not exists (select from at_start s where s.visit_id = w.visit_id and s.session_id = w.session_id)
  group by w.visit_id, w.session_id
  -- A page left long after its visit had ended (a tab that stayed open) is the end of that visit, not another one.
  having bool_or(w.event_type <> 'x_page_leave');
end
$$;
comment on function analytics.visits(uuid, timestamptz, timestamptz) is
  'The visits of people that began in [p_from, p_to), each with all its events; what has nothing but x_page_leave is none. Channel: of the earliest event that has a source; device: of the first event. other_events: all but page views and x_page_leave.';
