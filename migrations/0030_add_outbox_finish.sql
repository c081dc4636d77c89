-- api.begin_outbox and api.finish_outbox: around each attempt to send.
--
-- Called by jobs. `begin` stores the hash of the rendered body before the first attempt. On a retry a body that has changed (a
-- corrected address, a replaced code) must not go out under the same idempotency key: the provider would drop it, or answer an error. So the
-- row is closed as `replaced` and a new one, with a new id, takes its place in the order's sequence. It inherits the attempts:
-- a body that never renders twice the same cannot go on for ever.
--
-- `finish` takes the provider's verdict. Retries back off from 5 s by a factor of 4 up to an hour, with jitter so that a recovering
-- provider is not hit by all at once; after eight attempts the row is dead and staff are told. `released` hands a row back that was not
-- tried (the provider asked to be left alone, or the run's time was over); it is no attempt.
--
-- Both act for the holder of the lease only. A worker that comes after its lease was given to another is told `gone` by begin and `stale` by
-- finish: its verdict is logged and changes nothing, or it would end an attempt that another worker is in the middle of. One thing of a late
-- verdict is no opinion but a fact: that the provider took the mail. It is kept in ops.mail_sends under the provider's id, where webhooks
-- find it, and it decides as soon as nobody holds the row: the row is closed then, whatever the holder's own attempt came to, and is not sent
-- again. Rejected: applying every late `sent` at once (the holder's verdict would then fall into a closed row), dropping it (a dead letter
-- that was delivered, and under a provider without idempotency keys a second mail).
--
-- `finish` locks the order before the row; both go through their rows by order id. `begin` waits for a locked row: a concurrent claim locks
-- rows for a moment that it then finds taken, and SKIP LOCKED here would call those `gone`.

set local role lonieve_owner;

create function ops.supersede(x ops.outbox, p_attempts integer, p_now timestamptz) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_id uuid;
begin
  update ops.outbox set status = 'replaced', finished_at = p_now, locked_until = null, lease_id = null where id = x.id;
  insert into ops.outbox (tenant_id, kind, aggregate_id, seq, payload, attempts, replays, next_attempt_at, replaces, created_at)
  values (x.tenant_id, x.kind, x.aggregate_id, x.seq, x.payload, p_attempts, x.replays, p_now, x.id, p_now)
  returning id into v_id;
  return v_id;
end
$$;
comment on function ops.supersede(ops.outbox, integer, timestamptz) is
  'Closes a row and puts a new one in its place in the order''s sequence: a new id is a new idempotency key. The caller holds the row''s lock.';

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
    if not found or x.status <> 'pending' or x.locked_until <= v_now or x.lease_id is distinct from ops.try_uuid(e ->> 'lease')
      or x.lease_id is null then
      v_outcome := 'gone';
    elsif x.payload_hash is null or x.payload_hash = v_hash then
      update ops.outbox set payload_hash = v_hash where id = x.id and payload_hash is null;
      v_outcome := 'send';
    else
      perform ops.supersede(x, x.attempts, v_now);
      v_outcome := 'replaced';
    end if;
    v_rows := v_rows || jsonb_build_array(jsonb_build_object('id', e -> 'id', 'outcome', v_outcome));
  end loop;
  return jsonb_build_object('rows', v_rows);
end
$$;
comment on function api.begin_outbox(jsonb) is
  'Role: edge_jobs. p: rows [{id, lease, payload_hash}], now. {rows: [{id, outcome: send | replaced (the next claim has it under a new id) | gone (no longer this lease''s)}]}.';

create function ops.retry_delay(p_attempts integer, p_retry_after_s numeric) returns interval
language sql volatile set search_path = '' as $$
  select make_interval(secs => greatest(
    least(5 * power(4, least(greatest(p_attempts, 1), 10) - 1), 3600) * (0.75 + random() / 2),
    -- A provider that names a time knows better, within a day.
    least(coalesce(p_retry_after_s, 0)::double precision, 86400)))
$$;
comment on function ops.retry_delay(integer, numeric) is 'How long to wait after the n-th failed attempt: 5 s times 4 to the n-1, at most an hour, plus or minus a quarter; never sooner than the provider asks.';

create function ops.finish_mail(e jsonb, p_provider text, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_outcome text := e ->> 'outcome';
  v_error text := left(coalesce(e ->> 'error', 'unknown error'), 500);
  v_held boolean;
  x ops.outbox;
begin
  if v_outcome is null or v_outcome not in ('sent', 'retry', 'dead', 'released') then
    raise exception 'outcome must be sent, retry, dead or released' using errcode = '22023';
  end if;
  select * into x from ops.outbox where id = ops.try_uuid(e ->> 'id');
  if not found then
    return 'stale';
  end if;
  perform from shop.orders where id = x.aggregate_id for update;
  select * into x from ops.outbox where id = x.id for update;
  v_held := x.status = 'pending' and x.lease_id is not null and x.lease_id is not distinct from ops.try_uuid(e ->> 'lease');
  if v_outcome = 'released' then
    if not v_held then
      return 'stale';
    end if;
    update ops.outbox set locked_until = null, lease_id = null,
      next_attempt_at = greatest(next_attempt_at, p_now + make_interval(secs => least(coalesce((e ->> 'retry_after_s')::double precision, 0), 86400)))
    where id = x.id;
    return 'released';
  end if;
  insert into ops.integration_logs (tenant_id, service_name, action, status, error_message, duration_ms, reference_id, created_at)
  values (x.tenant_id, p_provider, 'send_email', case v_outcome when 'sent' then 'success' else 'failed' end,
    case when v_outcome <> 'sent' then v_error end, greatest(round((e ->> 'duration_ms')::numeric), 0)::integer, x.id::text, p_now);
  if v_outcome = 'sent' then
    perform ops.accept_mail(x, p_provider, e ->> 'provider_id', p_now);
    if e ->> 'duration_ms' is not null then
      insert into ops.system_health_metrics (tenant_id, metric_type, metric_value, details, recorded_at)
      values (x.tenant_id, 'email_send_time', (e ->> 'duration_ms')::numeric, jsonb_build_object('kind', x.kind, 'provider', p_provider), p_now);
    end if;
  end if;
  if not v_held then
    perform ops.close_if_taken(x, p_now);
    return 'stale';
  end if;
  -- True: nobody knows whether the provider took it. False: under this key it has not. Absent: this attempt says nothing of earlier ones.
  update ops.outbox set unanswered_at = case (e ->> 'unanswered')::boolean when true then p_now when false then null else unanswered_at end
  where id = x.id returning * into x;
  if exists (select from ops.mail_sends s where s.outbox_id = x.id) then
    perform ops.close_mail(x, p_now);
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
  update ops.outbox set next_attempt_at = p_now + ops.retry_delay(x.attempts, (e ->> 'retry_after_s')::numeric), locked_until = null, lease_id = null,
    last_error = v_error
  where id = x.id;
  return 'retried';
end
$$;
comment on function ops.finish_mail(jsonb, text, timestamptz) is
  'Books the verdict on one attempt: sent, retried, dead, released; or stale: the row is no longer this lease''s, and only the fact that the provider took the mail is kept.';

create function api.finish_outbox(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_provider text := p ->> 'provider';
  v_counts jsonb := '{"sent": 0, "retried": 0, "dead": 0, "released": 0, "stale": 0}'::jsonb;
  v_result text;
  e jsonb;
begin
  if v_provider is null or v_provider not in ('resend', 'mailgun') then
    raise exception 'provider must be resend or mailgun' using errcode = '22023';
  end if;
  for e in select r.value from jsonb_array_elements(p -> 'rows') r left join ops.outbox x on x.id = ops.try_uuid(r.value ->> 'id')
    order by x.aggregate_id, r.value ->> 'id'
  loop
    v_result := ops.finish_mail(e, v_provider, v_now);
    v_counts := jsonb_set(v_counts, array[v_result], to_jsonb((v_counts ->> v_result)::integer + 1));
  end loop;
  return v_counts;
end
$$;
comment on function api.finish_outbox(jsonb) is
  'Role: edge_jobs. p: provider (resend, mailgun), rows [{id, lease, outcome: sent|retry|dead|released, error, provider_id, retry_after_s, duration_ms, unanswered}], now. {sent, retried, dead, released, stale}.';
