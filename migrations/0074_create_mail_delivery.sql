-- What became of a mail: taken by the provider, delivered, bounced.
--
-- What: `mail_sends` has a row for each mail a provider took, under the provider's id; `mail_events` has one for each verified call of the
-- provider's webhook, and is what makes a repeat a repeat. From them follow the outbox row's `delivery` and the order's `email_status`.
--
-- Who calls: finish_outbox and claim_outbox (0029, 0030) the small functions; jobs `api.record_mail_event`, once for each call of
-- `POST /api/webhooks/mail` whose signature was right.
--
-- A mail is found by the outbox row's id, which travels with it (a tag at Resend, a variable at Mailgun), else by the provider's id. So an event
-- that is faster than our own answer finds its row too, and proves that the mail was taken: a row nobody holds is closed by it. That is
-- what keeps a lost answer of Mailgun, which has no idempotency keys, from becoming a second mail.
--
-- Events come late, twice and in any order. `delivery` only moves up: delayed, delivered, complained, then the ways to fail; `email_status` is
-- derived from the order's latest mail and never from an event alone. So an old mail's bounce does not spoil the corrected one, and a
-- late `delivered` does not hide a bounce. A bounce that is not permanent is noted only: the provider goes on trying.
--
-- Mailgun signs a time and a token, not the event: a token is taken once (the primary key). With another body it is `replayed`; with the
-- same one, a repeat.
--
-- Rejected: keeping the events' bodies (they hold addresses), an order column for every event (the outbox row has it), counting opens and
-- clicks (they are ignored).

set local role lonieve_owner;

create table ops.mail_sends (
  id bigint generated always as identity constraint mail_sends_pkey primary key,
  tenant_id uuid not null constraint mail_sends_tenant_id_fkey references shop.tenants (id) on delete restrict,
  outbox_id uuid not null constraint mail_sends_outbox_id_fkey references ops.outbox (id) on delete cascade,
  provider text not null constraint mail_sends_provider_known check (provider in ('resend', 'mailgun')),
  provider_id text,
  accepted_at timestamptz not null,
  constraint mail_sends_provider_id_key unique (provider, provider_id)
);
alter table ops.mail_sends enable row level security;
create index mail_sends_outbox on ops.mail_sends (outbox_id);
comment on table ops.mail_sends is 'Mails a provider took. More than one for an outbox row: a mail went out again, under a provider without idempotency keys.';
comment on column ops.mail_sends.provider_id is 'Null where the provider''s answer named none.';

create table ops.mail_events (
  provider text not null constraint mail_events_provider_known check (provider in ('resend', 'mailgun')),
  event_id text not null constraint mail_events_event_id_length check (length(event_id) between 1 and 256),
  fingerprint text not null,
  tenant_id uuid constraint mail_events_tenant_id_fkey references shop.tenants (id) on delete restrict,
  outbox_id uuid constraint mail_events_outbox_id_fkey references ops.outbox (id) on delete cascade,
  type text not null,
  reason text,
  outcome text not null constraint mail_events_outcome_known check (outcome in ('recorded', 'noted', 'ignored', 'unknown_mail')),
  occurred_at timestamptz,
  received_at timestamptz not null,
  constraint mail_events_pkey primary key (provider, event_id)
);
alter table ops.mail_events enable row level security;
create index mail_events_received on ops.mail_events (received_at);
create index mail_events_outbox on ops.mail_events (outbox_id) where outbox_id is not null;
comment on table ops.mail_events is 'Verified calls of the mail provider''s webhook. No address, no body.';
comment on column ops.mail_events.event_id is 'What the provider marks a repeat with: svix-id (Resend), the signature''s token (Mailgun).';
comment on column ops.mail_events.fingerprint is 'Keyed hash of the body.';
comment on column ops.mail_events.outbox_id is 'The mail; null for one this shop did not send.';

create function ops.accept_mail(x ops.outbox, p_provider text, p_provider_id text, p_now timestamptz) returns void
language sql set search_path = '' as $$
  insert into ops.mail_sends (tenant_id, outbox_id, provider, provider_id, accepted_at)
  select x.tenant_id, x.id, p_provider, left(p_provider_id, 256), p_now
  -- Once is known without an id, another such says nothing new.
  where p_provider_id is not null or not exists (select from ops.mail_sends s where s.outbox_id = x.id)
  on conflict (provider, provider_id) do nothing
$$;
comment on function ops.accept_mail(ops.outbox, text, text, timestamptz) is 'Keeps the fact that a provider took this mail.';

create function ops.current_mail(p_order_id uuid) returns ops.outbox
language sql stable set search_path = '' as $$
  select b from ops.outbox b
  where b.aggregate_id = p_order_id and b.kind in ('mail.codes', 'mail.gift') and b.status not in ('replaced', 'cancelled')
  order by b.seq desc, b.created_at desc, b.id limit 1
$$;
comment on function ops.current_mail(uuid) is 'The mail an order''s email_status is about: the latest that brings its codes.';

create function ops.mail_failed(p_delivery text) returns boolean
language sql immutable set search_path = '' as $$
  select coalesce(p_delivery in ('bounced', 'failed', 'suppressed'), false)
$$;
comment on function ops.mail_failed(text) is 'Whether a mail the provider took did not arrive after all.';

create function ops.follow_mail(p_order_id uuid) returns void
language sql set search_path = '' as $$
  update shop.orders o
  set email_status = case when m.status = 'pending' then 'pending' when m.status = 'dead' or ops.mail_failed(m.delivery) then 'failed' else 'sent' end,
    email_sent_at = case when m.status = 'done' then m.finished_at else o.email_sent_at end
  from ops.current_mail(p_order_id) m
  where o.id = p_order_id and m.id is not null
$$;
comment on function ops.follow_mail(uuid) is 'Sets an order''s email_status and email_sent_at by its latest mail. The caller holds the order''s lock.';

create function ops.close_mail(x ops.outbox, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  update ops.outbox b set status = 'done', finished_at = p_now, locked_until = null, lease_id = null, last_error = null,
    provider_id = (select s.provider_id from ops.mail_sends s where s.outbox_id = b.id order by s.id desc limit 1)
  where b.id = x.id;
  perform ops.follow_mail(x.aggregate_id);
  if not ops.mail_failed(x.delivery) then
    perform ops.resolve_notification(x.tenant_id, 'failed_email', 'order:' || x.aggregate_id || ':' || x.kind, p_now);
  end if;
end
$$;
comment on function ops.close_mail(ops.outbox, timestamptz) is
  'The mail is out: closes its row, and the alert about it. Also a dead row''s, when it turns out that it was taken. The caller holds the order''s and the row''s locks.';

create function ops.close_if_taken(x ops.outbox, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if (x.status = 'dead' or (x.status = 'pending' and (x.locked_until is null or x.locked_until <= p_now)))
    and exists (select from ops.mail_sends s where s.outbox_id = x.id) then
    perform ops.close_mail(x, p_now);
  end if;
end
$$;
comment on function ops.close_if_taken(ops.outbox, timestamptz) is 'Closes a row the provider took, unless a worker holds it: then that one''s finish does.';

create function ops.move_delivery(x ops.outbox, p_delivery text, p_reason text, p_at timestamptz, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_rank constant jsonb := '{"delayed": 1, "delivered": 2, "complained": 3, "bounced": 4, "failed": 4, "suppressed": 4}';
begin
  if (v_rank ->> p_delivery)::integer <= coalesce((v_rank ->> x.delivery)::integer, 0) then
    return false;
  end if;
  update ops.outbox set delivery = p_delivery, delivery_reason = left(p_reason, 100),
    delivered_at = case when p_delivery = 'delivered' then least(coalesce(p_at, p_now), p_now) else delivered_at end
  where id = x.id;
  return true;
end
$$;
comment on function ops.move_delivery(ops.outbox, text, text, timestamptz, timestamptz) is
  'Moves a mail''s delivery up: delayed < delivered < complained < bounced = failed = suppressed. False where that is not up.';

create function ops.follow_event(x ops.outbox, p jsonb, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_type text := p ->> 'type';
  v_moved boolean := false;
begin
  perform ops.accept_mail(x, p ->> 'provider', p ->> 'provider_id', p_now);
  if v_type <> 'accepted' then
    v_moved := ops.move_delivery(x, v_type, p ->> 'reason', ops.try_time(p ->> 'occurred_at'), p_now);
  end if;
  select * into x from ops.outbox where id = x.id;
  perform ops.close_if_taken(x, p_now);
  perform ops.follow_mail(x.aggregate_id);
  if v_moved and ops.mail_failed(v_type) and not exists (
    select from ops.outbox later where later.aggregate_id = x.aggregate_id and later.kind = x.kind and later.status not in ('replaced', 'cancelled')
      and (later.seq, later.created_at) > (x.seq, x.created_at)) then
    perform ops.notify(x.tenant_id, 'failed_email', 'order:' || x.aggregate_id || ':' || x.kind, 'critical', 'A mail did not arrive',
      'The mail provider reports ' || v_type || coalesce(' (' || left(p ->> 'reason', 100) || ')', '') || ' for ' || x.kind || ' of an order.',
      jsonb_build_object('order_id', x.aggregate_id, 'outbox_id', x.id), p_now);
  end if;
  return case when v_moved then 'recorded' else 'noted' end;
end
$$;
comment on function ops.follow_event(ops.outbox, jsonb, timestamptz) is
  'What an event about a mail changes: its delivery, its row, the order''s email_status, an alert. recorded or noted. The caller holds the order''s and the row''s locks.';

create function api.record_mail_event(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_provider text := p ->> 'provider';
  v_event text := p ->> 'event_id';
  v_type text := p ->> 'type';
  v_known constant text[] := array['accepted', 'delayed', 'delivered', 'complained', 'bounced', 'failed', 'suppressed'];
  v_before text;
  v_outcome text;
  x ops.outbox;
begin
  if v_provider is null or v_provider not in ('resend', 'mailgun') or coalesce(length(v_event), 0) not between 1 and 256
    or coalesce(p ->> 'fingerprint', '') = '' or v_type is null or not (v_type = 'ignored' or v_type = any (v_known)) then
    raise exception 'provider, event_id, fingerprint and a known type are required' using errcode = '22023';
  end if;
  select b.* into x from ops.outbox b where b.id = ops.try_uuid(p ->> 'outbox_id') and b.kind like 'mail.%';
  if not found then
    select b.* into x from ops.mail_sends s join ops.outbox b on b.id = s.outbox_id where s.provider = v_provider and s.provider_id = p ->> 'provider_id';
  end if;
  v_outcome := case when v_type = 'ignored' then 'ignored' when x.id is null then 'unknown_mail' else 'noted' end;
  if x.id is not null then
    -- The order first, as everywhere: the event's foreign key holds the mail's row, and a finish that has the order waits for that row.
    perform from shop.orders where id = x.aggregate_id for update;
    select * into x from ops.outbox where id = x.id for update;
  end if;
  insert into ops.mail_events (provider, event_id, fingerprint, tenant_id, outbox_id, type, reason, outcome, occurred_at, received_at)
  values (v_provider, v_event, p ->> 'fingerprint', x.tenant_id, x.id, v_type, left(p ->> 'reason', 100), v_outcome, ops.try_time(p ->> 'occurred_at'), v_now)
  on conflict (provider, event_id) do nothing;
  if not found then
    select m.fingerprint into v_before from ops.mail_events m where m.provider = v_provider and m.event_id = v_event;
    return jsonb_build_object('outcome', case when v_before is distinct from p ->> 'fingerprint' then 'replayed' else 'duplicate' end);
  end if;
  if v_outcome = 'noted' then
    v_outcome := ops.follow_event(x, p, v_now);
    update ops.mail_events set outcome = v_outcome where provider = v_provider and event_id = v_event;
  end if;
  return jsonb_build_object('outcome', v_outcome);
end
$$;
comment on function api.record_mail_event(jsonb) is
  'Role: edge_jobs. p: provider (resend, mailgun), event_id, fingerprint, type (accepted, delayed, delivered, complained, bounced, failed, suppressed, ignored), outbox_id?, provider_id?, reason?, occurred_at?, now. {outcome}: recorded (the mail''s delivery moved), noted (it did not), ignored, unknown_mail, duplicate (seen before), replayed (its id came with another body).';

create function ops.forget_mail_events(p_before timestamptz, p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  v_deleted integer;
begin
  delete from ops.mail_events where (provider, event_id) in (
    select m.provider, m.event_id from ops.mail_events m
    -- A token must be known for as long as its time is accepted (nine hours); a day is kept whatever is asked for.
    where m.received_at < least(p_before, now() - interval '1 day') order by m.received_at limit p_limit);
  get diagnostics v_deleted = row_count;
  return v_deleted;
end
$$;
comment on function ops.forget_mail_events(timestamptz, integer) is 'Deletes up to so many events received before a time, never the last day''s. For the job that keeps tables small.';

create function ops.forget_integration_logs(p_before timestamptz, p_limit integer) returns integer
language plpgsql set search_path = '' as $$
declare
  v_deleted integer;
begin
  delete from ops.integration_logs where id in (
    select l.id from ops.integration_logs l where l.created_at < p_before order by l.created_at limit p_limit);
  get diagnostics v_deleted = row_count;
  return v_deleted;
end
$$;
comment on function ops.forget_integration_logs(timestamptz, integer) is 'Deletes up to so many log rows of calls made before a time. For the job that keeps tables small.';
