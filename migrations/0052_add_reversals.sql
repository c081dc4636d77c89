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
-- Rejected: believing amounts of the notice (partly unsigned); raising where more goes back than came in (the provider has done it
-- already; it must be recorded); putting revoked codes back on the shelf.

set local role lonieve_owner;

alter table shop.refunds
  add column kind text not null default 'refund' constraint refunds_kind_known check (kind in ('refund', 'chargeback')),
  add column provider_payment_id text,
  add column provider_refund_id text;
comment on column shop.refunds.kind is 'refund: given back by us; chargeback: taken back through the payer''s bank.';
comment on column shop.refunds.provider_payment_id is 'The provider''s payment it belongs to (a bill can have several).';
comment on column shop.refunds.provider_refund_id is 'The provider''s id of the refund or chargeback; null where it named a total only.';
create unique index refunds_once_per_provider_id on shop.refunds (payment_id, kind, provider_refund_id) where provider_refund_id is not null;

alter table ops.system_notifications drop constraint system_notifications_type_known,
  add constraint system_notifications_type_known check (type in ('low_stock', 'failed_email', 'pending_payment', 'no_codes_available',
    'amount_mismatch', 'currency_mismatch', 'underpaid', 'overpaid', 'chargeback'));

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

create function shop.book_refunds(y shop.payments, p jsonb, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_payment text := p ->> 'payment_id';
  v_rows integer;
  v_rest numeric;
begin
  insert into shop.refunds as f (tenant_id, order_id, payment_id, kind, provider_payment_id, provider_refund_id, refund_amount, refund_type, status,
    requested_at, processed_at)
  select y.tenant_id, y.order_id, y.id, 'refund', v_payment, r.value ->> 'id', round(ops.try_amount(r.value ->> 'amount'), 2),
    case when ops.try_amount(r.value ->> 'amount') >= y.amount then 'full' else 'partial' end, 'completed', p_now, p_now
  from jsonb_array_elements(coalesce(p -> 'refunds', '[]'::jsonb)) r
  where ops.try_amount(r.value ->> 'amount') > 0 and r.value ->> 'id' <> ''
  on conflict (payment_id, kind, provider_refund_id) where provider_refund_id is not null do update
    set status = 'completed', processed_at = excluded.processed_at, refund_amount = excluded.refund_amount, provider_payment_id = excluded.provider_payment_id
    where f.status in ('pending', 'approved');
  get diagnostics v_rows = row_count;
  select round(ops.try_amount(p ->> 'refunded_amount'), 2) - coalesce(sum(f.refund_amount), 0) into v_rest
  from shop.refunds f where f.payment_id = y.id and f.kind = 'refund' and f.provider_payment_id = v_payment and f.status = 'completed';
  if v_rest > 0 then
    insert into shop.refunds (tenant_id, order_id, payment_id, kind, provider_payment_id, provider_refund_id, refund_amount, refund_type, status,
      requested_at, processed_at)
    values (y.tenant_id, y.order_id, y.id, 'refund', v_payment,
      case when not exists (select from shop.refunds f where f.payment_id = y.id and f.kind = 'refund' and f.provider_refund_id = p ->> 'refund_id')
        then p ->> 'refund_id' end,
      v_rest, case when v_rest >= y.amount then 'full' else 'partial' end, 'completed', p_now, p_now);
    v_rows := v_rows + 1;
  end if;
  return v_rows;
end
$$;
comment on function shop.book_refunds(shop.payments, jsonb, timestamptz) is
  'Books what the provider says has been given back of a payment and is not booked yet. Returns the number of rows. The caller holds the order''s and the payment''s locks.';

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
      and type in ('no_codes_available', 'amount_mismatch', 'currency_mismatch', 'underpaid', 'overpaid');
  end if;
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
  if o.status = 'chargeback' then
    v_outcome := 'ignored';
  elsif upper(p ->> 'currency') <> coalesce(y.received_currency, y.currency) then
    -- Sums of two currencies cannot be compared; a person can.
    perform ops.notify(o.tenant_id, 'currency_mismatch', 'order:' || o.id, 'critical', 'A refund is in another currency',
      'Nothing was booked. Compare with the provider''s list.', jsonb_build_object('order_id', o.id, 'payment_id', y.id, 'bill_id', y.bill_id), v_now);
    v_outcome := 'ignored';
  elsif shop.book_refunds(y, p, v_now) = 0 then
    v_outcome := case when ops.try_amount(p ->> 'refunded_amount') > 0 then 'already_processed' else 'ignored' end;
  else
    if o.paid_at is null then
      perform shop.note_unheard_payment(o, y, v_now);
    end if;
    v_outcome := shop.apply_reversal(o.id, y.id, 'refund', v_now);
  end if;
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
