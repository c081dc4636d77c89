-- api.import_codes: sealed codes onto the shelf.
--
-- Called with a staff member's own token (role manager or admin): by the admin Worker, which seals; in tests and demo data by the code
-- that does the same. The database never sees a clear code, so it trusts the sealer for the seal and checks all the rest: product
-- and nominal of this tenant, currency, cost, expiry, and by the fingerprint that the code is new.
--
-- Safe to send again: a row already imported under the same id is counted as imported; the same code under another id is `duplicate_code`.
-- Rows are inserted in the order of their fingerprints, so that two imports of overlapping files cannot wait for each other
-- crosswise. A verdict names the row and the last four characters, nothing else of the code (LD-40).

set local role lonieve_owner;

create function shop.import_code(p_tenant_id uuid, p_batch_id text, e jsonb, p_now timestamptz) returns text
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
    select case when g.id = v_id then 'imported' else 'duplicate_code' end
    from shop.gift_codes g where g.tenant_id = p_tenant_id and g.code_fingerprint = e ->> 'fingerprint'
    union all select 'invalid_row' -- the id belongs to another code
    limit 1);
end
$$;
comment on function shop.import_code(uuid, text, jsonb, timestamptz) is
  'Puts one sealed code on the shelf: imported, or why not (duplicate_code, product_not_found, nominal_not_offered, currency_mismatch, invalid_row).';

create function api.import_codes(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_now timestamptz := ops.request_time(p);
  v_batch text := coalesce(nullif(p ->> 'batch_id', ''), 'import_' || floor(extract(epoch from clock_timestamp()) * 1000)::bigint);
  v_imported integer := 0;
  v_errors jsonb := '[]'::jsonb;
  v_verdict text;
  e jsonb;
begin
  if jsonb_typeof(p -> 'rows') is distinct from 'array' or jsonb_array_length(p -> 'rows') > 1000 or length(v_batch) > 100 then
    raise exception 'invalid_batch' using errcode = '22023', hint = 'rows must be an array of at most 1000.';
  end if;
  for e in select value from jsonb_array_elements(p -> 'rows') order by value ->> 'fingerprint', value ->> 'row' loop
    v_verdict := shop.import_code(v_tenant, v_batch, e, v_now);
    if v_verdict = 'imported' then
      v_imported := v_imported + 1;
    else
      v_errors := v_errors || jsonb_build_array(jsonb_build_object('row', e -> 'row', 'last4', e -> 'last4', 'reason', v_verdict));
    end if;
  end loop;
  return jsonb_build_object('outcome', 'ok', 'batch_id', v_batch, 'imported', v_imported, 'skipped', jsonb_array_length(v_errors),
    'errors', coalesce((select jsonb_agg(x.value order by (case when jsonb_typeof(x.value -> 'row') = 'number' then (x.value ->> 'row')::numeric end), x.value ->> 'row')
                        from jsonb_array_elements(v_errors) x), '[]'::jsonb));
end
$$;
comment on function api.import_codes(jsonb) is
  'Role: authenticated, staff from manager up. p: batch_id?, rows (at most 1000) [{row, id, product_id, nominal, cost_price?, currency?, expires_at?, sealed, kid, fingerprint, last4}]. {outcome: ok, batch_id, imported, skipped, errors: [{row, last4, reason}]}.';
