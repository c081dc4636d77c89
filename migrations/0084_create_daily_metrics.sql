-- Figures per day and channel, kept ready: analytics.daily_metrics (L-67..L-69, L-124; LD-72..LD-76).
--
-- What: a materialized view with one row for each day of a shop and each channel that had a visit, an order or a payment on it. It stands on
-- the same functions as every other report (visits from 0078, money from 0079), so it says what they say, as of its last refresh.
--
--   sessions come from events (LD-74: the document counted the sessions of orders, and had 150 percent of them buy);
--   days are those of the tenant's time zone, whatever the zone of the session that refreshes (LD-75);
--   the unique index has plain columns and takes nulls for equal: REFRESH CONCURRENTLY accepts no other (LD-72), and empty text is
--   null before it gets here, so the two cannot collide (LD-73);
--   nobody has a right on it: row security does not reach into a materialized view (LD-76). `api.get_daily_metrics` hands out the tenant's own rows.
--
-- `api.refresh_daily_metrics` is called by the job `refresh_daily_metrics`, each hour: a day ends at another hour in each time zone, and the hours
-- include the document's 01:00. Readers are not kept waiting (CONCURRENTLY). A second refresh does not queue behind the first: it answers
-- `busy`. A refresh counts everything anew, so a late event, a refund of a cost or a changed time zone needs no care. It takes time
-- in proportion to the events that are kept; the function has a limit of its own on that (`statement_timeout`, which PostgREST applies
-- before the call; the role's 8 seconds are made for calls somebody waits for). docs/decisions/0044 has the figures.
--
-- `analytics.metric_refreshes` says when the figures were taken: a view does not know.
--
-- Rejected: the moment of the refresh as a column of the view (each row would differ each time, and CONCURRENTLY would write all of them
-- anew); days folded into a table one by one (late events and refunds reach back; what has to be counted again would be a second truth).

set local role lonieve_owner;

create materialized view analytics.daily_metrics as
  with facts as (
    select t.id as tenant_id, (v.started_at at time zone t.time_zone)::date as date, v.utm_source, v.utm_campaign,
      1 as session, 0 as created, 0 as paid, 0::numeric as revenue, 0::numeric as cost, 0 as unknown_cost
    from shop.tenants t, lateral analytics.visits(t.id, '-infinity', 'infinity') v
    union all
    select t.id, (o.created_at at time zone t.time_zone)::date, nullif(lower(o.utm_source), ''), nullif(lower(o.utm_campaign), ''), 0, 1, 0, 0, 0, 0
    from shop.tenants t join shop.orders o on o.tenant_id = t.id
    union all
    select t.id, (o.paid_at at time zone t.time_zone)::date, nullif(lower(o.utm_source), ''), nullif(lower(o.utm_campaign), ''), 0, 0, 1,
      o.revenue, coalesce(o.cost, 0), (o.cost is null)::integer
    from shop.tenants t, lateral analytics.paid_orders(t.id, analytics.all_time()) o
  ), days as (
    select f.date, f.tenant_id, f.utm_source, f.utm_campaign, sum(f.session) as sessions, sum(f.created) as total_orders, sum(f.paid) as paid_orders,
      sum(f.revenue) as revenue, case when sum(f.unknown_cost) = 0 then sum(f.cost) end as cost
    from facts f
    group by f.date, f.tenant_id, f.utm_source, f.utm_campaign
  )
  select d.date, d.tenant_id, d.utm_source, d.utm_campaign, d.sessions, d.total_orders, d.paid_orders, d.revenue, d.cost, d.revenue - d.cost as profit,
    case when d.paid_orders <= d.sessions then round(d.paid_orders * 100.0 / nullif(d.sessions, 0), 2) end as conversion_rate,
    round(d.revenue / nullif(d.paid_orders, 0), 2) as avg_order_value,
    case when d.cost is null then null when d.revenue = 0 then 0 else round((d.revenue - d.cost) * 100 / d.revenue, 2) end as margin_percentage
  from days d;
create unique index daily_metrics_key on analytics.daily_metrics (tenant_id, date, utm_source, utm_campaign) nulls not distinct;
comment on materialized view analytics.daily_metrics is
  'Per day of the tenant''s time zone and channel: visits, orders, money. As of the last refresh (analytics.metric_refreshes). No right for anybody.';
comment on column analytics.daily_metrics.total_orders is 'Created that day, paid or not.';
comment on column analytics.daily_metrics.paid_orders is 'Paid that day; revenue, cost and profit are theirs.';
comment on column analytics.daily_metrics.cost is 'Null where the cost of one of the orders is not known; profit and margin with it.';
comment on column analytics.daily_metrics.conversion_rate is 'Paid orders per 100 visits; null without a visit, and where orders exceed visits.';

create table analytics.metric_refreshes (
  name text constraint metric_refreshes_pkey primary key,
  refreshed_at timestamptz not null,
  duration_ms integer not null constraint metric_refreshes_duration_ms_not_negative check (duration_ms >= 0)
);
alter table analytics.metric_refreshes enable row level security;
insert into analytics.metric_refreshes (name, refreshed_at, duration_ms) values ('daily_metrics', now(), 0);
comment on table analytics.metric_refreshes is 'When each materialized view was refreshed last, and how long it took. Belongs to the installation.';
comment on column analytics.metric_refreshes.refreshed_at is 'What had been committed by then is in the figures.';

create function api.refresh_daily_metrics(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' set statement_timeout = '60s' as $$
declare
  v_started constant timestamptz := clock_timestamp();
  v_ms integer;
begin
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('refresh|analytics.daily_metrics', 0)) then
    return jsonb_build_object('outcome', 'busy');
  end if;
  refresh materialized view concurrently analytics.daily_metrics;
  v_ms := extract(epoch from clock_timestamp() - v_started) * 1000;
  insert into analytics.metric_refreshes as r (name, refreshed_at, duration_ms) values ('daily_metrics', v_started, v_ms)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, duration_ms = excluded.duration_ms;
  return jsonb_build_object('outcome', 'refreshed', 'duration_ms', v_ms);
end
$$;
comment on function api.refresh_daily_metrics(jsonb) is
  'Role: edge_jobs. p: {}. Counts analytics.daily_metrics anew: {outcome: refreshed, duration_ms}; {outcome: busy} while another refresh runs.';

create function analytics.daily_metrics_of(p_tenant_id uuid, p_period analytics.period)
returns table (date date, utm_source text, utm_campaign text, sessions bigint, total_orders bigint, paid_orders bigint, revenue numeric, cost numeric,
               profit numeric, conversion_rate numeric, avg_order_value numeric, margin_percentage numeric, refreshed_at timestamptz)
language sql stable set search_path = '' as $$
  select d.date, coalesce(d.utm_source, 'Direct'), coalesce(d.utm_campaign, 'N/A'), d.sessions, d.total_orders, d.paid_orders, d.revenue, d.cost, d.profit,
    d.conversion_rate, d.avg_order_value, d.margin_percentage, r.refreshed_at
  from analytics.daily_metrics d, analytics.metric_refreshes r
  where d.tenant_id = p_tenant_id and d.date >= (p_period).from_day and d.date < (p_period).to_day and r.name = 'daily_metrics'
  order by d.date, d.utm_source nulls first, d.utm_campaign nulls first
$$;
comment on function analytics.daily_metrics_of(uuid, analytics.period) is 'A tenant''s rows of analytics.daily_metrics, by day and channel, and when they were counted.';

create function api.get_daily_metrics(start_date timestamptz default null, end_date timestamptz default null)
returns table (date date, utm_source text, utm_campaign text, sessions bigint, total_orders bigint, paid_orders bigint, revenue numeric, cost numeric,
               profit numeric, conversion_rate numeric, avg_order_value numeric, margin_percentage numeric, refreshed_at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select d.date, d.utm_source, d.utm_campaign, d.sessions, d.total_orders, d.paid_orders, d.revenue, d.cost, d.profit, d.conversion_rate,
    d.avg_order_value, d.margin_percentage, d.refreshed_at
  from analytics.daily_metrics_of(v_tenant, analytics.period_between(v_tenant, start_date, end_date, 30, now())) with ordinality d
  order by d.ordinality;
end
$$;
comment on function api.get_daily_metrics(timestamptz, timestamptz) is
  'Staff (viewer). Rows of daily_metrics over the days from that of start_date to the one before that of end_date; by default 30 days, today included. As of refreshed_at.';

insert into ops.scheduled_jobs (job_name, job_type, schedule, job_config, priority, max_calls, lease_s) values
  ('refresh_daily_metrics', 'sql_function', '0 * * * *', '{}', 17, 1, 120);
