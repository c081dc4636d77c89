-- Scheduled jobs and their runs (L-123, L-126).
--
-- What: two tables of the document. Jobs run from one cron trigger of the jobs Worker; deciding in SQL what is due, with leases, and
-- writing these rows comes with the jobs work.

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
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
alter table ops.scheduled_jobs enable row level security;
create trigger scheduled_jobs_touch before update on ops.scheduled_jobs for each row execute function ops.touch_updated_at();
comment on table ops.scheduled_jobs is 'What runs by itself, and when. Belongs to the installation, not to a tenant.';
comment on column ops.scheduled_jobs.schedule is 'Cron expression, UTC.';

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
create index idx_job_logs_job_id on ops.job_logs (job_id);
create index idx_job_logs_started on ops.job_logs (started_at);
comment on table ops.job_logs is 'One row per run of a job.';
