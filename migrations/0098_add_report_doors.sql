-- The doors to the reports' rows, and one door to the documents' functions for who has days instead of moments.
--
-- What: a function of schema `api` for each function of 0096 and 0097, and `get_report`, which calls one of the documents' functions by name
-- and answers {currency, rows}. The name is a word that is compared, never a piece of SQL: what is not in the list raises 22023.
--
-- Why `get_report`: the documents' functions take `timestamptz`. A day of the shop can become one only where its time zone is known, which
-- is here; the admin Worker would need a second call to learn it. It also gives the rows their order and the currency. The figures
-- are those of the functions themselves, so the page cannot differ from them.
--
-- Every one starts with ops.require_staff('viewer'), takes the tenant from it, and only reads (STABLE: PostgREST makes the transaction read-only).
--
-- Called by: the admin Worker, GET /api/admin/reports/{function}.

set local role lonieve_owner;

create function api.get_report(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_start timestamptz := analytics.day_or_time(v_tenant, p ->> 'start_date');
  v_end timestamptz := analytics.day_or_time(v_tenant, p ->> 'end_date');
  v_rows jsonb;
begin
  case p ->> 'function'
    when 'get_funnel_stats' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.get_funnel_stats(start_date => v_start, end_date => v_end) with ordinality r;
    when 'get_channel_stats_financial' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.get_channel_stats_financial(start_date => v_start, end_date => v_end, filter_tenant_id => (p ->> 'filter_tenant_id')::uuid) with ordinality r;
    when 'get_unit_economics' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.get_unit_economics(start_date => v_start, end_date => v_end) with ordinality r;
    when 'get_ltv_by_cohort' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.get_ltv_by_cohort(cohort_period_days => coalesce((p ->> 'cohort_period_days')::integer, 30)) with ordinality r;
    when 'detect_anomalies' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows from api.detect_anomalies() with ordinality r;
    when 'get_rfm_segments' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows from api.get_rfm_segments() with ordinality r;
    when 'get_abandoned_checkouts' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.get_abandoned_checkouts(minutes_ago => coalesce((p ->> 'minutes_ago')::integer, 360)) with ordinality r;
    when 'get_winback_candidates' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.get_winback_candidates(days_since_last => coalesce((p ->> 'days_since_last')::integer, 30),
                                      min_previous_orders => coalesce((p ->> 'min_previous_orders')::integer, 2)) with ordinality r;
    when 'get_behavior_stats' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.get_behavior_stats(start_date => v_start, end_date => v_end) with ordinality r;
    when 'get_system_health' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows from api.get_system_health() with ordinality r;
    when 'get_daily_metrics' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.get_daily_metrics(start_date => v_start, end_date => v_end) with ordinality r;
    when 'get_data_quality' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.get_data_quality(start_date => v_start, end_date => v_end) with ordinality r;
    when 'ai_get_top_products' then
      select jsonb_agg(to_jsonb(r) - 'ordinality' order by r.ordinality) into v_rows
      from api.ai_get_top_products(limit_count => coalesce((p ->> 'limit_count')::integer, 10)) with ordinality r;
    when 'ai_get_revenue_last_n_days' then
      v_rows := jsonb_build_array(jsonb_build_object('value', api.ai_get_revenue_last_n_days(days => coalesce((p ->> 'days')::integer, 7))));
    when 'ai_get_profit_last_n_days' then
      v_rows := jsonb_build_array(jsonb_build_object('value', api.ai_get_profit_last_n_days(days => coalesce((p ->> 'days')::integer, 7))));
    else
      raise exception 'unknown_report' using errcode = '22023', hint = 'A function of docs/analytics.md.';
  end case;
  return jsonb_build_object('currency', (select t.currency from shop.tenants t where t.id = v_tenant), 'rows', coalesce(v_rows, '[]'::jsonb));
end
$$;
comment on function api.get_report(jsonb) is
  'Staff (viewer). p: function (of docs/analytics.md) and its parameters; start_date and end_date are days of the shop or RFC 3339 times. {currency, rows}: the function''s rows in its order; a single number as {value}.';

create function api.get_shop_settings(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return (
    select jsonb_build_object('currency', t.currency, 'rows', jsonb_build_array(jsonb_build_object(
      'tenant_name', t.name, 'currency', t.currency, 'time_zone', t.time_zone, 'today', analytics.tenant_today(t.id, ops.request_time(p)))))
    from shop.tenants t where t.id = v_tenant);
end
$$;
comment on function api.get_shop_settings(jsonb) is 'Staff (viewer). One row: tenant_name, currency, time_zone, today (the day it is there). What a page must know before it asks for a period.';

create function api.get_paid_orders(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.paid_order_rows(v_tenant, analytics.asked_period(v_tenant, p, 30, ops.request_time(p)), p);
end
$$;
comment on function api.get_paid_orders(jsonb) is
  'Staff (viewer). p: start_date, end_date (30 days), utm_source, utm_campaign, email, first_orders, limit. {currency, total, sums: revenue, cost, profit, fees, refunded, customers, first_orders, unclear_orders; rows}.';

create function api.get_fee_rows(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.fee_rows(v_tenant, analytics.asked_period(v_tenant, p, 30, ops.request_time(p)), p);
end
$$;
comment on function api.get_fee_rows(jsonb) is 'Staff (viewer). p: start_date, end_date (30 days), limit. Fees of the orders paid then; sums: fee_amount.';

create function api.get_refund_rows(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.refund_rows(v_tenant, analytics.asked_period(v_tenant, p, 30, ops.request_time(p)), p);
end
$$;
comment on function api.get_refund_rows(jsonb) is 'Staff (viewer). p: start_date, end_date (30 days), email, limit. Refunds and chargebacks completed then; sums: refund_amount.';

create function api.get_ad_spend_rows(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.ad_spend_rows(v_tenant, analytics.asked_period(v_tenant, p, 30, ops.request_time(p)), p);
end
$$;
comment on function api.get_ad_spend_rows(jsonb) is 'Staff (viewer). p: start_date, end_date (30 days), utm_source, utm_campaign, limit. Advertising by day and channel; sums: spend, clicks, impressions.';

create function api.get_product_rows(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.product_rows(v_tenant, analytics.asked_period(v_tenant, p, 30, ops.request_time(p)), p);
end
$$;
comment on function api.get_product_rows(jsonb) is 'Staff (viewer). p: product_name, brand, start_date, end_date (30 days), limit. Sold items; sums: revenue, orders, units.';

create function api.get_rfm_summary(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return jsonb_build_object('currency', (select t.currency from shop.tenants t where t.id = v_tenant), 'rows', (
    select coalesce(jsonb_agg(to_jsonb(s) order by s.customers desc, s.segment), '[]')
    from (select r.segment, min(r.segment_description) as segment_description, count(*) as customers, ops.money(sum(r.monetary)) as monetary
          from api.get_rfm_segments() r group by r.segment) s));
end
$$;
comment on function api.get_rfm_summary(jsonb) is 'Staff (viewer). get_rfm_segments by segment: segment, segment_description, customers, monetary; the largest first. A shop has more customers than a page should load.';

create function api.get_rfm_customers(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return (
    with found as materialized (
      select r.* from api.get_rfm_segments() r where p ->> 'segment' is null or r.segment = p ->> 'segment'
    )
    select analytics.rows_report(v_tenant,
      (select count(*) from found),
      (select jsonb_build_object('monetary', ops.money(coalesce(sum(f.monetary), 0)), 'frequency', coalesce(sum(f.frequency), 0)) from found f),
      (select jsonb_agg(jsonb_build_object('email', f.customer_email, 'recency_days', f.recency_days, 'frequency', f.frequency,
         'monetary', ops.money(f.monetary), 'rfm_score', f.rfm_score, 'segment', f.segment) order by f.monetary desc, f.customer_email)
       from (select * from found order by monetary desc, customer_email limit analytics.rows_limit(p)) f)));
end
$$;
comment on function api.get_rfm_customers(jsonb) is 'Staff (viewer). p: segment, limit. Rows of get_rfm_segments by value; sums: monetary, frequency.';

create function api.get_cohort_customers(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.cohort_customer_rows(v_tenant, p, ops.request_time(p));
end
$$;
comment on function api.get_cohort_customers(jsonb) is
  'Staff (viewer). p: cohort_month, cohort_period_days (30), retention_period, repeat_only, limit. Customers of a cohort by value; sums: orders, revenue, refunded, value, repeat_customers.';

create function api.get_visits(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.visit_rows(v_tenant, analytics.asked_period(v_tenant, p, 7, ops.request_time(p)), p);
end
$$;
comment on function api.get_visits(jsonb) is
  'Staff (viewer). p: start_date, end_date (7 days), utm_source, utm_campaign, device_type, limit; or active_since (a moment) instead of a period. Visits; sums: page_views.';

create function api.get_funnel_sessions(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.funnel_session_rows(v_tenant, analytics.asked_period(v_tenant, p, 7, ops.request_time(p)), p);
end
$$;
comment on function api.get_funnel_sessions(jsonb) is 'Staff (viewer). p: step (1 to 5), start_date, end_date (7 days), limit. Sessions that reached the step; sums: how many went on to each later one.';

create function api.get_event_rows(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.event_rows(v_tenant, p, ops.request_time(p));
end
$$;
comment on function api.get_event_rows(jsonb) is 'Staff (viewer). p: start_time, end_time (moments; the last 30 minutes), event_type, session_id, limit. Events of people; sums: sessions.';

create function api.get_data_quality_rows(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return analytics.data_quality_rows(v_tenant, analytics.asked_period(v_tenant, p, 30, ops.request_time(p)), p);
end
$$;
comment on function api.get_data_quality_rows(jsonb) is 'Staff (viewer). p: check_name, start_date, end_date (30 days), limit. The orders or events that check of get_data_quality counts as failed.';

create function api.get_realtime(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return (
    select jsonb_build_object('currency', t.currency, 'rows', jsonb_build_array(
      -- Whole milliseconds: what the page is told is exactly what it can ask about again.
      analytics.realtime(v_tenant, date_trunc('milliseconds', ops.request_time(p)))))
    from shop.tenants t where t.id = v_tenant);
end
$$;
comment on function api.get_realtime(jsonb) is 'Staff (viewer). One row: what happens now, see analytics.realtime.';
