-- Products and what they cost (L-8..L-14).
--
-- What: the catalogue. A product has several face values (`nominals`); its `base_price` is the price per 100 of face value, so one
-- rule prices them all: round(nominal * base_price/100 * (1 - discount/100), 2), half up. Base 100, discount 25, nominal 50: 37.50.
--
-- Products are never deleted: `inactive` takes one off the shelf, and everything that refers to it refers with RESTRICT (LD-49: the
-- document's CASCADE would have deleted a product's unsold codes with it).
--
-- The pair (tenant_id, currency) refers to the tenant's, and (tenant_id, id) is unique so that codes and items can name product and
-- tenant together: a code cannot belong to another tenant's product.

set local role lonieve_owner;

create function ops.is_nominal_list(p_nominals jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p_nominals) <> 'array' then false else
    jsonb_array_length(p_nominals) between 1 and 50
    and not exists (
      select from jsonb_array_elements(p_nominals) n
      where case when jsonb_typeof(n) <> 'number' then true
                 else (n #>> '{}')::numeric <= 0 or (n #>> '{}')::numeric >= 1e10
                   or (n #>> '{}')::numeric <> round((n #>> '{}')::numeric, 2) end)
    and (select count(*) = count(distinct n) from jsonb_array_elements(p_nominals) n) end
$$;
comment on function ops.is_nominal_list(jsonb) is 'An array of 1 to 50 different positive numbers with at most two decimals.';

create function ops.unit_price(p_base_price numeric, p_discount_percentage numeric, p_nominal numeric) returns numeric
language sql immutable set search_path = '' as $$
  -- Multiplied by 0.01 rather than divided by 100: products of numerics are exact, quotients are cut at some digit.
  select round(p_nominal * p_base_price * 0.01 * (100 - p_discount_percentage) * 0.01, 2)
$$;
comment on function ops.unit_price(numeric, numeric, numeric) is 'Price of one unit: nominal * base_price/100 * (1 - discount/100), two decimals, half up.';

create table shop.products (
  id uuid constraint products_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint products_tenant_id_fkey references shop.tenants (id) on delete restrict,
  name text not null,
  brand text not null,
  region text not null constraint products_region_known check (region in ('USA', 'EUR', 'Global')),
  category text constraint products_category_known check (category in ('Gaming', 'Shopping', 'Entertainment')),
  description text,
  image_url text,
  nominals jsonb not null constraint products_nominals_valid check (ops.is_nominal_list(nominals)),
  base_price numeric(12,2) not null constraint products_base_price_not_negative check (base_price >= 0),
  discount_percentage numeric(5,2) not null default 0
    constraint products_discount_percentage_percent check (discount_percentage between 0 and 100),
  currency text not null default 'USD',
  status text not null default 'active' constraint products_status_known check (status in ('active', 'inactive', 'out_of_stock')),
  delivery_time text not null default 'instant' constraint products_delivery_time_known check (delivery_time in ('instant', '1-24h')),
  terms_conditions text,
  features jsonb,
  sort_order integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint products_tenant_currency_fkey foreign key (tenant_id, currency) references shop.tenants (id, currency) on delete restrict,
  constraint products_tenant_id_id_key unique (tenant_id, id)
);
alter table shop.products enable row level security;
-- Every query names the tenant, so it comes first; an index on tenant_id alone would repeat these.
create index idx_products_brand on shop.products (tenant_id, brand);
create index idx_products_region on shop.products (tenant_id, region);
create index idx_products_status on shop.products (tenant_id, status);
create index idx_products_sort on shop.products (tenant_id, sort_order, name);
create trigger products_touch before update on shop.products for each row execute function ops.touch_updated_at();
comment on table shop.products is 'What is on the shelf: gift cards and the like, each in several face values.';
comment on column shop.products.nominals is 'Face values on offer, e.g. [25, 50, 100].';
comment on column shop.products.base_price is 'Price per 100 of face value, before the discount.';
comment on column shop.products.status is 'active; out_of_stock: shown but not sold; inactive: not shown.';

alter table shop.affiliate_links
  add constraint affiliate_links_product_id_fkey foreign key (tenant_id, product_id) references shop.products (tenant_id, id) on delete restrict;
create index affiliate_links_product on shop.affiliate_links (product_id) where product_id is not null;
