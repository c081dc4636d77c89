-- api.settle_payment and its two neighbours: the door of the payment webhook.
--
-- Called by the cardlink Worker after it has verified the signature, and by jobs for bills it polled. The settle itself is
-- shop.settle_notice; here the call is logged with what was answered and how long it took. A notice of an unknown bill is parked: one row
-- per bill and status, repeats only count on it, so a provider that retries for hours does not fill the table.
--
-- `record_rejected_webhook` counts what failed verification; `log_webhook_failure` notes a call that could not be processed. Neither
-- raises: an attempt that must be recorded must not be rolled back with its record.

set local role lonieve_owner;

create function api.settle_payment(p jsonb) returns jsonb
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
  v_result := shop.settle_notice(v_bill, p ->> 'status', p ->> 'amount', p ->> 'currency', v_origin, p -> 'body', v_now);
  v_outcome := v_result ->> 'outcome';
  v_found := v_outcome <> 'payment_not_found';
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
  'Roles: edge_cardlink, edge_jobs. p: source, provider_api, bill_id, status (paid, failed, expired, pending), raw_status, amount, currency, signature_form, origin, headers, body, elapsed_ms. {outcome: fulfilled|already_processed|ignored|manual_review|failed|expired|noop|payment_not_found, order_id}.';

create function api.record_rejected_webhook(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
begin
  insert into ops.webhook_rejections as r (source, minute, last_reason)
  values (left(coalesce(p ->> 'source', 'unknown'), 32), date_trunc('minute', ops.request_time(p), 'UTC'), left(coalesce(p ->> 'reason', 'unknown'), 100))
  on conflict (source, minute) do update set count = r.count + 1, last_reason = excluded.last_reason;
  return jsonb_build_object('outcome', 'ok');
end
$$;
comment on function api.record_rejected_webhook(jsonb) is 'Roles: edge_cardlink, edge_jobs. p: source, reason. Counts a call that failed verification. {outcome: ok}.';

create function api.log_webhook_failure(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_status text := p ->> 'status';
begin
  -- `status` is the HTTP status that was answered, or the provider's word where the Worker knows only that.
  insert into ops.webhook_logs (tenant_id, source, event_type, bill_id, order_id, raw_status, outcome, response_status, processed, error, created_at)
  select y.tenant_id, coalesce(p ->> 'source', 'cardlink'), 'payment.error', p ->> 'bill_id', y.order_id,
    case when v_status !~ '^[0-9]{3}$' then v_status end, 'error', case when v_status ~ '^[0-9]{3}$' then v_status::integer else 503 end,
    false, left(p ->> 'error', 500), ops.request_time(p)
  from (select 1) one left join shop.payments y on y.bill_id = p ->> 'bill_id';
  return jsonb_build_object('outcome', 'ok');
end
$$;
comment on function api.log_webhook_failure(jsonb) is 'Role: edge_cardlink. p: source, bill_id, error, status. Notes a verified call that could not be processed. {outcome: ok}.';
