-- The settle: what a provider's word about a bill does to its order.
--
-- What: `shop.settle_notice` is the one place where money comes in. It is called by api.settle_payment (webhook or poll) and by
-- api.attach_bill (a notice that came before its bill was known). Everything it does, it does in the caller's one transaction: payment,
-- order, codes, fee row, outbox rows. Nothing else (events, mail) can make it fail: that follows from the outbox.
--
-- Each (order status, notice) pair has one outcome:
--
--   order \ notice                        paid                failed              expired             pending
--   pending                               takes the money     failed              expired             noop
--   failed                                takes the money     already_processed   ignored             noop
--   expired                               takes the money     ignored             already_processed   noop
--   paid, manual_review                   already_processed   ignored             ignored             noop
--   partially_refunded, refunded,         already_processed   ignored             ignored             noop
--     chargeback
--
-- Taking the money always sets paid_at. Then: amount or currency differ -> manual_review, and the codes stay as they are; else the order
-- gets its own reserved codes, or (late payment) free ones: `fulfilled`; too few -> manual_review, fulfilment waiting, until
-- fulfil_waiting finds codes. Both reviews open a critical alert.
--
-- A reservation outlives a failed attempt until the bill's own end, since the shopper may still pay on the same page. A notice
-- `expired`, or `failed` after that end, frees the codes: the provider's word stands for the last poll.
--
-- Idempotent by the order's row lock: of many equal notices one finds the order unpaid, the others find it done.

set local role lonieve_owner;

create function ops.lock_bill(p_bill_id text) returns void
language sql set search_path = '' as $$
  select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('bill|' || p_bill_id, 0))
$$;
comment on function ops.lock_bill(text) is
  'Held while a notice of an unknown bill is parked and while a bill is attached, so that neither misses the other. Always before the order''s row lock.';

create function shop.take_payment(o shop.orders, y shop.payments, p_amount text, p_currency text, p_origin text, p_body jsonb, p_now timestamptz)
returns text
language plpgsql set search_path = '' as $$
declare
  v_amount numeric := ops.try_amount(p_amount);
  v_received numeric := case when v_amount = round(v_amount, 2) then v_amount end;
  -- The status call of the provider names no currency: there the bill's own is meant. A webhook must name it.
  v_currency_ok boolean := upper(p_currency) is not distinct from y.currency or (p_currency is null and p_origin = 'poll');
  v_reason text := case when not v_currency_ok then 'currency_mismatch' when v_amount is distinct from y.amount then 'amount_mismatch' end;
  v_fulfilment text := o.fulfilment;
begin
  update shop.payments set status = 'paid', processed_at = p_now, received_amount = v_received, received_currency = coalesce(upper(p_currency), y.currency),
    idempotency_key = y.bill_id || ':paid', cardlink_response = p_body
  where id = y.id;
  if v_currency_ok then
    perform shop.book_gateway_fee(y.id, v_received, p_now);
  end if;
  update shop.orders set paid_at = p_now, status = case when v_reason is null then 'paid' else 'manual_review' end, review_reason = v_reason
  where id = o.id;
  perform ops.enqueue(o.tenant_id, 'order.paid', o.id, jsonb_build_object('order_id', o.id, 'bill_id', y.bill_id), p_now);

  if v_reason is null then
    begin
      perform shop.sell_codes(o.id, p_now);
      perform shop.mark_delivered(o.id, p_now);
      return 'fulfilled';
    exception when sqlstate 'LV001' then
      v_reason := 'no_codes_available';
      v_fulfilment := 'waiting';
      -- The block has also undone a release; what is still reserved goes back, fulfil_waiting starts from the shelf.
      perform shop.release_codes(o.id, p_now);
    end;
  end if;
  update shop.orders set status = 'manual_review', review_reason = v_reason, fulfilment = v_fulfilment where id = o.id;
  perform shop.compute_totals(o.id);
  perform ops.notify(o.tenant_id, v_reason, 'order:' || o.id, 'critical',
    case v_reason when 'no_codes_available' then 'A paid order has no code'
                  when 'amount_mismatch' then 'A payment is not the amount asked for'
                  else 'A payment is in another currency' end,
    case v_reason when 'no_codes_available' then 'Import codes: the order is delivered as soon as there are enough.'
                  else 'Asked for ' || ops.money(y.amount) || ' ' || y.currency || ', received ' || coalesce(ops.money(v_received), 'an unreadable amount')
                       || ' ' || coalesce(upper(p_currency), '') || '. Decide what to do with the order.' end,
    jsonb_build_object('order_id', o.id, 'payment_id', y.id, 'bill_id', y.bill_id), p_now);
  return 'manual_review';
end
$$;
comment on function shop.take_payment(shop.orders, shop.payments, text, text, text, jsonb, timestamptz) is
  'The money of an unpaid order is in: books it and delivers, or puts the order under review. The caller holds both rows'' locks. fulfilled or manual_review.';

create function shop.close_bill(o shop.orders, y shop.payments, p_status text, p_body jsonb, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_outcome text;
begin
  if o.status = 'pending' then
    update shop.payments set status = p_status, processed_at = p_now, idempotency_key = y.bill_id || ':' || p_status, cardlink_response = p_body
    where id = y.id;
    update shop.orders set status = p_status, failure_reason = 'provider_' || p_status where id = o.id;
    v_outcome := p_status;
  elsif o.status = p_status then
    v_outcome := 'already_processed';
  else
    v_outcome := 'ignored';
  end if;
  if o.paid_at is null and (p_status = 'expired' or p_now >= o.expires_at) then
    perform shop.release_codes(o.id, p_now);
  end if;
  return v_outcome;
end
$$;
comment on function shop.close_bill(shop.orders, shop.payments, text, jsonb, timestamptz) is
  'The provider says a bill failed or expired. failed, expired, already_processed or ignored; nothing moves once the money is in.';

create function shop.settle_notice(p_bill_id text, p_status text, p_amount text, p_currency text, p_origin text, p_body jsonb, p_now timestamptz)
returns jsonb
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
  y shop.payments;
  v_order uuid;
  v_outcome text;
begin
  if p_status not in ('paid', 'failed', 'expired', 'pending') or p_status is null then
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
    when p_status = 'paid' and o.paid_at is not null then 'already_processed'
    when p_status = 'paid' then shop.take_payment(o, y, p_amount, p_currency, p_origin, p_body, p_now)
    else shop.close_bill(o, y, p_status, p_body, p_now) end;
  return jsonb_build_object('outcome', v_outcome, 'order_id', o.id, 'tenant_id', o.tenant_id);
end
$$;
comment on function shop.settle_notice(text, text, text, text, text, jsonb, timestamptz) is
  'What the provider says about a bill, applied once. {outcome, order_id, tenant_id}.';
