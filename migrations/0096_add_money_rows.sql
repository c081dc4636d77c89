-- The rows behind the money on the staff pages (L-134, L-135, L-140 to L-142, L-149, L-150).
--
-- What: whoever sees a figure can see the orders, fees, refunds, advertising days and customers it was added up from. These functions
-- read the same functions of `analytics` as the figures do, or filter by the same words, so that the rows add up to the figure; a
-- test holds every pair to that. Rules and words: docs/analytics.md.
--
-- Each answers {currency, total, sums, rows}: `total` counts all rows and `sums` adds all of them up, however few fit into `rows` (100, or
-- `limit` up to 500). Amounts are text with two decimals, not known is null, times are RFC 3339. A sum with an unknown part is null.
--
-- Called by: the admin Worker (GET /api/admin/reports/{function}) in the name of the member of staff; grants in 0099.
--
-- Dates: `start_date` and `end_date` are texts, a day of the shop (YYYY-MM-DD) or an RFC 3339 moment, which stands for the day it lies in.
-- A day cannot be passed to a timestamptz parameter as one: the day of a moment depends on the shop's time zone, which the caller
-- does not know. So these take one `p jsonb`, and 0098 does the same for the documents' functions.
--
-- Rejected: pages that page through (nobody adds up 40 pages; sums are given for all); rows as a table type (total and sums would be
-- repeated in each).

set local role lonieve_owner;

create function analytics.day_or_time(p_tenant_id uuid, p_text text) returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  v_moment timestamptz;
begin
  if p_text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then
    v_moment := (select analytics.day_begins(p_text::date, t.time_zone) from shop.tenants t where t.id = p_tenant_id);
  else
    v_moment := ops.try_time(p_text);
  end if;
  if p_text is not null and v_moment is null then
    raise exception 'invalid_date' using errcode = '22023', hint = 'A day (YYYY-MM-DD) or an RFC 3339 time.';
  end if;
  return v_moment;
end
$$;
comment on function analytics.day_or_time(uuid, text) is 'The moment a text means: the midnight of a day of the tenant, or an RFC 3339 time. Null for null; 22023 for anything else.';

create function analytics.asked_period(p_tenant_id uuid, p jsonb, p_default_days integer, p_now timestamptz) returns analytics.period
language sql stable set search_path = '' as $$
  select analytics.period_between(p_tenant_id, analytics.day_or_time(p_tenant_id, p ->> 'start_date'),
                                  analytics.day_or_time(p_tenant_id, p ->> 'end_date'), p_default_days, p_now)
$$;
comment on function analytics.asked_period(uuid, jsonb, integer, timestamptz) is 'The period of p.start_date and p.end_date (excluded); without them so many days up to and including today.';

create function analytics.rows_limit(p jsonb) returns integer
language sql immutable set search_path = '' as $$
  select least(greatest(case when p ->> 'limit' ~ '^[0-9]{1,4}$' then (p ->> 'limit')::integer else 100 end, 1), 500)
$$;
comment on function analytics.rows_limit(jsonb) is 'p.limit between 1 and 500; 100 without one.';

create function analytics.is_channel(p jsonb, p_source text, p_campaign text) returns boolean
language sql immutable set search_path = '' as $$
  select (p ->> 'utm_source' is null or p_source is not distinct from nullif(p ->> 'utm_source', 'Direct'))
     and (p ->> 'utm_campaign' is null or p_campaign is not distinct from nullif(p ->> 'utm_campaign', 'N/A'))
$$;
comment on function analytics.is_channel(jsonb, text, text) is
  'Whether a channel is the one asked for by p.utm_source and p.utm_campaign, as reports show them: Direct and N/A are none. Channels are lower case, so neither can be a name.';

create function analytics.rows_report(p_tenant_id uuid, p_total bigint, p_sums jsonb, p_rows jsonb) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('currency', t.currency, 'total', p_total, 'sums', p_sums, 'rows', coalesce(p_rows, '[]'::jsonb))
  from shop.tenants t where t.id = p_tenant_id
$$;
comment on function analytics.rows_report(uuid, bigint, jsonb, jsonb) is 'The document the functions of rows answer.';

create function analytics.paid_order_rows(p_tenant_id uuid, p_period analytics.period, p jsonb) returns jsonb
language sql stable set search_path = '' as $$
  with found as (
    select o.order_id, o.paid_at, o.email, o.revenue, o.is_clear, o.cost, o.fees, o.revenue - o.cost as profit, s.status, s.fulfilment,
      coalesce(nullif(lower(o.utm_source), ''), 'Direct') as utm_source, coalesce(nullif(lower(o.utm_campaign), ''), 'N/A') as utm_campaign,
      coalesce(r.refunded, 0) as refunded,
      not exists (
        select from shop.orders e
        where e.tenant_id = p_tenant_id and e.email = o.email and (e.paid_at, e.id) < (o.paid_at, o.order_id)) as is_first
    from analytics.paid_orders(p_tenant_id, p_period) o join shop.orders s on s.id = o.order_id
      left join analytics.refunded_orders(p_tenant_id) r on r.order_id = o.order_id
    where analytics.is_channel(p, nullif(lower(o.utm_source), ''), nullif(lower(o.utm_campaign), ''))
      and (p ->> 'email' is null or o.email = lower(btrim(p ->> 'email')))
  ), wanted as (
    select f.* from found f where (p ->> 'first_orders')::boolean is not true or f.is_first
  )
  select analytics.rows_report(p_tenant_id,
    (select count(*) from wanted),
    (select jsonb_build_object('revenue', ops.money(coalesce(sum(w.revenue), 0)),
       'cost', case when count(w.cost) = count(*) then ops.money(coalesce(sum(w.cost), 0)) end,
       'profit', case when count(w.profit) = count(*) then ops.money(coalesce(sum(w.profit), 0)) end,
       'fees', ops.money(coalesce(sum(w.fees), 0)), 'refunded', ops.money(coalesce(sum(w.refunded), 0)),
       'customers', count(distinct w.email), 'first_orders', count(*) filter (where w.is_first), 'unclear_orders', count(*) filter (where not w.is_clear))
     from wanted w),
    (select jsonb_agg(jsonb_build_object('order_id', w.order_id, 'paid_at', ops.iso(w.paid_at), 'email', w.email, 'utm_source', w.utm_source,
       'utm_campaign', w.utm_campaign, 'status', w.status, 'fulfilment', w.fulfilment, 'revenue', ops.money(w.revenue), 'is_clear', w.is_clear,
       'cost', ops.money(w.cost), 'profit', ops.money(w.profit), 'fees', ops.money(w.fees), 'refunded', ops.money(w.refunded), 'is_first', w.is_first)
       order by w.paid_at desc, w.order_id)
     from (select * from wanted order by paid_at desc, order_id limit analytics.rows_limit(p)) w))
$$;
comment on function analytics.paid_order_rows(uuid, analytics.period, jsonb) is
  'The paid orders of a period, of one channel (p.utm_source, p.utm_campaign), one customer (p.email), or only customers'' first ones (p.first_orders), latest first.';

create function analytics.fee_rows(p_tenant_id uuid, p_period analytics.period, p jsonb) returns jsonb
language sql stable set search_path = '' as $$
  with found as (
    select f.id, f.created_at, f.order_id, o.paid_at, o.email, f.fee_type, f.fee_amount, f.reverses
    from analytics.paid_orders(p_tenant_id, p_period) o
    join shop.orders s on s.id = o.order_id
    join shop.transaction_fees f on f.order_id = o.order_id and f.currency = s.currency
  )
  select analytics.rows_report(p_tenant_id,
    (select count(*) from found),
    (select jsonb_build_object('fee_amount', ops.money(coalesce(sum(f.fee_amount), 0))) from found f),
    (select jsonb_agg(jsonb_build_object('fee_id', f.id, 'created_at', ops.iso(f.created_at), 'order_id', f.order_id, 'paid_at', ops.iso(f.paid_at),
       'email', f.email, 'fee_type', f.fee_type, 'fee_amount', ops.money(f.fee_amount), 'reverses', f.reverses) order by f.paid_at desc, f.created_at desc, f.id)
     from (select * from found order by paid_at desc, created_at desc, id limit analytics.rows_limit(p)) f))
$$;
comment on function analytics.fee_rows(uuid, analytics.period, jsonb) is 'The fees of the orders paid in a period, whenever they were booked; what a fee was taken back by is negative.';

create function analytics.refund_rows(p_tenant_id uuid, p_period analytics.period, p jsonb) returns jsonb
language sql stable set search_path = '' as $$
  with found as (
    select f.id, x.refunded_at, f.order_id, o.email, o.paid_at, f.kind, x.amount as refund_amount, f.refund_reason
    from analytics.refunds_of(p_tenant_id) x join shop.refunds f on f.id = x.refund_id join shop.orders o on o.id = f.order_id
    where x.refunded_at >= (p_period).starts_at and x.refunded_at < (p_period).ends_at
      and (p ->> 'email' is null or o.email = lower(btrim(p ->> 'email')))
  )
  select analytics.rows_report(p_tenant_id,
    (select count(*) from found),
    (select jsonb_build_object('refund_amount', ops.money(coalesce(sum(f.refund_amount), 0))) from found f),
    (select jsonb_agg(jsonb_build_object('refund_id', f.id, 'refunded_at', ops.iso(f.refunded_at), 'order_id', f.order_id, 'email', f.email,
       'paid_at', ops.iso(f.paid_at), 'kind', f.kind, 'refund_amount', ops.money(f.refund_amount), 'refund_reason', f.refund_reason)
       order by f.refunded_at desc, f.id)
     from (select * from found order by refunded_at desc, id limit analytics.rows_limit(p)) f))
$$;
comment on function analytics.refund_rows(uuid, analytics.period, jsonb) is 'Refunds and chargebacks completed in a period, whenever their orders were paid, each with what it took back of revenue; p.email: of one customer.';

create function analytics.ad_spend_rows(p_tenant_id uuid, p_period analytics.period, p jsonb) returns jsonb
language sql stable set search_path = '' as $$
  with found as (
    select d.* from analytics.ad_spend d
    where d.tenant_id = p_tenant_id and d.date >= (p_period).from_day and d.date < (p_period).to_day
      and analytics.is_channel(p, d.utm_source, d.utm_campaign)
  )
  select analytics.rows_report(p_tenant_id,
    (select count(*) from found),
    (select jsonb_build_object('spend', ops.money(coalesce(sum(f.spend), 0)), 'clicks', coalesce(sum(f.clicks), 0),
       'impressions', coalesce(sum(f.impressions), 0)) from found f),
    (select jsonb_agg(jsonb_build_object('date', f.date, 'utm_source', coalesce(f.utm_source, 'Direct'), 'utm_campaign', coalesce(f.utm_campaign, 'N/A'),
       'utm_content', f.utm_content, 'spend', ops.money(f.spend), 'clicks', f.clicks, 'impressions', f.impressions)
       order by f.date desc, f.utm_source nulls first, f.utm_campaign nulls first, f.utm_content nulls first)
     from (select * from found order by date desc, utm_source nulls first, utm_campaign nulls first, utm_content nulls first limit analytics.rows_limit(p)) f))
$$;
comment on function analytics.ad_spend_rows(uuid, analytics.period, jsonb) is 'What advertising cost in a period, by day and channel; p.utm_source, p.utm_campaign: of one channel.';

create function analytics.product_rows(p_tenant_id uuid, p_period analytics.period, p jsonb) returns jsonb
language sql stable set search_path = '' as $$
  with items as (
    select o.order_id, o.paid_at, o.email, it.product_id, it.product_name, it.product_brand, it.nominal, it.quantity, it.created_at, it.id,
      -- As analytics.top_products spreads an order that brought another amount than its total.
      case when o.revenue = o.total_amount then it.price * it.quantity
           else coalesce(round(o.revenue * it.price * it.quantity / nullif(o.total_amount, 0), 2), 0) end as revenue
    from analytics.paid_orders(p_tenant_id, p_period) o join shop.order_items it on it.order_id = o.order_id
  ), named as (
    select i.product_id from items i group by i.product_id
    having (array_agg(i.product_name order by i.created_at desc, i.id))[1] = p ->> 'product_name'
      and (p ->> 'brand' is null or (array_agg(i.product_brand order by i.created_at desc, i.id))[1] = p ->> 'brand')
  ), found as (
    select i.* from items i join named n on n.product_id = i.product_id
  )
  select analytics.rows_report(p_tenant_id,
    (select count(*) from found),
    (select jsonb_build_object('revenue', ops.money(coalesce(sum(f.revenue), 0)), 'orders', count(distinct f.order_id), 'units', coalesce(sum(f.quantity), 0)) from found f),
    (select jsonb_agg(jsonb_build_object('order_id', f.order_id, 'paid_at', ops.iso(f.paid_at), 'email', f.email, 'product_name', f.product_name,
       'nominal', ops.money(f.nominal), 'quantity', f.quantity, 'revenue', ops.money(f.revenue)) order by f.paid_at desc, f.id)
     from (select * from found order by paid_at desc, id limit analytics.rows_limit(p)) f))
$$;
comment on function analytics.product_rows(uuid, analytics.period, jsonb) is
  'The sold items of p.product_name (the name it was last sold under in the period, as reports show it) and p.brand.';

create function analytics.cohort_customer_rows(p_tenant_id uuid, p jsonb, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_today constant date := analytics.tenant_today(p_tenant_id, p_now);
  v_days constant integer := coalesce((p ->> 'cohort_period_days')::integer, 30);
  v_retention constant integer := (p ->> 'retention_period')::integer;
begin
  if (p ->> 'cohort_month' ~ '^[0-9]{4}-[0-9]{2}$') is not true or v_days not between 1 and 366 or v_retention not between 1 and 12 then
    raise exception 'invalid_cohort' using errcode = '22023',
      hint = 'cohort_month is YYYY-MM, cohort_period_days from 1 to 366, retention_period from 1 to 12.';
  end if;
  return (
    with orders as (
      select o.order_id, o.email, o.paid_at, o.revenue, (o.paid_at at time zone t.time_zone)::date as day, coalesce(r.refunded, 0) as refunded
      from shop.tenants t, analytics.paid_orders(p_tenant_id, analytics.make_period(p_tenant_id, date '2000-01-01', v_today + 1, p_now)) o
        left join analytics.refunded_orders(p_tenant_id) r on r.order_id = o.order_id
      where t.id = p_tenant_id
    ), customers as (
      select o.email, min(o.day) as first_day, min(o.paid_at) as first_paid_at, max(o.paid_at) as last_paid_at, count(*) as orders,
        sum(o.revenue) as revenue, sum(o.refunded) as refunded, sum(o.revenue) - sum(o.refunded) as value
      from orders o group by o.email
    ), found as (
      select c.* from customers c
      where to_char(c.first_day, 'YYYY-MM') = p ->> 'cohort_month'
        and ((p ->> 'repeat_only')::boolean is not true or c.orders >= 2)
        -- One list for all, not a look at every order for each customer.
        and (v_retention is null or c.email in (
          select o.email from (select o.email, o.day, min(o.day) over (partition by o.email) as first_day from orders o) o
          where (o.day - o.first_day) / v_days = v_retention))
    )
    select analytics.rows_report(p_tenant_id,
      (select count(*) from found),
      (select jsonb_build_object('orders', coalesce(sum(f.orders), 0), 'revenue', ops.money(coalesce(sum(f.revenue), 0)),
         'refunded', ops.money(coalesce(sum(f.refunded), 0)), 'value', ops.money(coalesce(sum(f.value), 0)),
         'repeat_customers', count(*) filter (where f.orders >= 2)) from found f),
      (select jsonb_agg(jsonb_build_object('email', f.email, 'first_paid_at', ops.iso(f.first_paid_at), 'last_paid_at', ops.iso(f.last_paid_at),
         'orders', f.orders, 'revenue', ops.money(f.revenue), 'refunded', ops.money(f.refunded), 'value', ops.money(f.value)) order by f.value desc, f.email)
       from (select * from found order by value desc, email limit analytics.rows_limit(p)) f)));
end
$$;
comment on function analytics.cohort_customer_rows(uuid, jsonb, timestamptz) is
  'The customers whose first paid order lies in p.cohort_month (YYYY-MM), by value; p.repeat_only: with two or more; p.retention_period k with p.cohort_period_days (30): who bought again in the k-th such period.';
