-- api.codes_to_reseal and api.reseal_codes: the rotation of the key that seals the codes.
--
-- Called by the job `reseal_codes` of the jobs Worker, which holds the keys; the database holds none and never sees a code. The first hands out
-- a batch of codes that are sealed under another key than the active one, whatever their state: sold ones are still read, and the old
-- key can only be thrown away when nothing needs it. The Worker opens each and seals it again, for the same code, product and face
-- value. The second stores the result where the code is still sealed as it was handed out (compare and set), and where nobody holds
-- its row; the rest is left for the next batch. Nothing else of the row changes.
--
-- Reading goes on: every reader holds both keys meanwhile and takes the one the row names, and text and kid change in one statement.
--
-- A code that cannot be opened (its key is missing, or its text was altered) is not handed out again for an hour, so that it neither keeps
-- the others from their turn nor is tried without end, and raises one alert for its shop and key.
--
-- No ledger row: the ledger says where a code went and who did it. A new seal moves nothing, and a row for every code at every rotation
-- would bury what it is for. The row itself says which key it is sealed with, and how many were sealed anew is in the job's log.
--
-- Rejected: locking the batch while it is handed out (locks would be held over the network, and buyers wait for them); ordering the batch
-- (it would sort everything that is left each time); rotating the fingerprint's key along (it finds duplicates because it stays the same).

set local role lonieve_owner;

create function api.codes_to_reseal(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_kid text := coalesce(p ->> 'kid', '');
begin
  if length(v_kid) not between 1 and 64 then
    raise exception 'kid is required' using errcode = '22023';
  end if;
  return jsonb_build_object('codes', coalesce((
    select jsonb_agg(jsonb_build_object('id', c.id, 'product_id', c.product_id, 'nominal', ops.money(c.nominal), 'sealed', c.code_sealed, 'kid', c.code_key_id))
    from (
      select g.* from shop.gift_codes g
      -- Not `<>`: a range can be looked up in idx_codes_key.
      where (g.code_key_id < v_kid or g.code_key_id > v_kid) and (g.reseal_after is null or g.reseal_after <= ops.request_time(p))
      limit least(greatest(coalesce((p ->> 'limit')::integer, 100), 0), 500)) c), '[]'::jsonb));
end
$$;
comment on function api.codes_to_reseal(jsonb) is
  'Role: edge_jobs. p: kid (the active key''s id), limit (at most 500), now. {codes: [{id, product_id, nominal, sealed, kid}]}: some that are sealed under another key and are not known to be unreadable.';

create function shop.note_unreadable_codes(p_ids uuid[], p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  f record;
begin
  for f in
    select g.tenant_id, g.code_key_id, count(*) as codes, (array_agg(g.id::text order by g.id))[1:5] as some
    from shop.gift_codes g where g.id = any (p_ids) group by g.tenant_id, g.code_key_id order by g.tenant_id, g.code_key_id
  loop
    perform ops.notify(f.tenant_id, 'unreadable_code', 'key:' || f.code_key_id, 'critical', 'Codes cannot be opened',
      f.codes || ' of those sealed under the key ' || f.code_key_id || ': ' || array_to_string(f.some, ', ')
      || case when f.codes > 5 then ' and others' else '' end || '. Give the Workers the key they were sealed with, or replace them.',
      jsonb_build_object('kid', f.code_key_id, 'codes', f.codes, 'code_ids', to_jsonb(f.some)), p_now);
  end loop;
end
$$;
comment on function shop.note_unreadable_codes(uuid[], timestamptz) is 'Opens one alert per shop and key about codes that could not be opened, or counts up on it.';

create function api.reseal_codes(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_kid text := coalesce(p ->> 'kid', '');
  v_rows jsonb := coalesce(p -> 'rows', '[]'::jsonb);
  v_unreadable uuid[];
  v_resealed integer;
begin
  if length(v_kid) not between 1 and 64 or jsonb_typeof(v_rows) <> 'array' then
    raise exception 'kid and rows are required' using errcode = '22023';
  end if;
  with asked as (
    select ops.try_uuid(r.value ->> 'id') as id, r.value ->> 'was' as was, r.value ->> 'sealed' as sealed from jsonb_array_elements(v_rows) r
  ), locked as (
    select g.id, a.sealed from asked a join shop.gift_codes g on g.id = a.id and g.code_sealed = a.was
    where a.sealed is not null order by g.id for update of g skip locked
  )
  update shop.gift_codes g set code_sealed = l.sealed, code_key_id = v_kid, reseal_after = null from locked l where g.id = l.id;
  get diagnostics v_resealed = row_count;

  with asked as (
    select ops.try_uuid(r.value ->> 'id') as id, r.value ->> 'was' as was from jsonb_array_elements(v_rows) r where r.value ->> 'sealed' is null
  ), locked as (
    select g.id from asked a join shop.gift_codes g on g.id = a.id and g.code_sealed = a.was order by g.id for update of g skip locked
  ), put_off as (
    update shop.gift_codes g set reseal_after = v_now + interval '1 hour' from locked l where g.id = l.id returning g.id
  )
  select array_agg(u.id) into v_unreadable from put_off u;
  perform shop.note_unreadable_codes(v_unreadable, v_now);

  return jsonb_build_object('outcome', 'ok', 'resealed', v_resealed, 'unreadable', coalesce(cardinality(v_unreadable), 0),
    'changed', jsonb_array_length(v_rows) - v_resealed - coalesce(cardinality(v_unreadable), 0),
    'left', (select count(*) from shop.gift_codes g where g.code_key_id < v_kid or g.code_key_id > v_kid));
end
$$;
comment on function api.reseal_codes(jsonb) is
  'Role: edge_jobs. p: kid, rows [{id, was (as handed out), sealed (anew; null: it could not be opened)}], now. {outcome: ok, resealed, unreadable, changed (since, or held by somebody: left for the next batch), left: how many codes are not sealed under kid}.';
