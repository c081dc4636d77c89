-- Refunds that staff start, under Cardlink v1 (L-33, L-34): api.refund_order, and what jobs needs to carry them out.
--
-- What: `refund_order` decides, in one transaction under the order's lock: a row of shop.refunds, `approved`, and a call to be made. The
-- provider is asked by jobs, outside every transaction:
--
--   claim_refunds    hands out calls that are due, each under a lease; of one order only the oldest that is open.
--   (jobs looks at the provider's payment: is the refund there already?)
--   begin_refund     says whether the provider may be asked now, and keeps, before it is, what refunds the payment had.
--   (jobs asks)
--   finish_refund    books what became of it: completed, pending (the provider works on it), rejected, or retry.
--
-- The provider takes no idempotency key, and a refund must never be made twice for one row. So an answer that got lost is looked for, not asked
-- for again: a refund on the payment that was not there when `begin_refund` first looked, of this amount (or with our reference, where
-- the provider repeats it), is this one. Only where none is there ten minutes after the call (longer than call and lease together
-- can last) may it be made again. A refund of the very amount that somebody makes by hand at the provider in that time is taken for ours;
-- the error that leaves is that less goes back than two people wanted, never more.
--
-- A refund that is done has the same effect whoever tells first, notice or job: both go through shop.settle_given_back (0052). One that is
-- refused is `rejected`, with a critical alert; nothing of money has moved then.
--
-- Codes: a part given back leaves them with the shopper; all of it revokes them when it is done, as always. Codes that nobody can have seen
-- (never revealed, and no mail with them begun) are revoked at once, unless the tenant's refund_revoke_unused or the request says otherwise:
-- who has asked for his money must not fetch the code while the provider works. If such a refund is refused, the order is owed codes: it
-- waits for others, and gets them at the next fulfil_waiting.
--
-- The queue is a table of its own. Rejected: an outbox row (of one order the outbox works one row at a time, so a refund the provider takes days
-- for would hold up its mails, and a mail that cannot be sent its refund); columns of shop.refunds (leases do not belong among facts).

set local role lonieve_owner;

create table ops.refund_calls (
  refund_id uuid constraint refund_calls_pkey primary key constraint refund_calls_refund_id_fkey references shop.refunds (id) on delete restrict,
  tenant_id uuid not null constraint refund_calls_tenant_id_fkey references shop.tenants (id) on delete restrict,
  order_id uuid not null constraint refund_calls_order_id_fkey references shop.orders (id) on delete restrict,
  seq bigint generated always as identity,
  provider_payment_id text,
  seen_refund_ids jsonb,
  seen_amount numeric(12,2),
  codes_revoked integer not null default 0,
  called_at timestamptz,
  calls integer not null default 0 constraint refund_calls_calls_not_negative check (calls >= 0),
  attempts integer not null default 0 constraint refund_calls_attempts_not_negative check (attempts >= 0),
  next_attempt_at timestamptz not null,
  lease uuid,
  locked_until timestamptz,
  last_error text,
  finished_at timestamptz
);
alter table ops.refund_calls enable row level security;
create index refund_calls_due on ops.refund_calls (next_attempt_at) where finished_at is null;
create index refund_calls_order on ops.refund_calls (order_id, seq) where finished_at is null;
create index refund_calls_tenant on ops.refund_calls (tenant_id);
comment on table ops.refund_calls is 'Refunds the provider is still to be asked for, or asked about. One row per refund that staff started.';
comment on column ops.refund_calls.provider_payment_id is 'Which of the bill''s payments is given back; chosen before the first call.';
comment on column ops.refund_calls.seen_refund_ids is 'The refunds that payment had before the first call: none of them is this one.';
comment on column ops.refund_calls.seen_amount is 'What had been given back of it before the first call.';
comment on column ops.refund_calls.codes_revoked is 'Codes that were revoked when the refund was asked for.';
comment on column ops.refund_calls.called_at is 'When the provider was last asked for it; null: never.';
comment on column ops.refund_calls.lease is 'Who may work on it until locked_until.';

create function shop.revoke_unseen_codes(p_order_id uuid, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_seen boolean;
  v_codes integer;
begin
  -- Locked, so that no run of the outbox claims a mail between this look and our commit; one that has claimed it is waited for.
  perform from ops.outbox where aggregate_id = p_order_id and kind in ('mail.codes', 'mail.gift') order by seq for update;
  select exists (select from shop.code_ledger l where l.order_id = p_order_id and l.entry = 'revealed')
      or exists (select from ops.outbox b where b.aggregate_id = p_order_id and b.kind in ('mail.codes', 'mail.gift')
                 and (b.payload_hash is not null or b.locked_until is not null or b.status in ('done', 'dead', 'replaced')))
  into v_seen;
  if v_seen then
    return 0;
  end if;
  v_codes := shop.revoke_sold_codes(p_order_id, 'refund_requested', p_now);
  if v_codes > 0 then
    update shop.orders set fulfilment = 'revoked' where id = p_order_id;
    update ops.outbox set status = 'cancelled', finished_at = p_now
    where aggregate_id = p_order_id and kind in ('mail.codes', 'mail.gift') and status = 'pending';
  end if;
  return v_codes;
end
$$;
comment on function shop.revoke_unseen_codes(uuid, timestamptz) is
  'Revokes the delivered codes of an order where nobody can have seen any of them; else changes nothing. Returns how many. The caller holds the order''s lock.';

create function api.refund_order(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_now timestamptz := now();
  v_reason text := btrim(coalesce(p ->> 'reason', ''));
  v_amount numeric := ops.try_amount(p ->> 'amount');
  v_left numeric;
  v_refund uuid;
  v_revoked integer := 0;
  o shop.orders;
  y shop.payments;
begin
  if length(v_reason) not between 1 and 500 or (p ->> 'amount' is not null and coalesce(v_amount <= 0 or v_amount <> round(v_amount, 2), true)) then
    raise exception 'reason must be 1 to 500 characters, amount positive with at most two decimals' using errcode = '22023';
  end if;
  select * into o from shop.orders where tenant_id = v_tenant and id = ops.try_uuid(p ->> 'order_id') for update;
  if not found then
    return jsonb_build_object('outcome', 'order_not_found');
  end if;
  perform from shop.payments where order_id = o.id order by id for update;
  select * into y from shop.payments where order_id = o.id and status = 'paid' and bill_id is not null order by created_at desc, id limit 1;
  if not found or o.paid_at is null or o.status not in ('paid', 'partially_refunded', 'manual_review') then
    return jsonb_build_object('outcome', 'order_not_refundable');
  end if;
  v_left := shop.left_to_refund(o.id);
  if v_left = 0 or v_amount > v_left then
    return jsonb_build_object('outcome', 'refund_too_large', 'left', ops.money(v_left));
  end if;
  v_amount := coalesce(v_amount, v_left);
  insert into shop.refunds (tenant_id, order_id, payment_id, refund_amount, refund_reason, refund_type, status, requested_by, requested_at)
  values (v_tenant, o.id, y.id, v_amount, v_reason, case when v_amount >= coalesce(y.received_amount, y.amount) then 'full' else 'partial' end,
    'approved', ops.request_user(), v_now)
  returning id into v_refund;
  if v_amount = v_left and o.fulfilment = 'delivered'
     and coalesce((p ->> 'revoke_unused')::boolean, ops.tenant_setting(v_tenant, 'refund_revoke_unused') <> 0) then
    v_revoked := shop.revoke_unseen_codes(o.id, v_now);
  end if;
  insert into ops.refund_calls (refund_id, tenant_id, order_id, codes_revoked, next_attempt_at) values (v_refund, v_tenant, o.id, v_revoked, v_now);
  perform ops.audit(v_tenant, 'order.refund', 'order:' || o.id, jsonb_build_object('refund_id', v_refund, 'amount', ops.money(v_amount),
    'left_before', ops.money(v_left), 'reason', v_reason, 'codes_revoked', v_revoked));
  select * into o from shop.orders where id = o.id;
  return jsonb_build_object('outcome', 'ok', 'order', shop.staff_order_json(o));
end
$$;
comment on function api.refund_order(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: order_id, reason, amount? (all that is left without it), revoke_unused? (the tenant''s refund_revoke_unused without it). Asks for a refund; jobs carries it out. {outcome: ok, order}; order_not_found, order_not_refundable (no money is in, or none is left), refund_too_large {left}. A refusal writes nothing.';

create function api.claim_refunds(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_limit integer := least(greatest(coalesce((p ->> 'limit')::integer, 1), 0), 10);
  v_lease interval := make_interval(secs => least(greatest(coalesce((p ->> 'lease_s')::double precision, 60), 1), 300));
  v_rows jsonb := '[]'::jsonb;
  c ops.refund_calls;
begin
  for c in select b.* from ops.refund_calls b
    where b.finished_at is null and b.next_attempt_at <= v_now and (b.locked_until is null or b.locked_until <= v_now)
      and not exists (select from ops.refund_calls older where older.order_id = b.order_id and older.finished_at is null and older.seq < b.seq)
    order by b.next_attempt_at, b.seq limit v_limit for update skip locked
  loop
    update ops.refund_calls set lease = gen_random_uuid(), locked_until = v_now + v_lease where refund_id = c.refund_id returning * into c;
    v_rows := v_rows || (
      select jsonb_build_object('refund_id', f.id, 'lease', c.lease, 'order_id', f.order_id, 'bill_id', y.bill_id, 'amount', ops.money(f.refund_amount),
        'currency', coalesce(y.received_currency, y.currency), 'payment_id', c.provider_payment_id, 'provider_refund_id', f.provider_refund_id,
        'called', c.called_at is not null, 'seen', coalesce(c.seen_refund_ids, '[]'::jsonb), 'seen_amount', ops.money(coalesce(c.seen_amount, 0)))
      from shop.refunds f join shop.payments y on y.id = f.payment_id where f.id = c.refund_id);
  end loop;
  return jsonb_build_object('rows', v_rows);
end
$$;
comment on function api.claim_refunds(jsonb) is
  'Role: edge_jobs. p: limit (at most 10), lease_s (at most 300), now. {rows: [{refund_id, lease, order_id, bill_id, amount, currency, payment_id?, provider_refund_id?, called, seen: [ids], seen_amount}]}: refunds that are due, leased.';

create function shop.reject_refund(p_refund_id uuid, p_reason text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  f shop.refunds;
  c ops.refund_calls;
  o shop.orders;
begin
  update shop.refunds set status = 'rejected', processed_at = p_now where id = p_refund_id and status in ('pending', 'approved') returning * into f;
  if not found then
    return;
  end if;
  update ops.refund_calls set finished_at = p_now, locked_until = null, last_error = left(p_reason, 500) where refund_id = f.id returning * into c;
  select * into o from shop.orders where id = f.order_id;
  if c.codes_revoked > 0 and o.fulfilment = 'revoked' and o.status in ('paid', 'partially_refunded') then
    -- The money stays, so the buyer has a right to codes. His own are spent; he gets others.
    update shop.orders set status = 'manual_review', review_reason = 'no_codes_available', fulfilment = 'waiting' where id = o.id;
    perform ops.notify(f.tenant_id, 'no_codes_available', 'order:' || o.id, 'critical', shop.review_title('no_codes_available'),
      'The codes it had were revoked for a refund that was not made. Import codes: the order is delivered as soon as there are enough.',
      jsonb_build_object('order_id', o.id, 'refund_id', f.id), p_now);
  end if;
  perform ops.notify(f.tenant_id, 'refund_failed', 'order:' || f.order_id, 'critical', 'A refund was not made',
    ops.money(f.refund_amount) || ' was not given back: ' || left(p_reason, 300)
      || case when c.codes_revoked > 0 then ' Its codes were revoked when the refund was asked for; the order waits for others.' else '' end,
    jsonb_build_object('order_id', f.order_id, 'refund_id', f.id, 'reason', left(p_reason, 300)), p_now);
end
$$;
comment on function shop.reject_refund(uuid, text, timestamptz) is
  'A refund will not be made: closes it, tells staff, and lets the order wait for codes where its own were revoked for it. The caller holds the order''s lock.';

create function api.begin_refund(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  f shop.refunds;
  o shop.orders;
  y shop.payments;
  c ops.refund_calls;
begin
  if coalesce(p ->> 'payment_id', '') = '' or coalesce(jsonb_typeof(p -> 'seen'), '') <> 'array' then
    raise exception 'payment_id and seen are required' using errcode = '22023';
  end if;
  select * into f from shop.refunds where id = ops.try_uuid(p ->> 'refund_id');
  if not found then
    return jsonb_build_object('outcome', 'closed');
  end if;
  select * into o from shop.orders where id = f.order_id for update;
  select * into y from shop.payments where id = f.payment_id for update;
  select * into f from shop.refunds where id = f.id for update;
  select * into c from ops.refund_calls where refund_id = f.id for update;
  if c.finished_at is not null or f.status not in ('pending', 'approved') or f.provider_refund_id is not null then
    return jsonb_build_object('outcome', 'closed');
  end if;
  if c.lease is distinct from ops.try_uuid(p ->> 'lease') or c.locked_until is null or c.locked_until <= v_now then
    return jsonb_build_object('outcome', 'lost');
  end if;
  if c.called_at + interval '10 minutes' > v_now then
    return jsonb_build_object('outcome', 'too_early');
  end if;
  if o.status = 'chargeback' then
    perform shop.reject_refund(f.id, 'The payer''s bank has taken the payment back meanwhile.', v_now);
    return jsonb_build_object('outcome', 'closed');
  end if;
  if f.refund_amount > coalesce(y.received_amount, y.amount)
     - (select coalesce(sum(x.refund_amount), 0) from shop.refunds x where x.payment_id = y.id and x.status = 'completed') then
    perform shop.reject_refund(f.id, 'That much is not left any more: money was given back at the provider meanwhile.', v_now);
    return jsonb_build_object('outcome', 'closed');
  end if;
  update ops.refund_calls set called_at = v_now, calls = calls + 1, provider_payment_id = coalesce(provider_payment_id, p ->> 'payment_id'),
    seen_refund_ids = coalesce(seen_refund_ids, p -> 'seen'), seen_amount = coalesce(seen_amount, round(ops.try_amount(p ->> 'seen_amount'), 2), 0)
  where refund_id = f.id;
  return jsonb_build_object('outcome', 'call');
end
$$;
comment on function api.begin_refund(jsonb) is
  'Role: edge_jobs. p: refund_id, lease, payment_id, seen [ids of that payment''s refunds now], seen_amount, now. May the provider be asked? {outcome: call (and it is noted that it was); too_early (asked less than ten minutes ago: look for it); closed (done, or not to be made any more); lost (the lease is over)}.';

create function api.finish_refund(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_outcome text := p ->> 'outcome';
  v_error text := left(coalesce(p ->> 'error', 'unknown error'), 300);
  v_id text := nullif(p ->> 'provider_refund_id', '');
  v_answer text := v_outcome;
  f shop.refunds;
  o shop.orders;
  y shop.payments;
  c ops.refund_calls;
begin
  if v_outcome is null or v_outcome not in ('completed', 'pending', 'rejected', 'retry') then
    raise exception 'outcome must be completed, pending, rejected or retry' using errcode = '22023';
  end if;
  select * into f from shop.refunds where id = ops.try_uuid(p ->> 'refund_id');
  if not found then
    return jsonb_build_object('outcome', 'gone');
  end if;
  select * into o from shop.orders where id = f.order_id for update;
  select * into y from shop.payments where id = f.payment_id for update;
  select * into f from shop.refunds where id = f.id for update;
  select * into c from ops.refund_calls where refund_id = f.id for update;
  insert into ops.integration_logs (tenant_id, service_name, action, status, error_message, reference_id, created_at)
  values (f.tenant_id, 'cardlink', 'refund', case v_outcome when 'completed' then 'success' when 'pending' then 'pending' else 'failed' end,
    case when v_outcome in ('rejected', 'retry') then v_error end, f.id::text, v_now);
  if v_id is not null and f.status in ('pending', 'approved') and f.provider_refund_id is null and v_outcome in ('completed', 'pending')
     and not exists (select from shop.refunds x where x.payment_id = y.id and x.kind = 'refund' and x.provider_refund_id = v_id) then
    update shop.refunds set provider_refund_id = v_id, provider_payment_id = p ->> 'payment_id' where id = f.id;
  end if;
  if v_outcome = 'completed' then
    -- A fact, whoever holds the lease.
    v_answer := shop.settle_given_back(o, y, p, v_now);
    if not exists (select from shop.refunds x where x.order_id = o.id and x.status in ('pending', 'approved')) then
      perform ops.resolve_notification(o.tenant_id, 'refund_failed', 'order:' || o.id, v_now)
      from shop.refunds x where x.id = f.id and x.status = 'completed' and o.status <> 'chargeback';
    end if;
    -- Still open only where what the provider names cannot be this refund: it is looked for again.
    update ops.refund_calls set locked_until = null, next_attempt_at = v_now + interval '10 minutes' where refund_id = f.id and finished_at is null;
    return jsonb_build_object('outcome', v_answer, 'order_id', o.id);
  end if;
  if c.finished_at is not null or c.lease is distinct from ops.try_uuid(p ->> 'lease') then
    return jsonb_build_object('outcome', 'gone');
  end if;
  if v_outcome = 'rejected' then
    perform shop.reject_refund(f.id, v_error, v_now);
    return jsonb_build_object('outcome', 'rejected', 'order_id', o.id);
  end if;
  update ops.refund_calls set attempts = c.attempts + 1, locked_until = null, last_error = case v_outcome when 'retry' then v_error end,
    next_attempt_at = v_now + greatest(least(interval '1 minute' * power(2, least(c.attempts, 6)), interval '1 hour'),
      make_interval(secs => least(coalesce((p ->> 'retry_after_s')::double precision, 0), 3600)))
  where refund_id = f.id;
  if c.attempts + 1 = 5 then
    perform ops.notify(o.tenant_id, 'refund_failed', 'order:' || o.id, 'warning', 'A refund is not done yet',
      case v_outcome when 'pending' then 'The payment provider is still working on it.' else 'The payment provider gives no usable answer: ' || v_error || '.' end
        || ' It is asked again until it says yes or no.',
      jsonb_build_object('order_id', o.id, 'refund_id', f.id), v_now);
  end if;
  return jsonb_build_object('outcome', v_answer, 'order_id', o.id);
end
$$;
comment on function api.finish_refund(jsonb) is
  'Role: edge_jobs. p: refund_id, lease, outcome (completed, pending, rejected, retry), provider_refund_id?, payment_id, refunds [{id, amount, ref?}] and refunded_amount? (as for settle_refund), currency?, error?, retry_after_s?, now. {outcome: refunded, partially_refunded, already_processed, ignored; pending, retry (asked again after 1, 2, 4 ... 60 minutes; staff are told at the fifth time); rejected; gone, order_id}.';
