-- api.get_order: an order for the person who holds its token.
--
-- Called by the orders Worker, which has checked the token and says whose it is: `buyer` or, for a gift, `recipient`. Codes leave
-- the database sealed, and only once delivered: to the buyer of an order for himself, to the recipient of a gift, never to a gift's
-- buyer. That rule stands here too, not only in the Worker.
--
-- The first look at each code is written into its ledger, once; later looks read only. The order's lock is taken before the codes',
-- like everywhere.

set local role lonieve_owner;

create function shop.reveal_codes(p_order_id uuid, p_viewer text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if not exists (
    select from shop.order_items it join shop.gift_codes g on g.order_item_id = it.id
    where it.order_id = p_order_id and g.status = 'sold'
      and not exists (select from shop.code_ledger l where l.code_id = g.id and l.entry = 'revealed')
  ) then
    return;
  end if;
  perform from shop.orders where id = p_order_id for update;
  perform from shop.order_items it join shop.gift_codes g on g.order_item_id = it.id
  where it.order_id = p_order_id and g.status = 'sold' order by g.id for update of g;
  -- Asked again under the lock: another page of the same shopper may have been quicker.
  perform ops.append_ledger(g.tenant_id, g.id, 'revealed', p_order_id, p_now, jsonb_build_object('viewer', p_viewer))
  from shop.order_items it join shop.gift_codes g on g.order_item_id = it.id
  where it.order_id = p_order_id and g.status = 'sold'
    and not exists (select from shop.code_ledger l where l.code_id = g.id and l.entry = 'revealed');
end
$$;
comment on function shop.reveal_codes(uuid, text, timestamptz) is 'Writes the ledger row `revealed` for each code of an order that has none yet.';

create function shop.order_items_json(p_order_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('product_name', it.product_name, 'product_brand', it.product_brand, 'nominal', ops.money(it.nominal),
    'price', ops.money(it.price), 'quantity', it.quantity) order by it.created_at, it.id), '[]'::jsonb)
  from shop.order_items it where it.order_id = p_order_id
$$;
comment on function shop.order_items_json(uuid) is 'The items of an order as pages and mails show them.';

create function shop.order_codes_json(p_order_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', g.id, 'product_id', g.product_id, 'product_name', it.product_name,
    'nominal', ops.money(g.nominal), 'sealed', g.code_sealed, 'kid', g.code_key_id) order by it.created_at, it.id, g.id), '[]'::jsonb)
  from shop.order_items it join shop.gift_codes g on g.order_item_id = it.id and g.status = 'sold'
  where it.order_id = p_order_id
$$;
comment on function shop.order_codes_json(uuid) is 'The sold codes of an order, sealed, always in the same order.';

create function api.get_order(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_viewer text := p ->> 'viewer';
  v_codes jsonb := '[]'::jsonb;
  o shop.orders;
begin
  if v_viewer is null or v_viewer not in ('buyer', 'recipient') then
    raise exception 'viewer must be buyer or recipient' using errcode = '22023';
  end if;
  select * into o from shop.orders where id = ops.try_uuid(p ->> 'order_id');
  if not found or (v_viewer = 'recipient' and o.delivery_type <> 'gift') then
    return jsonb_build_object('outcome', 'not_found');
  end if;
  if o.fulfilment = 'delivered' and (o.delivery_type = 'gift') = (v_viewer = 'recipient') then
    perform shop.reveal_codes(o.id, v_viewer, ops.request_time(p));
    v_codes := shop.order_codes_json(o.id);
  end if;
  return jsonb_build_object('outcome', 'ok', 'order', jsonb_build_object(
    'id', o.id, 'status', o.status, 'fulfilment', o.fulfilment, 'amount', ops.money(o.total_amount), 'currency', o.currency,
    'delivery_type', o.delivery_type, 'locale', o.locale, 'expires_at', ops.iso(o.expires_at), 'created_at', ops.iso(o.created_at),
    'items', shop.order_items_json(o.id), 'codes', v_codes));
end
$$;
comment on function api.get_order(jsonb) is
  'Role: edge_orders. p: order_id, viewer (buyer, recipient). {outcome: ok, order}, codes sealed and only for whom they are meant; not_found.';
