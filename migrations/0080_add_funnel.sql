-- The funnel: how far sessions come (L-70, L-71; LD-87).
--
-- What: five steps, each reached only through the one before it, and not earlier in time. The document counted five things that had
-- nothing to do with each other: whoever came by a link to the checkout made it 200 percent, and "Payment" was any paid order.
--
-- Unit: the session, not the visit, because a purchase may take two days; its events and its payment must lie in the period. Payment is a paid
-- order of that session, never an event: a browser's word is not money.
--
-- How: the events of the four types and the payments of the period, each read by its range, are put in one list and sorted by session once; the time of
-- each step is then a minimum over the session's rows at or after the step before. An event that comes first in time but out of order (a
-- product opened in a new tab before the page that counts) is not lost: the step takes the first one at or after the step before. There is no
-- join in it. A day's events are newer than the planner's statistics, it expects one row of them, and joins of lists it takes for
-- one row go through ten thousand sessions ten thousand times (seen: 8 seconds for 21,500 events that had just come in).
--
-- Called by api.get_funnel_stats.
--
-- Rejected: the document's independent counts; a join per step (above).

set local role lonieve_owner;

create function analytics.funnel_stats(p_tenant_id uuid, p_period analytics.period)
returns table (step_name text, unique_sessions bigint, conversion_from_previous numeric, overall_conversion numeric)
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
#variable_conflict use_column
declare
  v_from constant timestamptz := p_period.starts_at;
  v_to constant timestamptz := p_period.ends_at;
begin
  return query
  with steps as (
    select e.session_id, e.event_type as step, e.created_at as at
    from analytics.events e
    where e.tenant_id = p_tenant_id and e.created_at >= v_from and e.created_at < v_to and e.bot is null
      and e.event_type in ('page_view', 'view_product', 'add_to_cart', 'checkout_start')
    union all
    select o.session_id, 'paid', o.paid_at
    from shop.orders o
    where o.tenant_id = p_tenant_id and o.paid_at >= v_from and o.paid_at < v_to and o.session_id is not null
  ), viewed as (
    select s.*, min(s.at) filter (where s.step = 'page_view') over (partition by s.session_id) as viewed_at from steps s
  ), opened as (
    select s.*, min(s.at) filter (where s.step = 'view_product' and s.at >= s.viewed_at) over (partition by s.session_id) as opened_at from viewed s
  ), added as (
    select s.*, min(s.at) filter (where s.step = 'add_to_cart' and s.at >= s.opened_at) over (partition by s.session_id) as added_at from opened s
  ), started as (
    select s.*, min(s.at) filter (where s.step = 'checkout_start' and s.at >= s.added_at) over (partition by s.session_id) as started_at from added s
  ), sessions as (
    -- A step's time is the same in all rows of a session.
    select min(s.viewed_at) as viewed_at, min(s.opened_at) as opened_at, min(s.added_at) as added_at, min(s.started_at) as started_at,
      min(s.at) filter (where s.step = 'paid' and s.at >= s.started_at) as paid_at
    from started s
    group by s.session_id
  ), counts (ordinal, name, sessions) as (
    select k.ordinal, k.name, k.sessions
    from (select count(s.viewed_at) as viewed, count(s.opened_at) as opened, count(s.added_at) as added, count(s.started_at) as started,
            count(s.paid_at) as paid from sessions s) s,
      lateral (values (1, 'Page View', s.viewed), (2, 'Product View', s.opened), (3, 'Add to Cart', s.added), (4, 'Checkout Start', s.started),
                      (5, 'Payment', s.paid)) as k (ordinal, name, sessions)
  )
  select c.name, c.sessions,
    round(c.sessions * 100.0 / nullif(lag(c.sessions) over (order by c.ordinal), 0), 2),
    round(c.sessions * 100.0 / nullif(first_value(c.sessions) over (order by c.ordinal), 0), 2)
  from counts c
  order by c.ordinal;
end
$$;
comment on function analytics.funnel_stats(uuid, analytics.period) is
  'Sessions of people that reached each of five steps in order, within the period. Percent of the step before and of the first; null where that is 0.';

create function api.get_funnel_stats(start_date timestamptz default null, end_date timestamptz default null)
returns table (step_name text, unique_sessions bigint, conversion_from_previous numeric, overall_conversion numeric)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select f.step_name, f.unique_sessions, f.conversion_from_previous, f.overall_conversion
  from analytics.funnel_stats(v_tenant, analytics.period_between(v_tenant, start_date, end_date, 7, now())) with ordinality f
  order by f.ordinality;
end
$$;
comment on function api.get_funnel_stats(timestamptz, timestamptz) is
  'Staff (viewer). Five rows in order: Page View, Product View, Add to Cart, Checkout Start, Payment, over the days from that of start_date to the one before that of end_date; by default 7 days, today included.';
