-- api.expirable_orders and api.expire_orders: codes of unpaid orders go back on the shelf.
--
-- Called by jobs each minute: it asks which reservations are over, polls the provider a last time about those that have a bill, settles what
-- turns out to be paid, and expires the rest. An order without a bill is over at `expires_at` (nobody can pay it), one with a bill
-- only after the tenant's grace.
--
-- An order whose payment failed keeps its codes until then, as the shopper may try again on the same page; so it is listed too,
-- and afterwards stays `failed`.
--
-- `expire_orders` asks again under the order's lock whether the time has come, skips what somebody else holds, and puts each
-- order in a block of its own: one fault does not keep the other forty-nine reserved.

set local role lonieve_owner;

create function shop.reservation_over(o shop.orders, p_now timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select o.paid_at is null and (o.status = 'pending' or o.fulfilment = 'reserved')
    and o.expires_at + case when o.cardlink_bill_id is null then interval '0'
      else make_interval(secs => ops.tenant_setting(o.tenant_id, 'reservation_grace_s')::double precision) end <= p_now
$$;
comment on function shop.reservation_over(shop.orders, timestamptz) is 'Is this unpaid order''s time over, grace included?';

create function api.expirable_orders(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
begin
  return jsonb_build_object('orders', coalesce((
    select jsonb_agg(jsonb_build_object('order_id', f.id, 'bill_id', f.cardlink_bill_id, 'currency', f.currency, 'amount', ops.money(f.total_amount))
      order by coalesce(f.next_poll_at, f.expires_at), f.id)
    from (
      select o.* from shop.orders o
      where o.fulfilment = 'reserved' and o.paid_at is null and o.expires_at <= v_now and shop.reservation_over(o, v_now)
        and (o.next_poll_at is null or o.next_poll_at <= v_now)
      order by coalesce(o.next_poll_at, o.expires_at), o.id limit least(greatest(coalesce((p ->> 'limit')::integer, 50), 0), 50)) f), '[]'::jsonb));
end
$$;
comment on function api.expirable_orders(jsonb) is
  'Role: edge_jobs. p: now, limit (at most 50). {orders: [{order_id, bill_id, currency, amount}]}, oldest first; bill_id null where none was attached.';

create function shop.expire_order(p_order_id uuid, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
begin
  select * into o from shop.orders where id = p_order_id for update skip locked;
  if not found or not shop.reservation_over(o, p_now) then
    return false;
  end if;
  if o.status = 'pending' then
    perform from shop.payments where order_id = o.id order by id for update;
    update shop.payments set status = 'expired', processed_at = p_now where order_id = o.id and status = 'pending';
    update shop.orders set status = 'expired', failure_reason = 'reservation_over' where id = o.id;
  end if;
  perform shop.release_codes(o.id, p_now);
  return true;
end
$$;
comment on function shop.expire_order(uuid, timestamptz) is 'Ends one reservation whose time is over; false where it is not, or somebody holds the order.';

create function shop.postpone_expiry(p_order_id uuid, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
begin
  select * into o from shop.orders where id = p_order_id for update skip locked;
  if not found or o.paid_at is not null or o.fulfilment <> 'reserved' then
    return;
  end if;
  update shop.orders set poll_attempts = o.poll_attempts + 1, next_poll_at = p_now + least(interval '1 minute' * power(2, least(o.poll_attempts, 6)), interval '1 hour')
  where id = o.id;
  if o.poll_attempts + 1 = 5 then
    perform ops.notify(o.tenant_id, 'pending_payment', 'order:' || o.id, 'warning', 'The payment provider does not say whether a bill was paid',
      'The order keeps its codes until it does. Look the bill up at the provider.', jsonb_build_object('order_id', o.id, 'bill_id', o.cardlink_bill_id), p_now);
  end if;
end
$$;
comment on function shop.postpone_expiry(uuid, timestamptz) is
  'The provider gave no usable answer about this order''s bill: ask again after 1, 2, 4 ... 60 minutes, so that such bills do not keep others from being asked. Staff are told at the fifth time.';

create function api.expire_orders(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_expired integer := 0;
  v_skipped integer := 0;
  v_id uuid;
begin
  if jsonb_array_length(coalesce(p -> 'order_ids', '[]'::jsonb)) > 50 then
    raise exception 'too_many_orders' using errcode = '22023', hint = 'At most 50 a call.';
  end if;
  for v_id in select ops.try_uuid(value #>> '{}') from jsonb_array_elements(coalesce(p -> 'order_ids', '[]'::jsonb)) order by 1 loop
    begin
      if shop.expire_order(v_id, v_now) then
        v_expired := v_expired + 1;
      else
        v_skipped := v_skipped + 1;
      end if;
    exception when others then
      raise warning 'order % was not expired: %', v_id, sqlerrm;
      v_skipped := v_skipped + 1;
    end;
  end loop;
  for v_id in select ops.try_uuid(value #>> '{}') from jsonb_array_elements(coalesce(p -> 'unanswered', '[]'::jsonb)) order by 1 limit 50 loop
    perform shop.postpone_expiry(v_id, v_now);
  end loop;
  return jsonb_build_object('expired', v_expired, 'skipped', v_skipped);
end
$$;
comment on function api.expire_orders(jsonb) is 'Role: edge_jobs. p: now, order_ids (at most 50), unanswered (orders whose bill the provider said nothing about; asked again later). {expired, skipped}; an order that is paid, not due, or busy is skipped.';
