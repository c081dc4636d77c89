-- Money that goes back: api.settle_refund and api.settle_chargeback (L-23, L-33; LD-54, LD-79).
--
-- Called by the cardlink Worker with what the provider, asked about the payment, says has been given back; never with a notice's own
-- claims. Everything moves in the one transaction: rows of money, order, payment, codes, ledger, log. Locks as everywhere: order,
-- payment, codes.
--
--   order \ confirmed                     refund of a part      refund of the rest     chargeback
--   paid, partially_refunded              partially_refunded    refunded               chargeback
--   manual_review                         partially_refunded;   refunded               chargeback
--                                         stays under review
--   pending, failed, expired              the money had come in without our hearing of it: as manual_review, reason underpaid
--   refunded                              already_processed     already_processed      ignored
--   chargeback                            ignored               ignored                already_processed
--   nothing confirmed                     ignored               ignored                ignored
--
-- Each refund is one row, found again by the provider's own id; where the provider names a total but not its parts, the difference to
-- what is booked is one row. So a notice that got lost is made up for by the next one, and a repeat finds nothing new.
--
-- `orders.refund_amount` is what was given back of the order's price: a surplus (overpaid) comes first and is not counted, and no more than
-- the price is. An order is `refunded` when all that came in for it has gone back.
--
-- Codes: an order that is refunded whole or charged back keeps none. Those still reserved return to the shelf (`released`); those
-- delivered were seen by somebody and are `revoked`, for good. Their cost stays in the totals. The mail that was not sent yet is
-- cancelled by claim_outbox. After a refund of a part the codes stay with the shopper.
--
-- After a refund, a bill still says SUCCESS at the provider. So a refund of money we had not heard of marks the money as in, and no
-- later notice of the payment can release a code for it.
--
-- A refund that staff asked for (0060) has its row before the provider knows of it. Whoever hears first that it is done, notice or job,
-- completes that row: `shop.asked_refund` finds it.
--
-- Rejected: believing amounts of the notice (partly unsigned); raising where more goes back than came in (the provider has done it
-- already; it must be recorded); putting revoked codes back on the shelf.

set local role lonieve_owner;

create function shop.revoke_sold_codes(p_order_id uuid, p_reason text, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids uuid[];
begin
  select array_agg(f.id) into v_ids from (
    select g.id from shop.order_items it join shop.gift_codes g on g.order_item_id = it.id
    where it.order_id = p_order_id and g.status = 'sold'
    order by g.id for update of g) f;
  update shop.gift_codes set status = 'revoked' where id = any (v_ids);
  perform ops.append_ledger(o.tenant_id, c.id, 'revoked', o.id, p_now, jsonb_build_object('reason', p_reason))
  from shop.orders o, unnest(v_ids) c (id) where o.id = p_order_id;
  return coalesce(cardinality(v_ids), 0);
end
$$;
comment on function shop.revoke_sold_codes(uuid, text, timestamptz) is 'Takes an order''s sold codes out of circulation; they keep their item. Returns how many.';

create function shop.given_back(y shop.payments, out whole numeric, out returned numeric)
language sql stable set search_path = '' as $$
  select least(m.received, y.amount),
    least(least(m.received, y.amount), greatest(m.sum - greatest(m.received - y.amount, 0), 0))
  from (select coalesce(y.received_amount, y.amount) as received,
    (select coalesce(sum(f.refund_amount), 0) from shop.refunds f where f.payment_id = y.id and f.status = 'completed') as sum) m
$$;
comment on function shop.given_back(shop.payments) is
  'whole: what came in for the order''s price. returned: what of it has gone back; a surplus goes back first and does not count, nor does more than the whole.';

create function shop.asked_refund(p_payment_id uuid, p_ref text, p_amount numeric) returns uuid
language plpgsql stable set search_path = '' as $$
begin
  return (
    select f.id from shop.refunds f join ops.refund_calls c on c.refund_id = f.id
    where f.payment_id = p_payment_id and f.status in ('pending', 'approved') and f.provider_refund_id is null and c.called_at is not null
      and (f.id::text = p_ref or (p_ref is null and f.refund_amount = p_amount))
    order by f.requested_at, f.id limit 1);
end
$$;
comment on function shop.asked_refund(uuid, text, numeric) is
  'The refund of ours that the provider was asked for and that this one must be: by our reference where the provider repeats it, else by the amount. One call of an order is open at a time.';

create function shop.complete_refund(p_refund_id uuid, p_payment text, p_provider_refund_id text, p_amount numeric, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
begin
  -- Also one that was called refused: the provider's last word stands.
  update shop.refunds set status = 'completed', processed_at = p_now, refund_amount = p_amount, provider_payment_id = p_payment,
    provider_refund_id = coalesce(p_provider_refund_id, provider_refund_id)
  where id = p_refund_id and status <> 'completed';
  if not found then
    return false;
  end if;
  update ops.refund_calls set finished_at = p_now, locked_until = null where refund_id = p_refund_id and finished_at is null;
  return true;
end
$$;
comment on function shop.complete_refund(uuid, text, text, numeric, timestamptz) is 'A refund we know is done; false where it was already. The caller holds the order''s lock.';

create function shop.book_refunds(y shop.payments, p jsonb, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_payment text := p ->> 'payment_id';
  v_rows integer := 0;
  v_rest numeric;
  v_known uuid;
  r record;
begin
  for r in
    select e.value ->> 'id' as id, e.value ->> 'ref' as ref, round(ops.try_amount(e.value ->> 'amount'), 2) as amount
    from jsonb_array_elements(coalesce(p -> 'refunds', '[]'::jsonb)) with ordinality e
    where ops.try_amount(e.value ->> 'amount') > 0 and e.value ->> 'id' <> '' order by e.ordinality
  loop
    v_known := coalesce(
      (select f.id from shop.refunds f where f.payment_id = y.id and f.kind = 'refund' and f.provider_refund_id = r.id),
      shop.asked_refund(y.id, r.ref, r.amount));
    if v_known is null then
      insert into shop.refunds (tenant_id, order_id, payment_id, kind, provider_payment_id, provider_refund_id, refund_amount, refund_type, status,
        requested_at, processed_at)
      values (y.tenant_id, y.order_id, y.id, 'refund', v_payment, r.id, r.amount, case when r.amount >= y.amount then 'full' else 'partial' end,
        'completed', p_now, p_now);
      v_rows := v_rows + 1;
    elsif shop.complete_refund(v_known, v_payment, r.id, r.amount, p_now) then
      v_rows := v_rows + 1;
    end if;
  end loop;
  select round(ops.try_amount(p ->> 'refunded_amount'), 2) - coalesce(sum(f.refund_amount), 0) into v_rest
  from shop.refunds f where f.payment_id = y.id and f.kind = 'refund' and f.provider_payment_id = v_payment and f.status = 'completed';
  if v_rest > 0 then
    v_known := shop.asked_refund(y.id, null, v_rest);
    if v_known is not null then
      perform shop.complete_refund(v_known, v_payment, null, v_rest, p_now);
    else
      insert into shop.refunds (tenant_id, order_id, payment_id, kind, provider_payment_id, provider_refund_id, refund_amount, refund_type, status,
        requested_at, processed_at)
      values (y.tenant_id, y.order_id, y.id, 'refund', v_payment,
        case when not exists (select from shop.refunds f where f.payment_id = y.id and f.kind = 'refund' and f.provider_refund_id = p ->> 'refund_id')
          then p ->> 'refund_id' end,
        v_rest, case when v_rest >= y.amount then 'full' else 'partial' end, 'completed', p_now, p_now);
    end if;
    v_rows := v_rows + 1;
  end if;
  return v_rows;
end
$$;
comment on function shop.book_refunds(shop.payments, jsonb, timestamptz) is
  'Books what the provider says has been given back of a payment and is not booked yet; one that staff asked for completes its own row. Returns the number of rows. The caller holds the order''s and the payment''s locks.';

create function shop.reverse_gateway_fee(p_payment_id uuid, p_now timestamptz) returns void
language sql set search_path = '' as $$
  insert into shop.transaction_fees (tenant_id, order_id, payment_id, fee_type, fee_amount, fee_percentage, currency, reverses, created_at)
  select t.tenant_id, t.order_id, t.payment_id, t.fee_type, t.reversed - t.target, t.fee_percentage, t.currency, t.id, p_now
  from (
    select f.*, round(f.fee_amount * ops.tenant_setting(f.tenant_id, 'fee_refund_percent') * 0.01 * m.returned / nullif(m.whole, 0), 2) as target,
      (select -coalesce(sum(x.fee_amount), 0) from shop.transaction_fees x where x.reverses = f.id) as reversed
    from shop.transaction_fees f join shop.payments y on y.id = f.payment_id cross join lateral shop.given_back(y) m
    where f.payment_id = p_payment_id and f.fee_type = 'payment_gateway' and f.reverses is null) t
  where t.target > t.reversed
$$;
comment on function shop.reverse_gateway_fee(uuid, timestamptz) is
  'What of its fee the provider returns for what has been given back so far: fee_refund_percent of it in proportion, half up over the sum of all refunds, so that a full refund in parts returns exactly as much as in one. By default nothing.';

create function shop.note_unheard_payment(o shop.orders, y shop.payments, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  update shop.payments set status = 'paid', processed_at = p_now, idempotency_key = y.bill_id || ':paid' where id = y.id;
  perform shop.book_gateway_fee(y.id, y.amount, p_now);
  update shop.orders set paid_at = p_now, status = 'manual_review', review_reason = 'underpaid' where id = o.id;
  perform ops.enqueue(o.tenant_id, 'order.paid', o.id, jsonb_build_object('order_id', o.id, 'bill_id', y.bill_id), p_now);
  perform ops.notify(o.tenant_id, 'underpaid', 'order:' || o.id, 'critical', 'Money of an undelivered order was given back',
    'The payment itself had not been reported to us. Decide what to do with the order.',
    jsonb_build_object('order_id', o.id, 'payment_id', y.id, 'bill_id', y.bill_id), p_now);
end
$$;
comment on function shop.note_unheard_payment(shop.orders, shop.payments, timestamptz) is
  'Money that goes back must have come in: an order we thought unpaid is under review from now on.';

create function shop.apply_reversal(p_order_id uuid, p_payment_id uuid, p_kind text, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
  y shop.payments;
  v_money record;
  v_status text;
begin
  select * into o from shop.orders where id = p_order_id;
  select * into y from shop.payments where id = p_payment_id;
  select * into v_money from shop.given_back(y);
  v_status := case when p_kind = 'chargeback' then 'chargeback' when v_money.returned >= v_money.whole then 'refunded' else 'partially_refunded' end;
  if v_status = 'partially_refunded' then
    -- A case that is still open stays open; nothing of the price has gone back where it was the surplus only.
    update shop.orders set refund_amount = v_money.returned,
      status = case when o.status = 'manual_review' or v_money.returned = 0 then o.status else v_status end
    where id = o.id;
  else
    update shop.payments set status = v_status where id = y.id;
    update shop.orders set refund_amount = v_money.returned, status = v_status, review_reason = null where id = o.id;
    perform shop.release_codes(o.id, p_now);
    perform shop.revoke_sold_codes(o.id, v_status, p_now);
    update shop.orders set fulfilment = case when o.fulfilment in ('delivered', 'revoked') then 'revoked' else 'none' end where id = o.id;
    update ops.system_notifications set is_resolved = true, resolved_at = p_now
    where tenant_id = o.tenant_id and subject = 'order:' || o.id and not is_resolved
      and type in ('no_codes_available', 'amount_mismatch', 'currency_mismatch', 'underpaid', 'overpaid', 'refund_failed');
  end if;
  if p_kind = 'refund' then
    perform shop.reverse_gateway_fee(y.id, p_now);
  end if;
  perform shop.book_commission(o.id, p_now);
  perform shop.compute_totals(o.id);
  return v_status;
end
$$;
comment on function shop.apply_reversal(uuid, uuid, text, timestamptz) is
  'Moves order, payment and codes after money has gone back and was booked. partially_refunded, refunded or chargeback. The caller holds both rows'' locks.';

create function ops.log_reversal(p jsonb, p_kind text, o shop.orders, p_outcome text, p_started timestamptz, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_ms integer := round(least(greatest(coalesce((p ->> 'elapsed_ms')::numeric, 0), 0), 1e8) + extract(epoch from clock_timestamp() - p_started) * 1000)::integer;
begin
  insert into ops.webhook_logs (tenant_id, source, event_type, provider_api, origin, bill_id, order_id, raw_status, amount, currency, signature_form, outcome,
    request_headers, request_body, response_status, response_body, processed, processing_time_ms, created_at)
  values (o.tenant_id, p ->> 'source', p_kind, p ->> 'provider_api', 'webhook', p ->> 'bill_id', o.id, p ->> 'raw_status', p ->> 'refunded_amount',
    p ->> 'currency', p ->> 'signature_form', p_outcome, p -> 'headers', p -> 'body', 200, jsonb_build_object('outcome', p_outcome), true, v_ms, p_now);
  insert into ops.system_health_metrics (tenant_id, metric_type, metric_value, details, recorded_at)
  values (o.tenant_id, 'webhook_latency', v_ms, jsonb_build_object('source', p ->> 'source', 'outcome', p_outcome), p_now);
  perform ops.close_parked(p ->> 'source', p_kind || '.notice', p ->> 'bill_id',
    jsonb_build_object('outcome', p_outcome, 'order_id', o.id, 'tenant_id', o.tenant_id));
end
$$;
comment on function ops.log_reversal(jsonb, text, shop.orders, text, timestamptz, timestamptz) is 'Log row and latency of a refund or chargeback notice; closes what was parked of it.';

create function shop.settle_given_back(o shop.orders, y shop.payments, p jsonb, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_asked boolean := exists (
    select from shop.refunds f join ops.refund_calls c on c.refund_id = f.id
    where f.payment_id = y.id and f.status in ('pending', 'approved') and c.called_at is not null);
begin
  if upper(p ->> 'currency') <> coalesce(y.received_currency, y.currency) then
    -- Sums of two currencies cannot be compared; a person can.
    perform ops.notify(o.tenant_id, 'currency_mismatch', 'order:' || o.id, 'critical', 'A refund is in another currency',
      'Nothing was booked. Compare with the provider''s list.', jsonb_build_object('order_id', o.id, 'payment_id', y.id, 'bill_id', y.bill_id), p_now);
    return 'ignored';
  end if;
  if o.status = 'chargeback' then
    -- The bank has the last word on the order. But a refund that was on its way then is money all the same.
    if v_asked and shop.book_refunds(y, p, p_now) > 0 then
      perform ops.notify(o.tenant_id, 'refund_failed', 'order:' || o.id, 'critical', 'Money went back twice',
        'A refund was done although the payer''s bank had taken the payment back. Dispute the chargeback.',
        jsonb_build_object('order_id', o.id, 'payment_id', y.id, 'bill_id', y.bill_id), p_now);
    end if;
    return 'ignored';
  end if;
  if shop.book_refunds(y, p, p_now) = 0 then
    return case when ops.try_amount(p ->> 'refunded_amount') > 0 then 'already_processed' else 'ignored' end;
  end if;
  if o.paid_at is null then
    perform shop.note_unheard_payment(o, y, p_now);
  end if;
  return shop.apply_reversal(o.id, y.id, 'refund', p_now);
end
$$;
comment on function shop.settle_given_back(shop.orders, shop.payments, jsonb, timestamptz) is
  'What the provider says has been given back, applied once; of notices and of our own refunds alike. The caller holds both rows'' locks. refunded, partially_refunded, already_processed or ignored.';

create function api.settle_refund(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_started timestamptz := clock_timestamp();
  v_now timestamptz := ops.request_time(p);
  o shop.orders;
  y shop.payments;
  v_outcome text;
begin
  if coalesce(p ->> 'bill_id', '') = '' or coalesce(p ->> 'payment_id', '') = '' or p ->> 'source' is null then
    raise exception 'bill_id, payment_id and source are required' using errcode = '22023';
  end if;
  select * into o from shop.orders where id = (select order_id from shop.payments where bill_id = p ->> 'bill_id') for update;
  if not found then
    return jsonb_build_object('outcome', 'payment_not_found', 'order_id', null);
  end if;
  select * into y from shop.payments where bill_id = p ->> 'bill_id' for update;
  v_outcome := shop.settle_given_back(o, y, p, v_now);
  perform ops.log_reversal(p, 'refund', o, v_outcome, v_started, v_now);
  return jsonb_build_object('outcome', v_outcome, 'order_id', o.id);
end
$$;
comment on function api.settle_refund(jsonb) is
  'Role: edge_cardlink. p: source, provider_api, bill_id, payment_id, refund_id, refunded_amount (all so far, as the provider confirms), refunds [{id, amount}] (those done), currency?, raw_status, headers, body, elapsed_ms. {outcome: refunded|partially_refunded|already_processed|ignored|payment_not_found, order_id}.';

create function api.settle_chargeback(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_started timestamptz := clock_timestamp();
  v_now timestamptz := ops.request_time(p);
  o shop.orders;
  y shop.payments;
  v_outcome text;
begin
  if coalesce(p ->> 'bill_id', '') = '' or coalesce(p ->> 'chargeback_id', '') = '' or p ->> 'source' is null then
    raise exception 'bill_id, chargeback_id and source are required' using errcode = '22023';
  end if;
  select * into o from shop.orders where id = (select order_id from shop.payments where bill_id = p ->> 'bill_id') for update;
  if not found then
    return jsonb_build_object('outcome', 'payment_not_found', 'order_id', null);
  end if;
  select * into y from shop.payments where bill_id = p ->> 'bill_id' for update;
  if o.status = 'chargeback' then
    v_outcome := 'already_processed';
  elsif o.status = 'refunded' or (p ->> 'confirmed')::boolean is not true then
    v_outcome := 'ignored';
  else
    if o.paid_at is null then
      perform shop.note_unheard_payment(o, y, v_now);
      select * into y from shop.payments where id = y.id;
    end if;
    -- The bank takes the rest, whatever it is, a surplus with it: the notice names no amount.
    insert into shop.refunds (tenant_id, order_id, payment_id, kind, provider_payment_id, provider_refund_id, refund_amount, refund_reason, refund_type, status,
      requested_at, processed_at)
    select y.tenant_id, y.order_id, y.id, 'chargeback', p ->> 'payment_id', p ->> 'chargeback_id',
      greatest(coalesce(y.received_amount, y.amount) - coalesce(sum(f.refund_amount), 0), 0), 'chargeback',
      case when count(*) = 0 then 'full' else 'partial' end, 'completed', v_now, v_now
    from shop.refunds f where f.payment_id = y.id and f.status = 'completed';
    v_outcome := shop.apply_reversal(o.id, y.id, 'chargeback', v_now);
    perform ops.notify(o.tenant_id, 'chargeback', 'order:' || o.id, 'critical', 'A payment was charged back',
      'The payer''s bank has taken ' || ops.money(y.amount) || ' ' || y.currency || ' back. The codes of the order are revoked; ask their issuer to block them.',
      jsonb_build_object('order_id', o.id, 'payment_id', y.id, 'bill_id', y.bill_id), v_now);
  end if;
  perform ops.log_reversal(p, 'chargeback', o, v_outcome, v_started, v_now);
  return jsonb_build_object('outcome', v_outcome, 'order_id', o.id);
end
$$;
comment on function api.settle_chargeback(jsonb) is
  'Role: edge_cardlink. p: source, provider_api, bill_id, payment_id, chargeback_id, confirmed (by the provider), raw_status, headers, body, elapsed_ms. {outcome: chargeback|already_processed|ignored|payment_not_found, order_id}.';
