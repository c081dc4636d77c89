-- The catalogue as staff see and change it (L-145): api.staff_products, create_product, update_product.
--
-- Called by the admin Worker in the member's own name: viewers read, managers write. The Worker has checked types and bounds; the
-- table's constraints are the second line. The currency is the tenant's and cannot be chosen: one that is named is only compared.
--
-- An edit takes the fields that are given; null equals absent, a blank text empties an optional one. The audit keeps each changed
-- field with its old and new value, so a price can be traced back. An edit that changes nothing writes nothing.
--
-- Prices are read by create_order in its own transaction: a cart priced before the edit is refused with price_changed, an order already
-- placed keeps its price.

set local role lonieve_owner;

create function shop.nominal_list(p_nominals jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_agg(to_jsonb(trim_scale((v #>> '{}')::numeric)) order by (v #>> '{}')::numeric) from jsonb_array_elements(p_nominals) v
$$;
comment on function shop.nominal_list(jsonb) is 'Face values given as texts or numbers, as shop.products stores them: numbers, ascending.';

create function shop.staff_products_json(p_tenant_id uuid, p_product_id uuid, p_status text) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', r.id, 'name', r.name, 'brand', r.brand, 'region', r.region, 'category', r.category, 'description', r.description,
    'image_url', r.image_url, 'base_price', ops.money(r.base_price), 'discount_percentage', ops.money(r.discount_percentage),
    'currency', r.currency, 'status', r.status, 'delivery_time', r.delivery_time, 'terms_conditions', r.terms_conditions,
    'features', r.features, 'sort_order', r.sort_order, 'created_at', ops.iso(r.created_at), 'updated_at', ops.iso(r.updated_at),
    'nominals', coalesce(s.nominals, '[]'::jsonb)) order by r.sort_order, r.name, r.id), '[]'::jsonb)
  from shop.products r
  left join (
    select k.product_id, jsonb_agg(k.facts || jsonb_build_object('price', ops.money(ops.unit_price(q.base_price, q.discount_percentage, k.nominal)))
      order by k.nominal) as nominals
    from shop.stock(p_tenant_id, now()) k join shop.products q on q.id = k.product_id
    group by k.product_id) s on s.product_id = r.id
  where r.tenant_id = p_tenant_id and (p_product_id is null or r.id = p_product_id) and (p_status is null or r.status = p_status)
$$;
comment on function shop.staff_products_json(uuid, uuid, text) is 'Products of a tenant with their stock per face value; one of them, or those of one status.';

create function api.staff_products(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return jsonb_build_object('outcome', 'ok', 'products', shop.staff_products_json(v_tenant, null, p ->> 'status'));
end
$$;
comment on function api.staff_products(jsonb) is
  'Role: authenticated, staff. p: status? {outcome: ok, products: [...]} of every status, with price and stock per face value.';

create function api.create_product(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_currency text := (select t.currency from shop.tenants t where t.id = v_tenant);
  v_id uuid;
begin
  if upper(p ->> 'currency') <> v_currency then
    return jsonb_build_object('outcome', 'currency_mismatch', 'currency', v_currency);
  end if;
  insert into shop.products (tenant_id, name, brand, region, category, description, image_url, nominals, base_price, discount_percentage, currency,
    status, delivery_time, terms_conditions, features, sort_order)
  values (v_tenant, p ->> 'name', p ->> 'brand', p ->> 'region', nullif(p ->> 'category', ''), nullif(p ->> 'description', ''),
    nullif(p ->> 'image_url', ''), shop.nominal_list(p -> 'nominals'), (p ->> 'base_price')::numeric,
    coalesce((p ->> 'discount_percentage')::numeric, 0), v_currency, coalesce(p ->> 'status', 'active'), coalesce(p ->> 'delivery_time', 'instant'),
    nullif(p ->> 'terms_conditions', ''), nullif(p -> 'features', 'null'::jsonb), coalesce((p ->> 'sort_order')::integer, 0))
  returning id into v_id;
  perform ops.audit(v_tenant, 'product.create', 'product:' || v_id,
    jsonb_build_object('name', p -> 'name', 'nominals', shop.nominal_list(p -> 'nominals'), 'base_price', p -> 'base_price', 'discount_percentage', p -> 'discount_percentage'));
  return jsonb_build_object('outcome', 'ok', 'product', shop.staff_products_json(v_tenant, v_id, null) -> 0);
end
$$;
comment on function api.create_product(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: name, brand, region, nominals, base_price, category?, description?, image_url?, discount_percentage?, currency?, status?, delivery_time?, terms_conditions?, features?, sort_order? {outcome: ok, product}; currency_mismatch {currency}.';

create function shop.edited_product(r shop.products, p jsonb) returns shop.products
language plpgsql stable set search_path = '' as $$
begin
  r.name := coalesce(p ->> 'name', r.name);
  r.brand := coalesce(p ->> 'brand', r.brand);
  r.region := coalesce(p ->> 'region', r.region);
  r.category := nullif(coalesce(p ->> 'category', r.category), '');
  r.description := nullif(coalesce(p ->> 'description', r.description), '');
  r.image_url := nullif(coalesce(p ->> 'image_url', r.image_url), '');
  r.nominals := coalesce(shop.nominal_list(nullif(p -> 'nominals', 'null'::jsonb)), r.nominals);
  r.base_price := coalesce((p ->> 'base_price')::numeric, r.base_price);
  r.discount_percentage := coalesce((p ->> 'discount_percentage')::numeric, r.discount_percentage);
  r.status := coalesce(p ->> 'status', r.status);
  r.delivery_time := coalesce(p ->> 'delivery_time', r.delivery_time);
  r.terms_conditions := nullif(coalesce(p ->> 'terms_conditions', r.terms_conditions), '');
  r.features := coalesce(nullif(p -> 'features', 'null'::jsonb), r.features);
  r.sort_order := coalesce((p ->> 'sort_order')::integer, r.sort_order);
  return r;
end
$$;
comment on function shop.edited_product(shop.products, jsonb) is 'A product with the given fields changed; null equals absent, a blank text empties an optional field. Writes nothing.';

create function api.update_product(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_changes jsonb;
  r shop.products;
  n shop.products;
begin
  select * into r from shop.products where tenant_id = v_tenant and id = ops.try_uuid(p ->> 'product_id') for update;
  if not found then
    return jsonb_build_object('outcome', 'product_not_found');
  end if;
  if upper(p ->> 'currency') <> r.currency then
    return jsonb_build_object('outcome', 'currency_mismatch', 'currency', r.currency);
  end if;
  n := shop.edited_product(r, p);
  select jsonb_object_agg(old.key, jsonb_build_array(old.value, new.value)) into v_changes
  from jsonb_each(to_jsonb(r)) old join jsonb_each(to_jsonb(n)) new on new.key = old.key
  where new.value is distinct from old.value;
  if v_changes is not null then
    update shop.products set name = n.name, brand = n.brand, region = n.region, category = n.category, description = n.description,
      image_url = n.image_url, nominals = n.nominals, base_price = n.base_price, discount_percentage = n.discount_percentage, status = n.status,
      delivery_time = n.delivery_time, terms_conditions = n.terms_conditions, features = n.features, sort_order = n.sort_order
    where id = r.id;
    perform ops.audit(v_tenant, 'product.update', 'product:' || r.id, v_changes);
  end if;
  return jsonb_build_object('outcome', 'ok', 'product', shop.staff_products_json(v_tenant, r.id, null) -> 0);
end
$$;
comment on function api.update_product(jsonb) is
  'Role: authenticated, staff from manager up; audited with old and new values. p: product_id and the fields to change (those of create_product). {outcome: ok, product}; product_not_found, currency_mismatch {currency}.';
