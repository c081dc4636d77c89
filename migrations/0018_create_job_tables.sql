-- Scheduled jobs and their runs (L-123, L-126).
--
-- What: two tables of the document. All jobs run from one cron trigger of the jobs Worker (LD-117: two schedulers ran one job twice); what is
-- due is decided in SQL, under a lease, by the functions of 0068. `job_type` and `job_config` are the document's; nothing in them is ever
-- executed (LD-113): the Worker has a fixed list of names, and a row only says when.

set local role lonieve_owner;

create table ops.scheduled_jobs (
  id uuid constraint scheduled_jobs_pkey primary key default gen_random_uuid(),
  job_name text not null constraint scheduled_jobs_job_name_key unique,
  job_type text not null constraint scheduled_jobs_job_type_known check (job_type in ('sql_function', 'api_call', 'email_campaign')),
  schedule text not null,
  job_config jsonb not null constraint scheduled_jobs_job_config_object check (ops.is_json_object(job_config)),
  enabled boolean not null default true,
  last_run_at timestamptz,
  last_run_status text constraint scheduled_jobs_last_run_status_known check (last_run_status in ('running', 'success', 'failed', 'cancelled')),
  last_run_duration_ms integer,
  next_run_at timestamptz,
  priority smallint not null default 100,
  max_calls smallint not null default 5 constraint scheduled_jobs_max_calls_fits check (max_calls between 1 and 38),
  lease_s integer not null default 300 constraint scheduled_jobs_lease_s_sane check (lease_s between 10 and 3600),
  lock_token uuid,
  locked_until timestamptz,
  passed_over integer not null default 0 constraint scheduled_jobs_passed_over_not_negative check (passed_over >= 0),
  failures integer not null default 0 constraint scheduled_jobs_failures_not_negative check (failures >= 0),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
alter table ops.scheduled_jobs enable row level security;
create trigger scheduled_jobs_touch before update on ops.scheduled_jobs for each row execute function ops.touch_updated_at();
comment on table ops.scheduled_jobs is 'What runs by itself, and when. Belongs to the installation, not to a tenant.';
comment on column ops.scheduled_jobs.schedule is 'Cron expression of five fields, UTC; see ops.next_cron.';
comment on column ops.scheduled_jobs.priority is 'Of jobs that are due, the lowest number runs first. What shoppers wait for has the lowest.';
comment on column ops.scheduled_jobs.max_calls is 'Requests one run makes at most, to the database and outside. A tick starts a job only when as many are left to it.';
comment on column ops.scheduled_jobs.lock_token is 'Of the run under way: the id of its row in ops.job_logs. Null when there is none.';
comment on column ops.scheduled_jobs.locked_until is 'The lease: after it the run counts as dead, and the job is due again.';
comment on column ops.scheduled_jobs.passed_over is 'How often it was due since its last run and did not fit into a tick; each time moves it up by one.';
comment on column ops.scheduled_jobs.failures is 'Runs in a row that failed.';

create table ops.job_logs (
  id uuid constraint job_logs_pkey primary key default gen_random_uuid(),
  job_id uuid constraint job_logs_job_id_fkey references ops.scheduled_jobs (id) on delete cascade,
  job_name text not null,
  started_at timestamptz not null default now(),
  completed_at timestamptz,
  status text not null default 'running' constraint job_logs_status_known check (status in ('running', 'success', 'failed', 'cancelled')),
  duration_ms integer constraint job_logs_duration_ms_not_negative check (duration_ms >= 0),
  result jsonb,
  error_message text,
  logs text
);
alter table ops.job_logs enable row level security;
create index idx_job_logs_job_id on ops.job_logs (job_id, started_at desc);
create index idx_job_logs_started on ops.job_logs (started_at);
comment on table ops.job_logs is 'One row per run of a job.';
