-- api.create_order: prices the cart, reserves the codes and writes order, item and payment, or nothing.
--
-- Called by the orders Worker before it asks the provider for a bill (contracts.md, POST /api/orders/create). The price is computed
-- here; a price or currency the client sends is only compared (LD-1). The order is written before the provider is called, so a paid bill
-- always has its order (LD-9).
--
-- Order of work: everything that can refuse is looked at first; then the rows are inserted (order, payment, item) and the codes
-- reserved last, in a block that undoes all of it where there are too few.
--
-- The Worker may choose the order's id: when the answer of this call is lost, it can still name the order to api.fail_order.
--
-- Before anything else a repeated request is recognised (shop.claim_order): by its Idempotency-Key, or by session and cart. The refusals of
-- requests that had a key are kept for their repeats; the answer of an order is kept when its bill is attached.
--
-- Rejected: reserving on payment (paid orders without a code would be normal, LD-2).

set local role lonieve_owner;

create function shop.find_affiliate_link(p_tenant_id uuid, p_ref text, p_product_id uuid) returns shop.affiliate_links
language sql stable set search_path = '' as $$
  select l from shop.affiliate_links l join shop.partner_accounts a on a.id = l.partner_id
  where l.link_code = p_ref and l.tenant_id = p_tenant_id and a.status = 'active' and (l.product_id is null or l.product_id = p_product_id)
$$;
comment on function shop.find_affiliate_link(uuid, text, uuid) is 'The link of an active partner behind a ?ref= code, where it counts for this product.';

create function shop.place_order(p jsonb, p_order_id uuid, r shop.products, p_nominal numeric, p_price numeric, p_quantity integer, p_now timestamptz)
returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_link shop.affiliate_links := shop.find_affiliate_link(r.tenant_id, p ->> 'ref', r.id);
  v_utm jsonb := coalesce(p -> 'utm', '{}'::jsonb);
  v_expires timestamptz := p_now + make_interval(secs => ops.tenant_setting(r.tenant_id, 'bill_ttl_s')::double precision);
  v_payment uuid;
begin
  insert into shop.orders (id, tenant_id, email, first_name, last_name, total_amount, currency, fulfilment, locale, session_id, visitor_id,
    utm_source, utm_medium, utm_campaign, utm_content, utm_term, referrer, ip_address, user_agent, device_type, country, city,
    affiliate_link_id, partner_id, delivery_type, recipient_email, gift_message, expires_at, created_at)
  values (p_order_id, r.tenant_id, lower(p ->> 'email'), p ->> 'first_name', p ->> 'last_name', p_price * p_quantity, r.currency, 'reserved',
    coalesce(p ->> 'locale', 'en'), p ->> 'session_id', p ->> 'visitor_id',
    nullif(lower(v_utm ->> 'utm_source'), ''), nullif(lower(v_utm ->> 'utm_medium'), ''), nullif(lower(v_utm ->> 'utm_campaign'), ''),
    nullif(lower(v_utm ->> 'utm_content'), ''), nullif(lower(v_utm ->> 'utm_term'), ''),
    p ->> 'referrer', p ->> 'ip', p ->> 'user_agent', p ->> 'device_type', p ->> 'country', p ->> 'city',
    v_link.id, v_link.partner_id, coalesce(p ->> 'delivery_type', 'myself'), lower(p ->> 'recipient_email'), p ->> 'gift_message', v_expires, p_now);
  insert into shop.payments (tenant_id, order_id, amount, currency, created_at)
  values (r.tenant_id, p_order_id, p_price * p_quantity, r.currency, p_now)
  returning id into v_payment;
  insert into shop.order_items (tenant_id, order_id, product_id, product_name, product_brand, nominal, price, quantity, currency, created_at)
  values (r.tenant_id, p_order_id, r.id, r.name, r.brand, p_nominal, p_price, p_quantity, r.currency, p_now);
  perform shop.take_free_codes(p_order_id, 'reserved', p_now);
  return jsonb_build_object(
    'outcome', 'created', 'order_id', p_order_id, 'payment_id', v_payment, 'amount', ops.money(p_price * p_quantity), 'currency', r.currency,
    'unit_price', ops.money(p_price), 'product_name', r.name, 'quantity', p_quantity, 'expires_at', ops.iso(v_expires),
    'expires_in', extract(epoch from v_expires - p_now)::integer, 'site_url', ops.tenant_site_url(r.tenant_id));
end
$$;
comment on function shop.place_order(jsonb, uuid, shop.products, numeric, numeric, integer, timestamptz) is
  'Writes order, payment and item and reserves the codes. Raises LV001 where there are too few.';

create function shop.fail_unpaid(p_order_id uuid, p_reason text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  update shop.payments set status = 'failed', processed_at = p_now where order_id = p_order_id and status = 'pending';
  update shop.orders set status = 'failed', failure_reason = left(p_reason, 200) where id = p_order_id;
  perform shop.release_codes(p_order_id, p_now);
end
$$;
comment on function shop.fail_unpaid(uuid, text, timestamptz) is
  'Nobody was shown a payment link: the order fails and its codes are free at once. The caller holds the rows of order and payment.';

create function shop.try_order(p jsonb, p_tenant_id uuid, p_order_id uuid, p_quantity integer, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_nominal numeric := ops.try_amount(p ->> 'nominal');
  v_price numeric;
  v_wait integer;
  r shop.products;
begin
  select * into r from shop.products where tenant_id = p_tenant_id and id = ops.try_uuid(p ->> 'product_id') and status <> 'inactive';
  if not found then
    return jsonb_build_object('outcome', 'product_not_found');
  end if;
  v_price := ops.unit_price(r.base_price, r.discount_percentage, v_nominal);
  if v_price > 0 and exists (select from jsonb_array_elements(r.nominals) n where (n #>> '{}')::numeric = v_nominal) then
    null; -- on offer
  else
    return jsonb_build_object('outcome', 'nominal_not_offered');
  end if;
  -- Currency before price: an amount in another currency cannot be compared.
  if upper(p ->> 'currency') <> r.currency then
    return jsonb_build_object('outcome', 'currency_mismatch', 'currency', r.currency);
  end if;
  if p ->> 'price' is not null and ops.try_amount(p ->> 'price') is distinct from v_price then
    return jsonb_build_object('outcome', 'price_changed', 'price', ops.money(v_price));
  end if;
  perform shop.lock_buyer(p_tenant_id, p);
  if r.status <> 'active' or not shop.has_free_codes(p_tenant_id, r.id, v_nominal, r.currency, p_quantity, p_now) then
    return jsonb_build_object('outcome', 'out_of_stock');
  end if;
  v_wait := coalesce(shop.buyer_wait(p_tenant_id, p, p_quantity, p_now), shop.share_wait(p_tenant_id, r.id, v_nominal, r.currency, p_quantity, p_now));
  if v_wait is not null then
    return jsonb_build_object('outcome', 'too_many_pending', 'retry_after', v_wait);
  end if;
  begin
    return shop.place_order(p, p_order_id, r, v_nominal, v_price, p_quantity, p_now);
  exception when sqlstate 'LV001' then
    -- Somebody else was quicker; the block has taken the order back.
    return jsonb_build_object('outcome', 'out_of_stock');
  end;
end
$$;
comment on function shop.try_order(jsonb, uuid, uuid, integer, timestamptz) is 'Checks a cart and places its order, or says why not. The outcomes of api.create_order but for those of repeats.';

create function api.create_order(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
  v_now timestamptz := ops.request_time(p);
  v_order uuid := coalesce(ops.try_uuid(p ->> 'order_id'), gen_random_uuid());
  v_quantity integer := coalesce((p ->> 'quantity')::integer, 1);
  v_result jsonb;
begin
  if v_quantity not between 1 and 20 then
    raise exception 'invalid_quantity' using errcode = '22023';
  end if;
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  v_result := shop.claim_order(p, v_tenant, v_order, v_now);
  if v_result is null then
    v_result := shop.try_order(p, v_tenant, v_order, v_quantity, v_now);
    perform shop.end_claim(p, v_order, v_result);
  end if;
  return v_result;
end
$$;
comment on function api.create_order(jsonb) is
  'Role: edge_orders. p: the fields of POST /api/orders/create in snake_case, with order_id, host, ip, device; idempotency_key and body_sha256, or cart_sha256. {outcome: created, order_id, payment_id, amount, currency, unit_price, product_name, quantity, expires_at, expires_in, site_url}; unknown_tenant, product_not_found, nominal_not_offered, price_changed {price}, currency_mismatch {currency}, out_of_stock, too_many_pending {retry_after}; of a repeat: in_progress, key_reused, or the first answer (placed {order_id, bill_id, payment_url, amount, currency, expires_at}, or the refusal) with replayed: true. A refusal writes nothing but, under a key, itself.';
