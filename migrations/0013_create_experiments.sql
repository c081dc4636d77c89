-- Experiments and who is in which variant (L-117, L-118).
--
-- What: two tables; the assignment rule and the results come with the analytics work. An assignment is stored once and then stays.
-- The key is unique per tenant, not over all of them: two shops may both test their `home_hero_v2`.

set local role lonieve_owner;

create table analytics.experiments (
  id uuid constraint experiments_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint experiments_tenant_id_fkey references shop.tenants (id) on delete restrict,
  key text not null,
  name text not null,
  description text,
  variants jsonb not null constraint experiments_variants_array check (jsonb_typeof(variants) = 'array'),
  traffic_allocation jsonb constraint experiments_traffic_allocation_object check (ops.is_json_object(traffic_allocation)),
  status text not null default 'draft' constraint experiments_status_known check (status in ('draft', 'running', 'paused', 'completed')),
  start_date timestamptz,
  end_date timestamptz constraint experiments_end_after_start check (end_date >= start_date),
  goal_metric text constraint experiments_goal_metric_known check (goal_metric in ('conversion_rate', 'revenue', 'aov')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint experiments_tenant_key_key unique (tenant_id, key)
);
alter table analytics.experiments enable row level security;
create trigger experiments_touch before update on analytics.experiments for each row execute function ops.touch_updated_at();
comment on table analytics.experiments is 'A/B tests of a tenant.';
comment on column analytics.experiments.traffic_allocation is 'Percent of traffic per variant.';

create table analytics.experiment_assignments (
  id uuid constraint experiment_assignments_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint experiment_assignments_tenant_id_fkey references shop.tenants (id) on delete restrict,
  experiment_id uuid not null constraint experiment_assignments_experiment_id_fkey references analytics.experiments (id) on delete cascade,
  session_id text not null,
  variant text not null,
  created_at timestamptz not null default now(),
  constraint experiment_assignments_session_key unique (experiment_id, session_id)
);
alter table analytics.experiment_assignments enable row level security;
comment on table analytics.experiment_assignments is 'Which variant a session sees; written once, then stable.';
