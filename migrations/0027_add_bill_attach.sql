-- api.attach_bill and api.fail_order: what became of the bill an order asked for.
--
-- Called by the orders Worker after the provider answered, or did not. A bill is attached whatever the order's status has become in
-- the meantime: the bill exists and can be paid, and late money is taken. The same bill again is the same answer.
--
-- The provider may report a payment before we know the bill; such a notice is parked, and settled here. `ops.lock_bill` closes the gap
-- between "no such bill" there and "nothing parked" here.
--
-- `fail_order` frees the codes at once, and only where no bill was attached: no payment link reached the shopper.
--
-- Both end the request's idempotency key: an attached bill is the answer that is kept, a failed order frees the key. The key's row is locked
-- before the order, because a repeat that takes over a key locks them in that order too. An order whose answer has been given to a
-- repeat is not failed any more: that repeat has the payment link.

set local role lonieve_owner;

create function ops.settle_parked(p_bill_id text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  w ops.webhook_logs;
  v_result jsonb;
begin
  for w in select l.* from ops.webhook_logs l where l.bill_id = p_bill_id and l.outcome = 'parked' order by l.created_at, l.id for update loop
    begin
      v_result := shop.settle_notice(p_bill_id, w.status, w.amount, w.currency, w.origin, w.request_body, p_now);
      update ops.webhook_logs set outcome = v_result ->> 'outcome', order_id = (v_result ->> 'order_id')::uuid,
        tenant_id = (v_result ->> 'tenant_id')::uuid, processed = true
      where id = w.id;
    exception when others then
      -- The bill stays attached: without it, this notice and every later one would find no order.
      update ops.webhook_logs set error = left(sqlerrm, 500) where id = w.id;
    end;
  end loop;
end
$$;
comment on function ops.settle_parked(text, timestamptz) is 'Settles the parked notices of a bill that has just become known, oldest first.';

create function api.attach_bill(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_bill text := p ->> 'bill_id';
  v_open boolean;
  o shop.orders;
  y shop.payments;
begin
  if coalesce(v_bill, '') = '' then
    raise exception 'bill_id is required' using errcode = '22023';
  end if;
  perform ops.lock_bill(v_bill);
  perform from ops.idempotency where attempt_id = ops.try_uuid(p ->> 'order_id') for update;
  select * into o from shop.orders where id = ops.try_uuid(p ->> 'order_id') for update;
  if not found then
    return jsonb_build_object('outcome', 'order_not_found');
  end if;
  select * into y from shop.payments where order_id = o.id order by created_at, id limit 1 for update;
  if y.bill_id = v_bill then
    return jsonb_build_object('outcome', case when o.status in ('failed', 'expired') then 'order_closed' else 'attached' end, 'expires_at', ops.iso(o.expires_at));
  end if;
  if y.bill_id is not null or exists (select from shop.payments where bill_id = v_bill) then
    return jsonb_build_object('outcome', 'bill_conflict');
  end if;
  v_open := o.status = 'pending';
  update shop.payments set bill_id = v_bill, payment_url = p ->> 'payment_url', provider_expires_at = ops.try_time(p ->> 'provider_expires_at'),
    cardlink_response = p -> 'provider_response', next_look_at = shop.next_look(o, y, o.created_at)
  where id = y.id;
  update shop.orders set cardlink_bill_id = v_bill, payment_url = p ->> 'payment_url',
    -- The provider's clock starts a moment after ours: its end counts, but never sooner than promised nor later than the grace allows.
    -- (`least` would pass over a null, hence the coalesce; a time we cannot read is none, not a reason to lose the bill.)
    expires_at = greatest(expires_at, least(coalesce(ops.try_time(p ->> 'provider_expires_at'), expires_at),
      expires_at + make_interval(secs => ops.tenant_setting(tenant_id, 'reservation_grace_s')::double precision)))
  where id = o.id returning * into o;
  if v_open then
    perform analytics.record_order_event(o.id, 'payment_redirect',
      jsonb_build_object('order_id', o.id, 'amount', ops.money(o.total_amount), 'bill_id', v_bill), v_now);
    perform ops.keep_answer(o.id, jsonb_build_object('outcome', 'placed', 'order_id', o.id, 'bill_id', v_bill, 'payment_url', p ->> 'payment_url',
      'amount', ops.money(o.total_amount), 'currency', o.currency, 'expires_at', ops.iso(o.expires_at)));
  end if;
  perform ops.settle_parked(v_bill, v_now);
  return jsonb_build_object('outcome', case when v_open then 'attached' else 'order_closed' end, 'expires_at', ops.iso(o.expires_at));
end
$$;
comment on function api.attach_bill(jsonb) is
  'Role: edge_orders. p: order_id, bill_id, payment_url, provider_expires_at?, provider_response?. {outcome: attached, expires_at}; order_closed: tied as well, but the order had ended, nobody is to be sent to pay it; order_not_found, bill_conflict.';

create function api.fail_order(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  k ops.idempotency;
  o shop.orders;
  y shop.payments;
begin
  select * into k from ops.idempotency where attempt_id = ops.try_uuid(p ->> 'order_id') for update;
  select * into o from shop.orders where id = ops.try_uuid(p ->> 'order_id') for update;
  if not found or o.status <> 'pending' then
    return jsonb_build_object('outcome', 'ignored');
  end if;
  select * into y from shop.payments where order_id = o.id order by created_at, id limit 1 for update;
  if y.bill_id is not null and (k.replays > 0 or not coalesce((p ->> 'link_not_shown')::boolean, false)) then
    return jsonb_build_object('outcome', 'ignored');
  end if;
  perform shop.fail_unpaid(o.id, coalesce(p ->> 'reason', 'unknown'), v_now);
  perform ops.free_key(o.id);
  return jsonb_build_object('outcome', 'failed');
end
$$;
comment on function api.fail_order(jsonb) is
  'Role: edge_orders. p: order_id, reason, link_not_shown?. No payment link reached the shopper: the order fails and its codes are free at once. {outcome: failed}; ignored where it is not pending, or has a bill and link_not_shown is not true, or a repeat was shown the link.';
