-- Is the system well, and are the figures: system health and data quality (L-88, L-92, L-152; LD-103).
--
-- What: `system_health` reads ops.system_health_metrics. What has no sample is `unknown`, not `healthy` (LD-103: in the document 9000 ms of two
-- hours ago were healthy now). Uptime is measured: the share of the last day's whole minutes with a heartbeat of the jobs Worker, which ticks each
-- minute; the running minute is not over and does not count. Heartbeats belong to the installation, latencies to the tenant.
--
-- `data_quality` says how far the figures can be trusted: orders and events that do not hang together make funnels and channels wrong. Each check
-- counts what it looked at and what failed; the score is 100 less the mean share of failures. An order without a source is not a fault
-- (a direct visitor has none) and is not in the score.
--
-- `failing_functions` calls every other report as its page does, with the default parameters, each in a block of its own, and says which raised. The
-- list is fixed text in its body (LD-113: nothing that stands in a table is executed). A function that takes too long ends the call, as it would end
-- its own.
--
-- Called by api.get_system_health, api.get_data_quality.

set local role lonieve_owner;

create function analytics.health_status(p_value numeric, p_warning numeric, p_critical numeric) returns text
language sql immutable set search_path = '' as $$
  select case when p_value is null then 'unknown' when p_value < p_warning then 'healthy' when p_value < p_critical then 'warning' else 'critical' end
$$;
comment on function analytics.health_status(numeric, numeric, numeric) is 'healthy below p_warning, warning below p_critical, else critical; unknown without a value.';

create function analytics.system_health(p_tenant_id uuid, p_now timestamptz)
returns table (metric_name text, current_value numeric, avg_24h numeric, status text)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
declare
  v_minute constant timestamptz := date_trunc('minute', p_now);
  v_last constant timestamptz := (
    select max(m.recorded_at) from ops.system_health_metrics m where m.metric_type = 'uptime' and m.recorded_at <= p_now);
  v_first constant timestamptz := (select min(m.recorded_at) from ops.system_health_metrics m where m.metric_type = 'uptime');
  -- greatest() passes over a null: without a first heartbeat there is no time to look at.
  v_from constant timestamptz := case when v_first < v_minute then greatest(v_minute - interval '24 hours', date_trunc('minute', v_first)) end;
  v_age constant numeric := extract(epoch from p_now - v_last);
  v_uptime numeric;
begin
  return query
  select k.name, round(s.hour, 2), round(s.day, 2), analytics.health_status(s.hour, k.warning, k.critical)
  from (values (1, 'webhook_latency', 'webhook_avg_latency_ms', 1000, 3000), (2, 'email_send_time', 'email_avg_send_time_ms', 2000, 5000))
      as k (ordinal, type, name, warning, critical),
    lateral (
      select avg(m.metric_value) filter (where m.recorded_at >= p_now - interval '1 hour') as hour, avg(m.metric_value) as day
      from ops.system_health_metrics m
      where m.metric_type = k.type and m.tenant_id = p_tenant_id and m.recorded_at >= p_now - interval '24 hours' and m.recorded_at <= p_now) s
  order by k.ordinal;

  return query select 'jobs_heartbeat_age_s', round(v_age, 2), null::numeric, analytics.health_status(v_age, 120, 600);

  select count(distinct date_trunc('minute', m.recorded_at)) * 100.0 / (extract(epoch from v_minute - v_from) / 60) into v_uptime
  from ops.system_health_metrics m
  where m.metric_type = 'uptime' and m.recorded_at >= v_from and m.recorded_at < v_minute;
  return query select 'uptime_percent', round(v_uptime, 2), round(v_uptime, 2),
    case when v_uptime is null then 'unknown' when v_uptime >= 99.9 then 'healthy' when v_uptime >= 99 then 'warning' else 'critical' end;
end
$$;
comment on function analytics.system_health(uuid, timestamptz) is
  'Four rows: latency of webhooks and of mail (ms), age of the last heartbeat (s), uptime of the jobs Worker over a day (percent).';

create function analytics.failing_functions(p_tenant_id uuid, p_now timestamptz)
returns table (function_name text, is_failing boolean)
language plpgsql stable set search_path = '' as $$
declare
  v_week constant analytics.period := analytics.period_between(p_tenant_id, null, null, 7, p_now);
  v_month constant analytics.period := analytics.period_between(p_tenant_id, null, null, 30, p_now);
  v_call text[];
begin
  foreach v_call slice 1 in array array[
    ['get_funnel_stats', 'analytics.funnel_stats($1, $2)'],
    ['get_channel_stats_financial', 'analytics.channel_stats($1, $2)'],
    ['get_unit_economics', 'analytics.unit_economics($1, $3, $4)'],
    ['get_ltv_by_cohort', 'analytics.ltv_by_cohort($1, 30, $4)'],
    ['detect_anomalies', 'analytics.anomalies($1, $4)'],
    ['get_rfm_segments', 'analytics.rfm_segments($1, $4)'],
    ['get_abandoned_checkouts', 'analytics.abandoned_checkouts($1, 360, $4)'],
    ['get_winback_candidates', 'analytics.winback_candidates($1, 30, 2, $4)'],
    ['get_behavior_stats', 'analytics.behavior_stats($1, $2)'],
    ['get_system_health', 'analytics.system_health($1, $4)'],
    ['ai_get_revenue_last_n_days', 'analytics.sales_summary($1, $2)'],
    ['ai_get_profit_last_n_days', 'analytics.sales_summary($1, $2)'],
    ['ai_get_top_products', 'analytics.top_products($1, $3, 10)'],
    ['get_daily_metrics', 'analytics.daily_metrics_of($1, $3)']
  ] loop
    function_name := v_call[1];
    begin
      execute format('select pg_catalog.count(*) from %s', v_call[2]) using p_tenant_id, v_week, v_month, p_now;
      is_failing := false;
    exception when others then
      is_failing := true;
    end;
    return next;
  end loop;
end
$$;
comment on function analytics.failing_functions(uuid, timestamptz) is 'The reports of docs/analytics.md but data quality itself, each called once with its default parameters: does it fail?';

create function analytics.quality_checks(p_tenant_id uuid, p_period analytics.period, p_now timestamptz)
returns table (ordinal integer, check_name text, checked bigint, failed bigint, is_scored boolean, description text)
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
#variable_conflict use_column
declare
  v_from constant timestamptz := p_period.starts_at;
  v_to constant timestamptz := p_period.ends_at;
begin
  return query
  select c.ordinal, c.name, c.checked, c.failed, c.is_scored, c.description
  from (
    select count(*) as orders, count(*) filter (where o.session_id is null) as sessionless, count(*) filter (where o.utm_source is null) as sourceless
    from shop.orders o where o.tenant_id = p_tenant_id and o.created_at >= v_from and o.created_at < v_to) o,
  lateral (values
    (1, 'orders_without_session_id', true, o.orders, o.sessionless, 'Orders created in the period that no session belongs to: they are in no funnel.'),
    (2, 'orders_without_utm', false, o.orders, o.sourceless, 'Orders created in the period without a source. Direct visitors have none, so this is not a fault.')
  ) as c (ordinal, name, is_scored, checked, failed, description);

  return query
  select 3, 'orphaned_events', count(*), count(*) filter (where o.id is null), true,
    'Events that name an order (payment_redirect, payment_success, code_sent, payment_return): the order does not exist.'
  from (
    select ops.try_uuid(e.data ->> 'order_id') as order_id
    from analytics.events e
    where e.tenant_id = p_tenant_id and e.created_at >= v_from and e.created_at < v_to and e.bot is null
      and (e.event_type in ('payment_redirect', 'payment_success', 'code_sent') or (e.event_type = 'payment_return' and e.data ->> 'order_id' is not null))) e
  left join shop.orders o on o.id = e.order_id and o.tenant_id = p_tenant_id;

  return query
  select 4, 'funnel_integrity', count(*), count(*) filter (where s.session_id is null), true,
    'Paid orders of the period with a session in which no checkout was begun before the payment: events are missing.'
  from shop.orders o
  left join lateral (
    select e.session_id from analytics.events e
    where e.session_id = o.session_id and e.event_type = 'checkout_start' and e.tenant_id = p_tenant_id and e.created_at <= o.paid_at and e.bot is null
    limit 1) s on true
  where o.tenant_id = p_tenant_id and o.paid_at >= v_from and o.paid_at < v_to and o.session_id is not null;

  return query
  select 5, 'events_without_visit', count(*), count(*) filter (where e.visit_id is null), true, 'Visitors'' events of the period that belong to no visit.'
  from analytics.events e
  where e.tenant_id = p_tenant_id and e.created_at >= v_from and e.created_at < v_to and e.bot is null
    and e.event_type not in ('payment_redirect', 'payment_success', 'code_sent');

  return query
  select 6, 'sql_functions_health', count(*), count(*) filter (where f.is_failing), true,
    coalesce('Reports that fail when they are called: ' || string_agg(f.function_name, ', ' order by f.function_name) filter (where f.is_failing) || '.',
             'Reports that fail when they are called: none.')
  from analytics.failing_functions(p_tenant_id, p_now) f;
end
$$;
comment on function analytics.quality_checks(uuid, analytics.period, timestamptz) is 'What each check looked at and what failed; without status and score.';

create function analytics.data_quality(p_tenant_id uuid, p_period analytics.period, p_now timestamptz)
returns table (check_name text, checked bigint, failed bigint, failed_percentage numeric, status text, description text)
language sql stable set search_path = '' as $$
  with checks as materialized (
    select q.*, q.failed * 100.0 / nullif(q.checked, 0) as share from analytics.quality_checks(p_tenant_id, p_period, p_now) q
  ), score as (
    select round(100 - avg(c.share))::bigint as points from checks c where c.is_scored
  )
  select r.check_name, r.checked, r.failed, r.failed_percentage, r.status, r.description
  from (
    select c.ordinal, c.check_name, c.checked, c.failed, round(c.share, 2) as failed_percentage,
      case when not c.is_scored then 'info' when c.share is null then 'unknown' when c.failed = 0 then 'ok' when c.share < 5 then 'warning' else 'critical' end as status,
      c.description
    from checks c
    union all
    select 7, 'health_score', s.points, null, null,
      case when s.points is null then 'unknown' when s.points >= 95 then 'ok' when s.points >= 80 then 'warning' else 'critical' end,
      'The score, out of 100: 100 less the mean share of failures of the checks above that are in it.'
    from score s) r
  order by r.ordinal
$$;
comment on function analytics.data_quality(uuid, analytics.period, timestamptz) is
  'Seven rows: six checks with what they looked at, what failed and a status, and the score (in `checked`).';

create function api.get_system_health()
returns table (metric_name text, current_value numeric, avg_24h numeric, status text)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select h.metric_name, h.current_value, h.avg_24h, h.status from analytics.system_health(v_tenant, now()) with ordinality h order by h.ordinality;
end
$$;
comment on function api.get_system_health() is
  'Staff (viewer). webhook_avg_latency_ms, email_avg_send_time_ms, jobs_heartbeat_age_s, uptime_percent; status healthy, warning, critical or unknown.';

create function api.get_data_quality(start_date timestamptz default null, end_date timestamptz default null)
returns table (check_name text, checked bigint, failed bigint, failed_percentage numeric, status text, description text)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select q.check_name, q.checked, q.failed, q.failed_percentage, q.status, q.description
  from analytics.data_quality(v_tenant, analytics.period_between(v_tenant, start_date, end_date, 30, now()), now()) with ordinality q
  order by q.ordinality;
end
$$;
comment on function api.get_data_quality(timestamptz, timestamptz) is
  'Staff (viewer). Six checks and the health score over the days from that of start_date to the one before that of end_date; by default 30 days, today included.';
