-- Alerts and health figures (L-119..L-122).
--
-- What: `system_notifications` is what staff must see; there is at most one open alert per tenant, type and subject, and a
-- repetition counts up on it (LD-45). `system_health_metrics` holds durations that dashboards average.
--
-- The subject of an order's alert is the order, not its product: settles of different orders then never touch the same row and never
-- wait for each other while they hold their orders.

set local role lonieve_owner;

create table ops.system_notifications (
  id uuid constraint system_notifications_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint system_notifications_tenant_id_fkey references shop.tenants (id) on delete restrict,
  type text not null constraint system_notifications_type_known check (type in
    ('low_stock', 'failed_email', 'pending_payment', 'no_codes_available', 'amount_mismatch', 'currency_mismatch', 'underpaid', 'overpaid',
     'chargeback', 'refund_failed', 'unreadable_code', 'ledger_fault', 'unmatched_payment', 'reconciliation', 'job_failing')),
  subject text not null,
  severity text not null default 'info' constraint system_notifications_severity_known check (severity in ('info', 'warning', 'critical')),
  title text not null,
  message text not null,
  data jsonb,
  occurrences integer not null default 1,
  is_resolved boolean not null default false,
  resolved_by uuid,
  resolved_at timestamptz,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  constraint system_notifications_resolved_has_time check (is_resolved = (resolved_at is not null))
);
alter table ops.system_notifications enable row level security;
create unique index system_notifications_one_open on ops.system_notifications (tenant_id, type, subject) where not is_resolved;
create index system_notifications_subject on ops.system_notifications (subject);
create index idx_notifications_resolved on ops.system_notifications (tenant_id, is_resolved, created_at);
comment on table ops.system_notifications is 'Alerts for staff; one open per tenant, type and subject.';
comment on column ops.system_notifications.subject is 'What it is about, e.g. order:<id>.';
comment on column ops.system_notifications.resolved_by is 'The staff member; null where it resolved itself.';

create table ops.system_health_metrics (
  id uuid constraint system_health_metrics_pkey primary key default gen_random_uuid(),
  tenant_id uuid constraint system_health_metrics_tenant_id_fkey references shop.tenants (id) on delete restrict,
  metric_type text not null constraint system_health_metrics_metric_type_known
    check (metric_type in ('uptime', 'latency', 'webhook_latency', 'email_send_time')),
  metric_value numeric not null,
  details jsonb,
  recorded_at timestamptz not null default now()
);
alter table ops.system_health_metrics enable row level security;
-- Readers ask for one type over a time range; the document's two single-column indexes in one.
create index idx_health_metrics_type on ops.system_health_metrics (metric_type, recorded_at);
comment on table ops.system_health_metrics is 'Measurements for the health page; latencies in milliseconds.';

create function ops.notify(p_tenant_id uuid, p_type text, p_subject text, p_severity text, p_title text, p_message text, p_data jsonb,
                           p_now timestamptz) returns void
language sql set search_path = '' as $$
  insert into ops.system_notifications as n (tenant_id, type, subject, severity, title, message, data, created_at, last_seen_at)
  values (p_tenant_id, p_type, p_subject, p_severity, p_title, p_message, p_data, p_now, p_now)
  on conflict (tenant_id, type, subject) where not is_resolved
  do update set occurrences = n.occurrences + 1, last_seen_at = excluded.last_seen_at, message = excluded.message, data = excluded.data
$$;
comment on function ops.notify(uuid, text, text, text, text, text, jsonb, timestamptz) is 'Opens an alert, or counts up the open one about the same subject.';

create function ops.resolve_notification(p_tenant_id uuid, p_type text, p_subject text, p_now timestamptz) returns void
language sql set search_path = '' as $$
  update ops.system_notifications set is_resolved = true, resolved_at = p_now
  where tenant_id = p_tenant_id and type = p_type and subject = p_subject and not is_resolved
$$;
comment on function ops.resolve_notification(uuid, text, text, timestamptz) is 'Closes the open alert about a subject, if there is one.';
