-- What an order earned: fees, cost, profit, commission (L-23, L-27, L-30, L-32, LD-6).
--
-- What: the provider's fee is one row per payment; an order's totals are always computed from rows (items, codes, fees, commissions), never
-- counted up, so running it twice is running it once. Called by the settle and by whatever assigns codes later.
--
-- true_profit is L-23's: revenue less cost, fees and refunds. A partner's commission stands beside it, not in it.
--
-- A code that was delivered and revoked later (a refund, a replacement) keeps its order row and stays a cost: it was bought.
--
-- A code whose cost is unknown makes its row's and its order's cost and profit unknown (null): a profit that leaves out a cost would
-- be wrong and look right.

set local role lonieve_owner;

create function shop.book_gateway_fee(p_payment_id uuid, p_amount numeric, p_now timestamptz) returns void
language sql set search_path = '' as $$
  insert into shop.transaction_fees (tenant_id, order_id, payment_id, fee_type, fee_amount, fee_percentage, fee_fixed, currency, created_at)
  select y.tenant_id, y.order_id, y.id, 'payment_gateway', round(p_amount * s.percent * 0.01 + s.fixed, 2), s.percent, s.fixed, y.currency, p_now
  from shop.payments y,
       lateral (select round(ops.tenant_setting(y.tenant_id, 'fee_percent'), 2) as percent, round(ops.tenant_setting(y.tenant_id, 'fee_fixed'), 2) as fixed) s
  where y.id = p_payment_id and p_amount is not null
  on conflict (payment_id, fee_type) where reverses is null do nothing
$$;
comment on function shop.book_gateway_fee(uuid, numeric, timestamptz) is
  'The payment provider''s fee on an amount received: fee_percent of it plus fee_fixed, half up; once per payment. Of 75.00 by default: 2.48.';

create function shop.left_to_refund(p_order_id uuid) returns numeric
language sql stable set search_path = '' as $$
  select greatest(coalesce(y.received_amount, y.amount)
    - (select coalesce(sum(f.refund_amount), 0) from shop.refunds f where f.payment_id = y.id and f.status in ('pending', 'approved', 'completed')), 0)
  from shop.payments y where y.order_id = p_order_id and y.status = 'paid' order by y.created_at desc, y.id limit 1
$$;
comment on function shop.left_to_refund(uuid) is
  'What of an order''s money can still be given back: what came in, a surplus too, less what has gone back and what is on its way back. Null where no money is in, or none any more.';

create function shop.is_being_refunded(p_order_id uuid) returns boolean
language sql stable set search_path = '' as $$
  select coalesce(shop.left_to_refund(p_order_id) = 0, false)
    and exists (select from shop.refunds f where f.order_id = p_order_id and f.status in ('pending', 'approved'))
$$;
comment on function shop.is_being_refunded(uuid) is 'Has staff decided to give back all the money there is, without its being done yet? No code goes out meanwhile.';

create function shop.compute_totals(p_order_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
  update shop.order_items it set
    cost_price = c.cost,
    profit = it.price * it.quantity - c.cost,
    margin_percentage = case
      -- A price of cents against a cost of thousands does not fit the column; it says nothing either.
      when it.price > 0 and abs(it.price * it.quantity - c.cost) * 100 < 999999 * it.price * it.quantity
      then round((it.price * it.quantity - c.cost) * 100 / (it.price * it.quantity), 2) end
  from (
    select g.order_item_id, case when count(g.cost_price) = count(*) then sum(g.cost_price) end as cost
    from shop.gift_codes g
    where g.status in ('sold', 'revoked') and g.order_item_id in (select id from shop.order_items where order_id = p_order_id)
    group by g.order_item_id) c
  where it.id = c.order_item_id;

  update shop.orders o set
    total_cost = t.cost,
    total_profit = o.total_amount - t.cost,
    transaction_fees = t.fees,
    true_profit = o.total_amount - t.cost - t.fees - o.refund_amount,
    partner_commission = t.commission
  from (
    select (select case when count(it.cost_price) = count(*) then sum(it.cost_price) end from shop.order_items it where it.order_id = p_order_id) as cost,
           (select coalesce(sum(f.fee_amount), 0) from shop.transaction_fees f where f.order_id = p_order_id) as fees,
           (select sum(c.amount) from shop.partner_commissions c where c.order_id = p_order_id) as commission) t
  where o.id = p_order_id;
end
$$;
comment on function shop.compute_totals(uuid) is 'Writes cost, profit, margin, fees and commission of an order and its items, from the rows they follow from.';

create function shop.mark_delivered(p_order_id uuid, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_tenant uuid;
begin
  update shop.orders set status = 'paid', fulfilment = 'delivered', delivered_at = p_now, review_reason = null
  where id = p_order_id returning tenant_id into v_tenant;
  perform shop.compute_totals(p_order_id);
  perform ops.enqueue(v_tenant, 'order.delivered', p_order_id, jsonb_build_object('order_id', p_order_id), p_now);
end
$$;
comment on function shop.mark_delivered(uuid, timestamptz) is 'A paid order has all its codes: status, totals, and the outbox row its mail follows from.';
