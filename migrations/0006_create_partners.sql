-- Partners and their links (L-109, L-110).
--
-- What: who sends customers, and the `?ref=` codes they use. Order create reads them to note where an order came from; commission
-- is 0056, payouts are later work.
--
-- Clicks, conversions, revenue and commission of a link are folded from append-only rows by a job, never counted up in a
-- money transaction: a popular link's row would make all its buyers wait for each other.
--
-- Rejected: the secret in clear as the document has it (LD-56): a hash is all that checking a signature's owner needs.

set local role lonieve_owner;

create table shop.partner_accounts (
  id uuid constraint partner_accounts_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint partner_accounts_tenant_id_fkey references shop.tenants (id) on delete restrict,
  partner_name text not null,
  partner_email text not null constraint partner_accounts_partner_email_valid check (ops.is_email(partner_email)),
  api_key text not null default 'pk_live_' || gen_random_uuid() constraint partner_accounts_api_key_key unique,
  api_secret_hash text not null constraint partner_accounts_api_secret_hash_sha256 check (api_secret_hash ~ '^[0-9a-f]{64}$'),
  commission_rate numeric(5,2) not null default 10.00
    constraint partner_accounts_commission_rate_percent check (commission_rate between 0 and 100),
  status text not null default 'active' constraint partner_accounts_status_known check (status in ('active', 'suspended', 'pending')),
  settings jsonb not null default '{}'::jsonb constraint partner_accounts_settings_object check (ops.is_json_object(settings)),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
alter table shop.partner_accounts enable row level security;
create index partner_accounts_tenant on shop.partner_accounts (tenant_id);
create trigger partner_accounts_touch before update on shop.partner_accounts for each row execute function ops.touch_updated_at();
comment on table shop.partner_accounts is 'Partners who send customers and earn a commission.';
comment on column shop.partner_accounts.api_secret_hash is 'Lower-case hex sha256 of the secret. The secret itself is shown once and stored nowhere.';

create table shop.affiliate_links (
  id uuid constraint affiliate_links_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint affiliate_links_tenant_id_fkey references shop.tenants (id) on delete restrict,
  partner_id uuid not null constraint affiliate_links_partner_id_fkey references shop.partner_accounts (id) on delete restrict,
  link_code text not null constraint affiliate_links_link_code_key unique,
  product_id uuid, -- foreign key in the file of the products
  clicks integer not null default 0 constraint affiliate_links_clicks_not_negative check (clicks >= 0),
  conversions integer not null default 0 constraint affiliate_links_conversions_not_negative check (conversions >= 0),
  revenue numeric(12,2) not null default 0 constraint affiliate_links_revenue_not_negative check (revenue >= 0),
  commission numeric(12,2) not null default 0 constraint affiliate_links_commission_not_negative check (commission >= 0),
  created_at timestamptz not null default now()
);
alter table shop.affiliate_links enable row level security;
create index affiliate_links_partner on shop.affiliate_links (partner_id);
create index affiliate_links_tenant on shop.affiliate_links (tenant_id);
comment on table shop.affiliate_links is 'A partner''s ?ref= codes.';
comment on column shop.affiliate_links.product_id is 'Where the link leads; null: the whole shop.';
comment on column shop.affiliate_links.clicks is 'Folded from append-only rows by a job, like the three columns after it.';
