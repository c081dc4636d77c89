-- The rows behind the traffic on the staff pages, and the page of what happens now (L-137, L-138, L-148, L-149, L-152).
--
-- What: the visits of a period or channel, the sessions that reached a step of the funnel, single events, the orders and events a check of
-- data quality found, and one document for the real-time page. Words and rules: docs/analytics.md. What is answered: see 0096.
--
-- Called by: the admin Worker, through the doors of 0098.
--
-- An event's address, its data, its kind of device and country are shown; IP address and user agent are not: nobody adds them up, and staff
-- pages are read by more people than need to see them.
--
-- The window of the real-time page is the running minute and the 29 before it, and it names both ends, so that its figures
-- can be asked for again as rows while time goes on.
--
-- Rejected: counters of "active now" kept in a table (each event would write twice, and a crash would leave people on the page for ever).

set local role lonieve_owner;

create function analytics.active_visits(p_tenant_id uuid, p_since timestamptz)
returns table (visit_id uuid, session_id text, started_at timestamptz, ended_at timestamptz, utm_source text, utm_campaign text, device_type text,
               page_views bigint, other_events bigint)
language sql stable set search_path = '' as $$
  -- What has gone on for over a day without half an hour's pause is nobody who looks at a shop.
  select v.visit_id, v.session_id, v.started_at, v.ended_at, v.utm_source, v.utm_campaign, v.device_type, v.page_views, v.other_events
  from analytics.visits(p_tenant_id, p_since - interval '1 day', 'infinity') v
  where v.ended_at >= p_since
$$;
comment on function analytics.active_visits(uuid, timestamptz) is 'The visits with a visitor''s event since then.';

create function analytics.visit_rows(p_tenant_id uuid, p_period analytics.period, p jsonb) returns jsonb
language sql stable set search_path = '' as $$
  with visits as (
    select v.visit_id, v.session_id, v.started_at, v.ended_at, v.utm_source, v.utm_campaign, coalesce(v.device_type, 'unknown') as device_type,
      v.page_views, v.other_events
    from analytics.visits(p_tenant_id, (p_period).starts_at, (p_period).ends_at) v
    where p ->> 'active_since' is null
    union all
    select a.visit_id, a.session_id, a.started_at, a.ended_at, a.utm_source, a.utm_campaign, coalesce(a.device_type, 'unknown'), a.page_views, a.other_events
    from analytics.active_visits(p_tenant_id, ops.try_time(p ->> 'active_since')) a
    where p ->> 'active_since' is not null
  ), found as (
    select v.* from visits v
    where analytics.is_channel(p, v.utm_source, v.utm_campaign) and (p ->> 'device_type' is null or v.device_type = p ->> 'device_type')
  )
  select analytics.rows_report(p_tenant_id,
    (select count(*) from found),
    (select jsonb_build_object('page_views', coalesce(sum(f.page_views), 0)) from found f),
    (select jsonb_agg(jsonb_build_object('visit_id', f.visit_id, 'session_id', f.session_id, 'started_at', ops.iso(f.started_at),
       'ended_at', ops.iso(f.ended_at), 'utm_source', coalesce(f.utm_source, 'Direct'), 'utm_campaign', coalesce(f.utm_campaign, 'N/A'),
       'device_type', f.device_type, 'page_views', f.page_views, 'other_events', f.other_events) order by f.started_at desc, f.visit_id)
     from (select * from found order by started_at desc, visit_id limit analytics.rows_limit(p)) f))
$$;
comment on function analytics.visit_rows(uuid, analytics.period, jsonb) is
  'The visits that began in a period, of one channel or kind of device; with p.active_since instead those with a visitor''s event since then. Latest first.';

create function analytics.funnel_session_rows(p_tenant_id uuid, p_period analytics.period, p jsonb) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
begin
  if (p ->> 'step' ~ '^[1-5]$') is not true then
    raise exception 'invalid_step' using errcode = '22023', hint = 'step is from 1 (Page View) to 5 (Payment).';
  end if;
  return (
    -- One pass over one list, as in 0080: a join for each step costs seconds where the planner expects a row.
    with steps as (
      select e.session_id, e.event_type as step, e.created_at as at, null::uuid as order_id from analytics.events e
      where e.tenant_id = p_tenant_id and e.created_at >= (p_period).starts_at and e.created_at < (p_period).ends_at and e.bot is null
        and e.event_type in ('page_view', 'view_product', 'add_to_cart', 'checkout_start')
      union all
      select o.session_id, 'paid', o.paid_at, o.id from shop.orders o
      where o.tenant_id = p_tenant_id and o.paid_at >= (p_period).starts_at and o.paid_at < (p_period).ends_at and o.session_id is not null
    ), w1 as (
      select s.*, min(s.at) filter (where s.step = 'page_view') over (partition by s.session_id) as t1 from steps s
    ), w2 as (
      select s.*, min(s.at) filter (where s.step = 'view_product' and s.at >= s.t1) over (partition by s.session_id) as t2 from w1 s
    ), w3 as (
      select s.*, min(s.at) filter (where s.step = 'add_to_cart' and s.at >= s.t2) over (partition by s.session_id) as t3 from w2 s
    ), w4 as (
      select s.*, min(s.at) filter (where s.step = 'checkout_start' and s.at >= s.t3) over (partition by s.session_id) as t4 from w3 s
    ), s5 as (
      select s.session_id, min(s.t1) as t1, min(s.t2) as t2, min(s.t3) as t3, min(s.t4) as t4,
        min(s.at) filter (where s.step = 'paid' and s.at >= s.t4) as t5,
        (array_agg(s.order_id order by s.at, s.order_id) filter (where s.step = 'paid' and s.at >= s.t4))[1] as order_id
      from w4 s group by s.session_id
    ), found as (
      select s.* from s5 s where (array[s.t1, s.t2, s.t3, s.t4, s.t5])[(p ->> 'step')::integer] is not null
    )
    select analytics.rows_report(p_tenant_id,
      (select count(*) from found),
      (select jsonb_build_object('product_view', count(f.t2), 'add_to_cart', count(f.t3), 'checkout_start', count(f.t4), 'payment', count(f.t5)) from found f),
      (select jsonb_agg(jsonb_build_object('session_id', f.session_id, 'page_view_at', ops.iso(f.t1), 'product_view_at', ops.iso(f.t2),
         'add_to_cart_at', ops.iso(f.t3), 'checkout_start_at', ops.iso(f.t4), 'paid_at', ops.iso(f.t5), 'order_id', f.order_id) order by f.t1 desc, f.session_id)
       from (select * from found order by t1 desc, session_id limit analytics.rows_limit(p)) f)));
end
$$;
comment on function analytics.funnel_session_rows(uuid, analytics.period, jsonb) is
  'The sessions that reached step p.step (1 Page View to 5 Payment) of get_funnel_stats, with the moment of each step they did in this order.';

create function analytics.event_rows(p_tenant_id uuid, p jsonb, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  with found as (
    select e.* from analytics.events e,
      (select coalesce(ops.try_time(p ->> 'end_time'), p_now) as ends_at) w
    where e.tenant_id = p_tenant_id and e.bot is null
      and e.created_at >= coalesce(ops.try_time(p ->> 'start_time'), w.ends_at - interval '30 minutes') and e.created_at < w.ends_at
      and (p ->> 'event_type' is null or e.event_type = p ->> 'event_type')
      and (p ->> 'session_id' is null or e.session_id = p ->> 'session_id')
  )
  select analytics.rows_report(p_tenant_id,
    (select count(*) from found),
    (select jsonb_build_object('sessions', count(distinct f.session_id)) from found f),
    (select jsonb_agg(jsonb_build_object('event_id', f.event_id, 'created_at', ops.iso(f.created_at), 'event_type', f.event_type, 'session_id', f.session_id,
       'visit_id', f.visit_id, 'url', f.url, 'utm_source', f.utm_source, 'utm_campaign', f.utm_campaign, 'device_type', f.device_type,
       'country', f.country, 'data', f.data) order by f.created_at desc, f.event_id)
     from (select * from found order by created_at desc, event_id limit analytics.rows_limit(p)) f))
$$;
comment on function analytics.event_rows(uuid, jsonb, timestamptz) is
  'Events of people from p.start_time up to, not including, p.end_time (exact moments; by default the last 30 minutes), of one type or session. Latest first.';

create function analytics.data_quality_rows(p_tenant_id uuid, p_period analytics.period, p jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_check constant text := p ->> 'check_name';
begin
  if (v_check in ('orders_without_session_id', 'orders_without_utm', 'orphaned_events', 'funnel_integrity', 'events_without_visit')) is not true then
    raise exception 'invalid_check' using errcode = '22023', hint = 'A check of get_data_quality that counts rows.';
  end if;
  return (
    with found as (
      select 'order' as kind, o.id::text as id, o.created_at as at, o.email as about, o.status as state
      from shop.orders o
      where v_check in ('orders_without_session_id', 'orders_without_utm') and o.tenant_id = p_tenant_id
        and o.created_at >= (p_period).starts_at and o.created_at < (p_period).ends_at
        and case v_check when 'orders_without_session_id' then o.session_id is null else o.utm_source is null end
      union all
      select 'order', o.id::text, o.paid_at, o.email, o.status
      from shop.orders o
      where v_check = 'funnel_integrity' and o.tenant_id = p_tenant_id and o.session_id is not null
        and o.paid_at >= (p_period).starts_at and o.paid_at < (p_period).ends_at
        and not exists (
          select from analytics.events e
          where e.tenant_id = p_tenant_id and e.session_id = o.session_id and e.event_type = 'checkout_start' and e.bot is null
            and e.created_at <= o.paid_at)
      union all
      select 'event', e.event_id::text, e.created_at, coalesce(e.data ->> 'order_id', e.session_id), e.event_type
      from analytics.events e
      where v_check in ('orphaned_events', 'events_without_visit') and e.tenant_id = p_tenant_id and e.bot is null
        and e.created_at >= (p_period).starts_at and e.created_at < (p_period).ends_at
        and case v_check
              when 'events_without_visit' then e.visit_id is null and e.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
              else (e.event_type in ('payment_redirect', 'payment_success', 'code_sent') or (e.event_type = 'payment_return' and e.data ->> 'order_id' is not null))
                and not exists (select from shop.orders o where o.tenant_id = p_tenant_id and o.id = ops.try_uuid(e.data ->> 'order_id'))
            end
    )
    select analytics.rows_report(p_tenant_id, (select count(*) from found), '{}'::jsonb,
      (select jsonb_agg(jsonb_build_object('kind', f.kind, 'id', f.id, 'at', ops.iso(f.at), 'about', f.about, 'state', f.state) order by f.at desc, f.id)
       from (select * from found order by at desc, id limit analytics.rows_limit(p)) f)));
end
$$;
comment on function analytics.data_quality_rows(uuid, analytics.period, jsonb) is
  'What p.check_name of get_data_quality found: kind (order, event), id, at, about (an address; the order an event names, or its session), state (the order''s status, the event''s type).';

create function analytics.realtime(p_tenant_id uuid, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  with days as (
    select analytics.make_period(p_tenant_id, d.today, d.today + 1, p_now) as day, date_trunc('minute', p_now) - interval '29 minutes' as from_time
    from (select analytics.tenant_today(p_tenant_id, p_now) as today) d
  ), recent as (
    select e.event_type, e.created_at from analytics.events e, days d
    where e.tenant_id = p_tenant_id and e.bot is null and e.created_at >= d.from_time and e.created_at < p_now
  ), active as (
    select a.ended_at from analytics.active_visits(p_tenant_id, p_now - interval '30 minutes') a
  ), minutes as (
    select date_trunc('minute', e.created_at) as minute, e.event_type, count(*) as events
    from recent e group by 1, 2
  ), sold as (
    select count(*) as orders, coalesce(sum(o.revenue), 0) as revenue from days d, analytics.paid_orders(p_tenant_id, d.day) o
  ), visited as (
    select count(*) as visits from days d, analytics.visits(p_tenant_id, (d.day).starts_at, (d.day).ends_at) v
  )
  select jsonb_build_object(
    'now', ops.iso(p_now), 'today', (d.day).from_day, 'from_time', ops.iso(d.from_time),
    'active_5', (select count(*) from active a where a.ended_at >= p_now - interval '5 minutes'),
    'active_30', (select count(*) from active),
    'visits', v.visits, 'orders', s.orders, 'revenue', ops.money(s.revenue),
    'conversion_rate', case when s.orders <= v.visits then round(s.orders * 100.0 / nullif(v.visits, 0), 2)::text end,
    'events', (select coalesce(jsonb_agg(jsonb_build_object('minute', ops.iso(m.minute), 'event_type', m.event_type, 'events', m.events)
                                         order by m.minute, m.event_type), '[]') from minutes m),
    'latest_orders', (
      select coalesce(jsonb_agg(jsonb_build_object('order_id', o.id, 'created_at', ops.iso(o.created_at), 'paid_at', ops.iso(o.paid_at), 'email', o.email,
        'amount', ops.money(o.total_amount), 'status', o.status, 'fulfilment', o.fulfilment,
        'utm_source', coalesce(lower(o.utm_source), 'Direct')) order by o.created_at desc, o.id), '[]')
      from (select * from shop.orders o where o.tenant_id = p_tenant_id order by o.created_at desc, o.id limit 20) o))
  from days d, sold s, visited v
$$;
comment on function analytics.realtime(uuid, timestamptz) is
  'What happens now: visits active in the last 5 and 30 minutes, today''s visits, paid orders, revenue and conversion, events of people by minute and type from from_time up to now, the 20 newest orders.';
