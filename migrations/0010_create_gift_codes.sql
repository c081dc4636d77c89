-- Gift codes: the stock (L-15..L-18).
--
-- What: a code is stored sealed (AES-256-GCM in the Worker that imports it; the keys are not in the database), with the id of the key,
-- a keyed fingerprint that finds duplicates without opening anything, and the last four characters for staff. Codes are never
-- deleted. Which order a code belongs to is said here alone, by `order_item_id`.
--
-- available -> reserved (order create) -> sold (settle) or back to available (expiry); revoked when taken out of circulation.
--
-- idx_codes_available is the order in which codes leave the shelf, soonest expiry first; the document's third column `status` adds
-- nothing to an index that holds available codes only. Left out: indexes on `status` and `nominal` alone (nothing asks for
-- them without a product, and every status change would have to keep them).
--
-- Rejected: the document's clear `code` with UNIQUE (LD-37, LD-38: once sealed with a random nonce it detects no duplicate).

set local role lonieve_owner;

create table shop.gift_codes (
  id uuid constraint gift_codes_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null,
  product_id uuid not null,
  code_sealed text not null constraint gift_codes_code_sealed_base64url
    check (code_sealed ~ '^[A-Za-z0-9_-]+$' and length(code_sealed) between 39 and 2000),
  code_key_id text not null constraint gift_codes_code_key_id_length check (length(code_key_id) between 1 and 64),
  code_fingerprint text not null constraint gift_codes_code_fingerprint_hex check (code_fingerprint ~ '^[0-9a-f]{64}$'),
  code_last4 text not null constraint gift_codes_code_last4_length check (length(code_last4) <= 4),
  nominal numeric(12,2) not null constraint gift_codes_nominal_positive check (nominal > 0),
  cost_price numeric(12,2) constraint gift_codes_cost_price_not_negative check (cost_price >= 0),
  margin_percentage numeric(8,2),
  currency text not null default 'USD',
  status text not null default 'available' constraint gift_codes_status_known check (status in ('available', 'reserved', 'sold', 'revoked')),
  order_item_id uuid constraint gift_codes_order_item_id_fkey references shop.order_items (id) on delete restrict,
  sold_at timestamptz,
  expires_at timestamptz,
  batch_id text,
  imported_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  reseal_after timestamptz,
  constraint gift_codes_product_fkey foreign key (tenant_id, product_id) references shop.products (tenant_id, id) on delete restrict,
  constraint gift_codes_tenant_currency_fkey foreign key (tenant_id, currency) references shop.tenants (id, currency) on delete restrict,
  constraint gift_codes_fingerprint_key unique (tenant_id, code_fingerprint),
  constraint gift_codes_available_is_free check (status <> 'available' or order_item_id is null),
  constraint gift_codes_taken_has_item check (status not in ('reserved', 'sold') or order_item_id is not null),
  constraint gift_codes_sold_has_time check (status <> 'sold' or sold_at is not null)
);
alter table shop.gift_codes enable row level security;
create index idx_codes_available on shop.gift_codes (product_id, nominal, expires_at, imported_at, id) where status = 'available';
create index idx_codes_product on shop.gift_codes (product_id, nominal, status);
create index idx_codes_order_item on shop.gift_codes (order_item_id) where order_item_id is not null;
create index idx_codes_key on shop.gift_codes (code_key_id);
comment on table shop.gift_codes is 'The stock: one row per code, sealed. Never deleted.';
comment on column shop.gift_codes.code_sealed is 'base64url without padding of nonce (12 bytes), ciphertext and tag (16), AES-256-GCM; additional data: code id, product id, nominal.';
comment on column shop.gift_codes.code_key_id is 'Which key of CODE_KEYS sealed it.';
comment on column shop.gift_codes.reseal_after is 'The rotation of keys could not open it: not before this time again.';
comment on column shop.gift_codes.code_fingerprint is 'Hex HMAC-SHA256 of the normalised code under a key of its own: finds duplicates, reveals nothing.';
comment on column shop.gift_codes.code_last4 is 'What staff see of the code.';
comment on column shop.gift_codes.order_item_id is 'The order row it is reserved for or sold with.';
comment on column shop.gift_codes.margin_percentage is '(nominal - cost_price) / nominal * 100, for information; margins of sales are on the selling price (LD-44).';
