-- Logs of calls in and out (L-121).
--
-- What: `webhook_logs` has a row for each verified call of a payment provider, with what was answered and how long it took;
-- `webhook_rejections` counts the calls that failed verification; `integration_logs` notes our own calls to outside services.
--
-- A valid notice of a bill we do not know is kept once as `parked` and settled when the bill appears (the provider can be faster than
-- our own answer from its create call). Rejected calls are counted per minute and leave no body: anybody can send those, and a table
-- that strangers fill is a way to fill the disk (LD-30).
--
-- Never in here: signatures, tokens, codes, e-mail addresses.

set local role lonieve_owner;

create table ops.webhook_logs (
  id uuid constraint webhook_logs_pkey primary key default gen_random_uuid(),
  tenant_id uuid constraint webhook_logs_tenant_id_fkey references shop.tenants (id) on delete restrict,
  source text not null constraint webhook_logs_source_known check (source in ('cardlink', 'stripe')),
  event_type text not null,
  provider_api text,
  origin text not null default 'webhook' constraint webhook_logs_origin_known check (origin in ('webhook', 'poll')),
  bill_id text,
  order_id uuid constraint webhook_logs_order_id_fkey references shop.orders (id) on delete restrict,
  status text,
  raw_status text,
  amount text,
  currency text,
  signature_form text,
  outcome text not null,
  repeats integer not null default 0,
  request_headers jsonb,
  request_body jsonb,
  response_status integer,
  response_body jsonb,
  processed boolean not null default false,
  error text,
  processing_time_ms integer constraint webhook_logs_processing_time_ms_not_negative check (processing_time_ms >= 0),
  created_at timestamptz not null default now()
);
alter table ops.webhook_logs enable row level security;
create index idx_webhook_logs_order on ops.webhook_logs (order_id);
create index idx_webhook_logs_created on ops.webhook_logs (created_at);
-- Instead of the document's index on all of `processed`: only the open ones are ever looked for.
create index idx_webhook_logs_processed on ops.webhook_logs (created_at) where not processed;
create unique index webhook_logs_parked_once on ops.webhook_logs (source, bill_id, status) where outcome = 'parked';
comment on table ops.webhook_logs is 'Verified calls of payment providers, and what came of them.';
comment on column ops.webhook_logs.tenant_id is 'The payment''s; null where no payment is known (yet).';
comment on column ops.webhook_logs.outcome is 'What was done: the outcome answered, `parked` for a bill not known yet, `error` where it could not be processed.';
comment on column ops.webhook_logs.repeats is 'How often a parked notice came again.';
comment on column ops.webhook_logs.processing_time_ms is 'In the Worker and in SQL together.';

create table ops.webhook_rejections (
  source text not null,
  minute timestamptz not null,
  count integer not null default 1 constraint webhook_rejections_count_positive check (count > 0),
  last_reason text not null,
  constraint webhook_rejections_pkey primary key (source, minute)
);
alter table ops.webhook_rejections enable row level security;
comment on table ops.webhook_rejections is 'How many calls failed verification, per source and minute.';

create table ops.integration_logs (
  id uuid constraint integration_logs_pkey primary key default gen_random_uuid(),
  tenant_id uuid constraint integration_logs_tenant_id_fkey references shop.tenants (id) on delete restrict,
  service_name text not null,
  action text not null,
  status text not null constraint integration_logs_status_known check (status in ('success', 'failed', 'pending')),
  error_message text,
  duration_ms integer constraint integration_logs_duration_ms_not_negative check (duration_ms >= 0),
  reference_id text,
  created_at timestamptz not null default now()
);
alter table ops.integration_logs enable row level security;
create index integration_logs_created on ops.integration_logs (created_at);
comment on table ops.integration_logs is 'Calls to outside services, for finding out what went wrong.';
comment on column ops.integration_logs.reference_id is 'The outbox row (or other thing) the call was for.';
