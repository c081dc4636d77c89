-- Retention, and the jobs as staff see them.
--
-- `api.purge` is called by jobs each night. It deletes what nobody reads any more, in batches, so that no call holds many rows; where there is
-- more, it says so and runs again at the next tick. Kept for: answers to repeated requests until they expire (a day); counts of rejected calls
-- 30 days; runs of jobs 14 days; calls to other services, what became of mails, and health figures 90 days; the provider's lists 14 days. Money, codes, ledger, orders,
-- webhook logs, audit and reports are never deleted here.
--
-- `api.staff_jobs` is called by the admin Worker. The jobs belong to the installation; the reports beside them are the tenant's own.
--
-- Rejected: retention as settings of a tenant (most of these rows belong to none).

set local role lonieve_owner;

create index system_health_metrics_recorded on ops.system_health_metrics using brin (recorded_at);

create function api.purge(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_limit integer := least(greatest(coalesce((p ->> 'limit')::integer, 2000), 1), 10000);
  v_deleted jsonb := '{}'::jsonb;
  v_rows integer;
  v_more boolean := false;
begin
  v_rows := (api.purge_idempotency(jsonb_build_object('now', v_now, 'limit', least(v_limit, 5000))) ->> 'deleted')::integer;
  v_deleted := v_deleted || jsonb_build_object('idempotency', v_rows);
  v_more := v_rows = least(v_limit, 5000);
  delete from ops.webhook_rejections where ctid in (select ctid from ops.webhook_rejections where minute <= v_now - interval '30 days' limit v_limit);
  get diagnostics v_rows = row_count;
  v_deleted := v_deleted || jsonb_build_object('webhook_rejections', v_rows);
  v_more := v_more or v_rows = v_limit;
  delete from ops.job_logs where ctid in (select ctid from ops.job_logs where started_at <= v_now - interval '14 days' and status <> 'running' limit v_limit);
  get diagnostics v_rows = row_count;
  v_deleted := v_deleted || jsonb_build_object('job_logs', v_rows);
  v_more := v_more or v_rows = v_limit;
  v_rows := ops.forget_integration_logs(v_now - interval '90 days', v_limit);
  v_deleted := v_deleted || jsonb_build_object('integration_logs', v_rows);
  v_more := v_more or v_rows = v_limit;
  v_rows := ops.forget_mail_events(v_now - interval '90 days', v_limit);
  v_deleted := v_deleted || jsonb_build_object('mail_events', v_rows);
  v_more := v_more or v_rows = v_limit;
  delete from ops.system_health_metrics where ctid in (select ctid from ops.system_health_metrics where recorded_at <= v_now - interval '90 days' limit v_limit);
  get diagnostics v_rows = row_count;
  v_deleted := v_deleted || jsonb_build_object('system_health_metrics', v_rows);
  v_more := v_more or v_rows = v_limit;
  -- Its bills and payments go with it: a run a time, for a list can be long.
  delete from ops.reconciliation_runs where id in (
    select id from ops.reconciliation_runs where finished_at <= v_now - interval '14 days' order by finished_at limit 5);
  get diagnostics v_rows = row_count;
  v_deleted := v_deleted || jsonb_build_object('reconciliation_runs', v_rows);
  return jsonb_build_object('deleted', v_deleted, 'more', v_more or v_rows = 5);
end
$$;
comment on function api.purge(jsonb) is 'Role: edge_jobs. p: now, limit (rows of each table, 2000 by default). Deletes what has been kept long enough: {deleted: {table: rows}, more: whether there is more}.';

create function api.staff_jobs(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return jsonb_build_object('outcome', 'ok',
    'jobs', (select jsonb_agg(jsonb_build_object('name', j.job_name, 'schedule', j.schedule, 'enabled', j.enabled, 'last_run_at', ops.iso(j.last_run_at),
        'last_run_status', j.last_run_status, 'last_run_duration_ms', j.last_run_duration_ms, 'failures', j.failures, 'next_run_at', ops.iso(j.next_run_at),
        -- The trigger comes once a minute, and a tick may leave things to the next.
        'is_late', j.enabled and j.next_run_at < now() - interval '5 minutes',
        'last_error', (select l.error_message from ops.job_logs l where l.job_id = j.id and j.failures > 0 and l.status = 'failed' order by l.started_at desc limit 1))
      order by j.priority, j.job_name) from ops.scheduled_jobs j),
    'reports', coalesce((select jsonb_agg(jsonb_build_object('day', f.day, 'status', f.status, 'checked_at', ops.iso(f.checked_at), 'counts', f.counts,
        'sums', f.sums, 'differences', f.differences) order by f.day desc)
      from (select r.* from ops.reconciliation_reports r where r.tenant_id = v_tenant order by r.day desc limit 7) f), '[]'::jsonb));
end
$$;
comment on function api.staff_jobs(jsonb) is
  'Role: authenticated, staff. p: {}. {outcome: ok, jobs: [{name, schedule, enabled, last_run_at, last_run_status, last_run_duration_ms, failures, next_run_at, is_late, last_error}] in the order of priority, reports: [{day, status, checked_at, counts, sums, differences}] of the last seven days, newest first}.';
