-- What was unusual yesterday: analytics.anomalies (L-75..L-78; LD-90..LD-95).
--
-- What: up to four insights about the last complete day of the shop, D. The running day is never judged: half an hour after midnight it has lost
-- 90 percent of its revenue (LD-91). Whole days are compared, not their best channels (LD-90); a day without rows is a day of zeros, so a shop that
-- sold nothing is noticed (LD-92); where too little happened to compare with (30 visits on D, 100 in the week before; three orders on the day
-- before), nothing is said (LD-95). The text has the real percentage. A channel whose profit is not known is not the best one (LD-94).
--
-- It reads the rows themselves, not daily_metrics: what it says must not depend on when that was refreshed.
--
-- Called by api.detect_anomalies.
--
-- Rejected: storing insights (they follow from the day; who wants an alert for each makes one from this).

set local role lonieve_owner;

create function analytics.percent_text(p_percent numeric) returns text
language sql immutable set search_path = '' as $$
  select round(abs(p_percent), 2)::text || '%'
$$;
comment on function analytics.percent_text(numeric) is 'A change in percent as sentences have it: without its sign, two decimals.';

create function analytics.anomalies(p_tenant_id uuid, p_now timestamptz)
returns table (insight_type text, severity text, title text, description text, metric_value numeric, baseline_value numeric,
               change_percentage numeric, recommendation text)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
declare
  v_day constant date := analytics.tenant_today(p_tenant_id, p_now) - 1;
  v_currency constant text := (select t.currency from shop.tenants t where t.id = p_tenant_id);
  v_d constant analytics.period := analytics.make_period(p_tenant_id, v_day, v_day + 1, p_now);
  v_before constant analytics.period := analytics.make_period(p_tenant_id, v_day - 1, v_day, p_now);
  v_week constant analytics.period := analytics.make_period(p_tenant_id, v_day - 7, v_day, p_now);
  d record;
  w record;
  b record;
  v_rate numeric;
  v_usual numeric;
  v_change numeric;
begin
  select count(*) as orders, coalesce(sum(o.revenue), 0) as revenue into d from analytics.paid_orders(p_tenant_id, v_d) o;
  select count(*) as orders, count(*) filter (where o.paid_at >= v_before.starts_at) as orders_before,
    coalesce(sum(o.revenue) filter (where o.paid_at >= v_before.starts_at), 0) as revenue_before
  into w from analytics.paid_orders(p_tenant_id, v_week) o;
  select count(*) filter (where v.started_at >= v_d.starts_at) as visits, count(*) filter (where v.started_at < v_d.starts_at) as visits_before
  into b from analytics.visits(p_tenant_id, v_week.starts_at, v_d.ends_at) v;

  v_rate := d.orders * 100.0 / nullif(b.visits, 0);
  v_usual := w.orders * 100.0 / nullif(b.visits_before, 0);
  if b.visits >= 30 and b.visits_before >= 100 and v_rate < 0.85 * v_usual then
    v_change := (v_rate - v_usual) * 100 / v_usual;
    return query select 'conversion_drop', 'critical', 'Conversion dropped',
      format('On %s %s%% of visits ended in a paid order, %s less than in the seven days before (%s%%).',
             v_day, round(v_rate, 2), analytics.percent_text(v_change), round(v_usual, 2)),
      round(v_rate, 2), round(v_usual, 2), round(v_change, 2),
      'Look for what changed: the payment page, stock and prices of what sells most, and where the visitors came from.';
  end if;

  v_change := (d.revenue - w.revenue_before) * 100 / nullif(w.revenue_before, 0);
  if w.orders_before >= 3 and d.revenue > 1.5 * w.revenue_before then
    return query select 'revenue_spike', 'info', 'Revenue went up',
      format('Revenue of %s was %s %s, after %s %s on the day before%s.', v_day, ops.money(d.revenue), v_currency, ops.money(w.revenue_before), v_currency,
             coalesce(': ' || analytics.percent_text(v_change) || ' more', '')),
      d.revenue, w.revenue_before, round(v_change, 2),
      'See which channel brought it and whether it can take more; check that there is stock for another such day.';
  elsif w.orders_before >= 3 and d.revenue < 0.7 * w.revenue_before then
    return query select 'revenue_drop', 'warning', 'Revenue went down',
      format('Revenue of %s was %s %s, after %s %s on the day before%s.', v_day, ops.money(d.revenue), v_currency, ops.money(w.revenue_before), v_currency,
             coalesce(': ' || analytics.percent_text(v_change) || ' less', '')),
      d.revenue, w.revenue_before, round(v_change, 2),
      'Check stock, the payment page and paused campaigns before looking at prices.';
  end if;

  return query
  select 'best_channel', 'info', 'Best channel of the day',
    format('%s / %s earned %s %s on %s%s.', c.utm_source, c.utm_campaign, ops.money(c.profit), v_currency, v_day,
           coalesce(': ' || round(c.share, 2) || '% of the profit of all channels', '')),
    c.profit, c.total, round(c.share, 2),
    'Compare what it earned with what it cost; where that is good, it can take more.'
  from (
    select s.utm_source, s.utm_campaign, s.profit, sum(s.profit) over () as total, case when sum(s.profit) over () >= s.profit then s.profit * 100 / nullif(sum(s.profit) over (), 0) end as share,
      row_number() over (order by s.profit desc, s.revenue desc, nullif(s.utm_source, 'Direct') nulls first, nullif(s.utm_campaign, 'N/A') nulls first) as place
    from analytics.channel_stats(p_tenant_id, v_d) s
    where s.orders > 0 and s.profit is not null) c
  where c.place = 1 and c.profit > 0;
end
$$;
comment on function analytics.anomalies(uuid, timestamptz) is
  'Insights about the last complete day: conversion_drop, revenue_spike or revenue_drop, best_channel, each at most once, in this order.';

create function api.detect_anomalies()
returns table (insight_type text, severity text, title text, description text, metric_value numeric, baseline_value numeric,
               change_percentage numeric, recommendation text)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select a.insight_type, a.severity, a.title, a.description, a.metric_value, a.baseline_value, a.change_percentage, a.recommendation
  from analytics.anomalies(v_tenant, now()) with ordinality a
  order by a.ordinality;
end
$$;
comment on function api.detect_anomalies() is
  'Staff (viewer). What was unusual on the last complete day of the shop: conversion, revenue, best channel. No row where nothing was.';
