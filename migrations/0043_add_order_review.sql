-- Orders and alerts in the hands of staff (L-34, L-143, L-147): list, send again, resolve.
--
-- Called by the admin Worker in the member's own name: viewers read, managers act. The tenant is that of the staff row, so an id of
-- another shop is simply not found.
--
-- The list is paged by key (created_at, id), not by offset: a page does not shift while new orders come in. Dates are days of the tenant.
--
-- `resend_order` adds a mail row of its own: a new id is a new idempotency key, so the provider sends it although the text is the same.
-- Where one is still waiting to be sent, that one is made due now, and two clicks are one mail.
--
-- `resolve_order` ends a manual_review. `deliver` accepts the payment as it came and gives the order its own reserved codes, or free ones;
-- too few: nothing changes. `close` gives no codes and frees those reserved, for money that goes back at the provider. Both need a
-- note; both close the alert the review had opened. The money rows stay as they were booked; a partner earns on what was sold, so a closed
-- order takes back his commission. While all of the money is being given back, an order cannot be delivered.
--
-- Rejected: offset paging (skips and repeats rows), an edit of orders by field (ledger, outbox and payment must move together).

set local role lonieve_owner;

create function ops.day_bound(p_text text, p_time_zone text, p_is_end boolean) returns timestamptz
language sql stable set search_path = '' as $$
  select case when p_text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then (p_text::date + p_is_end::integer)::timestamp at time zone p_time_zone
              else ops.try_time(p_text) end
$$;
comment on function ops.day_bound(text, text, boolean) is 'Begin of a day in a time zone, or, as an end, begin of the next; an RFC 3339 time is itself.';

create function shop.staff_order_json(o shop.orders) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', o.id, 'created_at', ops.iso(o.created_at), 'status', o.status, 'fulfilment', o.fulfilment, 'review_reason', o.review_reason,
    'failure_reason', o.failure_reason, 'email', o.email, 'first_name', o.first_name, 'last_name', o.last_name, 'delivery_type', o.delivery_type,
    'recipient_email', o.recipient_email, 'email_status', o.email_status, 'email_sent_at', ops.iso(o.email_sent_at),
    'email_retry_count', o.email_retry_count, 'amount', ops.money(o.total_amount), 'currency', o.currency, 'total_cost', ops.money(o.total_cost),
    'transaction_fees', ops.money(o.transaction_fees), 'refund_amount', ops.money(o.refund_amount), 'true_profit', ops.money(o.true_profit),
    'partner_commission', ops.money(o.partner_commission), 'refundable_amount', ops.money(shop.left_to_refund(o.id)),
    'refunds', coalesce((
      select jsonb_agg(jsonb_build_object('id', f.id, 'amount', ops.money(f.refund_amount), 'kind', f.kind, 'status', f.status, 'reason', f.refund_reason,
        'requested_by', f.requested_by, 'requested_at', ops.iso(f.requested_at), 'processed_at', ops.iso(f.processed_at)) order by f.requested_at, f.id)
      from shop.refunds f where f.order_id = o.id), '[]'::jsonb),
    'bill_id', o.cardlink_bill_id, 'expires_at', ops.iso(o.expires_at), 'paid_at', ops.iso(o.paid_at), 'delivered_at', ops.iso(o.delivered_at),
    'received_amount', (select ops.money(max(y.received_amount)) from shop.payments y where y.order_id = o.id),
    'utm_source', o.utm_source, 'utm_campaign', o.utm_campaign,
    'items', coalesce((
      select jsonb_agg(jsonb_build_object('product_id', it.product_id, 'product_name', it.product_name, 'product_brand', it.product_brand,
        'nominal', ops.money(it.nominal), 'price', ops.money(it.price), 'quantity', it.quantity,
        'codes', coalesce((select jsonb_agg(jsonb_build_object('id', g.id, 'last4', g.code_last4, 'status', g.status) order by g.id)
                           from shop.gift_codes g where g.order_item_id = it.id), '[]'::jsonb)) order by it.created_at, it.id)
      from shop.order_items it where it.order_id = o.id), '[]'::jsonb))
$$;
comment on function shop.staff_order_json(shop.orders) is 'An order as staff see it; of its codes id, state and last four characters.';

create function api.staff_orders(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_zone text := (select t.time_zone from shop.tenants t where t.id = v_tenant);
  v_limit integer := least(greatest(coalesce((p ->> 'limit')::integer, 50), 1), 100);
  v_from timestamptz := ops.day_bound(p ->> 'from', v_zone, false);
  v_to timestamptz := ops.day_bound(p ->> 'to', v_zone, true);
  v_email text := lower(p ->> 'email');
  v_min numeric := ops.try_amount(p ->> 'min_amount');
  v_max numeric := ops.try_amount(p ->> 'max_amount');
  -- Whole microseconds: the API's times have milliseconds, and two orders of one millisecond would hide each other.
  v_after_at timestamptz := timestamptz 'epoch' + (p ->> 'after_us')::bigint * interval '1 microsecond';
  v_after_id uuid := ops.try_uuid(p ->> 'after_id');
begin
  return (
    with found_orders as (
      select o, row_number() over (order by o.created_at desc, o.id desc) as n
      from shop.orders o
      where o.tenant_id = v_tenant
        and (p ->> 'status' is null or o.status = p ->> 'status')
        and (p ->> 'fulfilment' is null or o.fulfilment = p ->> 'fulfilment')
        and (v_from is null or o.created_at >= v_from)
        and (v_to is null or o.created_at < v_to)
        and (v_email is null or position(v_email in o.email) > 0 or position(v_email in coalesce(o.recipient_email, '')) > 0)
        and (v_min is null or o.total_amount >= v_min)
        and (v_max is null or o.total_amount <= v_max)
        and (v_after_id is null or (o.created_at, o.id) < (v_after_at, v_after_id))
      order by o.created_at desc, o.id desc
      limit v_limit + 1)
    select jsonb_build_object('outcome', 'ok',
      'orders', coalesce(jsonb_agg(shop.staff_order_json(f.o) order by f.n) filter (where f.n <= v_limit), '[]'::jsonb),
      'next', case when count(*) > v_limit then (
        select jsonb_build_object('us', (extract(epoch from (l.o).created_at) * 1000000)::bigint::text, 'id', (l.o).id) from found_orders l where l.n = v_limit) end)
    from found_orders f);
end
$$;
comment on function api.staff_orders(jsonb) is
  'Role: authenticated, staff. p: status?, fulfilment?, from?, to? (days of the tenant, `to` included; or times), email? (part of one), min_amount?, max_amount?, limit? (at most 100), after_us?, after_id?. {outcome: ok, orders: [...] newest first, next: {us, id} or null}.';

create function api.resend_order(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_kind text;
  v_waiting uuid;
  o shop.orders;
begin
  select * into o from shop.orders where tenant_id = v_tenant and id = ops.try_uuid(p ->> 'order_id') for update;
  if not found then
    return jsonb_build_object('outcome', 'order_not_found');
  end if;
  if o.fulfilment <> 'delivered' then
    return jsonb_build_object('outcome', 'order_not_delivered');
  end if;
  v_kind := case o.delivery_type when 'gift' then 'mail.gift' else 'mail.codes' end;
  select b.id into v_waiting from ops.outbox b
  where b.aggregate_id = o.id and b.status = 'pending' and b.kind in (v_kind, 'order.delivered') order by b.seq limit 1;
  if found then
    update ops.outbox set next_attempt_at = least(next_attempt_at, now()) where id = v_waiting;
  else
    perform ops.enqueue(v_tenant, v_kind, o.id, jsonb_build_object('order_id', o.id), now());
    update shop.orders set email_status = 'pending' where id = o.id returning * into o;
  end if;
  perform ops.audit(v_tenant, 'order.resend', 'order:' || o.id, jsonb_build_object('kind', v_kind, 'was_waiting', v_waiting is not null));
  return jsonb_build_object('outcome', 'ok', 'order', shop.staff_order_json(o));
end
$$;
comment on function api.resend_order(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: order_id. Mails the codes of a delivered order again, to the address of the order. {outcome: ok, order}; order_not_found, order_not_delivered.';

create function api.resolve_order(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_action text := p ->> 'action';
  v_note text := btrim(coalesce(p ->> 'note', ''));
  o shop.orders;
begin
  if v_action is null or v_action not in ('deliver', 'close') or length(v_note) not between 1 and 500 then
    raise exception 'action must be deliver or close, note 1 to 500 characters' using errcode = '22023';
  end if;
  select * into o from shop.orders where tenant_id = v_tenant and id = ops.try_uuid(p ->> 'order_id') for update;
  if not found then
    return jsonb_build_object('outcome', 'order_not_found');
  end if;
  if o.status <> 'manual_review' or o.fulfilment in ('delivered', 'revoked') then
    return jsonb_build_object('outcome', 'order_not_in_review');
  end if;
  perform from shop.payments where order_id = o.id order by id for update;
  if v_action = 'deliver' and shop.is_being_refunded(o.id) then
    return jsonb_build_object('outcome', 'refund_pending');
  end if;
  if v_action = 'deliver' then
    begin
      perform shop.sell_codes(o.id, now());
      perform shop.mark_delivered(o.id, now());
    exception when sqlstate 'LV001' then
      return jsonb_build_object('outcome', 'out_of_stock');
    end;
  else
    perform shop.release_codes(o.id, now());
    update shop.orders set status = case when o.refund_amount > 0 then 'partially_refunded' else 'paid' end, fulfilment = 'none', review_reason = null,
      failure_reason = 'closed_by_staff'
    where id = o.id;
    perform shop.book_commission(o.id, now());
    perform shop.compute_totals(o.id);
  end if;
  update ops.system_notifications set is_resolved = true, resolved_by = ops.request_user(), resolved_at = now()
  where tenant_id = v_tenant and type = o.review_reason and subject = 'order:' || o.id and not is_resolved;
  perform ops.audit(v_tenant, 'order.' || v_action, 'order:' || o.id, jsonb_build_object('note', v_note, 'review_reason', o.review_reason));
  select * into o from shop.orders where id = o.id;
  return jsonb_build_object('outcome', 'ok', 'order', shop.staff_order_json(o));
end
$$;
comment on function api.resolve_order(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: order_id, action (deliver, close), note. {outcome: ok, order}; order_not_found, order_not_in_review, refund_pending, out_of_stock (nothing changed).';

create function ops.alert_json(n ops.system_notifications) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', n.id, 'type', n.type, 'severity', n.severity, 'title', n.title, 'message', n.message, 'subject', n.subject,
    'order_id', n.data -> 'order_id', 'occurrences', n.occurrences, 'is_resolved', n.is_resolved, 'resolved_by', n.resolved_by,
    'resolved_at', ops.iso(n.resolved_at), 'created_at', ops.iso(n.created_at), 'last_seen_at', ops.iso(n.last_seen_at))
$$;
comment on function ops.alert_json(ops.system_notifications) is 'An alert as staff see it.';

create function api.staff_alerts(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return jsonb_build_object('outcome', 'ok',
    'open', (select count(*) from ops.system_notifications n where n.tenant_id = v_tenant and not n.is_resolved),
    'alerts', coalesce((
      select jsonb_agg(ops.alert_json(f.n) order by f.place) from (
        select n, row_number() over w as place from ops.system_notifications n
        where n.tenant_id = v_tenant and (p ->> 'resolved' is null or n.is_resolved = (p ->> 'resolved')::boolean)
        window w as (order by n.is_resolved, array_position(array['critical', 'warning', 'info'], n.severity), n.last_seen_at desc, n.id)
        order by place limit least(greatest(coalesce((p ->> 'limit')::integer, 100), 1), 500)) f), '[]'::jsonb));
end
$$;
comment on function api.staff_alerts(jsonb) is
  'Role: authenticated, staff. p: resolved? (both without it), limit? (100, at most 500). {outcome: ok, open: how many are open, alerts: [...] open first, then by severity, newest first}.';

create function api.resolve_alert(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  n ops.system_notifications;
begin
  select * into n from ops.system_notifications where tenant_id = v_tenant and id = ops.try_uuid(p ->> 'alert_id') for update;
  if not found then
    return jsonb_build_object('outcome', 'alert_not_found');
  end if;
  if not n.is_resolved then
    update ops.system_notifications set is_resolved = true, resolved_by = ops.request_user(), resolved_at = now() where id = n.id returning * into n;
    perform ops.audit(v_tenant, 'alert.resolve', 'alert:' || n.id, jsonb_build_object('type', n.type, 'about', n.subject));
  end if;
  return jsonb_build_object('outcome', 'ok', 'alert', ops.alert_json(n));
end
$$;
comment on function api.resolve_alert(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: alert_id. {outcome: ok, alert}, also where it was resolved before; alert_not_found. The order an alert is about stays as it is.';
