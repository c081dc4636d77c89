-- api.claim_outbox: fans out what happened, and hands out the mails that are due.
--
-- Called by jobs, at once after a settle and each tick. First the `order.*` rows are worked off here in SQL: events, and the mail rows that
-- follow. Then up to `limit` mail rows are claimed for `lease_s` seconds, each with all that is needed to render it; codes come sealed.
--
-- Claims use SKIP LOCKED, so two runs share the work. A row whose order has an older unfinished row is not due: mails of one order
-- leave in the order they were written. A lease that runs out makes the row due again and counts as an attempt, because its worker
-- vanished; after eight such the row is given up with an alert, or a message that crashes its renderer would be tried for ever.
-- Where it is known meanwhile that the provider took the mail (a late verdict, or its own notice), the row is closed instead of sent.
--
-- Each claim gives the row a new `lease`, which begin_outbox and finish_outbox must show.
--
-- Gifts: the codes go to the recipient, the receipt to the buyer. The recipient's row carries neither the buyer's address nor what was paid.

set local role lonieve_owner;

create function ops.is_due(x ops.outbox, p_now timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select x.status = 'pending' and x.next_attempt_at <= p_now and (x.locked_until is null or x.locked_until <= p_now)
    and not exists (select from ops.outbox older where older.aggregate_id = x.aggregate_id and older.status = 'pending' and older.seq < x.seq)
$$;
comment on function ops.is_due(ops.outbox, timestamptz) is 'May this row be worked on now: pending, its time has come, nobody has it, nothing older of its order is open.';

create function ops.fan_out(x ops.outbox, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
begin
  select * into o from shop.orders where id = x.aggregate_id;
  if x.kind = 'order.paid' then
    perform analytics.record_order_event(o.id, 'payment_success',
      jsonb_build_object('order_id', o.id, 'amount', ops.money(o.total_amount), 'bill_id', x.payload -> 'bill_id'), x.created_at);
  else
    perform analytics.record_order_event(o.id, 'code_sent', jsonb_build_object('order_id', o.id, 'codes_count',
      (select coalesce(sum(it.quantity), 0) from shop.order_items it where it.order_id = o.id)), x.created_at);
    if o.delivery_type = 'gift' then
      perform ops.enqueue(o.tenant_id, 'mail.gift', o.id, jsonb_build_object('order_id', o.id), p_now);
      perform ops.enqueue(o.tenant_id, 'mail.receipt', o.id, jsonb_build_object('order_id', o.id), p_now);
    else
      perform ops.enqueue(o.tenant_id, 'mail.codes', o.id, jsonb_build_object('order_id', o.id), p_now);
    end if;
  end if;
  update ops.outbox set status = 'done', finished_at = p_now, locked_until = null where id = x.id;
end
$$;
comment on function ops.fan_out(ops.outbox, timestamptz) is 'Works off an order.paid or order.delivered row: its event, and its mail rows. The caller holds the row''s lock.';

create function ops.fan_out_due(p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  x ops.outbox;
  v_round integer;
  v_done integer := 0;
begin
  -- Two rounds: the delivered row of an order is due once its paid row is done.
  for v_round in 1..2 loop
    for x in select b.* from ops.outbox b
      where b.status = 'pending' and b.next_attempt_at <= p_now and b.kind in ('order.paid', 'order.delivered') and ops.is_due(b, p_now)
      order by b.seq limit 50 for update skip locked
    loop
      perform ops.fan_out(x, p_now);
      v_done := v_done + 1;
    end loop;
  end loop;
  return v_done;
end
$$;
comment on function ops.fan_out_due(timestamptz) is 'Works off the order.* rows that are due, up to a hundred. Returns how many.';

create function ops.tenant_theme(p_tenant_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(t.theme_overrides, '{}'::jsonb) || jsonb_build_object('colors',
    '{"primary": "#D4AF37", "background": "#0A0A0A"}'::jsonb || case when jsonb_typeof(t.theme_overrides -> 'colors') = 'object'
      then t.theme_overrides -> 'colors' else '{}'::jsonb end)
  from shop.tenants t where t.id = p_tenant_id
$$;
comment on function ops.tenant_theme(uuid) is 'Colours, logo and texts of a tenant''s pages and mails, defaults filled in (L-115).';

create function ops.mail_json(x ops.outbox) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', x.id, 'lease', x.lease_id, 'kind', x.kind, 'reason', x.payload -> 'reason', 'attempts', x.attempts, 'payload_hash', x.payload_hash,
    'tenant', jsonb_build_object('id', t.id, 'name', t.name, 'site_url', ops.tenant_site_url(t.id), 'support_email', t.settings -> 'support_email',
      'theme', ops.tenant_theme(t.id)),
    'to', case x.kind when 'mail.gift' then o.recipient_email else o.email end,
    'locale', o.locale,
    'order', jsonb_build_object('id', o.id, 'created_at', ops.iso(o.created_at), 'currency', o.currency,
      'first_name', o.first_name, 'gift_message', o.gift_message)
      || case x.kind
        when 'mail.gift' then jsonb_build_object('items', (select jsonb_agg(i.value - 'price' order by i.ordinality)
          from jsonb_array_elements(shop.order_items_json(o.id)) with ordinality i))
        else jsonb_build_object('email', o.email, 'amount', ops.money(o.total_amount), 'items', shop.order_items_json(o.id)) end,
    'codes', case x.kind when 'mail.receipt' then '[]'::jsonb else shop.order_codes_json(o.id) end)
  from shop.orders o join shop.tenants t on t.id = o.tenant_id
  where o.id = x.aggregate_id
$$;
comment on function ops.mail_json(ops.outbox) is 'All that is needed to render a mail row. Depends on stored rows only, never on the clock.';

create function ops.bury(x ops.outbox, p_error text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  update ops.outbox set status = 'dead', attempts = x.attempts, last_error = left(p_error, 500), finished_at = p_now, locked_until = null, lease_id = null
  where id = x.id;
  perform ops.follow_mail(x.aggregate_id);
  perform ops.notify(x.tenant_id, 'failed_email', 'order:' || x.aggregate_id || ':' || x.kind, 'critical', 'A mail could not be sent',
    'Given up on ' || x.kind || ' of an order: ' || left(p_error, 200), jsonb_build_object('order_id', x.aggregate_id, 'outbox_id', x.id), p_now);
end
$$;
comment on function ops.bury(ops.outbox, text, timestamptz) is 'Gives a mail row up: dead letter, and a critical alert. The caller holds the order''s and the row''s locks.';

create function api.claim_outbox(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_limit integer := least(greatest(coalesce((p ->> 'limit')::integer, 20), 0), 20);
  v_lease interval := make_interval(secs => least(greatest(coalesce((p ->> 'lease_s')::double precision, 60), 1), 3600));
  v_fanned integer := ops.fan_out_due(v_now);
  v_rows jsonb := '[]'::jsonb;
  v_taken boolean;
  x ops.outbox;
begin
  for x in select b.* from ops.outbox b
    where b.status = 'pending' and b.next_attempt_at <= v_now and b.kind in ('mail.codes', 'mail.gift', 'mail.receipt') and ops.is_due(b, v_now)
    order by b.next_attempt_at, b.seq limit v_limit for update skip locked
  loop
    if (select o.fulfilment from shop.orders o where o.id = x.aggregate_id) <> 'delivered' then
      -- Taken back since: there is nothing to tell any more.
      update ops.outbox set status = 'cancelled', finished_at = v_now, locked_until = null, lease_id = null where id = x.id;
      continue;
    end if;
    v_taken := exists (select from ops.mail_sends s where s.outbox_id = x.id);
    if x.locked_until is not null and not v_taken then
      x.attempts := x.attempts + 1;
      x.unanswered_at := v_now;
    end if;
    if x.locked_until is not null and not v_taken and x.kind in ('mail.codes', 'mail.gift') then
      -- Counted at the order too, unless somebody is busy with it.
      update shop.orders o set email_retry_count = o.email_retry_count + 1
      where o.id = (select busy.id from shop.orders busy where busy.id = x.aggregate_id for update skip locked);
    end if;
    if v_taken or x.attempts >= 8 then
      -- The order's lock comes before the row's everywhere else; here it is only tried, and a busy order waits for the next run.
      perform from shop.orders o where o.id = x.aggregate_id for update skip locked;
      if not found then
        continue;
      elsif v_taken then
        perform ops.close_mail(x, v_now);
      else
        perform ops.bury(x, 'the worker vanished while sending, ' || x.attempts || ' times', v_now);
      end if;
      continue;
    end if;
    update ops.outbox set locked_until = v_now + v_lease, lease_id = gen_random_uuid(), attempts = x.attempts, unanswered_at = x.unanswered_at
    where id = x.id returning * into x;
    v_rows := v_rows || jsonb_build_array(ops.mail_json(x));
  end loop;
  return jsonb_build_object('rows', v_rows, 'fanned_out', v_fanned);
end
$$;
comment on function api.claim_outbox(jsonb) is
  'Role: edge_jobs. p: limit (at most 20), lease_s, now. Fans out, then claims mails: {rows: [{id, lease, kind, reason, attempts, payload_hash, tenant, to, locale, order, codes}], fanned_out}.';
