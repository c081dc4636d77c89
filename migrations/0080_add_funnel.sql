-- The funnel: how far sessions come (L-70, L-71; LD-87).
--
-- What: five steps, each reached only through the one before it, and not earlier in time. The document counted five things that had
-- nothing to do with each other: whoever came by a link to the checkout made it 200 percent, and "Payment" was any paid order.
--
-- Unit: the session, not the visit, because a purchase may take two days; its events and its payment must lie in the period. Payment is a paid
-- order of that session, never an event: a browser's word is not money.
--
-- How: the four types of the period are read once, by the range; each step is then a hash join of the sessions that reached the one before with
-- their events. An event that comes first in time but out of order (a product opened in a new tab before the page that counts) is not
-- lost: the step takes the first one at or after the step before.
--
-- Called by api.get_funnel_stats.
--
-- Rejected: the document's independent counts; window functions over all sessions (a sort of the period's events for what hashes do).

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
  with steps as materialized (
    select e.session_id, e.event_type, e.created_at
    from analytics.events e
    where e.tenant_id = p_tenant_id and e.created_at >= v_from and e.created_at < v_to and e.bot is null
      and e.event_type in ('page_view', 'view_product', 'add_to_cart', 'checkout_start')
  ), viewed as (
    select s.session_id, min(s.created_at) as at from steps s where s.event_type = 'page_view' group by s.session_id
  ), opened as (
    select s.session_id, min(s.created_at) as at from viewed r join steps s on s.session_id = r.session_id
    where s.event_type = 'view_product' and s.created_at >= r.at group by s.session_id
  ), added as (
    select s.session_id, min(s.created_at) as at from opened r join steps s on s.session_id = r.session_id
    where s.event_type = 'add_to_cart' and s.created_at >= r.at group by s.session_id
  ), started as (
    select s.session_id, min(s.created_at) as at from added r join steps s on s.session_id = r.session_id
    where s.event_type = 'checkout_start' and s.created_at >= r.at group by s.session_id
  ), paid as (
    select distinct r.session_id from started r join shop.orders o on o.session_id = r.session_id
    where o.tenant_id = p_tenant_id and o.paid_at >= v_from and o.paid_at < v_to and o.paid_at >= r.at
  ), counts (ordinal, name, sessions) as (
    select 1, 'Page View', count(*) from viewed
    union all select 2, 'Product View', count(*) from opened
    union all select 3, 'Add to Cart', count(*) from added
    union all select 4, 'Checkout Start', count(*) from started
    union all select 5, 'Payment', count(*) from paid
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
