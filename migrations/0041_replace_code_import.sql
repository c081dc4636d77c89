-- api.import_codes, now audited, and the stock as staff see it (L-144, LD-45).
--
-- What: the import is that of 0033 with two differences. Each call writes its row in the audit, in its own transaction: a file of ten
-- thousand codes comes in twenty calls, and what is on the shelf is always accounted for, also when the ninth fails. A call that is
-- repeated because its answer was lost still answers `imported` for what is in, but the audit counts each code once: hence the verdict
-- `imported_before`, which stays inside. And of two equal codes in one call the one with the lower row number goes in ('10' came before '9').
--
-- The order within a call stays that of the fingerprints, so that two imports of overlapping files cannot wait for each other crosswise.
--
-- `shop.stock` counts per product and face value. `available` are codes that could be sold this moment, by the rule by which they
-- are sold; those about to expire are counted apart, since an operator who sees them as stock waits for buyers who are sent away.

set local role lonieve_owner;

create or replace function shop.import_code(p_tenant_id uuid, p_batch_id text, e jsonb, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_id uuid := ops.try_uuid(e ->> 'id');
  v_nominal numeric := ops.try_amount(e ->> 'nominal');
  v_cost numeric := ops.try_amount(e ->> 'cost_price');
  v_expires timestamptz := ops.try_time(e ->> 'expires_at');
  v_margin numeric;
  r shop.products;
begin
  if v_id is null or v_nominal is null or v_nominal <= 0 or v_nominal <> round(v_nominal, 2)
    or (e ->> 'cost_price' is not null and (v_cost is null or v_cost <> round(v_cost, 2)))
    or (e ->> 'expires_at' is not null and (v_expires is null or v_expires <= p_now))
    or coalesce(e ->> 'sealed', '') !~ '^[A-Za-z0-9_-]+$' or length(e ->> 'sealed') not between 39 and 2000
    or length(coalesce(e ->> 'kid', '')) not between 1 and 64
    or coalesce(e ->> 'fingerprint', '') !~ '^[0-9a-f]{64}$' or length(coalesce(e ->> 'last4', '')) not between 1 and 4
  then
    return 'invalid_row';
  end if;
  select * into r from shop.products where tenant_id = p_tenant_id and id = ops.try_uuid(e ->> 'product_id');
  if not found then
    return 'product_not_found';
  end if;
  if not exists (select from jsonb_array_elements(r.nominals) n where (n #>> '{}')::numeric = v_nominal) then
    return 'nominal_not_offered';
  end if;
  if coalesce(upper(e ->> 'currency'), r.currency) <> r.currency then
    return 'currency_mismatch';
  end if;
  v_margin := round((v_nominal - v_cost) * 100 / v_nominal, 2);
  if abs(v_margin) >= 1e6 then
    return 'invalid_row'; -- a cost ten thousand times the face value is a typing error
  end if;
  insert into shop.gift_codes (id, tenant_id, product_id, code_sealed, code_key_id, code_fingerprint, code_last4, nominal, cost_price,
    margin_percentage, currency, expires_at, batch_id, imported_at, created_at)
  values (v_id, p_tenant_id, r.id, e ->> 'sealed', e ->> 'kid', e ->> 'fingerprint', e ->> 'last4', v_nominal, v_cost,
    v_margin, r.currency, v_expires, p_batch_id, p_now, p_now)
  on conflict do nothing;
  if found then
    perform ops.append_ledger(p_tenant_id, v_id, 'imported', null, p_now, jsonb_build_object('batch_id', p_batch_id));
    return 'imported';
  end if;
  return (
    select case when g.id = v_id then 'imported_before' else 'duplicate_code' end
    from shop.gift_codes g where g.tenant_id = p_tenant_id and g.code_fingerprint = e ->> 'fingerprint'
    union all select 'invalid_row' -- the id belongs to another code
    limit 1);
end
$$;
comment on function shop.import_code(uuid, text, jsonb, timestamptz) is
  'Puts one sealed code on the shelf: imported, imported_before (the same id, so a repeat), or why not (duplicate_code, product_not_found, nominal_not_offered, currency_mismatch, invalid_row).';

create or replace function api.import_codes(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_now timestamptz := ops.request_time(p);
  v_batch text := coalesce(nullif(p ->> 'batch_id', ''), 'import_' || floor(extract(epoch from clock_timestamp()) * 1000)::bigint);
  v_imported integer := 0;
  v_repeated integer := 0;
  v_errors jsonb := '[]'::jsonb;
  v_verdict text;
  e jsonb;
begin
  if jsonb_typeof(p -> 'rows') is distinct from 'array' or jsonb_array_length(p -> 'rows') > 1000 or length(v_batch) > 100 then
    raise exception 'invalid_batch' using errcode = '22023', hint = 'rows must be an array of at most 1000.';
  end if;
  for e in select value from jsonb_array_elements(p -> 'rows') order by value ->> 'fingerprint', lpad(value ->> 'row', 20, '0') loop
    v_verdict := shop.import_code(v_tenant, v_batch, e, v_now);
    if v_verdict = 'imported' then
      v_imported := v_imported + 1;
    elsif v_verdict = 'imported_before' then
      v_repeated := v_repeated + 1;
    else
      v_errors := v_errors || jsonb_build_array(jsonb_build_object('row', e -> 'row', 'last4', e -> 'last4', 'reason', v_verdict));
    end if;
  end loop;
  perform ops.audit(v_tenant, 'codes.import', 'batch:' || v_batch,
    jsonb_build_object('rows', jsonb_array_length(p -> 'rows'), 'imported', v_imported, 'repeated', v_repeated, 'skipped', jsonb_array_length(v_errors)));
  return jsonb_build_object('outcome', 'ok', 'batch_id', v_batch, 'imported', v_imported + v_repeated, 'skipped', jsonb_array_length(v_errors),
    'errors', coalesce((select jsonb_agg(x.value order by (case when jsonb_typeof(x.value -> 'row') = 'number' then (x.value ->> 'row')::numeric end), x.value ->> 'row')
                        from jsonb_array_elements(v_errors) x), '[]'::jsonb));
end
$$;
comment on function api.import_codes(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: batch_id?, rows (at most 1000) [{row, id, product_id, nominal, cost_price?, currency?, expires_at?, sealed, kid, fingerprint, last4}]. {outcome: ok, batch_id, imported, skipped, errors: [{row, last4, reason}]}.';

create function shop.stock(p_tenant_id uuid, p_now timestamptz)
returns table (product_id uuid, nominal numeric, is_low boolean, facts jsonb)
language sql stable set search_path = '' as $$
  with counted as (
    select g.product_id, g.nominal,
      count(*) filter (where g.status = 'available' and (g.expires_at is null or g.expires_at > m.sellable_until)) as available,
      count(*) filter (where g.status = 'available' and g.expires_at <= m.sellable_until) as expiring,
      count(*) filter (where g.status = 'reserved') as reserved,
      count(*) filter (where g.status = 'sold') as sold,
      count(*) filter (where g.status = 'revoked') as revoked,
      max(g.imported_at) as last_imported_at
    from shop.gift_codes g,
         (select p_now + make_interval(days => ops.tenant_setting(p_tenant_id, 'code_expiry_margin_days')::int) as sellable_until) m
    where g.tenant_id = p_tenant_id
    group by g.product_id, g.nominal
  ), offered as (
    select r.id as product_id, (v #>> '{}')::numeric as nominal
    from shop.products r, jsonb_array_elements(r.nominals) v
    where r.tenant_id = p_tenant_id
  )
  select coalesce(o.product_id, c.product_id), coalesce(o.nominal, c.nominal), o.product_id is not null and coalesce(c.available, 0) < ops.tenant_setting(p_tenant_id, 'low_stock_below'),
    jsonb_build_object('nominal', ops.money(coalesce(o.nominal, c.nominal)), 'offered', o.product_id is not null,
      'available', coalesce(c.available, 0), 'expiring', coalesce(c.expiring, 0), 'reserved', coalesce(c.reserved, 0), 'sold', coalesce(c.sold, 0),
      'revoked', coalesce(c.revoked, 0), 'low_stock', o.product_id is not null and coalesce(c.available, 0) < ops.tenant_setting(p_tenant_id, 'low_stock_below'),
      'last_imported_at', ops.iso(c.last_imported_at))
  from offered o full join counted c on c.product_id = o.product_id and c.nominal = o.nominal
$$;
comment on function shop.stock(uuid, timestamptz) is
  'Codes by state for each face value on offer, and for those that still have codes. available: can be sold now; expiring: free, but too close to their end; low: of a face value on offer fewer than the setting low_stock_below (L-19).';

create function api.staff_stock(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return jsonb_build_object('outcome', 'ok', 'stock', coalesce((
    select jsonb_agg(jsonb_build_object('product_id', r.id, 'product_name', r.name, 'product_status', r.status, 'currency', r.currency) || s.facts
      order by r.sort_order, r.name, r.id, s.nominal)
    from shop.stock(v_tenant, now()) s join shop.products r on r.id = s.product_id
    where (p ->> 'product_id' is null or r.id = ops.try_uuid(p ->> 'product_id'))
      and (p ->> 'nominal' is null or s.nominal = ops.try_amount(p ->> 'nominal'))
      and (p ->> 'low_stock' is null or s.is_low = (p ->> 'low_stock')::boolean)), '[]'::jsonb));
end
$$;
comment on function api.staff_stock(jsonb) is
  'Role: authenticated, staff. p: product_id?, nominal?, low_stock? {outcome: ok, stock: [{product_id, product_name, product_status, currency, nominal, offered, available, expiring, reserved, sold, revoked, low_stock, last_imported_at}]}.';
