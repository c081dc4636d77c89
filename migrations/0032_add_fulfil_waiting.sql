-- api.fulfil_waiting: paid orders that wait for codes get them.
--
-- Called by jobs each minute, after each import and after each release; later by staff through the admin Worker. Oldest paid first,
-- all or nothing per order, each in a block of its own. Whatever made a settle miss a code (an import not yet committed, a code
-- another session held for a moment), the next run finds it.
--
-- Only orders that could be filled right now are tried: otherwise fifty orders of an empty product would hide the fifty-first, of
-- another product, that could be served. For the same reason an order too big for what is left does not block a smaller one.
-- An order whose money staff are giving back, all of it, gets no code any more.

set local role lonieve_owner;

create function shop.could_be_filled(o shop.orders, p_now timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select not exists (
    select from shop.order_items it
    where it.order_id = o.id and not shop.has_free_codes(it.tenant_id, it.product_id, it.nominal, it.currency, it.quantity, p_now))
$$;
comment on function shop.could_be_filled(shop.orders, timestamptz) is 'Are there enough free codes for every item of this order? A look, not a lock.';

create function shop.fulfil_order(p_order_id uuid, p_now timestamptz) returns boolean
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
begin
  select * into o from shop.orders where id = p_order_id for update skip locked;
  if not found or o.fulfilment <> 'waiting' or o.paid_at is null or o.review_reason is distinct from 'no_codes_available'
    or shop.is_being_refunded(o.id) then
    return false;
  end if;
  perform from shop.payments where order_id = o.id order by id for update;
  perform shop.take_free_codes(o.id, 'sold', p_now);
  perform shop.mark_delivered(o.id, p_now);
  perform ops.resolve_notification(o.tenant_id, 'no_codes_available', 'order:' || o.id, p_now);
  return true;
exception
  when sqlstate 'LV001' then
    return false;
end
$$;
comment on function shop.fulfil_order(uuid, timestamptz) is 'Delivers one waiting order where there are codes for all of it; false where not, or somebody holds the order.';

create function api.fulfil_waiting(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_fulfilled integer := 0;
  v_id uuid;
begin
  for v_id in
    select o.id from shop.orders o
    where o.fulfilment = 'waiting' and o.review_reason = 'no_codes_available' and shop.could_be_filled(o, v_now)
      and not shop.is_being_refunded(o.id)
    order by o.paid_at, o.id limit least(greatest(coalesce((p ->> 'limit')::integer, 50), 0), 50)
  loop
    begin
      if shop.fulfil_order(v_id, v_now) then
        v_fulfilled := v_fulfilled + 1;
      end if;
    exception when others then
      raise warning 'waiting order % was not filled: %', v_id, sqlerrm;
    end;
  end loop;
  return jsonb_build_object('fulfilled', v_fulfilled,
    'waiting', (select count(*) from shop.orders o where o.fulfilment = 'waiting' and o.review_reason = 'no_codes_available'));
end
$$;
comment on function api.fulfil_waiting(jsonb) is
  'Roles: edge_jobs, edge_admin. p: now, limit (at most 50). {fulfilled, waiting}: how many orders were delivered, how many still wait. Call again while fulfilled is not 0.';
