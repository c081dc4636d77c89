-- Experiments that can run: what one may look like, and who sees what (L-117, L-118, LD-111).
--
-- What: the rules of 0013's tables, and `api.assign_experiments`.
--
-- The unit is the visitor, not the session: a session ends after 30 days, and whoever comes back would be drawn anew (decision 0040). The
-- column `session_id` becomes `visitor_id`; nothing was stored yet.
--
-- Variants are 2 to 10 different names. The allocation is whole percents for exactly these names, together 100, or null: equal parts, the
-- remainder to the first (three variants: 34, 33, 33). {a: 90, c: 50} for the variants a and b is refused by a CHECK, whoever writes it.
-- `experiment_allocations` keeps every allocation an experiment had, numbered; an assignment names the one it was drawn under. A later
-- change moves nobody, and the sample-ratio check compares each visitor with the percents that were in force for him.
--
-- The bucket is computed at the edge: the first 8 bytes of sha256(key || ':' || visitor id) as an unsigned big-endian number, mod 100
-- (functions/events/src/bucket.rs, with vectors). The database does not compute it a second time: it stores what the edge proposes, where
-- that was worked out over the list of experiments that runs now. The list has a tag; a Worker keeps list and tag from call to call, so the
-- usual request is one trip, and a list that has changed is found by the very call that would have used it, not after a while.
--
-- Callers: the events Worker for `GET /api/experiments`.
-- Rejected: a cache that is trusted for 30 seconds (a paused experiment would go on for as long); drawing in SQL (the issue asks for the
-- edge, and two implementations of one rule drift apart); an assignment that is not stored (a changed allocation would move people).

set local role lonieve_owner;

create function analytics.variants_are_valid(p_variants jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p_variants) = 'array' then
    jsonb_array_length(p_variants) between 2 and 10
    and not exists (select from jsonb_array_elements(p_variants) v where jsonb_typeof(v.value) <> 'string' or v.value #>> '{}' !~ '^[a-z0-9_]{1,40}$')
    and (select count(distinct v.value) = count(*) from jsonb_array_elements(p_variants) v)
  else false end
$$;
comment on function analytics.variants_are_valid(jsonb) is '2 to 10 different names of lower-case letters, digits and _, at most 40 characters each.';

create function analytics.allocation_is_valid(p_variants jsonb, p_allocation jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select case
    when p_allocation is null then true
    when jsonb_typeof(p_allocation) <> 'object' or not analytics.variants_are_valid(p_variants) then false
    when exists (select from jsonb_each(p_allocation) a where jsonb_typeof(a.value) <> 'number' or a.value #>> '{}' !~ '^[0-9]{1,3}$') then false
    else (select array_agg(a.key order by a.key) from jsonb_each(p_allocation) a)
           is not distinct from (select array_agg(v.value order by v.value) from jsonb_array_elements_text(p_variants) v)
         and (select sum((a.value #>> '{}')::integer) from jsonb_each(p_allocation) a) = 100 end
$$;
comment on function analytics.allocation_is_valid(jsonb, jsonb) is 'Whole percents for exactly these variants that sum to 100, or null.';

create function analytics.variant_shares(p_variants jsonb, p_allocation jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_agg(jsonb_build_array(v.name, coalesce((p_allocation ->> v.name)::integer,
      100 / jsonb_array_length(p_variants) + case when v.place = 1 then 100 % jsonb_array_length(p_variants) else 0 end)) order by v.place)
  from jsonb_array_elements_text(p_variants) with ordinality v (name, place)
$$;
comment on function analytics.variant_shares(jsonb, jsonb) is '[[variant, percent], ...] in the order of the variants; without an allocation equal parts, the remainder to the first.';

alter table analytics.experiments
  drop constraint experiments_variants_array,
  drop constraint experiments_traffic_allocation_object,
  alter column goal_metric set default 'conversion_rate',
  alter column goal_metric set not null,
  add constraint experiments_key_form check (key ~ '^[a-z0-9_]{1,64}$'),
  add constraint experiments_variants_valid check (analytics.variants_are_valid(variants)),
  add constraint experiments_traffic_allocation_valid check (analytics.allocation_is_valid(variants, traffic_allocation)),
  add constraint experiments_dates_stamped check ((status = 'draft' or start_date is not null) and (status <> 'completed' or end_date is not null));
comment on column analytics.experiments.key is 'How pages and exposure events name it; never changes, since the buckets follow from it.';
comment on column analytics.experiments.variants is 'Names, the first one being what the others are compared with.';
comment on column analytics.experiments.traffic_allocation is 'Percent of visitors per variant, together 100; null: equal parts.';
comment on column analytics.experiments.start_date is 'When it begins to assign; set at the first start unless it was planned.';
comment on column analytics.experiments.end_date is 'When it stops (excluded); set when it is completed, unless it was over by then.';

create table analytics.experiment_allocations (
  tenant_id uuid not null constraint experiment_allocations_tenant_id_fkey references shop.tenants (id) on delete restrict,
  experiment_id uuid not null constraint experiment_allocations_experiment_id_fkey references analytics.experiments (id) on delete cascade,
  number integer not null constraint experiment_allocations_number_positive check (number >= 1),
  shares jsonb not null,
  created_at timestamptz not null default now(),
  constraint experiment_allocations_pkey primary key (experiment_id, number)
);
alter table analytics.experiment_allocations enable row level security;
comment on table analytics.experiment_allocations is 'Every allocation an experiment had; the highest number is in force. Written by trigger.';
comment on column analytics.experiment_allocations.shares is '[[variant, percent], ...] in the order of the variants.';

create function analytics.note_allocation() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_shares jsonb := analytics.variant_shares(new.variants, new.traffic_allocation);
  v_last analytics.experiment_allocations;
begin
  select * into v_last from analytics.experiment_allocations a where a.experiment_id = new.id order by a.number desc limit 1;
  if v_last.shares is distinct from v_shares then
    insert into analytics.experiment_allocations (tenant_id, experiment_id, number, shares)
    values (new.tenant_id, new.id, coalesce(v_last.number, 0) + 1, v_shares);
  end if;
  return null;
end
$$;
comment on function analytics.note_allocation() is 'Row trigger: keeps what the allocation was, so no writer can forget it.';
create trigger experiments_allocation after insert or update of variants, traffic_allocation on analytics.experiments
  for each row execute function analytics.note_allocation();

alter table analytics.experiment_assignments rename column session_id to visitor_id;
alter table analytics.experiment_assignments rename constraint experiment_assignments_session_key to experiment_assignments_visitor_key;
alter table analytics.experiment_assignments
  add column allocation_number integer not null,
  add constraint experiment_assignments_allocation_fkey foreign key (experiment_id, allocation_number)
    references analytics.experiment_allocations (experiment_id, number) on delete cascade,
  add constraint experiment_assignments_visitor_id_length check (length(visitor_id) between 1 and 128);
comment on table analytics.experiment_assignments is 'Which variant a visitor sees; written once, then stable.';
comment on column analytics.experiment_assignments.visitor_id is 'The tracker''s lv_visitor (365 days). The document has session_id: decision 0040.';
comment on column analytics.experiment_assignments.allocation_number is 'The allocation in force when the visitor was assigned.';

create function analytics.running_experiments(p_tenant_id uuid, p_now timestamptz)
returns table (experiment_id uuid, key text, allocation_number integer, shares jsonb)
language sql stable set search_path = '' as $$
  select x.id, x.key, a.number, a.shares
  from analytics.experiments x
  cross join lateral (
    select h.number, h.shares from analytics.experiment_allocations h where h.experiment_id = x.id order by h.number desc limit 1) a
  where x.tenant_id = p_tenant_id and x.status = 'running' and x.start_date <= p_now and (x.end_date is null or x.end_date > p_now)
$$;
comment on function analytics.running_experiments(uuid, timestamptz) is 'Experiments that run at this moment, each with the allocation in force.';

create function api.assign_experiments(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
  v_now timestamptz := ops.request_time(p);
  v_visitor constant text := p ->> 'visitor_id';
  v_list jsonb;
  v_tag text;
  v_answer jsonb;
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  if (length(v_visitor) between 1 and 128) is not true then
    raise exception 'visitor_id is required' using errcode = '22023', hint = 'At most 128 characters.';
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('id', r.experiment_id, 'key', r.key, 'number', r.allocation_number, 'shares', r.shares) order by r.key), '[]'::jsonb)
  into v_list from analytics.running_experiments(v_tenant, v_now) r;
  v_tag := encode(sha256(convert_to(v_list::text, 'UTF8')), 'hex');
  if p ->> 'tag' = v_tag then
    insert into analytics.experiment_assignments (tenant_id, experiment_id, visitor_id, variant, allocation_number, created_at)
    select v_tenant, (x.value ->> 'id')::uuid, v_visitor, w.value, (x.value ->> 'number')::integer, v_now
    from jsonb_array_elements(v_list) x join jsonb_each_text(p -> 'variants') w on w.key = x.value ->> 'key'
    where exists (select from jsonb_array_elements(x.value -> 'shares') s where s.value ->> 0 = w.value and (s.value ->> 1)::integer > 0)
      -- Who has been here before writes nothing.
      and not exists (select from analytics.experiment_assignments a where a.experiment_id = (x.value ->> 'id')::uuid and a.visitor_id = v_visitor)
    order by 2
    on conflict on constraint experiment_assignments_visitor_key do nothing;
  end if;
  -- A statement of its own: it sees what another request has stored in the meantime.
  select jsonb_build_object('outcome', case when count(a.variant) = count(*) then 'ok' else 'stale' end,
    'assignments', coalesce(jsonb_object_agg(x.value ->> 'key', a.variant) filter (where a.variant is not null), '{}'::jsonb))
  into v_answer
  from jsonb_array_elements(v_list) x
  left join analytics.experiment_assignments a on a.experiment_id = (x.value ->> 'id')::uuid and a.visitor_id = v_visitor;
  return v_answer || jsonb_build_object('own_origin', coalesce(ops.is_own_origin(v_tenant, p ->> 'origin'), false))
    || case when p ->> 'tag' is distinct from v_tag then jsonb_build_object('tag', v_tag, 'experiments', v_list) else '{}'::jsonb end;
end
$$;
comment on function api.assign_experiments(jsonb) is
  'Role: edge_events. p: host, origin_host, default_tenant, origin?, visitor_id, tag?, variants? {key: variant}. Stores the variants where tag is that of the experiments that run now; what is stored already stays. {outcome: ok, assignments: {key: variant}, own_origin, tag?, experiments?: [{id, key, number, shares: [[variant, percent]]}]} (the last two where tag was another); stale: the same, but some of the running experiments are not assigned yet: draw over this list and call again; unknown_tenant.';
