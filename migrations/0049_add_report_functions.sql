-- The doors to the reports: one per intent of the copilot, and the functions of the document under their own names.
--
-- What: `api.ask_*` take a plan's arguments and answer one document, {outcome, period, currency, rows}; the copilot Worker has
-- a list of these names and calls nothing else. The five others keep name, arguments and columns of the document. Both stand on the
-- same functions of `analytics`, so they cannot disagree.
--
-- Every one starts with ops.require_staff('viewer'), takes the tenant from it, and only reads: PostgREST runs a STABLE function in a
-- read-only transaction, so whatever a question says, nothing can be written through them.
--
-- `ask_*`: amounts are text with two decimals (ops.money), what is not known is null. A period that begins after today is
-- answered `period_in_future`, not with zeros. The documents' functions give plain numerics, as their signatures say.
--
-- Rejected: a single function with the intent as an argument (a grant per intent is a list anybody can read); `start_date` of the document
-- with a moment as default (cut by moments, an order at the edge counts twice, LD-85).

set local role lonieve_owner;

create function analytics.report(p_tenant_id uuid, p_period analytics.period, p_rows jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'outcome', case when (p_period).from_day > (p_period).today then 'period_in_future' else 'ok' end,
    'period', jsonb_build_object('from', (p_period).from_day, 'to', (p_period).to_day - 1, 'time_zone', (p_period).time_zone,
                                 'ends_in_future', (p_period).to_day - 1 > (p_period).today),
    'currency', t.currency,
    'rows', coalesce(p_rows, '[]'::jsonb))
  from shop.tenants t where t.id = p_tenant_id
$$;
comment on function analytics.report(uuid, analytics.period, jsonb) is 'The document every api.ask_* answers. period.to is the last day itself.';

create function analytics.report_limit(p jsonb) returns integer
language sql immutable set search_path = '' as $$
  select least(greatest(case when p ->> 'limit' ~ '^[0-9]{1,4}$' then (p ->> 'limit')::integer else 10 end, 1), 100)
$$;
comment on function analytics.report_limit(jsonb) is 'p.limit between 1 and 100; 10 without one.';

create function api.ask_revenue(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_period analytics.period := analytics.resolve_period(v_tenant, p -> 'period', ops.request_time(p));
begin
  return analytics.report(v_tenant, v_period, (
    select jsonb_agg(jsonb_build_object('revenue', ops.money(s.revenue), 'orders', s.orders, 'unclear_orders', s.unclear_orders))
    from analytics.sales_summary(v_tenant, v_period) s));
end
$$;
comment on function api.ask_revenue(jsonb) is 'Staff (viewer). p: period. One row: revenue, orders, unclear_orders.';

create function api.ask_profit(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_period analytics.period := analytics.resolve_period(v_tenant, p -> 'period', ops.request_time(p));
begin
  return analytics.report(v_tenant, v_period, (
    select jsonb_agg(jsonb_build_object('true_profit', ops.money(s.true_profit), 'revenue', ops.money(s.revenue), 'cost', ops.money(s.cost),
      'gross_profit', ops.money(s.gross_profit), 'fees', ops.money(s.fees), 'refunds', ops.money(s.refunds), 'contribution', ops.money(s.contribution),
      'ad_spend', ops.money(s.ad_spend), 'orders', s.orders, 'unknown_cost_orders', s.unknown_cost_orders, 'unclear_orders', s.unclear_orders))
    from analytics.sales_summary(v_tenant, v_period) s));
end
$$;
comment on function api.ask_profit(jsonb) is 'Staff (viewer). p: period. One row: true_profit and all it is made of. Profits are null where an order''s cost is not known.';

create function api.ask_orders(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_period analytics.period := analytics.resolve_period(v_tenant, p -> 'period', ops.request_time(p));
begin
  return analytics.report(v_tenant, v_period, (
    select jsonb_agg(jsonb_build_object('orders', s.orders, 'unclear_orders', s.unclear_orders, 'revenue', ops.money(s.revenue),
      'average_order', ops.money(s.revenue / nullif(s.orders - s.unclear_orders, 0)),
      'placed', (select count(*) from shop.orders o
                 where o.tenant_id = v_tenant and o.created_at >= v_period.starts_at and o.created_at < v_period.ends_at)))
    from analytics.sales_summary(v_tenant, v_period) s));
end
$$;
comment on function api.ask_orders(jsonb) is 'Staff (viewer). p: period. One row: orders (paid in the period), placed (created in it, paid or not), revenue, average_order, unclear_orders.';

create function api.ask_top_products(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_period analytics.period := analytics.resolve_period(v_tenant, p -> 'period', ops.request_time(p));
begin
  return analytics.report(v_tenant, v_period, (
    select jsonb_agg(jsonb_build_object('product_name', t.product_name, 'brand', t.brand, 'orders_count', t.orders_count, 'units', t.units,
      'revenue', ops.money(t.revenue)) order by t.ordinality)
    from analytics.top_products(v_tenant, v_period, analytics.report_limit(p)) with ordinality t));
end
$$;
comment on function api.ask_top_products(jsonb) is 'Staff (viewer). p: period, limit. Rows by revenue: product_name, brand, orders_count, units, revenue.';

create function api.ask_top_customers(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_period analytics.period := analytics.resolve_period(v_tenant, p -> 'period', ops.request_time(p));
begin
  return analytics.report(v_tenant, v_period, (
    select jsonb_agg(jsonb_build_object('email', t.email, 'name', t.customer_name, 'orders_count', t.orders_count, 'revenue', ops.money(t.revenue),
      'refunded', ops.money(t.refunded), 'net', ops.money(t.net)) order by t.ordinality)
    from analytics.top_customers(v_tenant, v_period, analytics.report_limit(p)) with ordinality t));
end
$$;
comment on function api.ask_top_customers(jsonb) is 'Staff (viewer). p: period, limit. Rows by net: email, name, orders_count, revenue, refunded, net.';

create function api.ask_channels(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_period analytics.period := analytics.resolve_period(v_tenant, p -> 'period', ops.request_time(p));
begin
  return analytics.report(v_tenant, v_period, (
    select jsonb_agg(jsonb_build_object('utm_source', t.utm_source, 'utm_campaign', t.utm_campaign, 'sessions', t.sessions, 'orders', t.orders,
      'revenue', ops.money(t.revenue), 'cost', ops.money(t.cost), 'profit', ops.money(t.profit), 'ad_spend', ops.money(t.ad_spend),
      'roi_percentage', t.roi_percentage::text, 'mer', t.mer::text, 'conversion_rate', t.conversion_rate::text) order by t.ordinality)
    from analytics.channel_stats(v_tenant, v_period) with ordinality t
    where t.ordinality <= analytics.report_limit(p)));
end
$$;
comment on function api.ask_channels(jsonb) is 'Staff (viewer). p: period, limit. Rows by gross profit with the columns of get_channel_stats_financial.';

create function api.ask_alerts(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_now timestamptz := ops.request_time(p);
  v_named boolean := jsonb_typeof(p -> 'period') = 'object';
  v_period analytics.period := analytics.resolve_period(v_tenant, case when v_named then p -> 'period' else '{"kind": "today"}' end, v_now);
  v_ids uuid[];
begin
  select array_agg(n.id) into v_ids from ops.system_notifications n
  where n.tenant_id = v_tenant
    and case when v_named then n.created_at >= v_period.starts_at and n.created_at < v_period.ends_at else not n.is_resolved end;
  return analytics.report(v_tenant, v_period, (
    select jsonb_agg(a.row order by a.rank, a.last_seen_at desc, a.id)
    from (
      select n.id, n.last_seen_at, array_position(array['critical', 'warning', 'info'], n.severity) as rank,
        jsonb_build_object('severity', n.severity, 'type', n.type, 'title', n.title, 'message', n.message, 'occurrences', n.occurrences,
          'is_resolved', n.is_resolved, 'created_at', ops.iso(n.created_at), 'last_seen_at', ops.iso(n.last_seen_at)) as row
      from ops.system_notifications n
      where n.id = any (v_ids)
      order by 3, 2 desc, 1
      limit 50) a)
  ) || jsonb_build_object('total', coalesce(cardinality(v_ids), 0));
end
$$;
comment on function api.ask_alerts(jsonb) is
  'Staff (viewer). p: period or nothing. Without a period the open alerts, with one those opened in it; the 50 gravest as rows, all of them in `total`.';

create function api.ask_unit_economics(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_now timestamptz := ops.request_time(p);
  v_period analytics.period := analytics.resolve_period(v_tenant, p -> 'period', v_now);
begin
  return analytics.report(v_tenant, v_period, (
    select jsonb_agg(jsonb_build_object('metric_name', u.metric_name, 'unit', u.unit,
      'metric_value', case u.unit when 'count' then u.metric_value::text else ops.money(u.metric_value) end,
      'period_comparison', u.period_comparison::text) order by u.ordinal)
    from analytics.unit_economics(v_tenant, v_period, v_now) u));
end
$$;
comment on function api.ask_unit_economics(jsonb) is 'Staff (viewer). p: period. Twelve rows with the columns of get_unit_economics, and each one''s unit: count, money or ratio.';

create function api.get_unit_economics(start_date timestamptz default null, end_date timestamptz default null)
returns table (metric_name text, metric_value numeric, period_comparison numeric)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select u.metric_name, u.metric_value, u.period_comparison
  from analytics.unit_economics(v_tenant, analytics.period_between(v_tenant, start_date, end_date, 30, now()), now()) u
  order by u.ordinal;
end
$$;
comment on function api.get_unit_economics(timestamptz, timestamptz) is
  'Staff (viewer). Twelve figures over the days from that of start_date to the one before that of end_date; by default 30 days, today included. period_comparison: change in percent against as many days before.';

create function api.get_channel_stats_financial(start_date timestamptz default null, end_date timestamptz default null, filter_tenant_id uuid default null)
returns table (utm_source text, utm_campaign text, sessions bigint, orders bigint, revenue numeric, cost numeric, profit numeric, ad_spend numeric,
               roi_percentage numeric, mer numeric, conversion_rate numeric)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  if filter_tenant_id <> v_tenant then
    raise exception 'not_staff' using errcode = '42501';
  end if;
  return query
  select t.utm_source, t.utm_campaign, t.sessions, t.orders, t.revenue, t.cost, t.profit, t.ad_spend, t.roi_percentage, t.mer, t.conversion_rate
  from analytics.channel_stats(v_tenant, analytics.period_between(v_tenant, start_date, end_date, 7, now())) with ordinality t
  order by t.ordinality;
end
$$;
comment on function api.get_channel_stats_financial(timestamptz, timestamptz, uuid) is
  'Staff (viewer). Channels by gross profit over the days from that of start_date to the one before that of end_date; by default 7 days, today included. filter_tenant_id can only name the caller''s own tenant.';

create function api.ai_get_revenue_last_n_days(days integer default 7) returns numeric
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return (select s.revenue
          from analytics.sales_summary(v_tenant, analytics.period_between(v_tenant, null, null, least(greatest(days, 1), 3660), now())) s);
end
$$;
comment on function api.ai_get_revenue_last_n_days(integer) is 'Staff (viewer). Revenue of the last days, today included (1 to 3660).';

create function api.ai_get_profit_last_n_days(days integer default 7) returns numeric
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return (select s.gross_profit
          from analytics.sales_summary(v_tenant, analytics.period_between(v_tenant, null, null, least(greatest(days, 1), 3660), now())) s);
end
$$;
comment on function api.ai_get_profit_last_n_days(integer) is 'Staff (viewer). Gross profit (revenue less cost, as in the document) of the last days, today included; null where a cost is not known.';

create function api.ai_get_top_products(limit_count integer default 10)
returns table (product_name text, brand text, orders_count bigint, revenue numeric)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select t.product_name, t.brand, t.orders_count, t.revenue
  from analytics.top_products(v_tenant, analytics.period_between(v_tenant, null, null, 30, now()), least(greatest(limit_count, 1), 100)) with ordinality t
  order by t.ordinality;
end
$$;
comment on function api.ai_get_top_products(integer) is 'Staff (viewer). Products by revenue over the last 30 days, today included; 1 to 100 rows.';

grant execute on function api.ask_revenue(jsonb) to authenticated;
grant execute on function api.ask_profit(jsonb) to authenticated;
grant execute on function api.ask_orders(jsonb) to authenticated;
grant execute on function api.ask_top_products(jsonb) to authenticated;
grant execute on function api.ask_top_customers(jsonb) to authenticated;
grant execute on function api.ask_channels(jsonb) to authenticated;
grant execute on function api.ask_alerts(jsonb) to authenticated;
grant execute on function api.ask_unit_economics(jsonb) to authenticated;
grant execute on function api.get_unit_economics(timestamptz, timestamptz) to authenticated;
grant execute on function api.get_channel_stats_financial(timestamptz, timestamptz, uuid) to authenticated;
grant execute on function api.ai_get_revenue_last_n_days(integer) to authenticated;
grant execute on function api.ai_get_profit_last_n_days(integer) to authenticated;
grant execute on function api.ai_get_top_products(integer) to authenticated;
