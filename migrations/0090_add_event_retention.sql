-- Retention of events (LD-70).
--
-- What: `api.purge` (0072) also deletes events older than the tenant's setting `event_retention_months`, 14 by default, and messages that have
-- been parked for 30 days. In batches like its other tables; a first run over years of events says `more` and goes on at the next tick.
-- Server events (`payment_success` and its like) go too: what was sold is in `shop`, and reports of money read it there.
--
-- Called by: jobs, each night.
--
-- Rejected: partitions that are dropped whole (a partitioned table cannot have the event id as its key, see 0012); keeping totals of what goes
-- (nobody could look at what such a number was made of; whoever wants visits of earlier years sets `event_retention_months` higher). So `daily_metrics` has
-- no visits on days whose events are gone, and no conversion rate.

set local role lonieve_owner;

create function analytics.purge_events(p_now timestamptz, p_limit integer) returns integer
language plpgsql volatile set search_path = '' as $$
declare
  v_deleted integer := 0;
  v_rows integer;
  t record;
begin
  for t in select s.id, p_now - make_interval(months => (analytics.event_settings(s.id) ->> 'event_retention_months')::numeric::integer) as before
    from shop.tenants s order by s.id
  loop
    exit when v_deleted >= p_limit;
    delete from analytics.events where event_id in (
      select e.event_id from analytics.events e where e.tenant_id = t.id and e.created_at <= t.before limit p_limit - v_deleted);
    get diagnostics v_rows = row_count;
    v_deleted := v_deleted + v_rows;
  end loop;
  return v_deleted;
end
$$;
comment on function analytics.purge_events(timestamptz, integer) is 'Deletes up to p_limit events that are older than their tenant keeps them; how many it deleted.';

create or replace function api.purge(p jsonb) returns jsonb
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
  v_rows := analytics.purge_events(v_now, v_limit);
  v_deleted := v_deleted || jsonb_build_object('events', v_rows);
  v_more := v_more or v_rows = v_limit;
  delete from ops.parked_events where ctid in (select ctid from ops.parked_events where parked_at <= v_now - interval '30 days' limit v_limit);
  get diagnostics v_rows = row_count;
  v_deleted := v_deleted || jsonb_build_object('parked_events', v_rows);
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
