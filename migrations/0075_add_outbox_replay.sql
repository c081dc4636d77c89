-- Dead letters in the hands of staff: look at them, try them again (A-62).
--
-- Called by the admin Worker in the member's own name: viewers read, managers replay. Only `dead` rows are replayed. A cancelled one has
-- nothing to tell any more, a bounced one was sent: its address is wrong, and resend_order writes a new mail once that is corrected.
--
-- Which idempotency key a replay goes out under depends on what is known. Where an attempt ended without an answer (no answer, a fault of
-- the provider, a worker that vanished) the provider may have the mail: the same row goes back to `pending`, and within the 24 hours
-- Resend keeps a key it answers with the mail it has, sending nothing twice. After them the key is a new one to Resend, which nobody can
-- help. Where every attempt was answered with a refusal nothing was sent, so a new row takes the old one's place: a new key cannot run into
-- an answer the provider kept. Either way a body that has changed gets a new row at its first attempt (0030), so no key sees two bodies.
--
-- The replayed mail keeps its place in the order's sequence and begins with no attempts. The alert stays open until it is sent.
--
-- Rejected: always a new row (a second mail after lost answers), always the same row (a refusal the provider kept under its key would come
-- back for a day).

set local role lonieve_owner;

create function ops.staff_outbox_json(x ops.outbox) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', x.id, 'kind', x.kind, 'order_id', x.aggregate_id, 'status', x.status,
    'to', case x.kind when 'mail.gift' then o.recipient_email else o.email end,
    'attempts', x.attempts, 'replays', x.replays, 'last_error', x.last_error, 'may_have_been_sent', x.unanswered_at is not null and x.status <> 'done',
    'sent_since', exists (select from ops.outbox later where later.aggregate_id = x.aggregate_id and later.kind = x.kind and later.status = 'done'
      and later.seq > x.seq),
    'delivery', x.delivery, 'delivery_reason', x.delivery_reason, 'delivered_at', ops.iso(x.delivered_at),
    'created_at', ops.iso(x.created_at), 'next_attempt_at', case when x.status = 'pending' then ops.iso(x.next_attempt_at) end,
    'finished_at', ops.iso(x.finished_at), 'replaces', x.replaces)
  from (select 1) one left join shop.orders o on o.id = x.aggregate_id
$$;
comment on function ops.staff_outbox_json(ops.outbox) is 'A row of the outbox as staff see it. No codes.';

create function api.staff_outbox(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return jsonb_build_object('outcome', 'ok',
    'dead', (select count(*) from ops.outbox b where b.tenant_id = v_tenant and b.status = 'dead'),
    'rows', coalesce((
      select jsonb_agg(ops.staff_outbox_json(f.b) order by f.place) from (
        select b, row_number() over w as place from ops.outbox b
        -- What is only fanned out in SQL is nobody's concern.
        where b.tenant_id = v_tenant and b.kind not in ('order.paid', 'order.delivered') and (p ->> 'status' is null or b.status = p ->> 'status')
        window w as (order by coalesce(b.finished_at, b.created_at) desc, b.seq desc, b.id)
        order by place limit least(greatest(coalesce((p ->> 'limit')::integer, 100), 1), 500)) f), '[]'::jsonb));
end
$$;
comment on function api.staff_outbox(jsonb) is
  'Role: authenticated, staff. p: status? (pending, done, dead, replaced, cancelled), limit? (100, at most 500). {outcome: ok, dead: how many are dead, rows: [...] latest first}.';

create function api.replay_outbox(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_id uuid;
  v_same boolean;
  v_fulfilment text;
  x ops.outbox;
begin
  select * into x from ops.outbox where tenant_id = v_tenant and id = ops.try_uuid(p ->> 'outbox_id');
  if not found then
    return jsonb_build_object('outcome', 'outbox_not_found');
  end if;
  select o.fulfilment into v_fulfilment from shop.orders o where o.id = x.aggregate_id for update;
  select * into x from ops.outbox where id = x.id for update;
  if x.status <> 'dead' then
    return jsonb_build_object('outcome', 'outbox_not_dead');
  end if;
  if x.kind like 'mail.%' and v_fulfilment <> 'delivered' then
    return jsonb_build_object('outcome', 'order_not_delivered');
  end if;
  v_same := x.unanswered_at is not null or x.kind not like 'mail.%';
  x.replays := x.replays + 1;
  if v_same then
    update ops.outbox set status = 'pending', attempts = 0, replays = x.replays, next_attempt_at = now(), finished_at = null where id = x.id;
    v_id := x.id;
  else
    v_id := ops.supersede(x, 0, now());
  end if;
  perform ops.follow_mail(x.aggregate_id);
  perform ops.audit(v_tenant, 'outbox.replay', 'outbox:' || x.id, jsonb_build_object('kind', x.kind, 'order_id', x.aggregate_id, 'as', v_id));
  return jsonb_build_object('outcome', 'ok', 'row', (select ops.staff_outbox_json(b) from ops.outbox b where b.id = v_id));
end
$$;
comment on function api.replay_outbox(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: outbox_id. Has a dead row tried again: {outcome: ok, row} (its id is a new one where nothing can have been sent); outbox_not_found, outbox_not_dead, order_not_delivered.';
