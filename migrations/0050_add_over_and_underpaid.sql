-- The settle learns what Cardlink v1 can say of a bill: paid with too much, paid with too little.
--
-- What: `shop.settle_notice` takes two more statuses, from api.settle_payment only. Their columns of the state table (0025):
--
--   order \ notice                        overpaid                            underpaid
--   pending, failed, expired              takes the money, warns              manual_review, reason underpaid
--   manual_review, reason underpaid       takes the money, warns (also paid)  already_processed
--   paid, manual_review (other reasons)   already_processed                   ignored
--   partially_refunded, refunded,         already_processed                   ignored
--     chargeback
--
-- Under v1 `amount` is what the bill asked for, which stays the same whatever came in and whoever bears the commission; that is what
-- is compared with the payment. What came in arrives beside it as `received`, where the provider could tell.
--
-- An underpaid order is served when the rest comes (the bill then says paid), unless money was given back meanwhile: then a person has
-- taken the case over. The provider's fee is booked when the payment is complete; it can be booked once only.
--
-- More than was asked for is no reason to hold a code back: the order is served, and a warning names the surplus. The warning comes
-- once per sum, so a repeated notice does not reopen what staff have closed.
--
-- `mark_delivered` keeps in mind that part of the money may have been given back while the order waited.
--
-- Rejected: taking an overpaid bill as an amount mismatch (the shopper has paid and would wait for a person).

set local role lonieve_owner;

create or replace function shop.mark_delivered(p_order_id uuid, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_tenant uuid;
begin
  update shop.orders set status = case when refund_amount > 0 then 'partially_refunded' else 'paid' end, fulfilment = 'delivered',
    delivered_at = p_now, review_reason = null
  where id = p_order_id returning tenant_id into v_tenant;
  perform shop.book_commission(p_order_id, p_now);
  perform shop.compute_totals(p_order_id);
  perform ops.enqueue(v_tenant, 'order.delivered', p_order_id, jsonb_build_object('order_id', p_order_id), p_now);
end
$$;

create function shop.waits_for_the_rest(o shop.orders) returns boolean
language sql stable set search_path = '' as $$
  select o.status = 'manual_review' and o.review_reason = 'underpaid' and o.refund_amount = 0
    and not exists (select from shop.refunds f where f.order_id = o.id and f.status in ('pending', 'approved'))
$$;
comment on function shop.waits_for_the_rest(shop.orders) is 'Was this order paid in part, and would the rest still complete it? Not once money goes back, or is about to.';

create function shop.note_surplus(o shop.orders, y shop.payments, p_received numeric, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_surplus text := coalesce(ops.money(p_received - y.amount), 'unknown');
begin
  -- Once money has gone back, what came in stays as it was counted then.
  update shop.payments set received_amount = coalesce(p_received, received_amount)
  where id = y.id and not exists (select from shop.refunds f where f.payment_id = y.id and f.status = 'completed');
  if exists (select from ops.system_notifications n
             where n.tenant_id = o.tenant_id and n.type = 'overpaid' and n.subject = 'order:' || o.id and n.data ->> 'surplus' = v_surplus) then
    return;
  end if;
  perform ops.notify(o.tenant_id, 'overpaid', 'order:' || o.id, 'warning', 'A payment is more than was asked for',
    'Asked for ' || ops.money(y.amount) || ' ' || y.currency
      || coalesce(', received ' || ops.money(p_received) || ': ' || v_surplus || ' too much', '; the provider does not say how much came in')
      || '. The order is served as paid. Decide whether to give the surplus back.',
    jsonb_build_object('order_id', o.id, 'payment_id', y.id, 'bill_id', y.bill_id, 'surplus', v_surplus), p_now);
end
$$;
comment on function shop.note_surplus(shop.orders, shop.payments, numeric, timestamptz) is
  'Keeps what came in and warns staff of the surplus, once for each sum; p_received is null where the provider could not tell. The caller holds both rows'' locks.';

create function shop.review_title(p_reason text) returns text
language sql immutable set search_path = '' as $$
  select case p_reason when 'no_codes_available' then 'A paid order has no code'
                       when 'amount_mismatch' then 'A payment is not the amount asked for'
                       when 'underpaid' then 'A payment is less than was asked for'
                       else 'A payment is in another currency' end
$$;
comment on function shop.review_title(text) is 'The headline of the alert about an order under review.';

drop function shop.take_payment(shop.orders, shop.payments, text, text, text, jsonb, timestamptz);

create function shop.take_payment(o shop.orders, y shop.payments, p_amount text, p_currency text, p_origin text, p_body jsonb, p_now timestamptz,
                                  p_status text default 'paid', p_received numeric default null)
returns text
language plpgsql set search_path = '' as $$
declare
  v_asked numeric := ops.try_amount(p_amount);
  v_amount numeric := case when v_asked = round(v_asked, 2) then v_asked end;
  v_received numeric := case p_status when 'paid' then v_amount else p_received end;
  -- The status call of v2 names no currency: there the bill's own is meant. A webhook must name it.
  v_currency_ok boolean := upper(p_currency) is not distinct from y.currency or (p_currency is null and p_origin = 'poll');
  v_reason text := case when not v_currency_ok then 'currency_mismatch' when v_asked is distinct from y.amount then 'amount_mismatch'
                        when p_status = 'underpaid' then 'underpaid' end;
  v_fulfilment text := o.fulfilment;
begin
  update shop.payments set status = 'paid', processed_at = p_now, received_amount = v_received, received_currency = coalesce(upper(p_currency), y.currency),
    idempotency_key = y.bill_id || ':' || case p_status when 'underpaid' then 'underpaid' else 'paid' end, cardlink_response = p_body
  where id = y.id;
  if v_currency_ok and p_status <> 'underpaid' then
    perform shop.book_gateway_fee(y.id, coalesce(v_received, v_amount), p_now);
  end if;
  if o.paid_at is null then
    perform ops.enqueue(o.tenant_id, 'order.paid', o.id, jsonb_build_object('order_id', o.id, 'bill_id', y.bill_id), p_now);
  else
    perform ops.resolve_notification(o.tenant_id, 'underpaid', 'order:' || o.id, p_now);
  end if;

  if v_reason is null then
    begin
      update shop.orders set paid_at = coalesce(paid_at, p_now), status = 'paid', review_reason = null where id = o.id;
      perform shop.sell_codes(o.id, p_now);
      perform shop.mark_delivered(o.id, p_now);
      return 'fulfilled';
    exception when sqlstate 'LV001' then
      v_reason := 'no_codes_available';
      v_fulfilment := 'waiting';
      -- The block has undone the sale, and a release with it; what is still reserved goes back, fulfil_waiting starts from the shelf.
      perform shop.release_codes(o.id, p_now);
    end;
  end if;
  update shop.orders set paid_at = coalesce(paid_at, p_now), status = 'manual_review', review_reason = v_reason, fulfilment = v_fulfilment where id = o.id;
  perform shop.book_commission(o.id, p_now);
  perform shop.compute_totals(o.id);
  perform ops.notify(o.tenant_id, v_reason, 'order:' || o.id, 'critical', shop.review_title(v_reason),
    case v_reason when 'no_codes_available' then 'Import codes: the order is delivered as soon as there are enough.'
                  else 'Asked for ' || ops.money(y.amount) || ' ' || y.currency || ', received ' || coalesce(ops.money(v_received), 'an unreadable amount')
                       || ' ' || coalesce(upper(p_currency), '') || '. Decide what to do with the order.' end,
    jsonb_build_object('order_id', o.id, 'payment_id', y.id, 'bill_id', y.bill_id), p_now);
  return 'manual_review';
end
$$;
comment on function shop.take_payment(shop.orders, shop.payments, text, text, text, jsonb, timestamptz, text, numeric) is
  'Money of an unpaid or underpaid order is in (p_status: paid, overpaid, underpaid): books it and delivers, or puts the order under review. The caller holds both rows'' locks. fulfilled or manual_review.';

drop function shop.settle_notice(text, text, text, text, text, jsonb, timestamptz);

create function shop.settle_notice(p_bill_id text, p_status text, p_amount text, p_currency text, p_origin text, p_body jsonb, p_now timestamptz,
                                   p_received text default null)
returns jsonb
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
  y shop.payments;
  v_order uuid;
  v_outcome text;
  v_received numeric := round(ops.try_amount(p_received), 2);
begin
  if p_status not in ('paid', 'overpaid', 'underpaid', 'failed', 'expired', 'pending') or p_status is null then
    raise exception 'unknown_status' using errcode = '22023';
  end if;
  select order_id into v_order from shop.payments where bill_id = p_bill_id;
  if not found then
    perform ops.lock_bill(p_bill_id);
    select order_id into v_order from shop.payments where bill_id = p_bill_id;
    if not found then
      return jsonb_build_object('outcome', 'payment_not_found', 'order_id', null);
    end if;
  end if;
  select * into o from shop.orders where id = v_order for update;
  select * into y from shop.payments where bill_id = p_bill_id for update;
  v_outcome := case
    when p_status = 'pending' then 'noop'
    when p_status in ('failed', 'expired') then shop.close_bill(o, y, p_status, p_body, p_now)
    when o.paid_at is null or (p_status <> 'underpaid' and shop.waits_for_the_rest(o)) then
      shop.take_payment(o, y, p_amount, p_currency, p_origin, p_body, p_now, p_status, v_received)
    when p_status = 'underpaid' and o.review_reason is distinct from 'underpaid' then 'ignored'
    else 'already_processed' end;
  if p_status = 'overpaid' and (v_outcome in ('fulfilled', 'manual_review') or v_received > coalesce(y.received_amount, y.amount)) then
    perform shop.note_surplus(o, y, v_received, p_now);
  end if;
  return jsonb_build_object('outcome', v_outcome, 'order_id', o.id, 'tenant_id', o.tenant_id);
end
$$;
comment on function shop.settle_notice(text, text, text, text, text, jsonb, timestamptz, text) is
  'What the provider says about a bill, applied once. {outcome, order_id, tenant_id}.';
