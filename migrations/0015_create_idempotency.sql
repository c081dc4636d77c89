-- Answers kept for repeated requests.
--
-- What: a request with an `Idempotency-Key` is stored per (tenant, route, key) with the sha256 of its body; a repeat gets the stored
-- answer, another body under the same key is refused, and a repeat while the first is still under way is told so. The functions that
-- use it come with the payments work; the table is here so that its shape is settled with the rest.

set local role lonieve_owner;

create table ops.idempotency (
  tenant_id uuid not null constraint idempotency_tenant_id_fkey references shop.tenants (id) on delete cascade,
  route text not null,
  key text not null constraint idempotency_key_length check (length(key) between 1 and 255),
  body_sha256 text not null constraint idempotency_body_sha256_hex check (body_sha256 ~ '^[0-9a-f]{64}$'),
  status text not null default 'in_progress' constraint idempotency_status_known check (status in ('in_progress', 'done')),
  locked_until timestamptz,
  response_status integer,
  response_body jsonb,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint idempotency_pkey primary key (tenant_id, route, key),
  constraint idempotency_done_has_response check (status <> 'done' or (response_status is not null and response_body is not null))
);
alter table ops.idempotency enable row level security;
create index idempotency_expires on ops.idempotency (expires_at);
comment on table ops.idempotency is 'One row per idempotency key: the answer to give again.';
comment on column ops.idempotency.locked_until is 'Lease of the request under way; after it another may take over.';
