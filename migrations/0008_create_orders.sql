-- Orders and their items (L-22..L-30).
--
-- What: `status` says where the money is, `fulfilment` where the codes are; `review_reason` says why a paid order needs a person or
-- stock. `paid_at` not null means the money is in: revenue counts by it, orders in review included. `expires_at` is when the
-- reservation ends. Written by create_order, settle_payment, the jobs; read by get_order. An order is never deleted.
--
-- An item of quantity n has n rows in gift_codes that point at it (LD-8); the document's `order_items.gift_code_id` is left out: it
-- held one code, and the two foreign keys in a circle made both tables impossible to clean (LD-48).
--
-- `price` is per unit; `cost_price` and `profit` are of the whole row, because the codes of one row may have cost different amounts
-- and their sum must come out to the cent. For quantity 1 this is the document's meaning.
--
-- Indexes left out as prefixes of others: status (idx_orders_analytics), tenant_id (idx_orders_created).

set local role lonieve_owner;

create table shop.orders (
  id uuid constraint orders_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint orders_tenant_id_fkey references shop.tenants (id) on delete restrict,
  email text not null constraint orders_email_valid check (ops.is_email(email)),
  first_name text,
  last_name text,
  user_id uuid,
  total_amount numeric(12,2) not null constraint orders_total_amount_not_negative check (total_amount >= 0),
  total_cost numeric(12,2) constraint orders_total_cost_not_negative check (total_cost >= 0),
  total_profit numeric(12,2),
  currency text not null default 'USD' constraint orders_currency_iso check (currency ~ '^[A-Z]{3}$'),
  status text not null default 'pending' constraint orders_status_known
    check (status in ('pending', 'paid', 'manual_review', 'failed', 'expired', 'partially_refunded', 'refunded', 'chargeback')),
  fulfilment text not null default 'none' constraint orders_fulfilment_known
    check (fulfilment in ('none', 'reserved', 'waiting', 'delivered', 'revoked')),
  review_reason text constraint orders_review_reason_known
    check (review_reason in ('no_codes_available', 'amount_mismatch', 'currency_mismatch', 'underpaid')),
  failure_reason text,
  transaction_fees numeric(12,2) not null default 0 constraint orders_transaction_fees_not_negative check (transaction_fees >= 0),
  refund_amount numeric(12,2) not null default 0 constraint orders_refund_amount_not_negative check (refund_amount >= 0),
  true_profit numeric(12,2),
  payment_method text not null default 'cardlink',
  cardlink_bill_id text,
  payment_url text,
  email_status text not null default 'pending' constraint orders_email_status_known check (email_status in ('pending', 'sent', 'failed')),
  email_sent_at timestamptz,
  email_retry_count integer not null default 0 constraint orders_email_retry_count_not_negative check (email_retry_count >= 0),
  locale text not null default 'en' constraint orders_locale_known check (locale in ('en', 'ru')),
  session_id text,
  visitor_id text,
  utm_source text,
  utm_medium text,
  utm_campaign text,
  utm_content text,
  utm_term text,
  referrer text,
  ip_address text,
  user_agent text,
  device_type text constraint orders_device_type_known check (device_type in ('mobile', 'tablet', 'desktop')),
  country text,
  city text,
  affiliate_link_id uuid constraint orders_affiliate_link_id_fkey references shop.affiliate_links (id) on delete restrict,
  partner_id uuid constraint orders_partner_id_fkey references shop.partner_accounts (id) on delete restrict,
  partner_commission numeric(12,2) constraint orders_partner_commission_not_negative check (partner_commission >= 0),
  delivery_type text not null default 'myself' constraint orders_delivery_type_known check (delivery_type in ('myself', 'gift')),
  recipient_email text constraint orders_recipient_email_valid check (ops.is_email(recipient_email)),
  gift_message text constraint orders_gift_message_length check (length(gift_message) <= 500),
  expires_at timestamptz not null,
  next_poll_at timestamptz,
  poll_attempts integer not null default 0 constraint orders_poll_attempts_not_negative check (poll_attempts >= 0),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  paid_at timestamptz,
  delivered_at timestamptz,
  constraint orders_gift_has_recipient check (delivery_type <> 'gift' or recipient_email is not null),
  constraint orders_money_in_has_paid_at
    check ((paid_at is null) = (status in ('pending', 'failed', 'expired'))),
  constraint orders_review_has_reason check ((status = 'manual_review') = (review_reason is not null)),
  constraint orders_delivered_is_paid check (fulfilment <> 'delivered' or (paid_at is not null and delivered_at is not null))
);
alter table shop.orders enable row level security;
create index idx_orders_email on shop.orders (tenant_id, email);
create index idx_orders_user on shop.orders (user_id) where user_id is not null;
create index idx_orders_session on shop.orders (session_id);
create index idx_orders_created on shop.orders (tenant_id, created_at desc);
create index idx_orders_utm on shop.orders (utm_source, utm_campaign);
create index idx_orders_partner on shop.orders (partner_id) where partner_id is not null;
create index idx_orders_affiliate_link on shop.orders (affiliate_link_id) where affiliate_link_id is not null;
create index idx_orders_analytics on shop.orders (status, created_at, utm_source);
-- For the limit on unpaid units per address; e-mail and session are found by the indexes above.
create index idx_orders_unpaid_network on shop.orders (tenant_id, ops.client_network(ip_address)) where fulfilment = 'reserved' and paid_at is null;
-- The two queues the jobs work through each minute stay small however many orders there are.
create index idx_orders_reserved on shop.orders (expires_at) where fulfilment = 'reserved' and paid_at is null;
create index idx_orders_waiting on shop.orders (paid_at, id) where fulfilment = 'waiting';
create trigger orders_touch before update on shop.orders for each row execute function ops.touch_updated_at();
comment on table shop.orders is 'What a shopper ordered, where its money is (status) and where its codes are (fulfilment). Never deleted.';
comment on column shop.orders.paid_at is 'Not null: the money is in, whatever the status. Revenue counts by it.';
comment on column shop.orders.review_reason is 'Why status is manual_review; null otherwise.';
comment on column shop.orders.next_poll_at is 'The provider did not answer when asked whether the bill was paid: not before this time again.';
comment on column shop.orders.expires_at is 'Until when the bill can be paid. The codes stay reserved for the tenant''s reservation_grace_s longer.';
comment on column shop.orders.total_cost is 'Sum of the codes'' costs, those of codes that were replaced included, written when they are assigned; null as long as none are, or where a code''s cost is unknown.';
comment on column shop.orders.total_profit is 'total_amount - total_cost; null with it.';
comment on column shop.orders.true_profit is 'total_amount - total_cost - transaction_fees - refund_amount; null with total_cost.';
comment on column shop.orders.partner_commission is 'Sum of this order''s rows in shop.partner_commissions; null where there are none. Not part of true_profit (L-23).';
comment on column shop.orders.transaction_fees is 'Sum of this order''s rows in shop.transaction_fees.';
comment on column shop.orders.user_id is 'auth.users.id of a signed-in buyer; no foreign key, that table may belong to somebody else.';
comment on column shop.orders.locale is 'Language of the mails of this order.';

create table shop.order_items (
  id uuid constraint order_items_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null,
  order_id uuid not null constraint order_items_order_id_fkey references shop.orders (id) on delete restrict,
  product_id uuid not null,
  product_name text not null,
  product_brand text,
  nominal numeric(12,2) not null constraint order_items_nominal_positive check (nominal > 0),
  price numeric(12,2) not null constraint order_items_price_not_negative check (price >= 0),
  cost_price numeric(12,2) constraint order_items_cost_price_not_negative check (cost_price >= 0),
  profit numeric(12,2),
  margin_percentage numeric(8,2),
  quantity integer not null default 1 constraint order_items_quantity_positive check (quantity > 0),
  currency text not null default 'USD' constraint order_items_currency_iso check (currency ~ '^[A-Z]{3}$'),
  created_at timestamptz not null default now(),
  constraint order_items_product_fkey foreign key (tenant_id, product_id) references shop.products (tenant_id, id) on delete restrict
);
alter table shop.order_items enable row level security;
create index idx_order_items_order on shop.order_items (order_id);
create index idx_order_items_product on shop.order_items (product_id);
comment on table shop.order_items is 'The rows of an order, with name, brand and price as they were when it was placed.';
comment on column shop.order_items.price is 'Selling price of one unit.';
comment on column shop.order_items.cost_price is 'Cost of this row: the sum over its codes, those replaced since included. Null until they are assigned, or where one''s cost is unknown.';
comment on column shop.order_items.profit is 'price * quantity - cost_price.';
comment on column shop.order_items.margin_percentage is 'profit / (price * quantity) * 100: margin on the selling price (LD-44).';
