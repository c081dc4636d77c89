-- The daily reconciliation: what the provider lists = our payments = our codes.
--
-- Called by jobs once an hour; a day of a shop (in its own time zone) is due two hours after its end, when every bill of it has had its last look.
-- One run does all shops' due days, because one account at the provider serves them all:
--
--   1. v1: the provider's bills, then its payments, page by page (`bill/search`, `payment/search`). v2 has no list: each bill of the days is
--      asked about. What it says is kept in `provider_bills` and `provider_payments`; where the reading stands, in the run. So a
--      run goes on tick by tick, whoever makes it, and a page that comes twice is stored once.
--   2. For each shop and day one row in `reconciliation_reports`: counts, sums, differences. Bills are compared one by one, in both
--      directions; the rest (payments with orders, orders with codes, fees, refunds, profits) is ops.verify_money of the day.
--   3. Any difference is one critical alert for the shop and day, which names the first; none closes it.
--
-- A bill that is paid there and not here is also put at the head of api.due_bills: the money is settled within a minute or two, like that of any
-- lost notice, and the next run closes the alert.
--
-- Days are looked at again: under v1 the last three, because refunds are listed with their payment; everywhere those with differences,
-- for a week.
--
-- Bills of nobody's order, paid, are the oldest shop's: somebody must look.
--
-- `begin_reconciliation` and `continue_reconciliation` both answer with what is to be done next: {step: bills | payments, from, to, cursor},
-- {step: ask, bills}, {step: report} or {step: done}.
--
-- Rejected: a run for each shop (the same list read once for each); comparing sums only (two errors may cancel out); keeping the provider's
-- list for ever (it is the provider's; the report stays).

set local role lonieve_owner;

create table ops.reconciliation_runs (
  id uuid constraint reconciliation_runs_pkey primary key default gen_random_uuid(),
  provider_api text not null constraint reconciliation_runs_provider_api_known check (provider_api in ('v1', 'v2')),
  from_at timestamptz not null,
  to_at timestamptz not null,
  step text not null constraint reconciliation_runs_step_known check (step in ('bills', 'payments', 'ask', 'report', 'done')),
  cursor text,
  started_at timestamptz not null,
  finished_at timestamptz,
  constraint reconciliation_runs_done_has_time check ((step = 'done') = (finished_at is not null))
);
alter table ops.reconciliation_runs enable row level security;
create unique index reconciliation_runs_one_open on ops.reconciliation_runs (provider_api) where step <> 'done';
comment on table ops.reconciliation_runs is 'One reading of the provider''s list, and where it stands. Belongs to the installation, not to a tenant.';
comment on column ops.reconciliation_runs.cursor is 'The provider''s own, of the page to read next; null for the first.';

create table ops.provider_bills (
  run_id uuid not null constraint provider_bills_run_id_fkey references ops.reconciliation_runs (id) on delete cascade,
  bill_id text not null,
  order_ref text,
  status text not null constraint provider_bills_status_known
    check (status in ('paid', 'overpaid', 'underpaid', 'failed', 'expired', 'pending', 'unknown', 'unanswered')),
  amount numeric(12,2),
  currency text,
  created_at timestamptz,
  constraint provider_bills_pkey primary key (run_id, bill_id)
);
alter table ops.provider_bills enable row level security;
comment on table ops.provider_bills is 'What the provider said of its bills during a run.';
comment on column ops.provider_bills.status is 'In our words. unknown: the provider knows no such bill; unanswered: it gave no usable answer.';
comment on column ops.provider_bills.amount is 'v1: what was asked for. v2: what came in.';

create table ops.provider_payments (
  run_id uuid not null constraint provider_payments_run_id_fkey references ops.reconciliation_runs (id) on delete cascade,
  payment_id text not null,
  bill_id text not null,
  received numeric(12,2),
  refunded numeric(12,2),
  commission numeric(12,2),
  constraint provider_payments_pkey primary key (run_id, payment_id)
);
alter table ops.provider_payments enable row level security;
create index provider_payments_bill on ops.provider_payments (run_id, bill_id);
comment on table ops.provider_payments is 'Payments that brought money, as the provider (v1) listed them during a run.';
comment on column ops.provider_payments.received is 'What of it counts for the bill: without a commission the payer bore on top. Null where it could not be read.';

create table ops.reconciliation_reports (
  id uuid constraint reconciliation_reports_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint reconciliation_reports_tenant_id_fkey references shop.tenants (id) on delete restrict,
  day date not null,
  run_id uuid constraint reconciliation_reports_run_id_fkey references ops.reconciliation_runs (id) on delete set null,
  status text not null default 'running' constraint reconciliation_reports_status_known check (status in ('running', 'clean', 'differences')),
  counts jsonb not null default '{}' constraint reconciliation_reports_counts_object check (ops.is_json_object(counts)),
  sums jsonb not null default '{}' constraint reconciliation_reports_sums_object check (ops.is_json_object(sums)),
  differences jsonb not null default '[]' constraint reconciliation_reports_differences_array check (jsonb_typeof(differences) = 'array'),
  checks integer not null default 0,
  checked_at timestamptz,
  created_at timestamptz not null default now(),
  constraint reconciliation_reports_tenant_day_key unique (tenant_id, day)
);
alter table ops.reconciliation_reports enable row level security;
create index reconciliation_reports_running on ops.reconciliation_reports (run_id) where status = 'running';
comment on table ops.reconciliation_reports is 'One row for each shop and day: does what the provider lists agree with our payments, and they with our codes?';
comment on column ops.reconciliation_reports.day is 'In the tenant''s time zone.';
comment on column ops.reconciliation_reports.sums is 'Amounts as text, in the tenant''s currency.';
comment on column ops.reconciliation_reports.differences is '[{subject, problem}], the first hundred; counts.differences says how many there are. No codes, no addresses.';
comment on column ops.reconciliation_reports.checks is 'How often the day has been looked at.';

create function ops.due_days(p_api text, p_now timestamptz) returns table (tenant_id uuid, day date, from_at timestamptz, to_at timestamptz)
language sql stable set search_path = '' as $$
  with newest as (
    select t.id, t.time_zone, (t.created_at at time zone t.time_zone)::date as opened,
      ((p_now - interval '2 hours') at time zone t.time_zone)::date - 1 as last
    from shop.tenants t where t.status = 'active')
  select n.id, d.day, d.day::timestamp at time zone n.time_zone, (d.day + 1)::timestamp at time zone n.time_zone
  from newest n cross join lateral (select n.last - b as day from generate_series(0, 6) b) d
    left join ops.reconciliation_reports r on r.tenant_id = n.id and r.day = d.day
  where d.day >= n.opened
    and (r.id is null or r.status = 'running'
      or ((r.status = 'differences' or (p_api = 'v1' and d.day > n.last - 3))
        and r.checked_at < (n.last + 1)::timestamp at time zone n.time_zone + interval '2 hours'))
$$;
comment on function ops.due_days(text, timestamptz) is 'Days of shops to reconcile now: those of the last week that were not, and those to look at again since another day has ended.';

create function ops.next_step(r ops.reconciliation_runs, p_limit integer) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_bills jsonb;
begin
  if r.step = 'ask' then
    select jsonb_agg(jsonb_build_object('bill_id', f.bill_id, 'order_id', f.order_id)) into v_bills
    from (
      select y.bill_id, y.order_id
      from ops.reconciliation_reports d join shop.tenants t on t.id = d.tenant_id
        join shop.payments y on y.tenant_id = d.tenant_id and y.bill_id is not null
          and y.created_at >= d.day::timestamp at time zone t.time_zone and y.created_at < (d.day + 1)::timestamp at time zone t.time_zone
      where d.run_id = r.id and d.status = 'running'
        and not exists (select from ops.provider_bills b where b.run_id = r.id and b.bill_id = y.bill_id)
      order by y.created_at, y.id limit least(greatest(p_limit, 1), 50)) f;
    return jsonb_build_object('run_id', r.id, 'step', 'ask', 'bills', coalesce(v_bills, '[]'::jsonb));
  end if;
  return jsonb_build_object('run_id', r.id, 'step', r.step, 'from', to_char(r.from_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
    'to', to_char(r.to_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), 'cursor', r.cursor);
end
$$;
comment on function ops.next_step(ops.reconciliation_runs, integer) is 'What a run needs next, as the Worker is told.';

create function api.begin_reconciliation(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_api text := p ->> 'api';
  v_span record;
  r ops.reconciliation_runs;
begin
  if v_api is null or v_api not in ('v1', 'v2') then
    raise exception 'api must be v1 or v2' using errcode = '22023';
  end if;
  -- Two that begin at once begin one run.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('reconciliation|' || v_api, 0));
  select * into r from ops.reconciliation_runs where provider_api = v_api and step <> 'done' for update;
  if found and r.started_at > v_now - interval '1 day' and r.started_at <= v_now then
    return ops.next_step(r, (p ->> 'limit')::integer);
  elsif found then
    -- A list that old, or read under another clock, says little about now.
    update ops.reconciliation_runs set step = 'done', finished_at = v_now where id = r.id;
  end if;
  select min(d.from_at) as from_at, max(d.to_at) as to_at into v_span from ops.due_days(v_api, v_now) d;
  if v_span.from_at is null then
    return jsonb_build_object('step', 'done');
  end if;
  -- The provider's clock may differ, and a bill is younger than its order.
  insert into ops.reconciliation_runs (provider_api, from_at, to_at, step, started_at)
  values (v_api, v_span.from_at - interval '1 hour', v_span.to_at + interval '1 hour', case v_api when 'v1' then 'bills' else 'ask' end, v_now)
  returning * into r;
  insert into ops.reconciliation_reports as d (tenant_id, day, run_id, status, created_at)
  select n.tenant_id, n.day, r.id, 'running', v_now from ops.due_days(v_api, v_now) n
  on conflict (tenant_id, day) do update set run_id = excluded.run_id, status = 'running';
  return ops.next_step(r, (p ->> 'limit')::integer);
end
$$;
comment on function api.begin_reconciliation(jsonb) is
  'Role: edge_jobs. p: now, api (v1, v2), limit (bills to ask about). Goes on with the run under way, or begins one where days are due. {run_id, step: bills | payments, from, to, cursor}, {run_id, step: ask, bills: [{bill_id, order_id}]}, {run_id, step: report} or {step: done}.';

create function ops.store_provider_rows(p_run_id uuid, p jsonb) returns void
language sql set search_path = '' as $$
  insert into ops.provider_bills (run_id, bill_id, order_ref, status, amount, currency, created_at)
  select distinct on (b.value ->> 'bill_id') p_run_id, b.value ->> 'bill_id', left(b.value ->> 'order_ref', 255), b.value ->> 'status',
    round(ops.try_amount(b.value ->> 'amount'), 2), left(upper(b.value ->> 'currency'), 10), ops.try_time(b.value ->> 'created_at')
  from jsonb_array_elements(coalesce(p -> 'bills', '[]'::jsonb)) b where b.value ->> 'bill_id' <> ''
  on conflict (run_id, bill_id) do update set status = excluded.status, amount = excluded.amount, currency = excluded.currency;
  insert into ops.provider_payments (run_id, payment_id, bill_id, received, refunded, commission)
  select distinct on (y.value ->> 'payment_id') p_run_id, y.value ->> 'payment_id', y.value ->> 'bill_id', round(ops.try_amount(y.value ->> 'received'), 2),
    round(ops.try_amount(y.value ->> 'refunded'), 2), round(ops.try_amount(y.value ->> 'commission'), 2)
  from jsonb_array_elements(coalesce(p -> 'payments', '[]'::jsonb)) y where y.value ->> 'payment_id' <> '' and y.value ->> 'bill_id' <> ''
  on conflict (run_id, payment_id) do update set received = excluded.received, refunded = excluded.refunded, commission = excluded.commission;
$$;
comment on function ops.store_provider_rows(uuid, jsonb) is 'Keeps one page of the provider''s list. The same page twice is the same rows.';

create function ops.bill_differences(p_run_id uuid, p_api text, p_tenant_id uuid, p_from timestamptz, p_to timestamptz)
returns table (bill_id text, problem text, money_is_there boolean)
language sql stable set search_path = '' as $$
  with home as (select t.id from shop.tenants t where t.status = 'active' order by t.created_at, t.id limit 1),
  ours as (
    select y.*, b.status as there, b.amount as amount_there, b.currency as currency_there, l.received as received_there, l.refunded as refunded_there,
      y.status in ('paid', 'refunded', 'chargeback') as has_money, coalesce(b.status in ('paid', 'overpaid', 'underpaid'), false) as has_money_there,
      (select coalesce(sum(f.refund_amount), 0) from shop.refunds f where f.payment_id = y.id and f.kind = 'refund' and f.status = 'completed') as refunded
    from shop.payments y left join ops.provider_bills b on b.run_id = p_run_id and b.bill_id = y.bill_id
      left join lateral (
        select case when count(q.received) = count(*) then sum(q.received) end as received, sum(coalesce(q.refunded, 0)) as refunded
        from ops.provider_payments q where q.run_id = p_run_id and q.bill_id = y.bill_id having count(*) > 0) l on true
    where y.tenant_id = p_tenant_id and y.bill_id is not null and y.created_at >= p_from and y.created_at < p_to)
  select y.bill_id, v.problem, y.has_money_there and not y.has_money from ours y, lateral (values
    (y.has_money_there and not y.has_money, 'paid at the provider (' || y.there || '), ' || y.status || ' here'),
    (y.has_money and coalesce(y.there, 'unknown') = 'unknown', 'paid here, and the provider does not know it'),
    (y.has_money and y.there = 'unanswered', 'paid here, and the provider does not say'),
    (y.has_money and y.there in ('failed', 'expired', 'pending'), 'paid here, ' || y.there || ' at the provider'),
    (p_api = 'v1' and y.amount_there <> y.amount, 'asks for ' || y.amount_there || ' at the provider, for ' || y.amount || ' here'),
    (y.has_money and y.has_money_there and y.received_amount <> case p_api when 'v1' then y.received_there else y.amount_there end,
      case p_api when 'v1' then y.received_there else y.amount_there end || ' came in at the provider, ' || y.received_amount || ' here'),
    (y.currency_there <> case when y.has_money and p_api = 'v2' then coalesce(y.received_currency, y.currency) else y.currency end,
      'in ' || y.currency_there || ' at the provider, in ' || y.currency || ' here'),
    (y.refunded_there <> y.refunded, y.refunded_there || ' was given back at the provider, ' || y.refunded || ' here')
  ) v (differs, problem)
  where v.differs
  union all
  select b.bill_id, 'paid at the provider, and no order here has this bill', true
  from ops.provider_bills b left join shop.orders o on o.id = ops.try_uuid(b.order_ref)
  where b.run_id = p_run_id and b.status in ('paid', 'overpaid', 'underpaid')
    and not exists (select from shop.payments y where y.bill_id = b.bill_id)
    and coalesce(o.tenant_id, (select h.id from home h)) = p_tenant_id
    and coalesce(o.created_at, b.created_at) >= p_from and coalesce(o.created_at, b.created_at) < p_to
$$;
comment on function ops.bill_differences(uuid, text, uuid, timestamptz, timestamptz) is 'Where what the provider said in a run and our payments differ, for one shop and span of time.';

create function ops.day_figures(p_run_id uuid, p_tenant_id uuid, p_from timestamptz, p_to timestamptz, out counts jsonb, out sums jsonb)
language sql stable set search_path = '' as $$
  with ours as (
    select y.*, b.status as there, b.bill_id as id_there from shop.payments y left join ops.provider_bills b on b.run_id = p_run_id and b.bill_id = y.bill_id
    where y.tenant_id = p_tenant_id and y.bill_id is not null and y.created_at >= p_from and y.created_at < p_to
  ), bills as (
    select count(*) as payments, count(*) filter (where status in ('paid', 'refunded', 'chargeback')) as payments_paid,
      count(id_there) filter (where there not in ('unknown', 'unanswered')) as bills,
      count(*) filter (where there in ('paid', 'overpaid', 'underpaid')) as bills_paid,
      sum(coalesce(received_amount, amount)) filter (where status in ('paid', 'refunded', 'chargeback')) as received
    from ours
  ), there as (
    select sum(q.received) as received, sum(q.refunded) as refunded, sum(q.commission) as commission
    from ours y join ops.provider_payments q on q.run_id = p_run_id and q.bill_id = y.bill_id
  ), sold as (
    select count(*) as orders, sum(o.total_amount) as revenue, sum(o.transaction_fees) as fees, count(*) filter (where o.fulfilment = 'waiting') as waiting,
      sum((select sum(it.quantity) from shop.order_items it where it.order_id = o.id)) filter (where o.fulfilment = 'delivered') as units,
      sum((select count(*) from shop.order_items it join shop.gift_codes g on g.order_item_id = it.id and g.status = 'sold' where it.order_id = o.id)) as codes
    from shop.orders o where o.tenant_id = p_tenant_id and o.paid_at >= p_from and o.paid_at < p_to
  ), back as (
    select count(*) as refunds, sum(f.refund_amount) as refunded
    from shop.refunds f where f.tenant_id = p_tenant_id and f.status = 'completed' and f.processed_at >= p_from and f.processed_at < p_to
  )
  select jsonb_build_object('provider_bills', b.bills, 'provider_paid', b.bills_paid, 'payments', b.payments, 'payments_paid', b.payments_paid,
      'orders_paid', s.orders, 'units_delivered', coalesce(s.units, 0), 'codes_sold', coalesce(s.codes, 0), 'orders_waiting', s.waiting, 'refunds', k.refunds),
    jsonb_build_object('provider_received', ops.money(t.received), 'received', ops.money(coalesce(b.received, 0)), 'revenue', ops.money(coalesce(s.revenue, 0)),
      'provider_commission', ops.money(t.commission), 'fees', ops.money(coalesce(s.fees, 0)), 'provider_refunded', ops.money(t.refunded),
      'refunded', ops.money(coalesce(k.refunded, 0)))
  from bills b, there t, sold s, back k
$$;
comment on function ops.day_figures(uuid, uuid, timestamptz, timestamptz) is
  'Counts and sums of a report: bills and payments by the day of the order, sales by that of the payment, refunds by their own. The provider''s sums are null where it lists none (v2).';

create function ops.reconcile_day(d ops.reconciliation_reports, p_api text, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_zone text := (select t.time_zone from shop.tenants t where t.id = d.tenant_id);
  v_from timestamptz := d.day::timestamp at time zone v_zone;
  v_to timestamptz := (d.day + 1)::timestamp at time zone v_zone;
  v_differences jsonb;
  v_count integer;
  v_figures record;
  v_mark text;
begin
  -- A payment that somebody has is passed over: it is being worked on, and waiting here while holding others could be a deadlock.
  update shop.payments set next_look_at = p_now, looked_at = null
  where id in (
    select y.id from shop.payments y
    where y.tenant_id = d.tenant_id and y.bill_id in (
      select b.bill_id from ops.bill_differences(d.run_id, p_api, d.tenant_id, v_from, v_to) b where b.money_is_there)
    order by y.id for update skip locked);
  select coalesce(jsonb_agg(jsonb_build_object('subject', f.subject, 'problem', f.problem) order by f.first, f.subject, f.problem), '[]'::jsonb)
  into v_differences
  from (
    select 0 as first, 'bill:' || b.bill_id as subject, b.problem from ops.bill_differences(d.run_id, p_api, d.tenant_id, v_from, v_to) b
    union
    select 1, m.subject, m.problem from ops.verify_money(d.tenant_id, v_from, v_to) m) f;
  v_count := jsonb_array_length(v_differences);
  v_mark := md5(v_differences::text);
  select * into v_figures from ops.day_figures(d.run_id, d.tenant_id, v_from, v_to);
  update ops.reconciliation_reports set status = case when v_count = 0 then 'clean' else 'differences' end,
    counts = v_figures.counts || jsonb_build_object('differences', v_count), sums = v_figures.sums,
    differences = jsonb_path_query_array(v_differences, '$[0 to 99]'), checks = d.checks + 1, checked_at = p_now
  where id = d.id;
  if v_count = 0 then
    perform ops.resolve_notification(d.tenant_id, 'reconciliation', 'day:' || d.day, p_now);
  -- What a person has closed stays closed as long as it is the same.
  elsif not exists (
    select from ops.system_notifications n
    where n.tenant_id = d.tenant_id and n.type = 'reconciliation' and n.subject = 'day:' || d.day and n.resolved_by is not null and n.data ->> 'mark' = v_mark)
  then
    perform ops.keep_alert(d.tenant_id, 'reconciliation', 'day:' || d.day, 'critical', 'The books of a day do not agree',
      v_count || case v_count when 1 then ' difference on ' else ' differences on ' end || d.day || ': '
        || (select string_agg(f.value ->> 'subject' || ' ' || (f.value ->> 'problem'), '; ' order by f.ordinality)
            from jsonb_array_elements(v_differences) with ordinality f where f.ordinality <= 3)
        || case when v_count > 3 then '; and more.' else '.' end,
      jsonb_build_object('day', d.day, 'report_id', d.id, 'differences', v_count, 'mark', v_mark), p_now);
  end if;
  return v_count;
end
$$;
comment on function ops.reconcile_day(ops.reconciliation_reports, text, timestamptz) is
  'Writes the report of one shop and day from what the run has read, opens or closes its alert, and has bills looked at that are paid there and not here. Returns the number of differences.';

create function api.continue_reconciliation(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_started timestamptz := clock_timestamp();
  v_reports integer := 0;
  v_differences integer := 0;
  v_next jsonb;
  r ops.reconciliation_runs;
  d ops.reconciliation_reports;
begin
  select * into r from ops.reconciliation_runs where id = ops.try_uuid(p ->> 'run_id') for update;
  if not found or r.step = 'done' then
    return jsonb_build_object('step', 'done');
  end if;
  -- Somebody else has come further: what was read is read.
  if p ->> 'step' is distinct from r.step or (r.step in ('bills', 'payments') and p ->> 'cursor' is distinct from r.cursor) then
    return ops.next_step(r, (p ->> 'limit')::integer);
  end if;
  perform ops.store_provider_rows(r.id, p);
  if r.step in ('bills', 'payments') then
    r.cursor := p ->> 'next_cursor';
    if r.cursor is null then
      r.step := case r.step when 'bills' then 'payments' else 'report' end;
    end if;
  end if;
  if r.step = 'ask' then
    v_next := ops.next_step(r, (p ->> 'limit')::integer);
    if jsonb_array_length(v_next -> 'bills') = 0 then
      r.step := 'report';
    end if;
  elsif p ->> 'step' = 'report' then
    for d in select * from ops.reconciliation_reports where run_id = r.id and status = 'running' order by day, tenant_id limit 50 for update loop
      v_differences := v_differences + ops.reconcile_day(d, r.provider_api, v_now);
      v_reports := v_reports + 1;
      exit when clock_timestamp() - v_started > interval '3 seconds';
    end loop;
    if not exists (select from ops.reconciliation_reports where run_id = r.id and status = 'running') then
      r.step := 'done';
    end if;
  end if;
  update ops.reconciliation_runs set step = r.step, cursor = r.cursor, finished_at = case r.step when 'done' then v_now end where id = r.id;
  return coalesce(case when r.step = 'ask' then v_next end, ops.next_step(r, (p ->> 'limit')::integer))
    || jsonb_build_object('reports', v_reports, 'differences', v_differences);
end
$$;
comment on function api.continue_reconciliation(jsonb) is
  'Role: edge_jobs. p: now, run_id, step and cursor (as told), limit; bills [{bill_id, order_ref, status, amount, currency, created_at}], payments [{payment_id, bill_id, received, refunded, commission}], next_cursor. Keeps what was read, or writes reports, and answers like begin_reconciliation, with {reports, differences} of this call.';
