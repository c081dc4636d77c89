-- api.begin_outbox and api.finish_outbox: around each attempt to send.
--
-- Called by jobs. `begin` stores the hash of the rendered body before the first attempt. On a retry a body that has changed (a
-- corrected address, a replaced code) must not go out under the same idempotency key: the provider would drop it, or answer an error. So the
-- row is closed as `replaced` and a new one, with a new id, takes its place in the order's sequence. It inherits the attempts:
-- a body that never renders twice the same cannot go on for ever.
--
-- `finish` takes the provider's verdict. Retries back off from 5 s by a factor of 4 up to an hour, with jitter so that a recovering
-- provider is not hit by all at once; after eight attempts the row is dead and staff are told.
--
-- `finish` locks the order before the row; both go through their rows by order id. `begin` waits for a locked row: a concurrent claim locks
-- rows for a moment that it then finds taken, and SKIP LOCKED here would call those `gone`.

set local role lonieve_owner;

create function api.begin_outbox(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_rows jsonb := '[]'::jsonb;
  v_hash text;
  v_outcome text;
  e jsonb;
  x ops.outbox;
begin
  for e in select r.value from jsonb_array_elements(p -> 'rows') r left join ops.outbox b on b.id = ops.try_uuid(r.value ->> 'id')
    order by b.aggregate_id, r.value ->> 'id'
  loop
    v_hash := e ->> 'payload_hash';
    if coalesce(v_hash, '') = '' then
      raise exception 'payload_hash is required' using errcode = '22023';
    end if;
    select * into x from ops.outbox where id = ops.try_uuid(e ->> 'id') for update;
    if not found or x.status <> 'pending' or x.locked_until is null or x.locked_until <= v_now then
      v_outcome := 'gone';
    elsif x.payload_hash is null or x.payload_hash = v_hash then
      update ops.outbox set payload_hash = v_hash where id = x.id and payload_hash is null;
      v_outcome := 'send';
    else
      update ops.outbox set status = 'replaced', finished_at = v_now, locked_until = null where id = x.id;
      insert into ops.outbox (tenant_id, kind, aggregate_id, seq, payload, attempts, next_attempt_at, replaces, created_at)
      values (x.tenant_id, x.kind, x.aggregate_id, x.seq, x.payload, x.attempts, v_now, x.id, v_now);
      v_outcome := 'replaced';
    end if;
    v_rows := v_rows || jsonb_build_array(jsonb_build_object('id', e -> 'id', 'outcome', v_outcome));
  end loop;
  return jsonb_build_object('rows', v_rows);
end
$$;
comment on function api.begin_outbox(jsonb) is
  'Role: edge_jobs. p: rows [{id, payload_hash}]. {rows: [{id, outcome: send | replaced (the next claim has it under a new id) | gone (lease lost or finished)}]}.';

create function ops.retry_delay(p_attempts integer, p_retry_after_s numeric) returns interval
language sql volatile set search_path = '' as $$
  select make_interval(secs => greatest(
    least(5 * power(4, least(greatest(p_attempts, 1), 10) - 1), 3600) * (0.75 + random() / 2),
    -- A provider that names a time knows better, within a day.
    least(coalesce(p_retry_after_s, 0)::double precision, 86400)))
$$;
comment on function ops.retry_delay(integer, numeric) is 'How long to wait after the n-th failed attempt: 5 s times 4 to the n-1, at most an hour, plus or minus a quarter; never sooner than the provider asks.';

create function ops.finish_mail(e jsonb, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_outcome text := e ->> 'outcome';
  v_error text := left(coalesce(e ->> 'error', 'unknown error'), 500);
  x ops.outbox;
begin
  if v_outcome is null or v_outcome not in ('sent', 'retry', 'dead') then
    raise exception 'outcome must be sent, retry or dead' using errcode = '22023';
  end if;
  select * into x from ops.outbox where id = ops.try_uuid(e ->> 'id');
  if not found then
    return 'gone';
  end if;
  perform from shop.orders where id = x.aggregate_id for update;
  select * into x from ops.outbox where id = x.id for update;
  insert into ops.integration_logs (tenant_id, service_name, action, status, error_message, duration_ms, reference_id, created_at)
  values (x.tenant_id, 'mail', x.kind, case v_outcome when 'sent' then 'success' else 'failed' end,
    case when v_outcome <> 'sent' then v_error end, greatest(round((e ->> 'duration_ms')::numeric), 0)::integer, x.id::text, p_now);
  if x.status <> 'pending' then
    return 'gone';
  end if;
  if v_outcome = 'sent' then
    update ops.outbox set status = 'done', provider_id = e ->> 'provider_id', finished_at = p_now, locked_until = null, last_error = null where id = x.id;
    if x.kind in ('mail.codes', 'mail.gift') then
      update shop.orders set email_status = 'sent', email_sent_at = p_now where id = x.aggregate_id;
    end if;
    perform ops.resolve_notification(x.tenant_id, 'failed_email', 'order:' || x.aggregate_id || ':' || x.kind, p_now);
    if e ->> 'duration_ms' is not null then
      insert into ops.system_health_metrics (tenant_id, metric_type, metric_value, details, recorded_at)
      values (x.tenant_id, 'email_send_time', (e ->> 'duration_ms')::numeric, jsonb_build_object('kind', x.kind), p_now);
    end if;
    return 'sent';
  end if;
  update ops.outbox set attempts = attempts + 1 where id = x.id returning * into x;
  if x.kind in ('mail.codes', 'mail.gift') then
    update shop.orders set email_retry_count = email_retry_count + 1 where id = x.aggregate_id;
  end if;
  if v_outcome = 'dead' or x.attempts >= 8 then
    perform ops.bury(x, v_error, p_now);
    return 'dead';
  end if;
  update ops.outbox set next_attempt_at = p_now + ops.retry_delay(x.attempts, (e ->> 'retry_after_s')::numeric), locked_until = null, last_error = v_error
  where id = x.id;
  return 'retried';
end
$$;
comment on function ops.finish_mail(jsonb, timestamptz) is
  'Books the verdict on one attempt: sent, retried, dead, or gone (somebody else finished it). A late `sent` of a lost lease still counts: it was sent.';

create function api.finish_outbox(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_sent integer := 0;
  v_retried integer := 0;
  v_dead integer := 0;
  e jsonb;
begin
  for e in select r.value from jsonb_array_elements(p -> 'rows') r left join ops.outbox x on x.id = ops.try_uuid(r.value ->> 'id')
    order by x.aggregate_id, r.value ->> 'id'
  loop
    case ops.finish_mail(e, v_now)
      when 'sent' then v_sent := v_sent + 1;
      when 'retried' then v_retried := v_retried + 1;
      when 'dead' then v_dead := v_dead + 1;
      else null;
    end case;
  end loop;
  return jsonb_build_object('sent', v_sent, 'retried', v_retried, 'dead', v_dead);
end
$$;
comment on function api.finish_outbox(jsonb) is
  'Role: edge_jobs. p: rows [{id, outcome: sent|retry|dead, error, provider_id, retry_after_s, duration_ms}], now. {sent, retried, dead}.';
