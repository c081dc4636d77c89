-- What was sold, in figures (L-72, L-79..L-82, L-89..L-91).
--
-- What: the functions behind every report of money. They are the only place that decides what revenue, cost, profit and a customer are,
-- so that the copilot, the documents' functions and later pages cannot disagree. Nobody may call them but the doors in `api`.
--
-- Rules:
--   - An order counts in the period in which its money came in (paid_at), whatever became of it later; orders in review included (LD-79).
--   - Its revenue is what its payments brought in the shop's currency, up to what was asked: less where less came, and a surplus is
--     not revenue until somebody decides so. Money in another currency, or of an unreadable amount, cannot be added (LD-63): such
--     an order is `unclear`, it adds nothing to revenue and is counted, so that an answer can say it is missing. An order without
--     a settled payment (brought in from another system) counts with its total.
--   - Fees are those of the orders of the period, from shop.transaction_fees. Refunds are those completed in the period, from
--     shop.refunds, whenever their order was paid; the refunded order stays in the revenue of its own day. The two columns of the
--     order that the document summed are not read (LD-79).
--   - A cost that is not known (codes not assigned yet, or imported without a cost) makes cost and profit of the whole period null:
--     a profit that leaves out a cost would be wrong and look right. An order refunded before it got a code has cost nothing.
--   - Gross profit = revenue - cost; contribution = gross - fees - refunds; true profit = contribution - ad spend (LD-78).
--   - A customer is an e-mail address; new where its first paid order lies in the period (LD-80).
--   - Nothing is divided by zero or by nothing: such a figure is null, not 0 (LD-86).
--   - A session is a visit of the events (LD-69, LD-74) and counts where it began.
--
-- Rejected: reading orders.total_profit and orders.refund_amount (caches with other meanings); 0 for what is not known.

set local role lonieve_owner;

create index orders_paid on shop.orders (tenant_id, paid_at) where paid_at is not null;

create function analytics.paid_orders(p_tenant_id uuid, p_period analytics.period)
returns table (order_id uuid, email text, customer_name text, utm_source text, utm_campaign text, paid_at timestamptz,
               total_amount numeric, revenue numeric, is_clear boolean, cost numeric, fees numeric)
language sql stable set search_path = '' as $$
  select o.id, o.email, nullif(concat_ws(' ', o.first_name, o.last_name), ''), o.utm_source, o.utm_campaign, o.paid_at, o.total_amount,
    case when m.payments = 0 then o.total_amount else coalesce(m.received, 0) end,
    m.payments = m.readable,
    case when o.total_cost is null and o.delivered_at is null and o.status in ('refunded', 'chargeback') then 0 else o.total_cost end,
    (select coalesce(sum(f.fee_amount), 0) from shop.transaction_fees f where f.order_id = o.id and f.currency = o.currency)
  from shop.orders o,
    lateral (
      select count(*) as payments, count(x.received) as readable, sum(x.received) as received
      from (
        select case when y.received_currency is null then y.amount -- not written by a settle
                    when y.received_currency = o.currency and y.received_amount is not null then least(y.received_amount, y.amount) end as received
        from shop.payments y
        where y.order_id = o.id and y.status not in ('pending', 'failed', 'expired')) x) m
  where o.tenant_id = p_tenant_id and o.paid_at >= (p_period).starts_at and o.paid_at < (p_period).ends_at
$$;
comment on function analytics.paid_orders(uuid, analytics.period) is
  'The orders whose money came in during the period. is_clear: false where some of the money cannot be added up; cost: null where not known.';

create function analytics.sales_summary(p_tenant_id uuid, p_period analytics.period)
returns table (orders bigint, unclear_orders bigint, revenue numeric, unknown_cost_orders bigint, cost numeric, fees numeric, refunds numeric,
               ad_spend numeric, gross_profit numeric, contribution numeric, true_profit numeric, customers bigint, new_customers bigint)
language sql stable set search_path = '' as $$
  select s.orders, s.unclear_orders, s.revenue, s.unknown_cost_orders, s.cost, s.fees, r.refunds, a.spend,
    s.revenue - s.cost, s.revenue - s.cost - s.fees - r.refunds, s.revenue - s.cost - s.fees - r.refunds - a.spend, s.customers, s.new_customers
  from (
    select count(*) as orders, count(*) filter (where not o.is_clear) as unclear_orders, coalesce(sum(o.revenue), 0) as revenue,
      count(*) filter (where o.cost is null) as unknown_cost_orders,
      case when count(o.cost) = count(*) then coalesce(sum(o.cost), 0) end as cost, coalesce(sum(o.fees), 0) as fees,
      count(distinct o.email) as customers,
      count(distinct o.email) filter (where not exists (
        select from shop.orders e where e.tenant_id = p_tenant_id and e.email = o.email and e.paid_at < (p_period).starts_at)) as new_customers
    from analytics.paid_orders(p_tenant_id, p_period) o) s,
    (select coalesce(sum(f.refund_amount), 0) as refunds from shop.refunds f
     where f.tenant_id = p_tenant_id and f.status = 'completed'
       and coalesce(f.processed_at, f.requested_at) >= (p_period).starts_at and coalesce(f.processed_at, f.requested_at) < (p_period).ends_at) r,
    (select coalesce(sum(d.spend), 0) as spend from analytics.ad_spend d
     where d.tenant_id = p_tenant_id and d.date >= (p_period).from_day and d.date < (p_period).to_day) a
$$;
comment on function analytics.sales_summary(uuid, analytics.period) is 'One row: what came in and what it cost. cost and the three profits are null where an order''s cost is not known.';

create function analytics.top_products(p_tenant_id uuid, p_period analytics.period, p_limit integer)
returns table (product_name text, brand text, orders_count bigint, units bigint, revenue numeric)
language sql stable set search_path = '' as $$
  select (array_agg(it.product_name order by it.created_at desc, it.id))[1], (array_agg(it.product_brand order by it.created_at desc, it.id))[1],
    count(distinct o.order_id), sum(it.quantity),
    -- An order that brought another amount than its total spreads it over its rows by their price.
    sum(case when o.revenue = o.total_amount then it.price * it.quantity
             else coalesce(round(o.revenue * it.price * it.quantity / nullif(o.total_amount, 0), 2), 0) end) as revenue
  from analytics.paid_orders(p_tenant_id, p_period) o join shop.order_items it on it.order_id = o.order_id
  group by it.product_id
  order by revenue desc, 4 desc, 1, it.product_id
  limit greatest(p_limit, 0)
$$;
comment on function analytics.top_products(uuid, analytics.period, integer) is 'Products by revenue (price times quantity, before refunds), under the name they were last sold with.';

create function analytics.top_customers(p_tenant_id uuid, p_period analytics.period, p_limit integer)
returns table (email text, customer_name text, orders_count bigint, revenue numeric, refunded numeric, net numeric)
language sql stable set search_path = '' as $$
  select c.email, c.customer_name, c.orders_count, c.revenue, c.refunded, c.revenue - c.refunded
  from (
    select o.email, (array_agg(o.customer_name order by o.paid_at desc) filter (where o.customer_name is not null))[1] as customer_name,
      count(*) as orders_count, sum(o.revenue) as revenue,
      sum((select coalesce(sum(f.refund_amount), 0) from shop.refunds f where f.order_id = o.order_id and f.status = 'completed')) as refunded
    from analytics.paid_orders(p_tenant_id, p_period) o
    group by o.email) c
  order by c.revenue - c.refunded desc, c.orders_count desc, c.email
  limit greatest(p_limit, 0)
$$;
comment on function analytics.top_customers(uuid, analytics.period, integer) is 'Customers by what they paid in the period less what they got back of it, whenever they did.';

create function analytics.channel_stats(p_tenant_id uuid, p_period analytics.period)
returns table (utm_source text, utm_campaign text, sessions bigint, orders bigint, revenue numeric, cost numeric, profit numeric, ad_spend numeric,
               roi_percentage numeric, mer numeric, conversion_rate numeric)
language sql stable set search_path = '' as $$
  with visits as (
    -- A visit's channel is the first one its events name. It may have begun before the period: then it counts there.
    select distinct on (coalesce(e.visit_id::text, e.session_id)) e.utm_source, e.utm_campaign
    from analytics.events e
    where e.tenant_id = p_tenant_id and e.created_at >= (p_period).starts_at and e.created_at < (p_period).ends_at
      and e.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
      and not exists (
        select from analytics.events b
        where b.tenant_id = e.tenant_id and b.session_id = e.session_id and b.visit_id = e.visit_id and b.created_at < (p_period).starts_at
          and b.event_type not in ('payment_redirect', 'payment_success', 'code_sent'))
    order by coalesce(e.visit_id::text, e.session_id), (e.utm_source is null), e.created_at, e.event_id
  ), facts as (
    -- One list instead of joins: a channel with spend and no order, or orders and no session, stays (LD-82).
    select v.utm_source, v.utm_campaign, 1 as session, 0 as paid, 0::numeric as revenue, 0::numeric as cost, 0 as unknown_cost, 0::numeric as spend
    from visits v
    union all
    select lower(o.utm_source), lower(o.utm_campaign), 0, 1, o.revenue, coalesce(o.cost, 0), (o.cost is null)::integer, 0
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
comment on function analytics.channel_stats(uuid, analytics.period) is
  'Per source and campaign: visits, paid orders, revenue, cost, gross profit, ad spend, ROI = (profit - spend) / spend * 100, MER = revenue / spend, conversion. Null where there is nothing to divide by.';

create function analytics.unit_metrics(p_tenant_id uuid, p_period analytics.period)
returns table (ordinal integer, metric_name text, unit text, metric_value numeric)
language sql stable set search_path = '' as $$
  select m.ordinal, m.metric_name, m.unit, m.metric_value
  from (
    select s.*, round(s.revenue / nullif(s.orders - s.unclear_orders, 0), 2) as aov,
      round(s.revenue / nullif(s.customers, 0), 2) as ltv,
      round(nullif(s.ad_spend, 0) / nullif(s.new_customers, 0), 2) as cac
    from analytics.sales_summary(p_tenant_id, p_period) s) s,
  lateral (values
    (1, 'Total Orders', 'count', s.orders::numeric),
    (2, 'Revenue', 'money', s.revenue),
    (3, 'Cost', 'money', s.cost),
    (4, 'Gross Profit', 'money', s.gross_profit),
    (5, 'Transaction Fees', 'money', s.fees),
    (6, 'Refunds', 'money', s.refunds),
    (7, 'Ad Spend', 'money', s.ad_spend),
    (8, 'True Profit', 'money', s.true_profit),
    (9, 'AOV', 'money', s.aov),
    (10, 'LTV', 'money', s.ltv),
    (11, 'CAC', 'money', s.cac),
    (12, 'LTV/CAC Ratio', 'ratio', round(s.ltv / nullif(s.cac, 0), 2))
  ) as m (ordinal, metric_name, unit, metric_value)
$$;
comment on function analytics.unit_metrics(uuid, analytics.period) is
  'The twelve figures of unit economics. AOV: revenue per order; LTV: revenue per customer of the period; CAC: ad spend per new customer.';

create function analytics.unit_economics(p_tenant_id uuid, p_period analytics.period, p_now timestamptz)
returns table (ordinal integer, metric_name text, unit text, metric_value numeric, period_comparison numeric)
language sql stable set search_path = '' as $$
  select c.ordinal, c.metric_name, c.unit, c.metric_value,
    round((c.metric_value - b.metric_value) * 100 / nullif(abs(b.metric_value), 0), 2)
  from analytics.unit_metrics(p_tenant_id, p_period) c
  join analytics.unit_metrics(p_tenant_id, analytics.previous_period(p_period, p_tenant_id, p_now)) b using (ordinal)
  order by c.ordinal
$$;
comment on function analytics.unit_economics(uuid, analytics.period, timestamptz) is
  'Unit economics with the change, in percent, against as many days right before (L-82); null where there was nothing before.';
