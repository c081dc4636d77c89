-- Events that come through a queue, and what becomes of messages that cannot be stored.
--
-- What: a Worker with the binding `EVENTS_QUEUE` answers `accepted` before the database has seen anything. From then on an event is either
-- stored, or a duplicate, or rejected and counted, or its message lies in `ops.parked_events`; it is never dropped silently. A message is
-- parked where nothing would change by trying again soon: no shop belongs to its host, it cannot be read, or the queue gave it up after
-- its last retry. Parked twice is parked once: the queue's id of the message is the key.
--
-- Called by: the events Worker as consumer of the queue (`api.ingest_event_batches`) and of the queue's dead letters (`api.park_events`); the
-- job `replay_events`, each hour and by hand (`api.replay_events`). A message that is stored leaves the table. What cannot be read is
-- replayed by nobody: an operator looks at it. `api.purge` (0090) deletes what lies there for 30 days.
--
-- The message carries the client's whole address; a parked row keeps its network only, because whose settings count is not known.
--
-- Rejected: 404 for an unknown shop at the time of acceptance (it would cost the trip to the database that the queue is there to save); to
-- leave given-up messages in the queue of dead letters (it forgets them after some days, and nobody can look into it from here); a replay by
-- staff of a shop (the messages of hosts without a shop are nobody's, and those of several shops lie side by side).

set local role lonieve_owner;

create table ops.parked_events (
  id uuid constraint parked_events_pkey primary key default gen_random_uuid(),
  message_id text not null constraint parked_events_message_id_key unique
    constraint parked_events_message_id_length check (length(message_id) between 1 and 255),
  reason text not null constraint parked_events_reason_known check (reason in ('unknown_tenant', 'unreadable', 'retries_exhausted')),
  payload jsonb not null,
  parked_at timestamptz not null default now(),
  attempts integer not null default 0 constraint parked_events_attempts_not_negative check (attempts >= 0),
  tried_at timestamptz,
  last_error text
);
alter table ops.parked_events enable row level security;
create index parked_events_next on ops.parked_events (coalesce(tried_at, parked_at)) where reason <> 'unreadable';
comment on table ops.parked_events is 'Messages of the queue of events that could not be stored, until they are or 30 days have passed.';
comment on column ops.parked_events.message_id is 'The queue''s id of the message.';
comment on column ops.parked_events.payload is 'The message: host, origin_host, default_tenant, accepted_at, context, events; anything else where reason is unreadable.';
comment on column ops.parked_events.attempts is 'How often replay_events has tried it.';
comment on column ops.parked_events.last_error is 'The SQLSTATE of the last attempt.';

create function ops.park_message(p_message_id text, p_reason text, p_payload jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if jsonb_typeof(p_payload #> '{context,ip}') = 'string' then
    p_payload := jsonb_set(p_payload, '{context,ip}', coalesce(to_jsonb(analytics.kept_address(null, p_payload #>> '{context,ip}')), 'null'::jsonb));
  end if;
  insert into ops.parked_events (message_id, reason, payload, parked_at) values (p_message_id, p_reason, coalesce(p_payload, 'null'::jsonb), p_now)
  on conflict (message_id) do nothing;
end
$$;
comment on function ops.park_message(text, text, jsonb, timestamptz) is 'Keeps a message of the queue of events that cannot be stored now.';

create function analytics.is_message(p jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_typeof(p) = 'object' and jsonb_typeof(p -> 'events') = 'array' and jsonb_array_length(p -> 'events') between 1 and 100
    and coalesce(jsonb_typeof(p -> 'context'), 'null') in ('object', 'null'), false)
$$;
comment on function analytics.is_message(jsonb) is 'Whether a message of the queue of events has the form that the Worker gives it.';

create function analytics.message_time(p jsonb, p_now timestamptz) returns timestamptz
language sql stable set search_path = '' as $$
  select least(coalesce(ops.try_time(p ->> 'accepted_at'), p_now), p_now)
$$;
comment on function analytics.message_time(jsonb, timestamptz) is 'When the events of a message were received.';

create function api.ingest_event_batches(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_messages jsonb := coalesce(p -> 'messages', '[]'::jsonb);
  v_batches jsonb := '[]'::jsonb;
  v_places integer[] := array[]::integer[];
  v_results jsonb[];
  v_verdicts jsonb;
  v_tenant uuid;
  v_reason text;
  v_place integer := 0;
  m jsonb;
begin
  if jsonb_typeof(v_messages) <> 'array' or jsonb_array_length(v_messages) > 100 then
    raise exception 'invalid_batch' using errcode = '22023', hint = 'messages must be an array of at most 100.';
  end if;
  for m in select s.value from jsonb_array_elements(v_messages) with ordinality s (value, place) order by s.place loop
    v_place := v_place + 1;
    v_tenant := case when analytics.is_message(m -> 'body') then ops.resolve_tenant(m -> 'body') end;
    if v_tenant is null then
      v_reason := case when analytics.is_message(m -> 'body') then 'unknown_tenant' else 'unreadable' end;
      perform ops.park_message(m ->> 'id', v_reason, m -> 'body', v_now);
      v_results[v_place] := jsonb_build_object('outcome', 'parked', 'reason', v_reason);
    else
      v_batches := v_batches || analytics.readied_batch(v_tenant, m -> 'body', analytics.message_time(m -> 'body', v_now));
      v_places := v_places || v_place;
    end if;
  end loop;
  if v_batches <> '[]'::jsonb then
    perform analytics.lock_sessions(v_batches);
    v_verdicts := analytics.store_batches(v_batches);
    for i in 1..cardinality(v_places) loop
      v_results[v_places[i]] := jsonb_build_object('outcome', 'stored') || analytics.count_verdicts(v_verdicts -> (i - 1));
    end loop;
  end if;
  return jsonb_build_object('outcome', 'ok', 'results', coalesce(to_jsonb(v_results), '[]'::jsonb));
end
$$;
comment on function api.ingest_event_batches(jsonb) is
  'Role: edge_events, as consumer of the queue. p: messages [{id, body {host, origin_host, default_tenant, accepted_at, context, events}}], at most 100. {outcome: ok, results: [{outcome: stored, stored, duplicate, rejected} or {outcome: parked, reason: unknown_tenant|unreadable}]} in the order given.';

create function analytics.count_verdicts(p_verdicts jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('stored', count(*) filter (where v.value ->> 'status' = 'stored'),
    'duplicate', count(*) filter (where v.value ->> 'status' = 'duplicate'),
    'rejected', count(*) filter (where v.value ->> 'status' = 'rejected'))
  from jsonb_array_elements(p_verdicts) v
$$;
comment on function analytics.count_verdicts(jsonb) is 'How many of these verdicts there are of each kind.';

create function api.park_events(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_messages jsonb := coalesce(p -> 'messages', '[]'::jsonb);
begin
  if jsonb_typeof(v_messages) <> 'array' or jsonb_array_length(v_messages) > 100 then
    raise exception 'invalid_batch' using errcode = '22023', hint = 'messages must be an array of at most 100.';
  end if;
  perform ops.park_message(m.value ->> 'id', case when analytics.is_message(m.value -> 'body') then 'retries_exhausted' else 'unreadable' end,
    m.value -> 'body', ops.request_time(p))
  from jsonb_array_elements(v_messages) m;
  return jsonb_build_object('outcome', 'ok', 'parked', jsonb_array_length(v_messages));
end
$$;
comment on function api.park_events(jsonb) is
  'Role: edge_events, as consumer of the queue''s dead letters. p: messages [{id, body}], at most 100. Keeps them: {outcome: ok, parked}.';

create function api.replay_events(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_limit integer := least(greatest(coalesce((p ->> 'limit')::integer, 50), 0), 100);
  v_until timestamptz := clock_timestamp() + interval '3 seconds';
  v_replayed integer := 0;
  v_tried integer := 0;
  v_counts jsonb := '{"stored": 0, "duplicate": 0, "rejected": 0}'::jsonb;
  v_added jsonb;
  v_ids uuid[];
  v_batches jsonb;
begin
  -- Of shops that are there now: what waits for a shop that may never come must not keep the others waiting until they are too old.
  with shops as materialized (
    select h.host, h.origin, h.preset, ops.resolve_tenant(h.sample) as tenant_id
    from (select e.payload ->> 'host' as host, e.payload ->> 'origin_host' as origin, e.payload ->> 'default_tenant' as preset,
                 (array_agg(e.payload - 'events'))[1] as sample
          from ops.parked_events e where e.reason <> 'unreadable' and (e.tried_at is null or e.tried_at < v_now) group by 1, 2, 3) h
  ), next as (
    select e.id, e.payload, s.tenant_id, coalesce(e.tried_at, e.parked_at) as since
    from ops.parked_events e join shops s on s.host is not distinct from e.payload ->> 'host'
      and s.origin is not distinct from e.payload ->> 'origin_host' and s.preset is not distinct from e.payload ->> 'default_tenant'
    where e.reason <> 'unreadable' and (e.tried_at is null or e.tried_at < v_now) and s.tenant_id is not null
    order by coalesce(e.tried_at, e.parked_at), e.id limit v_limit for update of e skip locked
  )
  select array_agg(n.id order by n.since, n.id),
    jsonb_agg(analytics.readied_batch(n.tenant_id, n.payload, analytics.message_time(n.payload, v_now)) order by n.since, n.id)
  into v_ids, v_batches from next n;
  -- All locks before the first row, as in every other call (0088).
  if v_ids is not null then
    perform analytics.lock_sessions(v_batches);
  end if;
  for i in 1..coalesce(cardinality(v_ids), 0) loop
    exit when clock_timestamp() > v_until; -- the rest at the next call: what is done must not be lost to a time-out
    v_tried := v_tried + 1;
    begin
      v_added := analytics.count_verdicts(analytics.store_batches(jsonb_build_array(v_batches -> (i - 1))) -> 0);
      delete from ops.parked_events where id = v_ids[i];
      v_replayed := v_replayed + 1;
      select jsonb_object_agg(c.key, c.value::integer + (v_added ->> c.key)::integer) into v_counts from jsonb_each_text(v_counts) c;
    exception when others then
      update ops.parked_events set attempts = attempts + 1, tried_at = v_now, last_error = sqlstate where id = v_ids[i];
    end;
  end loop;
  return jsonb_build_object('replayed', v_replayed, 'events', v_counts,
    'waiting', (select count(*) from ops.parked_events e where e.reason <> 'unreadable'),
    'unreadable', (select count(*) from ops.parked_events e where e.reason = 'unreadable'),
    -- What failed is not tried again at this moment, so this ends.
    'more', v_tried > 0 and (v_tried = v_limit or v_tried < cardinality(v_ids)));
end
$$;
comment on function api.replay_events(jsonb) is
  'Role: edge_jobs. p: now, limit (messages, 50 by default). Tries parked messages of shops that are there now, those tried longest ago first, for three seconds at most; what is stored leaves the table: {replayed, events: {stored, duplicate, rejected}, waiting, unreadable, more}.';

insert into ops.scheduled_jobs (job_name, job_type, schedule, job_config, priority, max_calls, lease_s) values
  ('replay_events', 'sql_function', '25 * * * *', '{}', 17, 1, 120);
