-- Events in bulk: the batches of one call, or of many messages of a queue, are stored by one statement.
--
-- What: `api.ingest_events` (one request) and `api.ingest_event_batches` (the messages a queue hands over together) share one core,
-- `analytics.store_batches`. It replaces the event-by-event loop of 0020, in which each event paid for a subtransaction and two look-ups of
-- its visit. New in it: `bot` and `click_ids` (0077) are stored, and of the client's address only what the tenant wants kept (LD-70).
--
-- One bad event costs the others nothing, as before, and only then is it slow: the statement is tried for all batches, after an error for each
-- batch, and in a batch at fault for each event. The Worker validates, so that errors are rare.
--
-- Visits: the events of a session in one batch, in the order of their times, fall into runs with no gap over 30 minutes. A run joins the
-- visit of the nearest stored event up to 30 minutes before its first event, else of the first one that follows, up to 30 minutes after
-- its last event, else it is a visit of its own. What is stored keeps its visit: a late event between two visits does not merge them.
-- Two calls with events of one session must not look at the same time: all advisory locks of a call, one for each session, are taken first and
-- in one order. Sessions share 512 locks: the lock table of Postgres is one for all, checkouts too, and a stranger may name as many sessions
-- as he likes. Two sessions under one lock wait for each other for the milliseconds of an insert. Rows go in by event id, so that two calls with the same events cannot wait crosswise.
--
-- A message whose shop is unknown, or that cannot be read, is not the sender's to repeat: it was accepted. It is parked
-- (`ops.parked_events`, 0089).
--
-- Rejected: validation of every field in SQL before the insert (the table's CHECKs would stand there twice); COPY or unlogged staging tables
-- (PostgREST speaks neither); one advisory lock per tenant (a busy shop's visitors would stand in line).

set local role lonieve_owner;

create function analytics.event_setting_defaults() returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'ip_storage', 'truncated',           -- client addresses in events: full, truncated (IPv4 to /24, IPv6 to /48) or none
    'event_retention_months', 14         -- how long events are kept
  )
$$;
comment on function analytics.event_setting_defaults() is 'The settings of shop.tenants.settings about events, with their defaults.';

create function analytics.event_settings_are_valid(p_settings jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select not exists (
    select from jsonb_each(p_settings) s
    where s.value <> 'null'::jsonb and case s.key
      when 'ip_storage' then s.value not in ('"full"'::jsonb, '"truncated"'::jsonb, '"none"'::jsonb)
      when 'event_retention_months' then case when jsonb_typeof(s.value) <> 'number' then true
        else (s.value #>> '{}')::numeric not between 1 and 120 or (s.value #>> '{}')::numeric % 1 <> 0 end
      else false end)
$$;
comment on function analytics.event_settings_are_valid(jsonb) is 'The settings about events have the right type and range; others are left alone.';

alter table shop.tenants add constraint tenants_event_settings_valid check (analytics.event_settings_are_valid(settings));

create function analytics.event_settings(p_tenant_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select analytics.event_setting_defaults() || jsonb_strip_nulls(t.settings) from shop.tenants t where t.id = p_tenant_id
$$;
comment on function analytics.event_settings(uuid) is 'A tenant''s settings over the defaults about events.';

create function analytics.kept_address(p_tenant_id uuid, p_address text) returns text
language plpgsql stable set search_path = '' as $$
declare
  v_storage text;
  v_address inet;
begin
  if p_address is null then
    return null;
  end if;
  v_storage := analytics.event_settings(p_tenant_id) ->> 'ip_storage';
  if v_storage = 'full' then
    return p_address;
  end if;
  if v_storage = 'none' then
    return null;
  end if;
  v_address := p_address::inet;
  return host(network(set_masklen(v_address, case family(v_address) when 4 then 24 else 48 end)));
exception when data_exception then
  return null; -- what is no address is kept by nobody
end
$$;
comment on function analytics.kept_address(uuid, text) is
  'What events keep of a client''s address, by the tenant''s setting ip_storage: 203.0.113.77 becomes 203.0.113.0, 2001:db8:1:2::3 becomes 2001:db8:1::.';

create function analytics.lock_sessions(p_batches jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_advisory_xact_lock(k.key)
  from (select distinct pg_catalog.hashtextextended('visit', pg_catalog.hashtextextended((b.value ->> 'tenant_id') || '|' || (e.value ->> 'session_id'), 0) & 511) as key
        from jsonb_array_elements(p_batches) b, jsonb_array_elements(b.value -> 'events') e
        where e.value ->> 'session_id' is not null
        order by key) k;
end
$$;
comment on function analytics.lock_sessions(jsonb) is 'Takes the locks of all sessions in these batches (see analytics.insert_events), at most 512, in one order, until the transaction ends.';

create function analytics.insert_events(p_batches jsonb) returns jsonb
-- The planner takes a batch for far more rows than it has; compiling for them would cost more than the work.
-- For the same reason it would join by nested loops, which are quadratic here.
language plpgsql set search_path = '' set jit = off set enable_nestloop = off as $$
declare
  v_results jsonb;
begin
  with flat as materialized (
    -- Apart from what sorts: a sort that carries the batch writes it to disk once for each event.
    select b.place as batch, (b.value ->> 'tenant_id')::uuid as tenant_id, b.value -> 'context' as context, (b.value ->> 'now')::timestamptz as now, e.*
    from jsonb_array_elements(p_batches) with ordinality b (value, place),
      rows from (jsonb_to_recordset(b.value -> 'events') as (event_id uuid, event_type text, session_id text, visitor_id text, url text,
        referrer text, utm_source text, utm_medium text, utm_campaign text, utm_content text, utm_term text, data jsonb, click_ids jsonb,
        session_duration integer, page_duration integer, scroll_depth integer, device_type text, created_at timestamptz)) with ordinality
        e (event_id, event_type, session_id, visitor_id, url, referrer, utm_source, utm_medium, utm_campaign, utm_content, utm_term, data,
          click_ids, session_duration, page_duration, scroll_depth, device_type, created_at, place)
  ), sent as materialized (
    select e.batch, e.tenant_id, e.context, e.now, e.place, e.event_id, e.event_type, e.session_id, nullif(e.visitor_id, '') as visitor_id, e.url, e.referrer, e.utm_source, e.utm_medium,
      e.utm_campaign, e.utm_content, e.utm_term, nullif(e.data, 'null'::jsonb) as data, nullif(e.click_ids, 'null'::jsonb) as click_ids,
      e.session_duration, e.page_duration, e.scroll_depth, e.device_type,
      coalesce(e.created_at, e.now) as at,
      -- A scalar look-up, which is an index probe whatever the planner thinks of the table's size.
      (select true from analytics.events x where x.event_id = e.event_id) is true as known,
      row_number() over (partition by e.event_id order by e.batch, e.place) as turn,
      case when e.event_type in ('payment_redirect', 'payment_success', 'code_sent') then 'event_type_not_allowed'
           -- Ids of version 8 belong to server events (analytics.server_event_id).
           when substr(e.event_id::text, 15, 1) = '8' then 'invalid_event_id' end as refusal
    from flat e
  ), fresh as materialized (
    select s.*, s.at - lag(s.at) over (partition by s.tenant_id, s.session_id order by s.at, s.batch, s.place) <= interval '30 minutes' as follows
    from sent s
    where s.turn = 1 and s.refusal is null and not s.known
  ), runs as materialized (
    select f.*, count(*) filter (where f.follows is not true)
      over (partition by f.tenant_id, f.session_id order by f.at, f.batch, f.place) as run
    from fresh f
  ), visits as materialized (
    select r.tenant_id, r.session_id, r.run, coalesce(
      (select x.visit_id from analytics.events x
       where x.tenant_id = r.tenant_id and x.session_id = r.session_id and x.visit_id is not null
         and x.created_at between min(r.at) - interval '30 minutes' and min(r.at)
         and x.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
       order by x.created_at desc limit 1),
      (select x.visit_id from analytics.events x
       where x.tenant_id = r.tenant_id and x.session_id = r.session_id and x.visit_id is not null
         and x.created_at > min(r.at) and x.created_at <= max(r.at) + interval '30 minutes'
         and x.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
       order by x.created_at limit 1),
      gen_random_uuid()) as visit_id
    from runs r group by r.tenant_id, r.session_id, r.run
  ), stored as (
    insert into analytics.events (event_id, tenant_id, created_at, received_at, event_type, session_id, visit_id, visitor_id, url, referrer,
      utm_source, utm_medium, utm_campaign, utm_content, utm_term, data, click_ids, session_duration, page_duration, scroll_depth,
      device_type, country, city, ip_address, user_agent, bot)
    select r.event_id, r.tenant_id, r.at, r.now, r.event_type, r.session_id, v.visit_id, r.visitor_id, r.url, r.referrer,
      nullif(lower(r.utm_source), ''), nullif(lower(r.utm_medium), ''), nullif(lower(r.utm_campaign), ''),
      nullif(lower(r.utm_content), ''), nullif(lower(r.utm_term), ''), r.data, r.click_ids, r.session_duration, r.page_duration, r.scroll_depth,
      coalesce(r.device_type, r.context ->> 'device_type'), r.context ->> 'country', r.context ->> 'city', r.context ->> 'ip',
      r.context ->> 'user_agent', r.context ->> 'bot'
    -- A session that is missing has no visit; the table then says what is wrong.
    from runs r left join visits v on v.tenant_id = r.tenant_id and v.session_id = r.session_id and v.run = r.run
    order by r.event_id
    on conflict (event_id) do nothing
    returning event_id
  ), verdicts as (
    select s.batch, jsonb_agg(jsonb_strip_nulls(jsonb_build_object('event_id', s.event_id, 'status',
      case when s.refusal is not null then 'rejected' when s.turn = 1 and t.event_id is not null then 'stored' else 'duplicate' end,
      'reason', s.refusal)) order by s.place) as results
    from sent s left join stored t on t.event_id = s.event_id
    group by s.batch
  )
  select jsonb_agg(coalesce(v.results, '[]'::jsonb) order by b.place) into v_results
  from jsonb_array_elements(p_batches) with ordinality b (value, place) left join verdicts v on v.batch = b.place;
  return v_results;
end
$$;
comment on function analytics.insert_events(jsonb) is
  'Stores batches [{tenant_id, now, context {ip, country, city, device_type, user_agent, bot}, events: [...]}] by one statement; the verdicts of each batch in order: [[{event_id, status: stored|duplicate|rejected, reason?}]]. Raises where one event is not valid. The caller holds the sessions'' locks.';

create function analytics.store_batches(p_batches jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_results jsonb := '[]'::jsonb;
  b jsonb;
  e jsonb;
begin
  -- The part that tries again is smaller each time: all, one batch, one event.
  begin
    return analytics.insert_events(p_batches);
  exception when data_exception or integrity_constraint_violation then
    null;
  end;
  if jsonb_array_length(p_batches) > 1 then
    for b in select s.value from jsonb_array_elements(p_batches) with ordinality s (value, place) order by s.place loop
      v_results := v_results || analytics.store_batches(jsonb_build_array(b));
    end loop;
    return v_results;
  end if;
  b := p_batches -> 0;
  if jsonb_array_length(b -> 'events') = 1 then
    return jsonb_build_array(jsonb_build_array(jsonb_build_object('event_id', b -> 'events' -> 0 -> 'event_id', 'status', 'rejected', 'reason', 'invalid_event')));
  end if;
  for e in select s.value from jsonb_array_elements(b -> 'events') with ordinality s (value, place) order by s.place loop
    v_results := v_results || (analytics.store_batches(jsonb_build_array(b || jsonb_build_object('events', jsonb_build_array(e)))) -> 0);
  end loop;
  return jsonb_build_array(v_results);
end
$$;
comment on function analytics.store_batches(jsonb) is
  'analytics.insert_events for batches of which some events may not be valid: those are rejected as invalid_event, all others are stored.';

drop function analytics.store_event(uuid, jsonb, jsonb, timestamptz);

create function analytics.readied_batch(p_tenant_id uuid, p jsonb, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('tenant_id', p_tenant_id, 'now', p_now, 'events', p -> 'events',
    'context', coalesce(nullif(p -> 'context', 'null'::jsonb), '{}'::jsonb)
      || jsonb_build_object('ip', analytics.kept_address(p_tenant_id, p #>> '{context,ip}')))
$$;
comment on function analytics.readied_batch(uuid, jsonb, timestamptz) is 'A batch as analytics.insert_events takes it, out of p as api.ingest_events takes it.';

create or replace function api.ingest_events(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
  v_batches jsonb;
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  if coalesce(jsonb_typeof(p -> 'events'), 'null') not in ('array', 'null') or jsonb_array_length(coalesce(nullif(p -> 'events', 'null'::jsonb), '[]')) > 100 then
    raise exception 'invalid_batch' using errcode = '22023', hint = 'events must be an array of at most 100.';
  end if;
  v_batches := jsonb_build_array(analytics.readied_batch(v_tenant,
    p || jsonb_build_object('events', coalesce(nullif(p -> 'events', 'null'::jsonb), '[]')), ops.request_time(p)));
  perform analytics.lock_sessions(v_batches);
  return jsonb_build_object('outcome', 'ok', 'results', analytics.store_batches(v_batches) -> 0);
end
$$;
comment on function api.ingest_events(jsonb) is
  'Role: edge_events. p: host, origin_host, default_tenant, context, events. {outcome: ok, results: [{event_id, status: stored|duplicate|rejected, reason?}]} in the order sent; unknown_tenant.';

create or replace function analytics.record_order_event(p_order_id uuid, p_event_type text, p_data jsonb, p_at timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
begin
  select * into o from shop.orders where id = p_order_id;
  insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id, user_id, visitor_id, referrer,
    utm_source, utm_medium, utm_campaign, utm_content, utm_term, data, device_type, country, city, ip_address, user_agent)
  values (
    analytics.server_event_id(p_event_type, o.id),
    o.tenant_id, p_at, p_event_type,
    -- An order without a session still leaves its events; the prefix keeps them apart from visitors.
    coalesce(o.session_id, 'order:' || o.id::text), analytics.find_visit(o.tenant_id, o.session_id, p_at), o.user_id, o.visitor_id, o.referrer,
    o.utm_source, o.utm_medium, o.utm_campaign, o.utm_content, o.utm_term, p_data, o.device_type, o.country, o.city,
    -- The order keeps the whole address: the limits on unpaid orders count by it.
    analytics.kept_address(o.tenant_id, o.ip_address), o.user_agent)
  on conflict (event_id) do nothing;
exception when others then
  -- Analytics must never undo what it describes.
  raise warning 'event % of order % was not stored: %', p_event_type, p_order_id, sqlerrm;
end
$$;
comment on column analytics.events.ip_address is 'The client''s address as far as the tenant''s setting ip_storage keeps it; by default its network, IPv4 /24 or IPv6 /48.';
