-- The schedule: what is due, who runs it, what became of it (L-123, L-126).
--
-- Called by jobs. One cron trigger a minute calls `api.claim_jobs`, which hands out one job that is due, with a token and a lease. The Worker runs
-- it and calls `api.finish_job`, which notes how it went, says when the job runs next, and hands out the following one; so a tick holds one
-- lease at a time, and a Worker that dies leaves one job waiting for its lease to end, not all of them. Two ticks at once share the
-- work: rows are taken with SKIP LOCKED, and a job under a lease is not due.
--
-- A finish is applied only while its token is the job's: a run that was given up, and taken over by another, can no longer say that the
-- job is done. (A run that overran its lease and was not taken over may: its work is done all the same.)
--
-- A tick may make 40 requests. `budget` says how many are left; a job whose `max_calls` is more is passed over until the next tick, and
-- moves up by one place for it. So what shoppers wait for comes first, and nothing waits for ever: the job at the top always fits.
--
-- A run that failed is tried again after 1, 2, 4 ... 60 minutes, or at its next time if that is sooner. A run that did not get to the end of
-- its work says `more`, and is due again at once.
--
-- A job run by hand is not claimed: it runs whatever the schedule says, is logged, and leaves the schedule alone. Jobs keep from doing
-- things twice by their own locks and leases, not by this one.
--
-- Cron expressions are evaluated here, because the database decides what is due and a schedule can be changed there without a deploy. Five
-- fields in UTC; numbers, `*`, ranges, lists and steps. As in cron, where both day fields are restricted, either will do.
--
-- Rejected: pg_cron (an extension; hosted Postgres may not have it); an advisory lock for the length of a run (it lives in a session, and
-- PostgREST's sessions are shared); a crate for cron in the Worker (two clocks, and a deploy for each change).

set local role lonieve_owner;

create function ops.cron_values(p_field text, p_min integer, p_max integer) returns integer[]
language plpgsql immutable set search_path = '' as $$
declare
  v_part text;
  m text[];
  v_from integer;
  v_to integer;
  v_values integer[] := '{}';
begin
  if p_field is null then
    return null;
  end if;
  foreach v_part in array string_to_array(p_field, ',') loop
    m := regexp_match(v_part, '^(?:(\*)|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?$');
    if m is null or m[4]::integer = 0 then
      return null;
    end if;
    v_from := coalesce(m[2]::integer, p_min);
    v_to := case when m[1] is not null or (m[3] is null and m[4] is not null) then p_max else coalesce(m[3], m[2])::integer end;
    if v_from < p_min or v_to > p_max or v_from > v_to then
      return null;
    end if;
    v_values := v_values || array(select generate_series(v_from, v_to, coalesce(m[4]::integer, 1)));
  end loop;
  return v_values;
end
$$;
comment on function ops.cron_values(text, integer, integer) is 'The numbers one field of a cron expression stands for; null where it cannot be read.';

create function ops.next_cron(p_schedule text, p_after timestamptz) returns timestamptz
language plpgsql immutable set search_path = '' as $$
declare
  f text[] := regexp_split_to_array(btrim(p_schedule), '\s+');
  v_minutes integer[] := ops.cron_values(f[1], 0, 59);
  v_hours integer[] := ops.cron_values(f[2], 0, 23);
  v_days integer[] := ops.cron_values(f[3], 1, 31);
  v_months integer[] := ops.cron_values(f[4], 1, 12);
  v_weekdays integer[] := ops.cron_values(f[5], 0, 7);
  v_either boolean := left(f[3], 1) <> '*' and left(f[5], 1) <> '*';
  v_start date := (p_after at time zone 'UTC')::date;
  v_day date;
  v_next timestamptz;
  v_in_days boolean;
  v_in_weekdays boolean;
begin
  if cardinality(f) <> 5 or v_minutes is null or v_hours is null or v_days is null or v_months is null or v_weekdays is null then
    return null;
  end if;
  -- Eight years: from one 29 February to the next over a century's end.
  for i in 0..2922 loop
    v_day := v_start + i;
    v_in_days := extract(day from v_day)::integer = any (v_days);
    v_in_weekdays := extract(dow from v_day)::integer = any (v_weekdays) or (extract(dow from v_day) = 0 and 7 = any (v_weekdays));
    if extract(month from v_day)::integer = any (v_months) and ((v_in_days and v_in_weekdays) or (v_either and (v_in_days or v_in_weekdays))) then
      select min(t.at) into v_next
      from unnest(v_hours) h, unnest(v_minutes) m, lateral (select (v_day + make_time(h, m, 0)) at time zone 'UTC' as at) t
      where t.at > p_after;
      if v_next is not null then
        return v_next;
      end if;
    end if;
  end loop;
  return null;
end
$$;
comment on function ops.next_cron(text, timestamptz) is 'The first minute after p_after a cron expression (UTC) names; null where it names none or cannot be read.';

alter table ops.scheduled_jobs
  add constraint scheduled_jobs_schedule_is_cron check (ops.next_cron(schedule, timestamptz '2000-01-01 00:00Z') is not null);

create function ops.tell_of_job(p_job_name text, p_failures integer, p_error text, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if p_failures >= 5 then
    -- Jobs belong to the installation: every open shop is told, in one order, since two runs of different jobs may tell at once.
    perform ops.notify(t.id, 'job_failing', 'job:' || p_job_name, 'critical', 'A job keeps failing',
      'The job ' || p_job_name || ' has failed ' || p_failures || ' times in a row: ' || left(coalesce(p_error, 'no reason given'), 200),
      jsonb_build_object('job', p_job_name, 'failures', p_failures), p_now)
    from (select id from shop.tenants where status = 'active' order by id) t;
  elsif p_failures = 0 then
    update ops.system_notifications set is_resolved = true, resolved_at = p_now
    where type = 'job_failing' and subject = 'job:' || p_job_name and not is_resolved;
  end if;
end
$$;
comment on function ops.tell_of_job(text, integer, text, timestamptz) is
  'Opens an alert in every active shop when a job has failed five times in a row or more, and closes it when it has not failed.';

create function ops.claim_next_job(p_now timestamptz, p_budget integer) returns jsonb
language plpgsql set search_path = '' as $$
declare
  j ops.scheduled_jobs;
  v_token uuid;
begin
  for j in select s.* from ops.scheduled_jobs s
    -- A trigger may come a moment early by this clock; its minute must not be lost.
    where s.enabled and (s.next_run_at is null or s.next_run_at <= p_now + interval '10 seconds')
      and (s.locked_until is null or s.locked_until <= p_now)
    order by s.priority - s.passed_over, s.next_run_at nulls first, s.job_name
    for update skip locked
  loop
    if j.max_calls > p_budget then
      update ops.scheduled_jobs set passed_over = j.passed_over + 1 where id = j.id;
      continue;
    end if;
    if j.lock_token is not null then
      update ops.job_logs set status = 'failed', completed_at = p_now, error_message = 'the lease ended before the run did' where id = j.lock_token;
      j.failures := j.failures + 1;
      perform ops.tell_of_job(j.job_name, j.failures, 'the lease ended before the run did', p_now);
    end if;
    insert into ops.job_logs (job_id, job_name, started_at) values (j.id, j.job_name, p_now) returning id into v_token;
    update ops.scheduled_jobs set lock_token = v_token, locked_until = p_now + make_interval(secs => j.lease_s), passed_over = 0, failures = j.failures,
      last_run_at = p_now, last_run_status = 'running'
    where id = j.id;
    return jsonb_build_object('name', j.job_name, 'token', v_token, 'max_calls', j.max_calls);
  end loop;
  return null;
end
$$;
comment on function ops.claim_next_job(timestamptz, integer) is 'Leases the job that is due first and fits into the budget: {name, token, max_calls}, or null.';

create function api.claim_jobs(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_budget integer := coalesce((p ->> 'budget')::integer, 38);
  v_limit integer := least(greatest(coalesce((p ->> 'limit')::integer, 1), 0), 10);
  v_jobs jsonb := '[]'::jsonb;
  v_job jsonb;
begin
  insert into ops.system_health_metrics (metric_type, metric_value, details, recorded_at) values ('uptime', 1, '{"source": "jobs"}', v_now);
  while jsonb_array_length(v_jobs) < v_limit loop
    v_job := ops.claim_next_job(v_now, v_budget);
    exit when v_job is null;
    v_budget := v_budget - (v_job ->> 'max_calls')::integer - 1;
    v_jobs := v_jobs || jsonb_build_array(v_job);
  end loop;
  return jsonb_build_object('jobs', v_jobs);
end
$$;
comment on function api.claim_jobs(jsonb) is
  'Role: edge_jobs. p: now, budget (requests left, that of finish_job not counted), limit (1 by default). Hands out what is due, under a lease: {jobs: [{name, token, max_calls}]}. Each call is one beat of `uptime`.';

create function ops.apply_run(j ops.scheduled_jobs, p jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  v_status text := p ->> 'status';
  v_next timestamptz := ops.next_cron(j.schedule, greatest(p_now, j.next_run_at));
begin
  update ops.scheduled_jobs set lock_token = null, locked_until = null, last_run_status = v_status,
    last_run_duration_ms = least((p ->> 'duration_ms')::bigint, 2147483647)::integer,
    failures = case v_status when 'failed' then j.failures + 1 else 0 end,
    next_run_at = case when v_status = 'failed' then least(v_next, p_now + least(interval '1 minute' * power(2, least(j.failures, 6)), interval '1 hour'))
                       when (p ->> 'more')::boolean then p_now
                       else v_next end
  where id = j.id;
  if v_status = 'failed' or j.failures > 0 then
    perform ops.tell_of_job(j.job_name, case v_status when 'failed' then j.failures + 1 else 0 end, p ->> 'error', p_now);
  end if;
end
$$;
comment on function ops.apply_run(ops.scheduled_jobs, jsonb, timestamptz) is 'Ends the lease of a run and says when its job runs next. The caller holds the row''s lock.';

create function api.finish_job(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_status text := p ->> 'status';
  v_token uuid := ops.try_uuid(p ->> 'token');
  v_ms integer := least(greatest(coalesce((p ->> 'duration_ms')::numeric, 0), 0), 2147483647)::integer;
  v_error text := left(p ->> 'error', 500);
  v_outcome text := 'finished';
  j ops.scheduled_jobs;
begin
  if v_status is null or v_status not in ('success', 'failed', 'cancelled') then
    raise exception 'status must be success, failed or cancelled' using errcode = '22023';
  end if;
  if v_token is null then
    select * into j from ops.scheduled_jobs where job_name = p ->> 'name';
    if not found then
      return jsonb_build_object('outcome', 'job_not_found');
    end if;
    insert into ops.job_logs (job_id, job_name, started_at, completed_at, status, duration_ms, result, error_message, logs)
    values (j.id, j.job_name, v_now - make_interval(secs => v_ms / 1000.0), v_now, v_status, v_ms, p -> 'result', v_error, 'run by hand');
    return jsonb_build_object('outcome', 'logged');
  end if;
  select * into j from ops.scheduled_jobs where lock_token = v_token for update;
  if not found then
    v_outcome := 'stale';
    update ops.job_logs set result = p -> 'result', duration_ms = v_ms, logs = 'ended as ' || v_status || ' after its lease was given to another run'
    where id = v_token;
  else
    perform ops.apply_run(j, p || jsonb_build_object('duration_ms', v_ms), v_now);
    update ops.job_logs set status = v_status, completed_at = v_now, duration_ms = v_ms, result = p -> 'result', error_message = v_error where id = v_token;
    insert into ops.system_health_metrics (metric_type, metric_value, details, recorded_at)
    values ('latency', v_ms, jsonb_build_object('source', 'jobs', 'job', j.job_name, 'status', v_status), v_now);
  end if;
  return jsonb_build_object('outcome', v_outcome, 'next', case when p ->> 'budget' is not null then ops.claim_next_job(v_now, (p ->> 'budget')::integer) end);
end
$$;
comment on function api.finish_job(jsonb) is
  'Role: edge_jobs. p: token, status (success, failed, cancelled), result?, error?, duration_ms, more?, budget? (hands out the next job that is due), now. {outcome: finished | stale (another run has the job), next: {name, token, max_calls} or null}. Without a token: name, of a run by hand, which is only logged: {outcome: logged | job_not_found}.';

insert into ops.scheduled_jobs (job_name, job_type, schedule, job_config, priority, max_calls, lease_s) values
  ('fulfil_waiting', 'sql_function', '* * * * *', '{}', 1, 2, 60),
  ('outbox', 'api_call', '* * * * *', '{}', 2, 13, 240),
  ('poll_bills', 'api_call', '* * * * *', '{}', 3, 9, 120),
  ('refunds', 'api_call', '* * * * *', '{}', 5, 8, 120),
  ('expire_orders', 'api_call', '* * * * *', '{}', 4, 10, 120),
  ('pending_payments', 'sql_function', '*/5 * * * *', '{}', 10, 1, 120),
  ('low_stock', 'sql_function', '*/5 * * * *', '{}', 11, 5, 120),
  ('refresh_metrics', 'sql_function', '*/5 * * * *', '{}', 12, 5, 300),
  ('reconcile', 'api_call', '20 * * * *', '{}', 13, 12, 300),
  ('ledger_digest', 'sql_function', '15 * * * *', '{}', 14, 5, 300),
  ('reseal_codes', 'sql_function', '*/10 * * * *', '{}', 15, 10, 300),
  ('purge', 'sql_function', '40 2 * * *', '{}', 16, 2, 300);
