-- Customers: what each is worth, cohorts and RFM segments (L-74, L-83..L-85; LD-71, LD-88, LD-89, LD-96, LD-97).
--
-- What: `analytics.customers` has one row per e-mail address with a paid order. The address alone is the customer (it is stored
-- lower-cased and trimmed): by address and user, as in the document, somebody who signed in later became two people, and their orders were
-- joined twice. `value` is what their orders brought less what went back, whenever it did; the money rules are those of 0048.
--
-- Cohorts: customers by the month of their first paid order. `retention_rates[k]` is the share that bought again in the k-th stretch of
-- `cohort_period_days` days after their own first day, for those stretches that are over for the whole cohort: a rate that can still rise
-- would be compared with ones that cannot.
--
-- RFM: scores from 1 to 5 by the share of customers, equal for equal customers. NTILE, as in the document, deals ten identical customers
-- out over all five scores; and with three customers its best score is 3. For recency the equals get the better score, for frequency and money
-- the lower one: most customers have bought once, and once is not often. At Risk and Lost come before Loyal, else whoever bought six times
-- and has been silent for a year is Loyal.
--
-- `rows 10000`: the planner takes a function for 1,000 rows, and joins a shop's customers one by one then.
--
-- Called by api.get_ltv_by_cohort, api.get_rfm_segments, analytics.winback_candidates.

set local role lonieve_owner;

create function analytics.customers(p_tenant_id uuid)
returns table (email text, orders bigint, first_paid_at timestamptz, last_paid_at timestamptz, value numeric)
language plpgsql stable rows 10000 set search_path = '' set plan_cache_mode = 'force_custom_plan' set work_mem = '32MB' as $$
#variable_conflict use_column
begin
  return query
  -- Lists and groupings: revenue as in analytics.paid_orders, which looks up the payments and fees of each order, for all orders at once. The only
  -- joins go by an order's key: see 0080 for what others cost where the planner expects a row.
  select x.email, count(x.paid_at), min(x.paid_at), max(x.paid_at), sum(x.amount)
  from (
    select min(p.email) as email, min(p.paid_at) as paid_at, case when bool_or(p.is_payment) then coalesce(sum(p.received), 0) else min(p.total_amount) end as amount
    from (
      select o.id, o.email, o.paid_at, o.total_amount, null::numeric as received, false as is_payment
      from shop.orders o
      where o.tenant_id = p_tenant_id and o.paid_at is not null
      union all
      select o.id, null, null, null,
        case when y.received_currency is null then y.amount -- not written by a settle
             when y.received_currency = o.currency and y.received_amount is not null then least(y.received_amount, y.amount) end,
        true
      from shop.payments y join shop.orders o on o.id = y.order_id
      where o.tenant_id = p_tenant_id and o.paid_at is not null and y.status not in ('pending', 'failed', 'expired')) p
    group by p.id
    union all
    select o.email, null, -f.amount
    from analytics.refunds_of(p_tenant_id) f join shop.orders o on o.id = f.order_id
    where o.tenant_id = p_tenant_id and o.paid_at is not null) x
  group by x.email;
end
$$;
comment on function analytics.customers(uuid) is 'Everybody who has paid for an order, by e-mail address. value: revenue of all their paid orders less all completed refunds of them.';

create function analytics.ltv_by_cohort(p_tenant_id uuid, p_days integer, p_now timestamptz)
returns table (cohort_month text, customers_count bigint, total_ltv numeric, avg_ltv numeric, repeat_customers bigint, repeat_rate numeric,
               avg_orders_per_customer numeric, retention_rates numeric[])
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
#variable_conflict use_column
declare
  v_today constant date := analytics.tenant_today(p_tenant_id, p_now);
  v_zone constant text := (select t.time_zone from shop.tenants t where t.id = p_tenant_id);
begin
  if p_days is null or p_days not between 1 and 366 then
    raise exception 'invalid_argument' using errcode = '22023', hint = 'cohort_period_days must be a whole number from 1 to 366.';
  end if;
  return query
  with people as (
    select c.email, c.orders, c.value, c.first_day, date_trunc('month', c.first_day::timestamp)::date as month
    from (select x.*, (x.first_paid_at at time zone v_zone)::date as first_day from analytics.customers(p_tenant_id) x) c
  ), returns as (
    -- Whoever bought twice in one stretch came back once.
    select distinct p.month, p.email, ((o.paid_at at time zone v_zone)::date - p.first_day) / p_days as k
    from people p join shop.orders o on o.tenant_id = p_tenant_id and o.email = p.email
    where p.orders > 1 and o.paid_at is not null
  ), returned as (
    select r.month, r.k, count(*) as customers from returns r where r.k between 1 and 12 group by r.month, r.k
  ), cohorts as (
    select p.month, count(*) as customers, sum(p.value) as value, count(*) filter (where p.orders > 1) as repeat_customers, sum(p.orders) as orders,
      least(12, (v_today - ((p.month + interval '1 month')::date - 1)) / p_days - 1) as stretches
    from people p
    group by p.month
  )
  select to_char(c.month, 'YYYY-MM'), c.customers, c.value, round(c.value / c.customers, 2), c.repeat_customers,
    round(c.repeat_customers * 100.0 / c.customers, 2), round(c.orders / c.customers, 2),
    array(select round(coalesce(r.customers, 0) * 100.0 / c.customers, 2)
          from generate_series(1, c.stretches) g (k) left join returned r on r.month = c.month and r.k = g.k
          order by g.k)
  from cohorts c
  order by c.month desc;
end
$$;
comment on function analytics.ltv_by_cohort(uuid, integer, timestamptz) is
  'Customers by the month of their first paid order, newest first. retention_rates[k]: percent with a paid order k * p_days to (k + 1) * p_days - 1 days after their first, for k that are over.';

create function analytics.rfm_advice(p_segment text) returns text
language sql immutable set search_path = '' as $$
  select case p_segment
    when 'VIP Champions' then 'Bought lately, often and for much. Thank them, show them new products first, ask for reviews.'
    when 'At Risk' then 'Bought often, and not for a while. Write to them in person, with an offer that ends.'
    when 'Lost' then 'Bought little, and long ago. One win-back offer, then leave them alone.'
    when 'Loyal' then 'Buy often. Offer larger face values and a reward for the next purchase.'
    when 'Big Spenders' then 'Spend much, but seldom. Show them premium products; a discount is not what they wait for.'
    when 'Promising' then 'Bought lately for the first times. Help them with the code, then suggest the next purchase.'
    when 'Need Attention' then 'In the middle of everything. Remind them with something that suits what they bought.'
    when 'Regular' then 'Nothing stands out. Keep them in the usual mailings.'
  end
$$;
comment on function analytics.rfm_advice(text) is 'What to do about a segment of customers (L-85).';

create function analytics.rfm_segments(p_tenant_id uuid, p_now timestamptz)
returns table (customer_email text, recency_days integer, frequency bigint, monetary numeric, rfm_score text, segment text, segment_description text)
language plpgsql stable set search_path = '' as $$
#variable_conflict use_column
declare
  v_today constant date := analytics.tenant_today(p_tenant_id, p_now);
  v_zone constant text := (select t.time_zone from shop.tenants t where t.id = p_tenant_id);
begin
  return query
  with people as (
    select c.email, v_today - (c.last_paid_at at time zone v_zone)::date as recency, c.orders, c.value from analytics.customers(p_tenant_id) c
  ), ranks as (
    -- A count over an ordered window includes the equals of a row, rank() - 1 leaves them out.
    select p.*, count(*) over () as n, count(*) over (order by p.recency desc) as as_long_ago,
      rank() over (order by p.orders) - 1 as fewer_orders, rank() over (order by p.value) - 1 as less_money
    from people p
  ), scores as (
    select r.*, (5 * r.as_long_ago + r.n - 1) / r.n as rs,
      case when r.n = 1 then 1 else least(5, 1 + 5 * r.fewer_orders / (r.n - 1)) end as fs,
      case when r.n = 1 then 1 else least(5, 1 + 5 * r.less_money / (r.n - 1)) end as ms
    from ranks r
  ), segments as (
    select s.*, case
        when s.rs >= 4 and s.fs >= 4 and s.ms >= 4 then 'VIP Champions'
        when s.rs <= 2 and s.fs >= 3 then 'At Risk'
        when s.rs <= 2 and s.fs <= 2 then 'Lost'
        when s.fs >= 4 then 'Loyal'
        when s.ms >= 4 then 'Big Spenders'
        when s.rs >= 4 and s.fs <= 2 then 'Promising'
        when s.rs = 3 and s.fs = 3 then 'Need Attention'
        else 'Regular' end as name
    from scores s
  )
  select s.email, s.recency, s.orders, s.value, concat(s.rs, s.fs, s.ms), s.name, analytics.rfm_advice(s.name)
  from segments s
  order by s.value desc, s.email;
end
$$;
comment on function analytics.rfm_segments(uuid, timestamptz) is 'Every customer with scores 1 to 5 for recency, frequency and money, equal for equal customers, and the segment they make.';

create function api.get_ltv_by_cohort(cohort_period_days integer default 30)
returns table (cohort_month text, customers_count bigint, total_ltv numeric, avg_ltv numeric, repeat_customers bigint, repeat_rate numeric,
               avg_orders_per_customer numeric, retention_rates numeric[])
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select c.cohort_month, c.customers_count, c.total_ltv, c.avg_ltv, c.repeat_customers, c.repeat_rate, c.avg_orders_per_customer, c.retention_rates
  from analytics.ltv_by_cohort(v_tenant, cohort_period_days, now()) with ordinality c
  order by c.ordinality;
end
$$;
comment on function api.get_ltv_by_cohort(integer) is
  'Staff (viewer). Customers by the month of their first paid order, newest first, with value, repeats and retention per stretch of cohort_period_days (1 to 366, else 22023).';

create function api.get_rfm_segments()
returns table (customer_email text, recency_days integer, frequency bigint, monetary numeric, rfm_score text, segment text, segment_description text)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select r.customer_email, r.recency_days, r.frequency, r.monetary, r.rfm_score, r.segment, r.segment_description
  from analytics.rfm_segments(v_tenant, now()) with ordinality r
  order by r.ordinality;
end
$$;
comment on function api.get_rfm_segments() is 'Staff (viewer). One row per customer with RFM scores and segment, by what they are worth.';
