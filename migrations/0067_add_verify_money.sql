-- ops.verify_money: does what the database says about money fit together?
--
-- What: like ops.verify_ledger, a function that returns one row for each fault and none where all is well. It works every figure out again
-- from the rows it follows from and compares: payments with orders, orders with items, items with codes, fees, refunds, profits, and the
-- states with each other. It reads and never writes.
--
-- Called by the daily reconciliation for each tenant and day, by tests after whatever they did, and by hand:
-- `select * from ops.verify_money();`. Subjects are `order:<id>`, `bill:<id>` or `code:<id>`; problems are sentences and hold no code and no
-- address.
--
-- It says the rules in its own words on purpose. It calls none of the functions that book money: a check that repeats the code it
-- checks finds nothing. One file for each kind of fault below would be many functions that each read the same orders; they are
-- CTEs of four functions instead.
--
-- Two rules have room. A refund may give back what the payer bore on top of the price, so it may exceed what came in by the provider's fee.
-- The fee of an overpaid bill may have been booked before the last of the surplus came in.
--
-- Rejected: constraints and triggers for all of it (most rules span tables, and a settle must not fail over a figure in a report).

set local role lonieve_owner;

-- The daily check asks for the orders of a day by both times.
create index idx_orders_paid on shop.orders (tenant_id, paid_at) where paid_at is not null;

create function ops.orders_to_verify(p_tenant_id uuid, p_from timestamptz, p_to timestamptz) returns setof shop.orders
language sql stable set search_path = '' as $$
  select o.* from shop.orders o
  where (p_tenant_id is null or o.tenant_id = p_tenant_id)
    and (p_from is null
      or (o.created_at >= p_from and o.created_at < p_to)
      or (o.paid_at >= p_from and o.paid_at < p_to)
      or exists (select from shop.refunds f where f.order_id = o.id and f.processed_at >= p_from and f.processed_at < p_to))
$$;
comment on function ops.orders_to_verify(uuid, timestamptz, timestamptz) is 'Orders placed, paid or refunded in a span of time; all, where p_from is null.';

create function ops.verify_orders(p_tenant_id uuid, p_from timestamptz, p_to timestamptz) returns table (subject text, problem text)
language sql stable set search_path = '' as $$
  with o as materialized (select * from ops.orders_to_verify(p_tenant_id, p_from, p_to)),
  facts as (
    select o.*,
      (select sum(it.price * it.quantity) from shop.order_items it where it.order_id = o.id) as items_total,
      (select count(*) from shop.payments y where y.order_id = o.id and y.status in ('paid', 'refunded', 'chargeback')) as payments_in,
      (select y.status from shop.payments y where y.order_id = o.id order by y.created_at desc, y.id limit 1) as last_payment,
      exists (select from shop.refunds f where f.order_id = o.id and f.status = 'completed' and f.kind = 'refund' and f.refund_amount > 0) as is_refunded,
      exists (select from shop.refunds f where f.order_id = o.id and f.status = 'completed' and f.kind = 'chargeback') as is_charged_back,
      -- Its codes, seen by nobody, are revoked before the provider has given the money back.
      exists (select from shop.refunds f where f.order_id = o.id and f.status in ('pending', 'approved')) as is_asked_back,
      exists (select from ops.system_notifications n where n.tenant_id = o.tenant_id and n.subject = 'order:' || o.id and n.type = o.review_reason
        and (not n.is_resolved or n.resolved_by is not null)) as somebody_knows
    from o)
  select 'order:' || f.id, v.problem from facts f, lateral (values
    (f.items_total is distinct from f.total_amount, 'its total is ' || f.total_amount || ', its items come to ' || coalesce(f.items_total::text, 'nothing')),
    (f.paid_at is not null and f.payments_in = 0, 'it is paid, but no payment of it is'),
    (f.paid_at is null and f.payments_in > 0, 'a payment of it is paid, but the order is not'),
    (f.payments_in > 1, 'it was paid ' || f.payments_in || ' times'),
    (f.paid_at is not null and f.status in ('pending', 'failed', 'expired'), 'it has a time of payment, but is ' || f.status),
    (f.paid_at is null and f.status is distinct from f.last_payment, 'it is ' || f.status || ', its payment ' || coalesce(f.last_payment, 'missing')),
    (f.paid_at is null and f.fulfilment not in ('none', 'reserved'), 'it is not paid, but its codes are ' || f.fulfilment),
    (f.paid_at is not null and f.fulfilment = 'reserved' and f.status <> 'manual_review', 'it is paid, but its codes are only reserved'),
    (f.status in ('refunded', 'chargeback') and f.fulfilment not in ('none', 'revoked'), 'its money went back, but its codes are ' || f.fulfilment),
    (f.status in ('paid', 'partially_refunded') and f.fulfilment not in ('delivered', 'reserved') and f.failure_reason is distinct from 'closed_by_staff'
        and not (f.fulfilment = 'revoked' and f.is_asked_back),
      'it is paid, has no codes, and nobody has decided so'),
    (f.fulfilment = 'waiting' and f.review_reason is distinct from 'no_codes_available', 'it waits for codes, but is not under review for that'),
    (f.status = 'manual_review' and not f.somebody_knows, 'it is under review (' || coalesce(f.review_reason, 'no reason') || ') without an alert'),
    (f.status = 'chargeback' and not f.is_charged_back, 'it is charged back, but no chargeback is booked'),
    (f.status in ('refunded', 'partially_refunded') and not f.is_refunded, 'it is ' || f.status || ', but no refund is booked'),
    (f.status in ('paid', 'pending', 'failed', 'expired') and f.refund_amount > 0, 'it is ' || f.status || ', but says that ' || f.refund_amount || ' was refunded'),
    (f.refund_amount > f.total_amount, 'it says that ' || f.refund_amount || ' of ' || f.total_amount || ' was refunded')
  ) v (wrong, problem)
  where v.wrong
$$;
comment on function ops.verify_orders(uuid, timestamptz, timestamptz) is 'Faults of orders: total, states, times, and whether somebody knows where a person must decide.';

create function ops.verify_payments(p_tenant_id uuid, p_from timestamptz, p_to timestamptz) returns table (subject text, problem text)
language sql stable set search_path = '' as $$
  with facts as (
    select y.*, o.id as of_order, o.total_amount, o.currency as order_currency, o.fulfilment, o.cardlink_bill_id, o.refund_amount as order_refunded, o.status as order_status,
      y.status in ('paid', 'refunded', 'chargeback') as has_money,
      coalesce(y.received_amount, y.amount) as came_in,
      (select coalesce(sum(f.refund_amount), 0) from shop.refunds f where f.payment_id = y.id and f.status = 'completed') as went_back,
      exists (select from shop.refunds f where f.payment_id = y.id and f.status = 'completed' and f.processed_at is null) as has_untimed_refund,
      exists (select from ops.audit_log a where a.subject = 'order:' || o.id and a.action = 'order.deliver') as was_accepted,
      g.fee_amount as fee, g.fee_percentage as fee_percent, coalesce(g.fee_fixed, 0) as fee_fixed, g.currency as fee_currency, g.id as fee_id
    from ops.orders_to_verify(p_tenant_id, p_from, p_to) o join shop.payments y on y.order_id = o.id
    left join shop.transaction_fees g on g.payment_id = y.id and g.fee_type = 'payment_gateway' and g.reverses is null),
  worked_out as (
    select f.*,
      -- A surplus goes back first and is not the order's.
      least(f.came_in, f.amount, greatest(f.went_back - greatest(f.came_in - f.amount, 0), 0)) as refund_of_price,
      round(f.came_in * f.fee_percent / 100 + f.fee_fixed, 2) as fee_of_all,
      round(least(f.amount, f.came_in) * f.fee_percent / 100 + f.fee_fixed, 2) as fee_of_price
    from facts f)
  select coalesce('bill:' || f.bill_id, 'order:' || f.of_order), v.problem from worked_out f, lateral (values
    (f.amount <> f.total_amount, 'it asks for ' || f.amount || ', its order comes to ' || f.total_amount),
    (f.currency <> f.order_currency, 'it is in ' || f.currency || ', its order in ' || f.order_currency),
    (f.bill_id is distinct from f.cardlink_bill_id, 'its order names another bill'),
    (not f.has_money and (f.received_amount is not null or f.went_back > 0), 'it is ' || f.status || ', but money has moved'),
    (f.has_money and f.fulfilment in ('delivered', 'revoked') and not f.was_accepted and (f.received_amount < f.amount or f.received_currency <> f.currency),
      'its order was delivered for ' || f.received_amount || ' ' || f.received_currency || ' of ' || f.amount || ' ' || f.currency || ', and nobody has decided so'),
    (f.went_back > f.came_in + coalesce(f.fee, 0), f.went_back || ' was given back of ' || f.came_in),
    (f.has_money and f.order_refunded <> f.refund_of_price,
      'refunds of the price come to ' || f.refund_of_price || ', the order says ' || f.order_refunded),
    (f.status in ('refunded', 'chargeback') and f.status <> f.order_status, 'it is ' || f.status || ', its order ' || f.order_status),
    (f.status in ('refunded', 'chargeback') and f.refund_of_price < least(f.came_in, f.amount), 'it is ' || f.status || ', but only ' || f.went_back || ' of ' || f.came_in || ' went back'),
    (f.has_money and f.order_status = 'partially_refunded' and f.refund_of_price >= least(f.came_in, f.amount), 'all of it went back, but its order is partially_refunded'),
    (f.has_untimed_refund, 'a refund of it is completed, but has no time'),
    (not f.has_money and f.fee_id is not null, 'a fee of ' || f.fee || ' is booked, but no money came in'),
    (f.fee_currency <> f.currency, 'its fee is in ' || f.fee_currency),
    (f.has_money and f.fee_id is not null and f.received_currency <> f.currency, 'a fee is booked on money in another currency'),
    (f.has_money and f.fee_id is null and f.received_amount is not null and f.received_currency = f.currency and f.idempotency_key like '%:paid', 'no fee is booked'),
    (f.has_money and f.fee not between f.fee_of_price and f.fee_of_all,
      'its fee is ' || f.fee || ', ' || f.fee_percent || ' % + ' || f.fee_fixed || ' of ' || f.came_in || ' is ' || f.fee_of_all)
  ) v (wrong, problem)
  where v.wrong
$$;
comment on function ops.verify_payments(uuid, timestamptz, timestamptz) is 'Faults of payments: amount, what came in and went back, and the provider''s fee, once and to the cent.';

create function ops.verify_deliveries(p_tenant_id uuid, p_from timestamptz, p_to timestamptz) returns table (subject text, problem text)
language sql stable set search_path = '' as $$
  with items as materialized (
    select o.id as order_id, o.status, o.fulfilment, it.id, it.price * it.quantity as price, it.quantity, it.cost_price, it.profit, it.product_id, it.nominal,
      it.currency, it.tenant_id
    from ops.orders_to_verify(p_tenant_id, p_from, p_to) o join shop.order_items it on it.order_id = o.id),
  counted as (
    select i.*, c.*
    from items i, lateral (
      select count(*) filter (where g.status = 'sold') as sold, count(*) filter (where g.status = 'reserved') as reserved,
        count(*) filter (where g.status = 'revoked') as revoked, count(*) filter (where g.status = 'sold' and g.cost_price is null) as unknown_sold,
        count(*) filter (where g.status in ('sold', 'revoked') and g.cost_price is null) as unknown_all,
        sum(g.cost_price) filter (where g.status = 'sold') as cost_sold, sum(g.cost_price) filter (where g.status in ('sold', 'revoked')) as cost_all
      from shop.gift_codes g where g.order_item_id = i.id) c),
  codes as (
    select i.order_id, i.status as order_status, g.id, g.status, g.tenant_id <> i.tenant_id or g.product_id <> i.product_id or g.nominal <> i.nominal
        or g.currency <> i.currency as is_another,
      (select count(distinct l.order_id) from shop.code_ledger l where l.code_id = g.id and l.entry = 'sold') as sales,
      exists (select from shop.code_ledger l where l.code_id = g.id and l.entry = 'sold' and l.order_id = i.order_id) as sold_here
    from items i join shop.gift_codes g on g.order_item_id = i.id)
  select 'order:' || c.order_id, v.problem from counted c, lateral (values
    (c.fulfilment = 'delivered' and c.sold < c.quantity and not (c.status = 'partially_refunded' and c.sold + c.revoked >= c.quantity),
      'it is delivered, but has ' || c.sold || ' of ' || c.quantity || ' codes'),
    (c.sold > c.quantity, 'it has ' || c.sold || ' codes for ' || c.quantity || ' units'),
    (c.fulfilment <> 'delivered' and c.sold > 0, 'its codes are ' || c.fulfilment || ', but ' || c.sold || ' of them are sold'),
    (c.fulfilment <> 'reserved' and c.reserved > 0, 'its codes are ' || c.fulfilment || ', but ' || c.reserved || ' of them are reserved'),
    (c.reserved > c.quantity, 'it has reserved ' || c.reserved || ' codes for ' || c.quantity || ' units'),
    -- A replaced code stays with its item. Whether its cost counts too is the business of whoever replaces.
    (c.fulfilment = 'delivered' and c.cost_price is distinct from case when c.unknown_sold = 0 then c.cost_sold end
        and c.cost_price is distinct from case when c.unknown_all = 0 then c.cost_all end,
      'an item says it cost ' || coalesce(c.cost_price::text, 'nobody knows what') || ', its codes cost ' || coalesce(c.cost_sold::text, 'nobody knows what')),
    (c.profit is distinct from c.price - c.cost_price, 'an item says its profit is ' || coalesce(c.profit::text, 'unknown') || ', it is ' || coalesce((c.price - c.cost_price)::text, 'unknown'))
  ) v (wrong, problem)
  where v.wrong
  union all
  select 'code:' || c.id, v.problem from codes c, lateral (values
    (c.is_another, 'it is not of the product, face value or shop of its item'),
    (c.sales > 1, 'it was sold to ' || c.sales || ' orders'),
    (c.status = 'sold' and not c.sold_here, 'it is at order ' || c.order_id || ', which it was never sold to')
  ) v (wrong, problem)
  where v.wrong
$$;
comment on function ops.verify_deliveries(uuid, timestamptz, timestamptz) is 'Faults between items and codes: one sold code for each unit of a delivered order, none elsewhere, none sold twice, and their cost.';

create function ops.verify_profits(p_tenant_id uuid, p_from timestamptz, p_to timestamptz) returns table (subject text, problem text)
language sql stable set search_path = '' as $$
  with facts as (
    select o.*,
      (select coalesce(sum(g.fee_amount), 0) from shop.transaction_fees g where g.order_id = o.id) as fees,
      (select case when count(it.cost_price) = count(*) then sum(it.cost_price) end from shop.order_items it where it.order_id = o.id) as cost
    from ops.orders_to_verify(p_tenant_id, p_from, p_to) o)
  select 'order:' || f.id, v.problem from facts f, lateral (values
    (f.transaction_fees <> f.fees, 'its fees come to ' || f.fees || ', it says ' || f.transaction_fees),
    (f.total_cost is distinct from f.cost, 'its items cost ' || coalesce(f.cost::text, 'nobody knows what') || ', it says ' || coalesce(f.total_cost::text, 'unknown')),
    (f.total_profit is distinct from f.total_amount - f.cost,
      'its profit is ' || coalesce((f.total_amount - f.cost)::text, 'unknown') || ', it says ' || coalesce(f.total_profit::text, 'unknown')),
    (f.true_profit is distinct from f.total_amount - f.cost - f.fees - f.refund_amount,
      'its true profit is ' || coalesce((f.total_amount - f.cost - f.fees - f.refund_amount)::text, 'unknown') || ', it says ' || coalesce(f.true_profit::text, 'unknown'))
  ) v (wrong, problem)
  where v.wrong
$$;
comment on function ops.verify_profits(uuid, timestamptz, timestamptz) is 'Faults of an order''s totals: fees, cost and profits worked out again from its rows.';

create function ops.verify_money(p_tenant_id uuid default null, p_from timestamptz default null, p_to timestamptz default 'infinity')
returns table (subject text, problem text)
language sql stable set search_path = '' as $$
  select * from ops.verify_orders(p_tenant_id, p_from, p_to)
  union all select * from ops.verify_payments(p_tenant_id, p_from, p_to)
  union all select * from ops.verify_deliveries(p_tenant_id, p_from, p_to)
  union all select * from ops.verify_profits(p_tenant_id, p_from, p_to)
$$;
comment on function ops.verify_money(uuid, timestamptz, timestamptz) is
  'Every fault of orders, payments, fees, refunds, codes and profits against each other, of one tenant or all, of all time or of orders placed, paid or refunded in a span. No row: all is well.';
