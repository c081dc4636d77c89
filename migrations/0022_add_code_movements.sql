-- How codes move: taken from the shelf, sold, put back.
--
-- What: the only functions that change `gift_codes.status`. Each writes the ledger beside it. Callers hold the order's row lock, then
-- its payment's, and come here last: orders, payments, items, codes is the lock order of everything that touches money.
--
-- Free codes are locked with SKIP LOCKED, soonest expiry first: two buyers take two different codes and neither waits. An order gets
-- all its codes or none: where there are too few, `take_free_codes` raises LV001 and the caller's block gives back what was taken.
--
-- A row that is skipped is not gone: whoever holds it (a rotation of keys, an order that will be taken back) may let it go. A sale that finds
-- too few is looked at again by fulfil_waiting; a reservation has nobody who looks again, so it does itself, for a moment, while the shelf
-- still shows enough.
--
-- Rejected: a plain sub-select (two sessions were seen to sell one code twice), FOR UPDATE without SKIP LOCKED (right, but each
-- sale waits for the one before).

set local role lonieve_owner;

create function shop.take_free_codes(p_order_id uuid, p_status text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  i shop.order_items;
  v_ids uuid[];
begin
  for i in select it.* from shop.order_items it where it.order_id = p_order_id order by it.id loop
    for attempt in 1..4 loop
      select array_agg(f.id) into v_ids from (
        select g.id from shop.gift_codes g
        where g.product_id = i.product_id and g.nominal = i.nominal and g.status = 'available'
          and g.tenant_id = i.tenant_id and g.currency = i.currency
          and (g.expires_at is null
            or g.expires_at > p_now + make_interval(days => ops.tenant_setting(i.tenant_id, 'code_expiry_margin_days')::int))
        order by g.expires_at, g.imported_at, g.id
        limit i.quantity
        for update skip locked) f;
      exit when cardinality(v_ids) = i.quantity or p_status <> 'reserved' or attempt = 4
        or not shop.has_free_codes(i.tenant_id, i.product_id, i.nominal, i.currency, i.quantity, p_now);
      perform pg_catalog.pg_sleep(0.02);
    end loop;
    if coalesce(cardinality(v_ids), 0) < i.quantity then
      raise exception 'not_enough_codes' using errcode = 'LV001';
    end if;
    update shop.gift_codes set status = p_status, order_item_id = i.id, sold_at = case p_status when 'sold' then p_now end where id = any (v_ids);
    perform ops.append_ledger(i.tenant_id, c.id, p_status, p_order_id, p_now) from unnest(v_ids) c (id);
  end loop;
end
$$;
comment on function shop.take_free_codes(uuid, text, timestamptz) is
  'Takes free codes for every item of an order and makes them reserved or sold. Raises LV001 where there are too few; call it in a block that catches that.';

create function shop.release_codes(p_order_id uuid, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_ids uuid[];
begin
  select array_agg(f.id) into v_ids from (
    select g.id from shop.order_items it join shop.gift_codes g on g.order_item_id = it.id
    where it.order_id = p_order_id and g.status = 'reserved'
    order by g.id for update of g) f;
  update shop.gift_codes set status = 'available', order_item_id = null where id = any (v_ids);
  perform ops.append_ledger(o.tenant_id, c.id, 'released', o.id, p_now) from shop.orders o, unnest(v_ids) c (id) where o.id = p_order_id;
  update shop.orders set fulfilment = 'none' where id = p_order_id and fulfilment = 'reserved';
  return coalesce(cardinality(v_ids), 0);
end
$$;
comment on function shop.release_codes(uuid, timestamptz) is 'Puts an order''s reserved codes back on the shelf. Returns how many.';

create function shop.sell_codes(p_order_id uuid, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_ids uuid[];
  v_needed bigint;
begin
  select sum(quantity) into v_needed from shop.order_items where order_id = p_order_id;
  select array_agg(f.id) into v_ids from (
    select g.id from shop.order_items it join shop.gift_codes g on g.order_item_id = it.id
    where it.order_id = p_order_id and g.status = 'reserved' and (g.expires_at is null or g.expires_at > p_now)
    order by g.id for update of g) f;
  if coalesce(cardinality(v_ids), 0) = v_needed then
    update shop.gift_codes set status = 'sold', sold_at = p_now where id = any (v_ids);
    perform ops.append_ledger(o.tenant_id, c.id, 'sold', o.id, p_now) from shop.orders o, unnest(v_ids) c (id) where o.id = p_order_id;
    return;
  end if;
  -- Nothing reserved (the payment is late), or not all of it any more (a code was withdrawn, or expired meanwhile): start over from the shelf.
  perform shop.release_codes(p_order_id, p_now);
  perform shop.take_free_codes(p_order_id, 'sold', p_now);
end
$$;
comment on function shop.sell_codes(uuid, timestamptz) is
  'Sells an order its own reserved codes, or, where it has none, free ones; never codes reserved for another order. Raises LV001 where there are too few.';
