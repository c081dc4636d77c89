-- Payments, fees and refunds (L-31..L-33).
--
-- What: a payment row is written together with its order, before the provider is asked for a bill, so `bill_id` may be null for a
-- moment (LD-9: the other way round, a failed insert left a paid bill that nobody knew). Fees and refunds are append-only rows.
-- Everything refers with RESTRICT: financial rows are never deleted with their order (LD-50).
--
-- `amount` is what was asked, `received_amount` what the provider says came in; they differ only in orders under review.
-- `idempotency_key` is `<bill id>:<final status>` (LD-21: a key with the clock in it never collides, so it guarded nothing).
-- Indexes on bill_id and idempotency_key would repeat their unique constraints (LD-60).

set local role lonieve_owner;

create table shop.payments (
  id uuid constraint payments_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint payments_tenant_id_fkey references shop.tenants (id) on delete restrict,
  order_id uuid not null constraint payments_order_id_fkey references shop.orders (id) on delete restrict,
  bill_id text constraint payments_bill_id_key unique constraint payments_bill_id_not_blank check (bill_id <> ''),
  status text not null default 'pending' constraint payments_status_known
    check (status in ('pending', 'paid', 'failed', 'expired', 'refunded', 'chargeback')),
  amount numeric(12,2) not null constraint payments_amount_not_negative check (amount >= 0),
  currency text not null default 'USD' constraint payments_currency_iso check (currency ~ '^[A-Z]{3}$'),
  received_amount numeric(12,2) constraint payments_received_amount_not_negative check (received_amount >= 0),
  received_currency text,
  payment_method text not null default 'cardlink',
  payment_url text,
  provider_expires_at timestamptz,
  processed_at timestamptz,
  idempotency_key text constraint payments_idempotency_key_key unique,
  cardlink_response jsonb,
  next_look_at timestamptz,
  looked_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint payments_paid_is_processed check (status not in ('paid', 'refunded', 'chargeback') or processed_at is not null)
);
alter table shop.payments enable row level security;
create index idx_payments_order on shop.payments (order_id);
create index idx_payments_status on shop.payments (status, created_at);
create index payments_to_look_at on shop.payments (next_look_at) where next_look_at is not null;
create trigger payments_touch before update on shop.payments for each row execute function ops.touch_updated_at();
comment on table shop.payments is 'One bill at the payment provider.';
comment on column shop.payments.next_look_at is 'When the provider is asked about the bill next, in case its notice is lost; null where there is nothing to ask about (any more).';
comment on column shop.payments.looked_at is 'When a job last took the bill to ask about it.';
comment on column shop.payments.bill_id is 'The provider''s id; null until its answer is attached.';
comment on column shop.payments.processed_at is 'When the provider''s final word was booked.';
comment on column shop.payments.received_amount is 'What the provider says was paid; null where it named no readable amount.';
comment on column shop.payments.cardlink_response is 'The provider''s last word, without its signature.';

create table shop.transaction_fees (
  id uuid constraint transaction_fees_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint transaction_fees_tenant_id_fkey references shop.tenants (id) on delete restrict,
  order_id uuid not null constraint transaction_fees_order_id_fkey references shop.orders (id) on delete restrict,
  payment_id uuid constraint transaction_fees_payment_id_fkey references shop.payments (id) on delete restrict,
  fee_type text not null constraint transaction_fees_fee_type_known check (fee_type in ('payment_gateway', 'platform', 'currency_conversion')),
  fee_amount numeric(12,2) not null,
  fee_percentage numeric(5,2) constraint transaction_fees_fee_percentage_percent check (fee_percentage between 0 and 100),
  fee_fixed numeric(12,2) constraint transaction_fees_fee_fixed_not_negative check (fee_fixed >= 0),
  currency text not null default 'USD' constraint transaction_fees_currency_iso check (currency ~ '^[A-Z]{3}$'),
  reverses uuid constraint transaction_fees_reverses_fkey references shop.transaction_fees (id) on delete restrict,
  created_at timestamptz not null default now(),
  constraint transaction_fees_fee_amount_sign check (case when reverses is null then fee_amount >= 0 else fee_amount <= 0 end)
);
alter table shop.transaction_fees enable row level security;
create index transaction_fees_order on shop.transaction_fees (order_id);
-- Also what makes "booked once" a fact of the database and not of the code.
create unique index transaction_fees_once_per_payment on shop.transaction_fees (payment_id, fee_type) where reverses is null;
create index transaction_fees_reverses on shop.transaction_fees (reverses) where reverses is not null;
comment on table shop.transaction_fees is 'What a payment cost us. Append-only: what turns out otherwise is corrected by a row that reverses.';
comment on column shop.transaction_fees.reverses is 'The fee this row takes back, in whole or in part; its amount is negative then.';
comment on column shop.transaction_fees.fee_fixed is 'The part of a gateway fee that does not depend on the amount, as it was then: with fee_percentage the row can be worked out again.';

create table shop.refunds (
  id uuid constraint refunds_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint refunds_tenant_id_fkey references shop.tenants (id) on delete restrict,
  order_id uuid not null constraint refunds_order_id_fkey references shop.orders (id) on delete restrict,
  payment_id uuid constraint refunds_payment_id_fkey references shop.payments (id) on delete restrict,
  kind text not null default 'refund' constraint refunds_kind_known check (kind in ('refund', 'chargeback')),
  provider_payment_id text,
  provider_refund_id text,
  refund_amount numeric(12,2) not null constraint refunds_refund_amount_not_negative check (refund_amount >= 0),
  refund_reason text,
  refund_type text not null default 'full' constraint refunds_refund_type_known check (refund_type in ('full', 'partial')),
  status text not null default 'pending' constraint refunds_status_known check (status in ('pending', 'approved', 'rejected', 'completed')),
  requested_by uuid,
  requested_at timestamptz not null default now(),
  processed_at timestamptz
);
alter table shop.refunds enable row level security;
create index refunds_order on shop.refunds (order_id);
create index refunds_payment on shop.refunds (payment_id);
create unique index refunds_once_per_provider_id on shop.refunds (payment_id, kind, provider_refund_id) where provider_refund_id is not null;
create index refunds_open on shop.refunds (order_id) where status in ('pending', 'approved');
comment on table shop.refunds is 'Money given back, in whole or in part. approved: decided by staff, not done yet; completed: done, and never changed any more.';
comment on column shop.refunds.kind is 'refund: given back by us; chargeback: taken back through the payer''s bank.';
comment on column shop.refunds.provider_payment_id is 'The provider''s payment it belongs to (a bill can have several).';
comment on column shop.refunds.provider_refund_id is 'The provider''s id of the refund or chargeback; null where it named a total only, or has not answered yet.';
comment on column shop.refunds.requested_by is 'The member of staff; null where the provider told us of it.';
