-- api.ingest_events: stores a batch of events, with a verdict each.
--
-- Called by the events Worker, which has validated the batch; the table's CHECKs are the second line, and one event they refuse
-- does not cost the others their place (each is tried in a block of its own).
--
-- The visit of an event depends on the events before it, so two batches of one session must not look at the same time: they
-- take an advisory lock per session, all of a batch's locks first and in one order, so that no two batches wait for each other
-- crosswise. Different sessions never wait.
--
-- Rejected: one INSERT ... SELECT for the batch (one bad event would refuse a hundred).

set local role lonieve_owner;

create function analytics.store_event(p_tenant_id uuid, p_context jsonb, e jsonb, p_now timestamptz) returns text
language plpgsql set search_path = '' as $$
declare
  v_at timestamptz := coalesce((e ->> 'created_at')::timestamptz, p_now);
begin
  insert into analytics.events (event_id, tenant_id, created_at, received_at, event_type, session_id, visit_id, visitor_id, url, referrer,
    utm_source, utm_medium, utm_campaign, utm_content, utm_term, data, session_duration, page_duration, scroll_depth,
    device_type, country, city, ip_address, user_agent)
  values ((e ->> 'event_id')::uuid, p_tenant_id, v_at, p_now, e ->> 'event_type', e ->> 'session_id',
    coalesce(analytics.find_visit(p_tenant_id, e ->> 'session_id', v_at), gen_random_uuid()),
    nullif(e ->> 'visitor_id', ''), e ->> 'url', e ->> 'referrer',
    nullif(lower(e ->> 'utm_source'), ''), nullif(lower(e ->> 'utm_medium'), ''), nullif(lower(e ->> 'utm_campaign'), ''),
    nullif(lower(e ->> 'utm_content'), ''), nullif(lower(e ->> 'utm_term'), ''),
    nullif(e -> 'data', 'null'::jsonb), (e ->> 'session_duration')::integer, (e ->> 'page_duration')::integer, (e ->> 'scroll_depth')::integer,
    coalesce(e ->> 'device_type', p_context ->> 'device_type'), p_context ->> 'country', p_context ->> 'city',
    p_context ->> 'ip', p_context ->> 'user_agent')
  on conflict (event_id) do nothing;
  return case when found then 'stored' else 'duplicate' end;
end
$$;
comment on function analytics.store_event(uuid, jsonb, jsonb, timestamptz) is 'Stores one event of a visitor: stored or duplicate. Raises where the event is not valid. The caller holds the session''s lock.';

create function api.ingest_events(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
  v_now timestamptz := ops.request_time(p);
  v_events jsonb := coalesce(p -> 'events', '[]'::jsonb);
  v_results jsonb := '[]'::jsonb;
  v_verdict jsonb;
  v_place bigint;
  e jsonb;
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  if jsonb_typeof(v_events) <> 'array' or jsonb_array_length(v_events) > 100 then
    raise exception 'invalid_batch' using errcode = '22023', hint = 'events must be an array of at most 100.';
  end if;
  perform pg_catalog.pg_advisory_xact_lock(k.key)
  from (select distinct pg_catalog.hashtextextended('visit|' || v_tenant::text || '|' || (s.value ->> 'session_id'), 0) as key
        from jsonb_array_elements(v_events) s where s.value ->> 'session_id' is not null
        order by key) k;
  -- By id, so that two batches with the same events cannot wait for each other crosswise; the verdicts go back in the order sent.
  for e, v_place in select s.value, s.place from jsonb_array_elements(v_events) with ordinality s (value, place) order by s.value ->> 'event_id', s.place loop
    begin
      if e ->> 'event_type' in ('payment_redirect', 'payment_success', 'code_sent') then
        v_verdict := jsonb_build_object('status', 'rejected', 'reason', 'event_type_not_allowed');
      elsif substr(e ->> 'event_id', 15, 1) = '8' then
        v_verdict := jsonb_build_object('status', 'rejected', 'reason', 'invalid_event_id');
      else
        v_verdict := jsonb_build_object('status', analytics.store_event(v_tenant, p -> 'context', e, v_now));
      end if;
    exception when data_exception or integrity_constraint_violation then
      v_verdict := jsonb_build_object('status', 'rejected', 'reason', 'invalid_event');
    end;
    v_results := v_results || jsonb_build_array(jsonb_build_object('place', v_place, 'event_id', e -> 'event_id') || v_verdict);
  end loop;
  return jsonb_build_object('outcome', 'ok', 'results', coalesce((
    select jsonb_agg(r.value - 'place' order by (r.value ->> 'place')::integer) from jsonb_array_elements(v_results) r), '[]'::jsonb));
end
$$;
comment on function api.ingest_events(jsonb) is
  'Role: edge_events. p: host, origin_host, default_tenant, context, events. {outcome: ok, results: [{event_id, status: stored|duplicate|rejected, reason?}]} in the order sent; unknown_tenant.';
