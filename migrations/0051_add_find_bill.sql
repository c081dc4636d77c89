-- api.find_bill: from a v1 notice to the bill it is about.
--
-- Called by the cardlink Worker with a notice whose signature is right. Under v1 that proves little: `find_bill` only says which
-- bill the provider must be asked about. A payment notice names our order (InvId), a refund or chargeback notice names the bill.
--
-- A notice of a bill we do not know is parked: one row per kind and reference, in `merchant_ref`, apart from v2's rows, because it cannot
-- be settled from what it says. When its order has got a bill, api.due_bills hands it to jobs, which asks the provider.
--
-- api.settle_payment (0026) takes two more fields, `received` and the statuses of 0050, and closes the parked row of its order.
--
-- Rejected: finding and settling in one call (the provider must be asked in between, and no transaction may wait for it).

set local role lonieve_owner;

alter table ops.webhook_logs add column merchant_ref text;
comment on column ops.webhook_logs.merchant_ref is 'v1, parked rows only: what the notice names, our order (payment) or the provider''s bill (refund, chargeback).';
create unique index webhook_logs_parked_ref_once on ops.webhook_logs (source, event_type, merchant_ref) where outcome = 'parked' and merchant_ref is not null;

create function api.find_bill(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_kind text := p ->> 'kind';
  v_ref text := p ->> 'ref';
  v_now timestamptz := ops.request_time(p);
  y shop.payments;
begin
  if v_kind is null or v_kind not in ('payment', 'refund', 'chargeback') or coalesce(v_ref, '') = '' or p ->> 'source' is null then
    raise exception 'kind, ref and source are required' using errcode = '22023';
  end if;
  if v_kind = 'payment' then
    select * into y from shop.payments where order_id = ops.try_uuid(v_ref) and bill_id is not null order by created_at desc, id limit 1;
  else
    select * into y from shop.payments where bill_id = v_ref;
  end if;
  if found then
    return jsonb_build_object('outcome', 'found', 'order_id', y.order_id, 'bill_id', y.bill_id);
  end if;
  insert into ops.webhook_logs as w (source, event_type, provider_api, origin, merchant_ref, raw_status, signature_form, outcome, request_headers,
    request_body, response_status, response_body, processed, processing_time_ms, created_at)
  values (p ->> 'source', v_kind || '.notice', 'v1', 'webhook', v_ref, p ->> 'raw_status', 'md5', 'parked', p -> 'headers', p -> 'body',
    404, jsonb_build_object('outcome', 'payment_not_found'), false, round(least(greatest(coalesce((p ->> 'elapsed_ms')::numeric, 0), 0), 1e8))::integer, v_now)
  on conflict (source, event_type, merchant_ref) where outcome = 'parked' and merchant_ref is not null do update set repeats = w.repeats + 1;
  return jsonb_build_object('outcome', 'payment_not_found');
end
$$;
comment on function api.find_bill(jsonb) is
  'Role: edge_cardlink. p: source, kind (payment, refund, chargeback), ref (InvId, or BillId), raw_status, headers, body, elapsed_ms. {outcome: found, order_id, bill_id}; payment_not_found (the notice is parked).';

create function ops.close_parked(p_source text, p_event_type text, p_ref text, p_result jsonb) returns void
language sql set search_path = '' as $$
  update ops.webhook_logs set outcome = p_result ->> 'outcome', order_id = (p_result ->> 'order_id')::uuid, tenant_id = (p_result ->> 'tenant_id')::uuid, processed = true
  where source = p_source and event_type = p_event_type and merchant_ref = p_ref and outcome = 'parked'
$$;
comment on function ops.close_parked(text, text, text, jsonb) is 'A later notice, or a look at the bill, has settled what this parked v1 notice announced.';

create or replace function api.settle_payment(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_started timestamptz := clock_timestamp();
  v_now timestamptz := ops.request_time(p);
  v_bill text := p ->> 'bill_id';
  v_origin text := coalesce(p ->> 'origin', 'webhook');
  v_result jsonb;
  v_outcome text;
  v_found boolean;
  v_ms integer;
begin
  if coalesce(v_bill, '') = '' or p ->> 'source' is null then
    raise exception 'bill_id and source are required' using errcode = '22023';
  end if;
  v_result := shop.settle_notice(v_bill, p ->> 'status', p ->> 'amount', p ->> 'currency', v_origin, p -> 'body', v_now, p ->> 'received');
  v_outcome := v_result ->> 'outcome';
  v_found := v_outcome <> 'payment_not_found';
  if v_found and p ->> 'provider_api' = 'v1' then
    perform ops.close_parked(p ->> 'source', 'payment.notice', v_result ->> 'order_id', v_result);
  end if;
  v_ms := round(least(greatest(coalesce((p ->> 'elapsed_ms')::numeric, 0), 0), 1e8)
    + extract(epoch from clock_timestamp() - v_started) * 1000)::integer;
  insert into ops.webhook_logs as w (tenant_id, source, event_type, provider_api, origin, bill_id, order_id, status, raw_status, amount, currency,
    signature_form, outcome, request_headers, request_body, response_status, response_body, processed, processing_time_ms, created_at)
  values ((v_result ->> 'tenant_id')::uuid, p ->> 'source', 'payment.' || (p ->> 'status'), p ->> 'provider_api', v_origin, v_bill,
    (v_result ->> 'order_id')::uuid, p ->> 'status', p ->> 'raw_status', p ->> 'amount', p ->> 'currency', p ->> 'signature_form',
    case when v_found then v_outcome else 'parked' end, p -> 'headers', p -> 'body',
    case when v_found then 200 else 404 end, jsonb_build_object('outcome', v_outcome), v_found, v_ms, v_now)
  on conflict (source, bill_id, status) where outcome = 'parked' do update set repeats = w.repeats + 1;
  if v_origin = 'webhook' then
    insert into ops.system_health_metrics (tenant_id, metric_type, metric_value, details, recorded_at)
    values ((v_result ->> 'tenant_id')::uuid, 'webhook_latency', v_ms, jsonb_build_object('source', p ->> 'source', 'outcome', v_outcome), v_now);
  end if;
  return v_result - 'tenant_id';
end
$$;
comment on function api.settle_payment(jsonb) is
  'Roles: edge_cardlink, edge_jobs. p: source, provider_api, bill_id, status (paid, overpaid, underpaid, failed, expired, pending), raw_status, amount, received?, currency, signature_form, origin, headers, body, elapsed_ms. {outcome: fulfilled|already_processed|ignored|manual_review|failed|expired|noop|payment_not_found, order_id}.';
