-- api.import_ad_spend: what advertising cost, from a sheet (L-106), and who may call what 0092 to 0095 add.
--
-- What: the rows of one file in one call and one transaction. A row whose day, source, campaign and creative are new is inserted, one that is
-- there is corrected: networks revise a day's figures for a while, and the same export is sent every morning. What the file does not say
-- (no column, a blank cell) stays as it was. So the same file twice changes nothing.
--
-- UTM values become lower case here, by the `lower` that events and orders went through (LD-84). A key that stands twice in one file is taken
-- once and reported: adding the two up would double a file whose rows were pasted twice, taking the last would lose money of a file with
-- a finer grain, and the database cannot tell which of the two it has before it.
--
-- Callers: the admin Worker, in the member's own name, for `POST /api/admin/ad-spend/import`. Reports read the table (0048).
-- Rejected: replacing whole days (a file of one network would delete the others').

set local role lonieve_owner;

alter table analytics.ad_spend add column updated_at timestamptz not null default now();
create trigger ad_spend_touch before update on analytics.ad_spend for each row execute function ops.touch_updated_at();

create function analytics.write_ad_spend(p_tenant_id uuid, p_currency text, p_rows jsonb, out imported integer, out updated integer)
language sql volatile set search_path = '' as $$
  with written as (
    insert into analytics.ad_spend as s (tenant_id, date, utm_source, utm_campaign, utm_content, spend, currency, clicks, impressions, notes)
    select p_tenant_id, (e.value ->> 'date')::date, e.value ->> 'utm_source', e.value ->> 'utm_campaign', e.value ->> 'utm_content',
      (e.value ->> 'spend')::numeric, p_currency, (e.value ->> 'clicks')::integer, (e.value ->> 'impressions')::integer, e.value ->> 'notes'
    from jsonb_array_elements(p_rows) e
    -- In one order, so that two imports of overlapping files cannot wait for each other crosswise.
    order by 2, 3, 4 nulls first, 5 nulls first
    on conflict on constraint ad_spend_once do update
    set spend = excluded.spend, clicks = coalesce(excluded.clicks, s.clicks), impressions = coalesce(excluded.impressions, s.impressions),
        notes = coalesce(excluded.notes, s.notes)
    where s.spend <> excluded.spend or s.clicks is distinct from coalesce(excluded.clicks, s.clicks)
       or s.impressions is distinct from coalesce(excluded.impressions, s.impressions) or s.notes is distinct from coalesce(excluded.notes, s.notes)
    returning s.xmax = 0 as is_new -- zero for a row that this statement has inserted
  )
  select (count(*) filter (where is_new))::integer, (count(*) filter (where not is_new))::integer from written
$$;
comment on function analytics.write_ad_spend(uuid, text, jsonb, out integer, out integer) is
  'Inserts or corrects these rows, whose keys differ. Counts those that are new and those that changed; the others stood there like that already.';

create function api.import_ad_spend(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_currency text := (select t.currency from shop.tenants t where t.id = v_tenant);
  v_good jsonb;
  v_errors jsonb;
  v_imported integer;
  v_updated integer;
begin
  if jsonb_typeof(p -> 'rows') is distinct from 'array' or jsonb_array_length(p -> 'rows') > 10000 then
    raise exception 'invalid_batch' using errcode = '22023', hint = 'rows must be an array of at most 10000.';
  end if;
  with sent as (
    select e.place, e.value || jsonb_build_object('utm_source', nullif(lower(e.value ->> 'utm_source'), ''),
      'utm_campaign', nullif(lower(e.value ->> 'utm_campaign'), ''), 'utm_content', nullif(lower(e.value ->> 'utm_content'), '')) as value
    from jsonb_array_elements(p -> 'rows') with ordinality e (value, place)
  ), judged as (
    select t.place, t.value, case
      when coalesce(upper(t.value ->> 'currency'), v_currency) <> v_currency then 'currency_mismatch'
      when row_number() over (
        partition by t.value ->> 'date', t.value ->> 'utm_source', t.value ->> 'utm_campaign', t.value ->> 'utm_content',
          coalesce(upper(t.value ->> 'currency'), v_currency) <> v_currency
        order by t.place) > 1 then 'repeated_row' end as reason
    from sent t
  )
  select coalesce(jsonb_agg(j.value) filter (where j.reason is null), '[]'::jsonb),
    coalesce(jsonb_agg(jsonb_build_object('row', j.value -> 'row', 'reason', j.reason) order by j.place) filter (where j.reason is not null), '[]'::jsonb)
  into v_good, v_errors from judged j;
  select w.imported, w.updated into v_imported, v_updated from analytics.write_ad_spend(v_tenant, v_currency, v_good) w;
  perform ops.audit(v_tenant, 'ad_spend.import', 'batch:' || coalesce(p ->> 'batch_id', 'ad_spend'), jsonb_build_object('rows', jsonb_array_length(p -> 'rows'),
    'imported', v_imported, 'updated', v_updated, 'unchanged', jsonb_array_length(v_good) - v_imported - v_updated, 'skipped', jsonb_array_length(v_errors)));
  return jsonb_build_object('outcome', 'ok', 'imported', v_imported, 'updated', v_updated,
    'unchanged', jsonb_array_length(v_good) - v_imported - v_updated, 'errors', v_errors);
end
$$;
comment on function api.import_ad_spend(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: batch_id?, rows (at most 10000) [{row, date, utm_source, spend, utm_campaign?, utm_content?, currency?, clicks?, impressions?, notes?}]. {outcome: ok, imported, updated, unchanged, errors: [{row, reason: currency_mismatch|repeated_row}]}.';

grant execute on function api.assign_experiments(jsonb) to edge_events;
grant execute on function api.staff_experiments(jsonb) to authenticated;
grant execute on function api.create_experiment(jsonb) to authenticated;
grant execute on function api.update_experiment(jsonb) to authenticated;
grant execute on function api.experiment_results(jsonb) to authenticated;
grant execute on function api.import_ad_spend(jsonb) to authenticated;
