-- api.list_products and api.get_product: the shelf as a shopper sees it.
--
-- Called by the orders Worker. Prices are computed here, by the function that create_order uses as well; in-stock means that a code
-- could be reserved this moment. A nominal whose price comes to 0.00 (a discount of 100 percent) is not on offer: there would be
-- nothing to pay.
--
-- Both are STABLE: PostgREST runs them in a read-only transaction.

set local role lonieve_owner;

create function shop.has_free_codes(p_tenant_id uuid, p_product_id uuid, p_nominal numeric, p_currency text, p_quantity integer, p_now timestamptz)
returns boolean
language sql stable set search_path = '' as $$
  select count(*) >= p_quantity from (
    select from shop.gift_codes g
    where g.product_id = p_product_id and g.nominal = p_nominal and g.status = 'available'
      and g.tenant_id = p_tenant_id and g.currency = p_currency
      and (g.expires_at is null or g.expires_at > p_now + make_interval(days => ops.tenant_setting(p_tenant_id, 'code_expiry_margin_days')::int))
    limit p_quantity) found_codes
$$;
comment on function shop.has_free_codes(uuid, uuid, numeric, text, integer, timestamptz) is 'Are there this many codes that may be sold: free, same currency, not about to expire? A look, not a lock.';

create function shop.product_json(r shop.products, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', r.id, 'name', r.name, 'brand', r.brand, 'region', r.region, 'category', r.category, 'description', r.description,
    'image_url', r.image_url, 'currency', r.currency, 'discount_percentage', ops.money(r.discount_percentage),
    'delivery_time', r.delivery_time, 'terms_conditions', r.terms_conditions, 'features', r.features,
    'nominals', coalesce((
      select jsonb_agg(jsonb_build_object(
        'nominal', ops.money(n.nominal), 'price', ops.money(n.price),
        'in_stock', r.status = 'active' and shop.has_free_codes(r.tenant_id, r.id, n.nominal, r.currency, 1, p_now)) order by n.nominal)
      from (select (v #>> '{}')::numeric as nominal, ops.unit_price(r.base_price, r.discount_percentage, (v #>> '{}')::numeric) as price
            from jsonb_array_elements(r.nominals) v) n
      where n.price > 0), '[]'::jsonb))
$$;
comment on function shop.product_json(shop.products, timestamptz) is 'A product as the API shows it, with price and stock per nominal.';

create function api.list_products(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  return jsonb_build_object('outcome', 'ok', 'products', coalesce((
    select jsonb_agg(shop.product_json(r, ops.request_time(p)) order by r.sort_order, r.name, r.id)
    from shop.products r where r.tenant_id = v_tenant and r.status in ('active', 'out_of_stock')), '[]'::jsonb));
end
$$;
comment on function api.list_products(jsonb) is
  'Role: edge_orders. p: host, origin_host, default_tenant. {outcome: ok, products: [...]} by sort_order, name; unknown_tenant.';

create function api.get_product(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
  v_product jsonb;
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  select shop.product_json(r, ops.request_time(p)) into v_product
  from shop.products r where r.tenant_id = v_tenant and r.id = ops.try_uuid(p ->> 'product_id') and r.status in ('active', 'out_of_stock');
  if v_product is null then
    return jsonb_build_object('outcome', 'product_not_found');
  end if;
  return jsonb_build_object('outcome', 'ok', 'product', v_product);
end
$$;
comment on function api.get_product(jsonb) is
  'Role: edge_orders. p: host, origin_host, default_tenant, product_id. {outcome: ok, product}; unknown_tenant, product_not_found.';
