-- Counters: purchases per product and day, and what a partner's link brought (L-104, L-110, L-111; LD-53, LD-107, LD-109).
--
-- What: `purchase_stats` and four columns of `affiliate_links` are caches. What they count is always counted anew from rows (orders, commissions,
-- clicks), never added to: a fold can run at any time, twice or late, and a refund of last year corrects its own day.
--
--   real_purchases   orders with this product whose money came in on that day of the shop and that are sales still (shop.is_sale): in full
--                    refunded, charged back and closed ones are taken out again, on their own day.
--   displayed_count  the same number. The document shows at least 100; invented counts mislead buyers, so the column is computed.
--   clicks           rows of affiliate_clicks: one per link and visit. A page view whose address has ?ref=CODE is a click; reloading is not.
--   conversions      orders through the link of which the shop has kept something; revenue and commission: the sums of their rows.
--
-- `ops.counter_marks` says what has to be counted anew. A mark is written in the transaction that changes what is counted, so it is seen
-- exactly when the change is; a mark written while a fold is running is there for the next. No order waits for another: a mark is a new
-- row, and the counters' own rows are touched by the fold alone, one fold at a time (two could write an older count over a newer one).
--
-- Called by the job `refresh_metrics`.
--
-- Rejected: counting up in the settle (all buyers of a popular link or product would wait for each other, LD-109); a watermark of time (what
-- commits late is missed for good); counting everything each time (a year's orders for one refund).

set local role lonieve_owner;

create table shop.affiliate_clicks (
  affiliate_link_id uuid not null constraint affiliate_clicks_affiliate_link_id_fkey references shop.affiliate_links (id) on delete restrict,
  visit_id uuid not null,
  tenant_id uuid not null constraint affiliate_clicks_tenant_id_fkey references shop.tenants (id) on delete restrict,
  created_at timestamptz not null,
  constraint affiliate_clicks_pkey primary key (affiliate_link_id, visit_id)
);
alter table shop.affiliate_clicks enable row level security;
create index affiliate_clicks_tenant on shop.affiliate_clicks (tenant_id, created_at);
create trigger affiliate_clicks_append_only before update or delete or truncate on shop.affiliate_clicks
  for each statement execute function ops.refuse_change();
comment on table shop.affiliate_clicks is 'Visits that came by a partner''s link, one row each. Append-only: events are deleted after a while, clicks are not. Knows no visitor.';

create table shop.purchase_stats (
  id uuid constraint purchase_stats_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null,
  product_id uuid not null,
  date date not null,
  real_purchases integer not null default 0 constraint purchase_stats_real_purchases_not_negative check (real_purchases >= 0),
  displayed_count integer generated always as (real_purchases) stored,
  updated_at timestamptz not null default now(),
  constraint purchase_stats_product_date_key unique (product_id, date),
  constraint purchase_stats_product_fkey foreign key (tenant_id, product_id) references shop.products (tenant_id, id) on delete restrict
);
alter table shop.purchase_stats enable row level security;
create index purchase_stats_tenant on shop.purchase_stats (tenant_id, date);
create trigger purchase_stats_touch before update on shop.purchase_stats for each row execute function ops.touch_updated_at();
comment on table shop.purchase_stats is 'Purchases per product and day of the shop, folded from the orders.';
comment on column shop.purchase_stats.displayed_count is 'The number shown: the real one, always (LD-107).';

create table ops.counter_marks (
  id bigint generated always as identity constraint counter_marks_pkey primary key,
  order_id uuid,
  affiliate_link_id uuid,
  constraint counter_marks_one_subject check (num_nonnulls(order_id, affiliate_link_id) = 1)
);
alter table ops.counter_marks enable row level security;
comment on table ops.counter_marks is 'What the next fold counts anew: the products of an order on its day, or a link. Technical; a row lives until the fold.';

create function shop.mark_sale() returns trigger
language plpgsql set search_path = '' as $$
begin
  insert into ops.counter_marks (order_id) values (new.id);
  return null;
end
$$;
comment on function shop.mark_sale() is 'Row trigger: an order has become a sale, or is none any more.';
create trigger orders_mark_new_sale after insert on shop.orders for each row when (shop.is_sale(new)) execute function shop.mark_sale();
create trigger orders_mark_sale after update on shop.orders for each row
  when (shop.is_sale(old) is distinct from shop.is_sale(new)) execute function shop.mark_sale();

create function shop.mark_link() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.affiliate_link_id is not null then
    insert into ops.counter_marks (affiliate_link_id) values (new.affiliate_link_id);
  end if;
  return null;
end
$$;
comment on function shop.mark_link() is 'Row trigger: a link has a new click, or a new row of commission.';
create trigger partner_commissions_mark_link after insert on shop.partner_commissions for each row execute function shop.mark_link();
create trigger affiliate_clicks_mark_link after insert on shop.affiliate_clicks for each row execute function shop.mark_link();

create function shop.note_click() returns trigger
language plpgsql set search_path = '' as $$
begin
  insert into shop.affiliate_clicks (affiliate_link_id, visit_id, tenant_id, created_at)
  select l.id, new.visit_id, new.tenant_id, new.created_at
  from shop.affiliate_links l join shop.partner_accounts a on a.id = l.partner_id
  where l.tenant_id = new.tenant_id and a.status = 'active' and l.link_code = substring(new.url from '[?&]ref=([A-Za-z0-9._~-]{1,64})(?:[&#]|$)')
  on conflict do nothing;
  return null;
end
$$;
comment on function shop.note_click() is 'Row trigger of events: a page view under ?ref= of an active partner''s link is a click, once per visit.';
create trigger events_note_click after insert on analytics.events for each row
  when (new.event_type = 'page_view' and new.visit_id is not null and new.url ~ '[?&]ref=') execute function shop.note_click();

create function shop.count_purchases(p_tenant_id uuid, p_product_id uuid, p_day date) returns integer
language sql stable set search_path = '' as $$
  select count(*)::integer from shop.orders o, shop.tenants t
  where t.id = p_tenant_id and o.tenant_id = t.id
    and o.paid_at >= p_day::timestamp at time zone t.time_zone and o.paid_at < (p_day + 1)::timestamp at time zone t.time_zone
    and shop.is_sale(o) and exists (select from shop.order_items it where it.order_id = o.id and it.product_id = p_product_id)
$$;
comment on function shop.count_purchases(uuid, uuid, date) is 'Sales of a product on a day of the shop, counted from the orders.';

create function shop.fold_purchases(p_order_ids uuid[]) returns integer
language sql set search_path = '' as $$
  with days as (
    select distinct it.tenant_id, it.product_id, (o.paid_at at time zone t.time_zone)::date as day
    from shop.orders o join shop.tenants t on t.id = o.tenant_id join shop.order_items it on it.order_id = o.id
    where o.id = any (p_order_ids) and o.paid_at is not null
  ), folded as (
    insert into shop.purchase_stats as s (tenant_id, product_id, date, real_purchases)
    select d.tenant_id, d.product_id, d.day, shop.count_purchases(d.tenant_id, d.product_id, d.day) from days d
    on conflict (product_id, date) do update set real_purchases = excluded.real_purchases where s.real_purchases <> excluded.real_purchases
    returning 1)
  select count(*)::integer from folded
$$;
comment on function shop.fold_purchases(uuid[]) is 'Counts the products of these orders anew, on the orders'' days. Returns how many rows changed.';

create function shop.fold_links(p_link_ids uuid[]) returns integer
language sql set search_path = '' as $$
  with counted as (
    select l.id,
      (select count(*) from shop.affiliate_clicks k where k.affiliate_link_id = l.id) as clicks,
      count(*) filter (where c.base > 0) as conversions, coalesce(sum(c.base), 0) as revenue, coalesce(sum(c.amount), 0) as commission
    from shop.affiliate_links l
      left join (
        select x.affiliate_link_id, x.order_id, sum(x.base) as base, sum(x.amount) as amount
        from shop.partner_commissions x where x.affiliate_link_id = any (p_link_ids) and x.denied is null
        group by x.affiliate_link_id, x.order_id) c on c.affiliate_link_id = l.id
    where l.id = any (p_link_ids) group by l.id
  ), folded as (
    update shop.affiliate_links l set clicks = c.clicks, conversions = c.conversions, revenue = c.revenue, commission = c.commission
    from counted c
    where l.id = c.id and (l.clicks, l.conversions, l.revenue, l.commission) is distinct from (c.clicks, c.conversions, c.revenue, c.commission)
    returning 1)
  select count(*)::integer from folded
$$;
comment on function shop.fold_links(uuid[]) is 'Counts these links anew. Returns how many changed.';

create function api.fold_counters(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_limit integer := least(greatest(coalesce((p ->> 'limit')::integer, 1000), 1), 5000);
  v_orders uuid[];
  v_links uuid[];
  v_marks integer;
  v_days integer;
  v_changed integer;
begin
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('fold_counters', 0)) then
    return jsonb_build_object('outcome', 'busy', 'marks', 0, 'purchase_rows', 0, 'links', 0, 'left', 0);
  end if;
  -- Gone before anything is counted: what changes after this statement has left a mark that this statement did not see.
  with gone as (
    delete from ops.counter_marks where id in (select m.id from ops.counter_marks m order by m.id limit v_limit)
    returning order_id, affiliate_link_id)
  select array_agg(distinct order_id) filter (where order_id is not null), array_agg(distinct affiliate_link_id) filter (where affiliate_link_id is not null),
    count(*) into v_orders, v_links, v_marks from gone;
  v_days := shop.fold_purchases(coalesce(v_orders, '{}'));
  v_changed := shop.fold_links(coalesce(v_links, '{}'));
  return jsonb_build_object('outcome', 'ok', 'marks', v_marks, 'purchase_rows', v_days, 'links', v_changed,
    'left', (select count(*) from (select from ops.counter_marks limit 10000) m));
end
$$;
comment on function api.fold_counters(jsonb) is
  'Role: edge_jobs. p: limit (marks, at most 5000). Counts anew what has changed. {outcome: ok, marks, purchase_rows, links, left: marks still there}; busy where another fold is running. Any number of runs gives the same counts.';
