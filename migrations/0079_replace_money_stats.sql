-- Refunds count as far as they take revenue back, and channels count people.
--
-- Refunds: revenue is capped at what was asked and leaves out money of another currency (`paid_orders`, 0048). So does what is subtracted from it:
-- of a payment's refunds, in their order, a surplus goes back first and is not counted, nor is more than the whole, nor foreign money. That is
-- what `shop.given_back` (0052) says of a payment as a whole. A refund of no payment counts in full. `sales_summary` and `top_customers` are those of 0048 but
-- for that.
--
-- Channels: the same columns, rules and order as in 0048. Different is what a session is: programs are left out, an event without a visit is in
-- none, a visit's channel is that of its earliest event with a source even where that came after the end of the period (it used to be
-- that of the period's part), and an empty source of an imported order is no source (LD-73).
--
-- Called by api.get_channel_stats_financial, api.ask_channels, analytics.anomalies; refunds by whatever counts money.

set local role lonieve_owner;

create function analytics.refunds_of(p_tenant_id uuid)
returns table (refund_id uuid, order_id uuid, refunded_at timestamptz, amount numeric)
language sql stable set search_path = '' as $$
  select x.id, x.order_id, x.at,
    case when x.payment_id is null then x.refund_amount
         when x.is_foreign then 0
         else least(greatest(x.sum - x.surplus, 0), x.whole) - least(greatest(x.sum - x.refund_amount - x.surplus, 0), x.whole) end
  from (
    select f.id, f.order_id, f.payment_id, coalesce(f.processed_at, f.requested_at) as at, f.refund_amount,
      sum(f.refund_amount) over (partition by f.payment_id order by coalesce(f.processed_at, f.requested_at), f.id) as sum,
      greatest(coalesce(y.received_amount, y.amount) - y.amount, 0) as surplus,
      least(coalesce(y.received_amount, y.amount), y.amount) as whole,
      coalesce(y.received_currency <> o.currency, false) as is_foreign
    from shop.refunds f join shop.orders o on o.id = f.order_id left join shop.payments y on y.id = f.payment_id
    where f.tenant_id = p_tenant_id and f.status = 'completed') x
$$;
comment on function analytics.refunds_of(uuid) is 'The completed refunds and chargebacks of a tenant, each with what it takes back of revenue.';

create function analytics.refunded_orders(p_tenant_id uuid)
returns table (order_id uuid, refunded numeric)
language sql stable set search_path = '' as $$
  select f.order_id, sum(f.amount) from analytics.refunds_of(p_tenant_id) f group by f.order_id
$$;
comment on function analytics.refunded_orders(uuid) is 'What completed refunds took back of each order''s revenue, whenever they did.';

create or replace function analytics.sales_summary(p_tenant_id uuid, p_period analytics.period)
returns table (orders bigint, unclear_orders bigint, revenue numeric, unknown_cost_orders bigint, cost numeric, fees numeric, refunds numeric,
               ad_spend numeric, gross_profit numeric, contribution numeric, true_profit numeric, customers bigint, new_customers bigint)
language sql stable set search_path = '' as $$
  with o as materialized (
    select * from analytics.paid_orders(p_tenant_id, p_period)
  )
  select s.orders, s.unclear_orders, s.revenue, s.unknown_cost_orders, s.cost, s.fees, r.refunds, a.spend,
    s.revenue - s.cost, s.revenue - s.cost - s.fees - r.refunds, s.revenue - s.cost - s.fees - r.refunds - a.spend, c.customers, c.new_customers
  from (
    select count(*) as orders, count(*) filter (where not o.is_clear) as unclear_orders, coalesce(sum(o.revenue), 0) as revenue,
      count(*) filter (where o.cost is null) as unknown_cost_orders,
      case when count(o.cost) = count(*) then coalesce(sum(o.cost), 0) end as cost, coalesce(sum(o.fees), 0) as fees
    from o) s,
    -- Grouped, not looked up one by one: without figures of a shop that has just grown a look-up reads all of its orders each time.
    (select count(*) filter (where b.buys) as customers, count(*) filter (where b.buys and not b.is_known) as new_customers
     from (
       select x.email, bool_or(x.buys) as buys, bool_or(not x.buys) as is_known
       from (
         select o.email, true as buys from o
         union all
         select e.email, false from shop.orders e where e.tenant_id = p_tenant_id and e.paid_at < (p_period).starts_at) x
       group by x.email) b) c,
    (select coalesce(sum(f.amount), 0) as refunds from analytics.refunds_of(p_tenant_id) f
     where f.refunded_at >= (p_period).starts_at and f.refunded_at < (p_period).ends_at) r,
    (select coalesce(sum(d.spend), 0) as spend from analytics.ad_spend d
     where d.tenant_id = p_tenant_id and d.date >= (p_period).from_day and d.date < (p_period).to_day) a
$$;

create or replace function analytics.top_customers(p_tenant_id uuid, p_period analytics.period, p_limit integer)
returns table (email text, customer_name text, orders_count bigint, revenue numeric, refunded numeric, net numeric)
language sql stable set search_path = '' as $$
  select c.email, c.customer_name, c.orders_count, c.revenue, c.refunded, c.revenue - c.refunded
  from (
    select o.email, (array_agg(o.customer_name order by o.paid_at desc) filter (where o.customer_name is not null))[1] as customer_name,
      count(*) as orders_count, sum(o.revenue) as revenue,
      sum(coalesce(r.refunded, 0)) as refunded
    from analytics.paid_orders(p_tenant_id, p_period) o left join analytics.refunded_orders(p_tenant_id) r on r.order_id = o.order_id
    group by o.email) c
  order by c.revenue - c.refunded desc, c.orders_count desc, c.email
  limit greatest(p_limit, 0)
$$;


create or replace function analytics.channel_stats(p_tenant_id uuid, p_period analytics.period)
returns table (utm_source text, utm_campaign text, sessions bigint, orders bigint, revenue numeric, cost numeric, profit numeric, ad_spend numeric,
               roi_percentage numeric, mer numeric, conversion_rate numeric)
language sql stable set search_path = '' as $$
  with facts as (
    -- One list instead of joins: a channel with spend and no order, or orders and no session, stays (LD-82).
    select v.utm_source, v.utm_campaign, 1 as session, 0 as paid, 0::numeric as revenue, 0::numeric as cost, 0 as unknown_cost, 0::numeric as spend
    from analytics.visits(p_tenant_id, (p_period).starts_at, (p_period).ends_at) v
    union all
    select nullif(lower(o.utm_source), ''), nullif(lower(o.utm_campaign), ''), 0, 1, o.revenue, coalesce(o.cost, 0), (o.cost is null)::integer, 0
    from analytics.paid_orders(p_tenant_id, p_period) o
    union all
    select d.utm_source, d.utm_campaign, 0, 0, 0, 0, 0, d.spend
    from analytics.ad_spend d
    where d.tenant_id = p_tenant_id and d.date >= (p_period).from_day and d.date < (p_period).to_day
  ), channels as (
    select f.utm_source, f.utm_campaign, sum(f.session) as sessions, sum(f.paid) as orders, sum(f.revenue) as revenue,
      case when sum(f.unknown_cost) = 0 then sum(f.cost) end as cost, sum(f.spend) as spend
    from facts f
    group by f.utm_source, f.utm_campaign
  )
  select coalesce(c.utm_source, 'Direct'), coalesce(c.utm_campaign, 'N/A'), c.sessions, c.orders, c.revenue, c.cost, c.revenue - c.cost, c.spend,
    round((c.revenue - c.cost - c.spend) * 100 / nullif(c.spend, 0), 2),
    round(c.revenue / nullif(c.spend, 0), 2),
    -- More orders than sessions means that events are missing (a blocked tracker, an order paid days later): no rate then.
    case when c.orders <= c.sessions then round(c.orders * 100.0 / nullif(c.sessions, 0), 2) end
  from channels c
  order by c.revenue - c.cost desc nulls last, c.revenue desc, c.spend desc, c.sessions desc, c.utm_source nulls first, c.utm_campaign nulls first
$$;
