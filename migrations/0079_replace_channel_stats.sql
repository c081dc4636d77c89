-- Channels count people: analytics.channel_stats, with visits as analytics.visits has them.
--
-- What: the same columns, rules and order as in 0048. Different is what a session is: programs are left out, an event without a visit is in
-- none, a visit's channel is that of its earliest event with a source even where that came after the end of the period (it used to be
-- that of the period's part), and an empty source of an imported order is no source (LD-73).
--
-- Called by api.get_channel_stats_financial, api.ask_channels and analytics.anomalies.

set local role lonieve_owner;

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
