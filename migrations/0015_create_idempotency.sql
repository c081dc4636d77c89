-- Answers kept for repeated requests.
--
-- What: a request with an `Idempotency-Key` is stored per (tenant, route, key) with the sha256 of its body; a repeat gets the stored
-- answer, another body under the same key is refused, and a repeat while the first is still under way is told so. The functions that
-- use it are in the file that adds idempotent requests.
--
-- `answer` is the outcome of the database function, from which the Worker renders the same HTTP answer again: ids, amounts, the payment
-- link. Tokens and codes are never in it; an order's token is computed from its id each time.
--
-- `attempt_id` names the request that holds the key (for orders it is the id of the order being made): a request that lost its key to another
-- one can no longer write under it.
--
-- Rejected: the HTTP status beside the answer (it follows from the outcome, in one place, the Worker).

set local role lonieve_owner;

create table ops.idempotency (
  tenant_id uuid not null constraint idempotency_tenant_id_fkey references shop.tenants (id) on delete cascade,
  route text not null,
  key text not null constraint idempotency_key_length check (length(key) between 1 and 255),
  body_sha256 text not null constraint idempotency_body_sha256_hex check (body_sha256 ~ '^[0-9a-f]{64}$'),
  status text not null default 'in_progress' constraint idempotency_status_known check (status in ('in_progress', 'done')),
  attempt_id uuid not null constraint idempotency_attempt_id_key unique,
  locked_until timestamptz not null,
  answer jsonb constraint idempotency_answer_object check (ops.is_json_object(answer)),
  replays integer not null default 0 constraint idempotency_replays_not_negative check (replays >= 0),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint idempotency_pkey primary key (tenant_id, route, key),
  constraint idempotency_done_has_answer check ((status = 'done') = (answer is not null))
);
alter table ops.idempotency enable row level security;
create index idempotency_expires on ops.idempotency (expires_at);
comment on table ops.idempotency is 'One row per idempotency key: the answer to give again.';
comment on column ops.idempotency.attempt_id is 'The request that holds the key. For orders the id of the order it makes.';
comment on column ops.idempotency.locked_until is 'Lease of the request under way; after it another may take over.';
comment on column ops.idempotency.answer is 'The outcome to answer with again: never a token, never a code.';
comment on column ops.idempotency.replays is 'How often the answer was given again. An order shown in a replay is not given up any more.';
