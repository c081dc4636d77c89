-- Experiments as staff see and change them (L-117), and what came of them.
--
-- What: api.staff_experiments, create_experiment, update_experiment, experiment_results. Viewers read, managers write; every change is audited
-- with old and new values.
--
-- States: draft -> running -> paused -> running ..., running or paused -> completed, which is the end. Variants, goal and planned
-- start can be changed in a draft only: what people have seen, and what was to be shown by it, cannot be rewritten. The allocation can be
-- changed while nobody is assigned: in draft and paused. Only a running experiment is in anybody's answer: pausing takes a
-- broken variant off the pages of those who had it, too; their assignments wait.
--
-- The results are counts. Who was exposed says an event `x_exposure` with data {experiment, variant}; those of programs, those without
-- a visitor and those outside the experiment's time do not count. An exposure to another variant than the stored one (a page of yesterday
-- out of a cache, a forged event) proves nothing about either variant: it is counted apart, and never makes anybody exposed. A visitor is
-- converted by an order whose money came in after his first exposure and before the end; revenue is that of `analytics.paid_orders`,
-- so that this page and the reports cannot disagree. The statistics are made of these counts in the admin Worker
-- (functions/admin/src/statistics.rs): Postgres has no distribution functions.
--
-- Rejected: an end that is the reader's clock for a completed experiment (late orders would go on changing a closed result); orders without
-- an exposure (whoever was assigned but never came to the page dilutes both sides alike and hides the difference).

set local role lonieve_owner;

create function analytics.experiment_json(x analytics.experiments) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', x.id, 'key', x.key, 'name', x.name, 'description', x.description, 'variants', x.variants,
    'traffic_allocation', x.traffic_allocation, 'shares', analytics.variant_shares(x.variants, x.traffic_allocation), 'status', x.status,
    'start_date', ops.iso(x.start_date), 'end_date', ops.iso(x.end_date), 'goal_metric', x.goal_metric,
    'created_at', ops.iso(x.created_at), 'updated_at', ops.iso(x.updated_at),
    'assigned', (select count(*) from analytics.experiment_assignments a where a.experiment_id = x.id))
$$;
comment on function analytics.experiment_json(analytics.experiments) is 'An experiment as staff see it.';

create function api.staff_experiments(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return jsonb_build_object('outcome', 'ok', 'experiments', coalesce((
    select jsonb_agg(analytics.experiment_json(x) order by x.created_at desc, x.id) from analytics.experiments x
    where x.tenant_id = v_tenant and (p ->> 'status' is null or x.status = p ->> 'status')), '[]'::jsonb));
end
$$;
comment on function api.staff_experiments(jsonb) is
  'Role: authenticated, staff. p: status? {outcome: ok, experiments: [{id, key, name, description, variants, traffic_allocation, shares, status, start_date, end_date, goal_metric, created_at, updated_at, assigned}]}, newest first.';

create function analytics.wrong_experiment_fields(x analytics.experiments) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'variants', case when not analytics.variants_are_valid(x.variants) then 'must be 2 to 10 different names of lower-case letters, digits and _' end,
    'trafficAllocation', case when not analytics.allocation_is_valid(x.variants, x.traffic_allocation)
      then 'must be a whole percent for each variant, together 100' end,
    'endDate', case when x.end_date <= x.start_date and x.status <> 'completed' then 'must be after the start' end))
$$;
comment on function analytics.wrong_experiment_fields(analytics.experiments) is 'Field -> sentence, for what only the whole row can tell; {} for a row that may be stored.';

create function api.create_experiment(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_wrong jsonb;
  x analytics.experiments;
begin
  x.id := gen_random_uuid();
  x.tenant_id := v_tenant;
  x.key := p ->> 'key';
  x.name := p ->> 'name';
  x.description := nullif(p ->> 'description', '');
  x.variants := p -> 'variants';
  x.traffic_allocation := nullif(p -> 'traffic_allocation', 'null'::jsonb);
  x.status := 'draft';
  x.start_date := ops.try_time(p ->> 'start_date');
  x.end_date := ops.try_time(p ->> 'end_date');
  x.goal_metric := coalesce(p ->> 'goal_metric', 'conversion_rate');
  x.created_at := now();
  x.updated_at := now();
  v_wrong := analytics.wrong_experiment_fields(x);
  if v_wrong <> '{}'::jsonb then
    return jsonb_build_object('outcome', 'invalid', 'fields', v_wrong);
  end if;
  insert into analytics.experiments select x.* on conflict on constraint experiments_tenant_key_key do nothing;
  if not found then
    return jsonb_build_object('outcome', 'experiment_key_taken');
  end if;
  perform ops.audit(v_tenant, 'experiment.create', 'experiment:' || x.id,
    jsonb_build_object('key', x.key, 'name', x.name, 'variants', x.variants, 'traffic_allocation', x.traffic_allocation, 'goal_metric', x.goal_metric));
  return jsonb_build_object('outcome', 'ok', 'experiment', analytics.experiment_json(x));
end
$$;
comment on function api.create_experiment(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: key, name, variants, description?, traffic_allocation?, start_date?, end_date?, goal_metric? {outcome: ok, experiment} as a draft; invalid {fields}, experiment_key_taken.';

create function analytics.edited_experiment(x analytics.experiments, p jsonb, p_now timestamptz) returns analytics.experiments
language plpgsql stable set search_path = '' as $$
begin
  x.name := coalesce(p ->> 'name', x.name);
  x.description := nullif(coalesce(p ->> 'description', x.description), '');
  x.variants := coalesce(nullif(p -> 'variants', 'null'::jsonb), x.variants);
  x.traffic_allocation := coalesce(nullif(p -> 'traffic_allocation', 'null'::jsonb), x.traffic_allocation);
  x.goal_metric := coalesce(p ->> 'goal_metric', x.goal_metric);
  x.start_date := case when p ->> 'start_date' is null then x.start_date else ops.try_time(p ->> 'start_date') end;
  x.end_date := case when p ->> 'end_date' is null then x.end_date else ops.try_time(p ->> 'end_date') end;
  if p ->> 'status' <> x.status then
    if p ->> 'status' = 'completed' then
      -- Never before the start: one that was to begin later ends as it begins, with nobody in it.
      x.end_date := greatest(least(coalesce(x.end_date, p_now), p_now), x.start_date);
    elsif x.status = 'draft' then
      x.start_date := greatest(x.start_date, p_now);
    end if;
    x.status := p ->> 'status';
  end if;
  return x;
end
$$;
comment on function analytics.edited_experiment(analytics.experiments, jsonb, timestamptz) is
  'An experiment with the given fields changed and the dates of a start or an end stamped; null equals absent, a blank text empties description and dates. Writes nothing.';

create function analytics.locked_experiment_fields(x analytics.experiments, n analytics.experiments, p_now timestamptz) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'status', case when n.status <> x.status and (x.status, n.status) not in (
        ('draft', 'running'), ('running', 'paused'), ('running', 'completed'), ('paused', 'running'), ('paused', 'completed'))
      then 'cannot become ' || n.status end,
    'variants', case when n.variants is distinct from x.variants and x.status <> 'draft' then 'can be changed in a draft only' end,
    'goalMetric', case when n.goal_metric <> x.goal_metric and x.status <> 'draft' then 'can be changed in a draft only' end,
    'trafficAllocation', case when n.traffic_allocation is distinct from x.traffic_allocation and x.status not in ('draft', 'paused')
      then 'can be changed in a draft or while paused' end,
    'startDate', case when n.start_date is distinct from x.start_date and x.status <> 'draft' then 'can be changed in a draft only' end,
    'endDate', case when n.end_date is distinct from x.end_date and x.status = 'completed' then 'cannot be changed any more'
                    when n.status = 'running' and x.status <> 'running' and n.end_date <= p_now then 'is over: give a later one to run it' end))
$$;
comment on function analytics.locked_experiment_fields(analytics.experiments, analytics.experiments, timestamptz) is 'Field -> sentence, for what may not change from x to n in the state of x.';

create function api.update_experiment(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_now timestamptz := ops.request_time(p);
  v_wrong jsonb;
  v_changes jsonb;
  x analytics.experiments;
  n analytics.experiments;
begin
  select * into x from analytics.experiments where tenant_id = v_tenant and id = ops.try_uuid(p ->> 'experiment_id') for update;
  if not found then
    return jsonb_build_object('outcome', 'experiment_not_found');
  end if;
  n := analytics.edited_experiment(x, p, v_now);
  v_wrong := analytics.locked_experiment_fields(x, n, v_now);
  if v_wrong <> '{}'::jsonb then
    return jsonb_build_object('outcome', 'experiment_locked', 'status', x.status, 'fields', v_wrong);
  end if;
  v_wrong := analytics.wrong_experiment_fields(n);
  if v_wrong <> '{}'::jsonb then
    return jsonb_build_object('outcome', 'invalid', 'fields', v_wrong);
  end if;
  select jsonb_object_agg(old.key, jsonb_build_array(old.value, new.value)) into v_changes
  from jsonb_each(to_jsonb(x)) old join jsonb_each(to_jsonb(n)) new on new.key = old.key
  where new.value is distinct from old.value;
  if v_changes is not null then
    update analytics.experiments set name = n.name, description = n.description, variants = n.variants, traffic_allocation = n.traffic_allocation,
      status = n.status, start_date = n.start_date, end_date = n.end_date, goal_metric = n.goal_metric
    where id = x.id returning * into n;
    perform ops.audit(v_tenant, 'experiment.update', 'experiment:' || x.id, v_changes);
  end if;
  return jsonb_build_object('outcome', 'ok', 'experiment', analytics.experiment_json(n));
end
$$;
comment on function api.update_experiment(jsonb) is
  'Role: authenticated, staff from manager up; audited with old and new values. p: experiment_id and what to change (those of create_experiment but key, and status). {outcome: ok, experiment}; experiment_not_found, experiment_locked {status, fields}, invalid {fields}.';

create function analytics.experiment_exposures(x analytics.experiments, p_until timestamptz)
returns table (visitor_id text, shown text, happened_at timestamptz, assigned text, allocation_number integer)
language sql stable set search_path = '' as $$
  select e.visitor_id, e.data ->> 'variant', e.created_at, a.variant, a.allocation_number
  from analytics.events e
  left join analytics.experiment_assignments a on a.experiment_id = x.id and a.visitor_id = e.visitor_id
  where e.tenant_id = x.tenant_id and e.event_type = 'x_exposure' and e.created_at >= x.start_date and e.created_at < p_until
    and e.data ->> 'experiment' = x.key and e.visitor_id is not null and e.bot is null
$$;
comment on function analytics.experiment_exposures(analytics.experiments, timestamptz) is
  'Exposure events of people within the experiment''s time, each with the variant its visitor is assigned to, null where there is none.';

create function analytics.experiment_counts(x analytics.experiments, p_until timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  with exposures as materialized (
    select * from analytics.experiment_exposures(x, p_until)
  ), seen as materialized (
    select h.visitor_id, h.assigned as variant, h.allocation_number, min(h.happened_at) as first_at
    from exposures h where h.shown = h.assigned group by 1, 2, 3
  ), paid as (
    select o.visitor_id, r.paid_at, r.is_clear, r.revenue
    from analytics.paid_orders(x.tenant_id, row(null, null, x.start_date, p_until, null, null)::analytics.period) r
    join shop.orders o on o.id = r.order_id
    where o.visitor_id is not null
  ), bought as (
    select s.variant, count(distinct s.visitor_id) as converted, count(*) as orders, count(*) filter (where not r.is_clear) as unclear, sum(r.revenue) as revenue
    from seen s join paid r on r.visitor_id = s.visitor_id and r.paid_at >= s.first_at
    group by s.variant
  ), drawn as (
    select a.allocation_number, a.variant, count(*) as assigned from analytics.experiment_assignments a where a.experiment_id = x.id group by 1, 2
  ), shown as (
    select s.allocation_number, s.variant, count(*) as exposed from seen s group by 1, 2
  ), cells as (
    select c.number, v.value ->> 0 as variant, v.place, (v.value ->> 1)::integer as percent,
      coalesce(d.assigned, 0) as assigned, coalesce(s.exposed, 0) as exposed
    from analytics.experiment_allocations c
    cross join lateral jsonb_array_elements(c.shares) with ordinality v (value, place)
    left join drawn d on d.allocation_number = c.number and d.variant = v.value ->> 0
    left join shown s on s.allocation_number = c.number and s.variant = v.value ->> 0
    where c.experiment_id = x.id
  ), totals as (
    select v.name, v.place, sum(c.assigned) as assigned, sum(c.exposed) as exposed, coalesce(b.converted, 0) as converted, coalesce(b.orders, 0) as orders,
      coalesce(b.unclear, 0) as unclear, coalesce(b.revenue, 0) as revenue
    from jsonb_array_elements_text(x.variants) with ordinality v (name, place)
    join cells c on c.variant = v.name
    left join bought b on b.variant = v.name
    group by v.name, v.place, b.converted, b.orders, b.unclear, b.revenue
  )
  select jsonb_build_object(
    'variants', (
      select jsonb_agg(jsonb_build_object('variant', t.name, 'assigned', t.assigned, 'exposed', t.exposed, 'converted', t.converted, 'orders', t.orders,
        'unclear_orders', t.unclear, 'revenue', ops.money(t.revenue), 'revenue_per_visitor', ops.money(t.revenue / nullif(t.exposed, 0)),
        'average_order_value', ops.money(t.revenue / nullif(t.orders - t.unclear, 0))) order by t.place)
      from totals t),
    'allocations', (
      select coalesce(jsonb_agg(a.cells order by a.number), '[]'::jsonb)
      from (select c.number, jsonb_agg(jsonb_build_object('percent', c.percent, 'exposed', c.exposed) order by c.place) as cells
            from cells c group by c.number having sum(c.assigned) > 0) a))
    || (select jsonb_build_object('contradicting_exposures', count(*) filter (where h.shown is distinct from h.assigned and h.assigned is not null),
          'contradicting_visitors', count(distinct h.visitor_id) filter (where h.shown is distinct from h.assigned and h.assigned is not null),
          'unassigned_exposures', count(*) filter (where h.assigned is null))
        from exposures h)
$$;
comment on function analytics.experiment_counts(analytics.experiments, timestamptz) is
  'Per variant, in order: visitors assigned, exposed (at least once to what they are assigned to), converted (paid after that), their orders and revenue; allocations: for each that anybody was assigned under, percent and exposed visitors of each variant; exposures that contradict, or have no, assignment.';

create function api.experiment_results(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_until timestamptz := ops.request_time(p);
  x analytics.experiments;
begin
  select * into x from analytics.experiments where tenant_id = v_tenant and id = ops.try_uuid(p ->> 'experiment_id');
  if not found then
    return jsonb_build_object('outcome', 'experiment_not_found');
  end if;
  v_until := least(v_until, x.end_date);
  return jsonb_build_object('outcome', 'ok', 'experiment', analytics.experiment_json(x), 'until', ops.iso(v_until),
      'currency', (select t.currency from shop.tenants t where t.id = v_tenant))
    || analytics.experiment_counts(x, v_until);
end
$$;
comment on function api.experiment_results(jsonb) is
  'Role: authenticated, staff. p: experiment_id. {outcome: ok, experiment, until, currency, variants: [{variant, assigned, exposed, converted, orders, unclear_orders, revenue, revenue_per_visitor, average_order_value}], allocations: [[{percent, exposed}]], contradicting_exposures, contradicting_visitors, unassigned_exposures}; experiment_not_found.';
