-- Two functions of 0048 anew: paid orders in sets, and channels that count people.
--
-- What: `analytics.paid_orders` has the same columns and rules as before. It read the payments and the fees of each order by themselves, which is
-- right for a week and slow for a history: customers, cohorts and the daily figures ask for all of it. Now each is one join, and the
-- planner, which knows the period (see 0078), takes indexes for a day and hashes for a year.
--
-- `analytics.channel_stats` has the same columns, rules and order. Different is what a session is: visits are those of analytics.visits, so
-- programs are left out, an event without a visit is in none, and a visit's channel is that of its earliest event with a source even where that
-- came after the end of the period. An empty source of an imported order is no source (LD-73).
--
-- Called by everything about money, as before.
--
-- Rejected: a second function for long periods (two places for one rule about money).

set local role lonieve_owner;

create or replace function analytics.paid_orders(p_tenant_id uuid, p_period analytics.period)
returns table (order_id uuid, email text, customer_name text, utm_source text, utm_campaign text, paid_at timestamptz,
               total_amount numeric, revenue numeric, is_clear boolean, cost numeric, fees numeric)
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
#variable_conflict use_column
declare
  v_from constant timestamptz := p_period.starts_at;
  v_to constant timestamptz := p_period.ends_at;
begin
  return query
  with paid as (
    select o.id, o.email, nullif(concat_ws(' ', o.first_name, o.last_name), '') as customer_name, o.utm_source, o.utm_campaign, o.paid_at,
      o.total_amount, o.currency,
      case when o.total_cost is null and o.delivered_at is null and o.status in ('refunded', 'chargeback') then 0 else o.total_cost end as cost
    from shop.orders o
    where o.tenant_id = p_tenant_id and o.paid_at >= v_from and o.paid_at < v_to
  ), money as (
    select x.id, count(*) as payments, count(x.received) as readable, sum(x.received) as received
    from (
      select p.id, case when y.received_currency is null then y.amount -- not written by a settle
                        when y.received_currency = p.currency and y.received_amount is not null then least(y.received_amount, y.amount) end as received
      from paid p join shop.payments y on y.order_id = p.id
      where y.status not in ('pending', 'failed', 'expired')) x
    group by x.id
  ), charges as (
    select p.id, sum(f.fee_amount) as fees
    from paid p join shop.transaction_fees f on f.order_id = p.id and f.currency = p.currency
    group by p.id
  )
  select p.id, p.email, p.customer_name, p.utm_source, p.utm_campaign, p.paid_at, p.total_amount,
    case when m.id is null then p.total_amount else coalesce(m.received, 0) end,
    m.id is null or m.payments = m.readable,
    p.cost, coalesce(c.fees, 0)
  from paid p left join money m on m.id = p.id left join charges c on c.id = p.id;
end
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
