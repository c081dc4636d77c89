-- The days of the ledger: a digest over all rows of a day, chained to the day before, and the watch over it all.
--
-- What: a chain per code (0011) says that nothing was changed in the middle. It cannot say that the end was cut off, or that somebody who
-- knows the formula computed a whole chain anew. So each day's rows are summed up once the day is over: a digest per tenant, and one for
-- the day over these, its range of row ids, and the digest of the day before. The job `ledger_digest` closes the days and then checks; its
-- answer names the newest digest, and whoever keeps that elsewhere can prove later that nothing before it was touched.
--
-- Which rows are a day's? A row committed late may carry an earlier time, and `created_at` may come from a test's clock. So a day is a range of
-- row ids: all rows after the day before's range, up to the last row that carries a time of this day or earlier. Later times within the range
-- are included, and a row that turns up afterwards falls into the next range. Each row is in exactly one, whatever its clock said.
--
-- A range may be closed only when no transaction can still commit a row into it. Row ids are given out in order, but committed in any. So
-- the cut is made in two steps, each a transaction of its own. First: the highest row id seen, then this transaction's own id. Whoever holds
-- a lower row id had a transaction id before (ops.append_ledger sees to that), thus a lower one than ours. Then: once every
-- transaction below ours is over (pg_snapshot_xmin), all that will ever be there up to the cut is there. Usually that is so a moment later;
-- else the answer is `settling`. Nobody waits for anybody. A cut noted in another cluster (a restored backup) is seen by an id of the future,
-- and made anew.
--
-- Days without rows leave none here. A day that was missed is closed at the next run, with the range it would have had.
--
-- The check goes through the whole ledger in slices, a few thousand codes and some days a call, and begins again at the end: a call has
-- eight seconds. `ops.verify_ledger()` is all of it at once, for an operator. What is found opens a critical alert of the shop.
--
-- Rejected: days by `created_at` (late rows would make closed days wrong); a cut by xmin of the rows (frozen, and counted anew after a
-- restore); `lock table` for a clean cut (every sale would wait behind the longest transaction); waiting an hour and hoping; a digest per row of
-- the whole ledger (0011).

set local role lonieve_owner;

create table ops.ledger_days (
  day date constraint ledger_days_pkey primary key,
  after_id bigint not null,
  through_id bigint not null,
  row_count bigint not null,
  prev_digest text not null,
  digest text not null constraint ledger_days_digest_hex check (digest ~ '^[0-9a-f]{64}$'),
  closed_at timestamptz not null default now(),
  constraint ledger_days_range check (through_id > after_id)
);
alter table ops.ledger_days enable row level security;
create trigger ledger_days_append_only before update or delete or truncate on ops.ledger_days
  for each statement execute function ops.refuse_change();
comment on table ops.ledger_days is 'Append-only: one row per day (UTC) of shop.code_ledger, chained by digest. Of the installation, not of a tenant.';
comment on column ops.ledger_days.after_id is 'The day''s rows are those with ids above this ...';
comment on column ops.ledger_days.through_id is '... up to this.';
comment on column ops.ledger_days.prev_digest is 'digest of the day before that has rows; empty for the first.';

create table ops.ledger_day_tenants (
  day date not null constraint ledger_day_tenants_day_fkey references ops.ledger_days (day) on delete restrict
    deferrable initially immediate,
  tenant_id uuid not null constraint ledger_day_tenants_tenant_id_fkey references shop.tenants (id) on delete restrict,
  row_count bigint not null,
  digest text not null,
  constraint ledger_day_tenants_pkey primary key (day, tenant_id)
);
alter table ops.ledger_day_tenants enable row level security;
create index ledger_day_tenants_tenant on ops.ledger_day_tenants (tenant_id);
create trigger ledger_day_tenants_append_only before update or delete or truncate on ops.ledger_day_tenants
  for each statement execute function ops.refuse_change();
comment on table ops.ledger_day_tenants is 'Append-only: the part of a day that is one tenant''s, so that a fault is told to the right shop.';
comment on column ops.ledger_day_tenants.digest is 'sha256 of `<id>:<row_hash>` of its rows, in the order of ids, joined with commas.';

create table ops.ledger_watch (
  single boolean constraint ledger_watch_pkey primary key default true constraint ledger_watch_one_row check (single),
  cut_day date,
  cut_id bigint,
  cut_xid xid8,
  checked_code uuid not null default '00000000-0000-0000-0000-000000000000',
  checked_day date not null default '-infinity'
);
alter table ops.ledger_watch enable row level security;
comment on table ops.ledger_watch is 'One row: the cut that settles at the moment, and how far the check has come.';
comment on column ops.ledger_watch.cut_day is 'Days before this one may be closed with the cut.';
comment on column ops.ledger_watch.cut_xid is 'When all transactions below it are over, no row up to cut_id can appear any more.';
insert into ops.ledger_watch default values;

create function ops.ledger_parts(p_after bigint, p_through bigint) returns table (tenant_id uuid, row_count bigint, digest text)
language sql stable set search_path = '' as $$
  select l.tenant_id, count(*), encode(sha256(convert_to(string_agg(l.id || ':' || l.row_hash, ',' order by l.id), 'UTF8')), 'hex')
  from shop.code_ledger l where l.id > p_after and l.id <= p_through group by l.tenant_id
$$;
comment on function ops.ledger_parts(bigint, bigint) is 'The rows with ids in (after, through], summed up per tenant.';

create function ops.ledger_day_digest(d ops.ledger_days) returns text
language sql stable set search_path = '' as $$
  select encode(sha256(convert_to(jsonb_build_array('lonieve.ledger_day.v1', d.prev_digest, d.day, d.after_id, d.through_id, d.row_count,
    (select jsonb_agg(jsonb_build_array(t.tenant_id, t.row_count, t.digest) order by t.tenant_id) from ops.ledger_day_tenants t where t.day = d.day)
  )::text, 'UTF8')), 'hex')
$$;
comment on function ops.ledger_day_digest(ops.ledger_days) is 'The digest a day must carry: over its range, its tenants'' parts and the digest of the day before.';

create function ops.close_ledger_day(p_day date, p_through bigint) returns ops.ledger_days
language plpgsql set search_path = '' as $$
declare
  d ops.ledger_days;
begin
  select l.through_id, l.digest into d.after_id, d.prev_digest from ops.ledger_days l order by l.day desc limit 1;
  d.day := p_day;
  d.after_id := coalesce(d.after_id, 0);
  d.prev_digest := coalesce(d.prev_digest, '');
  d.through_id := p_through;
  select sum(t.row_count) into d.row_count from ops.ledger_parts(d.after_id, p_through) t;
  d.digest := repeat('0', 64);
  d.closed_at := now();
  -- The parts refer to their day, and the day's digest is over its parts: parts first, the reference is looked at at the end.
  set constraints ops.ledger_day_tenants_day_fkey deferred;
  insert into ops.ledger_day_tenants (day, tenant_id, row_count, digest)
  select p_day, t.tenant_id, t.row_count, t.digest from ops.ledger_parts(d.after_id, p_through) t;
  d.digest := ops.ledger_day_digest(d);
  insert into ops.ledger_days select d.*;
  set constraints ops.ledger_day_tenants_day_fkey immediate;
  return d;
end
$$;
comment on function ops.close_ledger_day(date, bigint) is
  'Sums up the rows after the last closed day, up to this row id, as those of a day. The caller knows that no row can still appear among them.';

create function ops.open_ledger_days(p_before date, p_through bigint) returns table (day date, through_id bigint)
language sql stable set search_path = '' as $$
  with closed as (
    select coalesce(max(d.through_id), 0) as id, coalesce(max(d.day), '-infinity') as day from ops.ledger_days d
  ), open_rows as (
    -- A row of a day that is closed already came late: it goes with the day after.
    select greatest((l.created_at at time zone 'UTC')::date, c.day + 1) as day, max(l.id) as id
    from closed c join shop.code_ledger l on l.id > c.id and l.id <= p_through
    group by 1
  )
  select r.day, r.through_id from (
    select o.day, o.id as through_id, max(o.id) over (order by o.day rows between unbounded preceding and 1 preceding) as before from open_rows o where o.day < p_before) r
  where r.through_id > coalesce(r.before, 0)
  order by r.day
$$;
comment on function ops.open_ledger_days(date, bigint) is 'The days before this one that have rows up to this row id and are not closed, each with the row id it ends at.';

create function api.close_ledger_days(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  -- Ten minutes for what was begun before midnight: it is no more than tidy, the cut is what makes it right.
  v_before date := ((ops.request_time(p) - interval '10 minutes') at time zone 'UTC')::date;
  v_last bigint;
  v_xid xid8;
  v_days jsonb := '[]'::jsonb;
  w ops.ledger_watch;
  f record;
begin
  if pg_catalog.pg_current_xact_id_if_assigned() is not null then
    raise exception 'close_ledger_days must come first in its transaction' using errcode = 'active_sql_transaction';
  end if;
  select * into w from ops.ledger_watch;
  if w.cut_day is distinct from v_before or w.cut_xid > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) then
    select coalesce(max(l.id), 0) into v_last from shop.code_ledger l;
    v_xid := pg_catalog.pg_current_xact_id(); -- after the row id was read, see above
    if not exists (select from ops.open_ledger_days(v_before, v_last)) then
      return jsonb_build_object('outcome', 'nothing_due', 'days', v_days);
    end if;
    update ops.ledger_watch set cut_day = v_before, cut_id = v_last, cut_xid = v_xid;
    return jsonb_build_object('outcome', 'settling', 'days', v_days);
  end if;
  if pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()) < w.cut_xid then
    return jsonb_build_object('outcome', 'settling', 'days', v_days);
  end if;
  -- Two runs at once: the second waits here, and then finds the cut used up.
  v_xid := w.cut_xid;
  select * into w from ops.ledger_watch for update;
  if w.cut_xid is distinct from v_xid then
    return jsonb_build_object('outcome', 'nothing_due', 'days', v_days);
  end if;
  for f in select * from ops.open_ledger_days(v_before, w.cut_id) limit 10 loop
    v_days := v_days || (select jsonb_build_array(jsonb_build_object('day', d.day, 'rows', d.row_count, 'digest', d.digest))
                         from ops.close_ledger_day(f.day, f.through_id) d);
  end loop;
  if jsonb_array_length(v_days) < 10 then
    update ops.ledger_watch set cut_day = null, cut_id = null, cut_xid = null;
  end if;
  return jsonb_build_object('outcome', case when jsonb_array_length(v_days) = 0 then 'nothing_due' else 'closed' end, 'days', v_days);
end
$$;
comment on function api.close_ledger_days(jsonb) is
  'Role: edge_jobs. p: now. {outcome: closed (call again) | settling (some transaction may still write: call again in a moment) | nothing_due, days: [{day, rows, digest}]}: up to ten days a call, oldest first.';

create function ops.verify_days(p_after date, p_through date) returns table (day date, tenant_id uuid, problem text)
language sql stable set search_path = '' as $$
  with days as (
    select c.* from (
      select d as r, d.day, d.after_id, d.through_id, d.row_count, d.prev_digest, d.digest,
             lag(d.digest, 1, '') over w as expected_prev, lag(d.through_id, 1, 0::bigint) over w as expected_after
      from ops.ledger_days d window w as (order by d.day)) c
    where c.day > p_after and c.day <= p_through
  ), closed as (
    select t.* from ops.ledger_day_tenants t where t.day > p_after and t.day <= p_through
  ), found as (
    select d.day, a.tenant_id, a.row_count, a.digest from days d, ops.ledger_parts(d.after_id, d.through_id) a
  )
  select coalesce(c.day, f.day), coalesce(c.tenant_id, f.tenant_id),
    case when coalesce(f.row_count, 0) < coalesce(c.row_count, 0) then 'rows were removed' when coalesce(f.row_count, 0) > coalesce(c.row_count, 0) then 'rows were added'
         else 'rows were changed' end
    || ': ' || coalesce(c.row_count, 0) || ' were closed, ' || coalesce(f.row_count, 0) || ' are there'
  from closed c full join found f on f.day = c.day and f.tenant_id = c.tenant_id
  where (c.row_count, c.digest) is distinct from (f.row_count, f.digest)
  union all
  select d.day, null, 'the day''s own digest was changed, or a part of it' from days d where d.digest <> ops.ledger_day_digest(d.r)
  union all
  select d.day, null, 'does not continue the day before: that was changed or removed' from days d
  where d.prev_digest <> d.expected_prev or d.after_id <> d.expected_after
$$;
comment on function ops.verify_days(date, date) is
  'Every fault of the closed days in (after, through]: rows changed, removed or added since, named by tenant; a digest or a whole day changed or removed.';

create function ops.verify_ledger(p_code_id uuid default null) returns table (code_id uuid, seq integer, problem text)
language sql stable set search_path = '' as $$
  select v.* from ops.verify_codes('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff') v where p_code_id is null
  union all
  select null, null, 'day ' || d.day || coalesce(', tenant ' || d.tenant_id, '') || ': ' || d.problem
  from ops.verify_days('-infinity', 'infinity') d where p_code_id is null
  union all
  select v.* from ops.verify_codes(
    coalesce((select g.id from shop.gift_codes g where g.id < p_code_id order by g.id desc limit 1), '00000000-0000-0000-0000-000000000000'), p_code_id) v
  where v.code_id = p_code_id
$$;
comment on function ops.verify_ledger(uuid) is
  'Every fault of the ledger: of one code''s chain; or of all chains and all closed days (then code_id is null). No row: all is well.';

create function ops.report_ledger_faults(p_faults jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  f record;
begin
  for f in
    select t.id, count(*) as faults, string_agg(x.value ->> 'problem', '; ' order by x.ordinality) filter (where x.ordinality <= 5) as first
    from jsonb_array_elements(p_faults) with ordinality x
    -- What is nobody's alone concerns everybody.
    join shop.tenants t on t.id = ops.try_uuid(x.value ->> 'tenant_id') or (x.value ->> 'tenant_id' is null and t.status = 'active')
    group by t.id order by t.id
  loop
    perform ops.notify(f.id, 'ledger_fault', 'ledger', 'critical', 'The ledger of codes was tampered with',
      left(f.faults || ' found: ' || coalesce(f.first, 'see ops.verify_ledger()'), 1000), jsonb_build_object('faults', f.faults), p_now);
  end loop;
end
$$;
comment on function ops.report_ledger_faults(jsonb, timestamptz) is 'Opens one critical alert for each tenant that has a fault, or counts up on it. p_faults: [{tenant_id, problem}].';

create function api.check_ledger(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_none constant uuid := '00000000-0000-0000-0000-000000000000';
  v_end constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_codes uuid[];
  v_through uuid := v_end;
  v_days date[];
  v_last_day date;
  v_faults jsonb;
  v_done boolean;
  w ops.ledger_watch;
begin
  select * into w from ops.ledger_watch for update;
  select array_agg(c.id order by c.id) into v_codes from (select g.id from shop.gift_codes g where g.id > w.checked_code order by g.id limit 4000) c;
  if cardinality(v_codes) = 4000 then
    v_through := v_codes[4000];
  end if;
  -- Days until they hold a hundred thousand rows together, at least one.
  select array_agg(s.day order by s.day) into v_days from (
    select d.day, sum(d.row_count) over (order by d.day) - d.row_count as before from ops.ledger_days d where d.day > w.checked_day) s
  where s.before < 100000;
  v_last_day := v_days[cardinality(v_days)];

  select coalesce(jsonb_agg(f.fault), '[]'::jsonb) into v_faults from (
    select jsonb_build_object('tenant_id', coalesce(g.tenant_id, (select l.tenant_id from shop.code_ledger l where l.code_id = v.code_id limit 1)),
      'problem', 'code ' || v.code_id || coalesce(', row ' || v.seq, '') || ': ' || v.problem) as fault
    from ops.verify_codes(w.checked_code, v_through) v left join shop.gift_codes g on g.id = v.code_id
    union all
    select jsonb_build_object('tenant_id', d.tenant_id, 'problem', 'day ' || d.day || ': ' || d.problem)
    from ops.verify_days(w.checked_day, v_last_day) d) f;
  perform ops.report_ledger_faults(v_faults, ops.request_time(p));

  v_done := v_through = v_end and (v_last_day is null or v_last_day = (select max(d.day) from ops.ledger_days d));
  update ops.ledger_watch set
    checked_code = case when v_done then v_none else v_through end,
    checked_day = case when v_done then '-infinity' else coalesce(v_last_day, w.checked_day) end;
  return jsonb_build_object('outcome', 'ok', 'codes', coalesce(cardinality(v_codes), 0), 'days', coalesce(cardinality(v_days), 0),
    'faults', jsonb_array_length(v_faults), 'done', v_done);
end
$$;
comment on function api.check_ledger(jsonb) is
  'Role: edge_jobs. p: now. Checks the next slice of the ledger; a fault opens a critical alert (ledger_fault) of its shop. {outcome: ok, codes, days, faults: as many as this call found, done: the end was reached, the next call begins anew}.';
