-- Reviews of products (L-103).
--
-- What: the table of the document, for the pages that will write and show reviews. No route of the source documents names one, so there is
-- none yet: nothing reads or writes it but staff of the database.
--
-- `verified_purchase` is the document's question "from a real order?", answered by the database and not by who writes the row: true where the
-- named order is of this shop, of this address, has the product, and was a sale. One review per order and product; `helpful_count` is never
-- negative.
--
-- Rejected: ON DELETE CASCADE of the document (a product that goes out of sale is set inactive, never deleted).

set local role lonieve_owner;

create table shop.product_reviews (
  id uuid constraint product_reviews_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null,
  product_id uuid not null,
  order_id uuid constraint product_reviews_order_id_fkey references shop.orders (id) on delete restrict,
  user_id uuid,
  email text not null constraint product_reviews_email_valid check (ops.is_email(email)),
  rating integer not null constraint product_reviews_rating_stars check (rating between 1 and 5),
  title text constraint product_reviews_title_length check (length(title) <= 200),
  comment text constraint product_reviews_comment_length check (length(comment) <= 5000),
  verified_purchase boolean not null default false,
  helpful_count integer not null default 0 constraint product_reviews_helpful_count_not_negative check (helpful_count >= 0),
  reported boolean not null default false,
  status text not null default 'pending' constraint product_reviews_status_known check (status in ('pending', 'approved', 'rejected')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint product_reviews_once_per_order unique (order_id, product_id),
  constraint product_reviews_product_fkey foreign key (tenant_id, product_id) references shop.products (tenant_id, id) on delete restrict
);
alter table shop.product_reviews enable row level security;
create index idx_reviews_product on shop.product_reviews (product_id);
create index idx_reviews_status on shop.product_reviews (tenant_id, status, created_at);
comment on table shop.product_reviews is 'What buyers say of products; shown once approved.';
comment on column shop.product_reviews.user_id is 'auth.users.id of a signed-in buyer; no foreign key, that table may belong to somebody else.';
comment on column shop.product_reviews.verified_purchase is 'Computed: the order is of this address and of this product, and was a sale when the review was written.';

create function shop.verify_review() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.verified_purchase := exists (
    select from shop.orders o join shop.order_items it on it.order_id = o.id
    where o.id = new.order_id and o.tenant_id = new.tenant_id and new.email in (o.email, o.recipient_email) and it.product_id = new.product_id
      and shop.is_sale(o));
  return new;
end
$$;
comment on function shop.verify_review() is 'Row trigger: whether the reviewer bought the product (or was given it).';
create trigger product_reviews_verify before insert or update of order_id, product_id, email, verified_purchase on shop.product_reviews
  for each row execute function shop.verify_review();
create trigger product_reviews_touch before update on shop.product_reviews for each row execute function ops.touch_updated_at();
