-- What partners earn (L-27, L-109, L-111; LD-110).
--
-- What: one append-only row each time the base of an order's commission changes: `earned` when it rises, `reversed` when it falls. The sum
-- of an order's rows is, at every moment, its rate of what the shop keeps, half up to the cent. `orders.partner_commission` repeats it.
--
--   base        what came in for the order's price, less what has gone back of it: refunds, chargebacks. A surplus is no base, and goes
--               back first. Money in another currency than the order's cannot be added up, and earns nothing.
--   earned      when the order counts as a sale (shop.is_sale): in the transaction that takes the money, where the money is right; an
--               order that waits for codes has earned. Of money that is not right (another amount, too little), when the rest comes or
--               when staff deliver, and then on what came in. An order that staff close without codes is no sale.
--   rate        the partner's on the day the first row is written, for good. Each row's amount is the difference between what is due
--               of the new base and what was booked before; so parts add up to exactly what one refund would have taken.
--   denied      an order of the partner's own (his address is the buyer's or the recipient's; addresses are lower-cased) and an order
--               of a partner who is not active then. The first row says so, at rate 0, and it stays so whatever happens later.
--
-- Called by whatever moves an order's money or makes it a sale, before shop.compute_totals, under the order's lock.
--
-- Rejected: a row per refund with rounded parts (three thirds of a cent are lost or won); the rate of the day of the refund (a partner whose
-- rate was lowered would keep the difference); no row for what is denied (nobody could tell afterwards why a partner got nothing).

set local role lonieve_owner;

create table shop.partner_commissions (
  id bigint generated always as identity constraint partner_commissions_pkey primary key,
  tenant_id uuid not null constraint partner_commissions_tenant_id_fkey references shop.tenants (id) on delete restrict,
  order_id uuid not null constraint partner_commissions_order_id_fkey references shop.orders (id) on delete restrict,
  partner_id uuid not null constraint partner_commissions_partner_id_fkey references shop.partner_accounts (id) on delete restrict,
  affiliate_link_id uuid constraint partner_commissions_affiliate_link_id_fkey references shop.affiliate_links (id) on delete restrict,
  kind text not null constraint partner_commissions_kind_known check (kind in ('earned', 'reversed')),
  base numeric(12,2) not null,
  rate numeric(5,2) not null constraint partner_commissions_rate_percent check (rate between 0 and 100),
  amount numeric(12,2) not null,
  currency text not null constraint partner_commissions_currency_iso check (currency ~ '^[A-Z]{3}$'),
  denied text constraint partner_commissions_denied_known check (denied in ('own_order', 'partner_not_active')),
  created_at timestamptz not null,
  constraint partner_commissions_sign check (case kind when 'earned' then base > 0 and amount >= 0 else base < 0 and amount <= 0 end),
  constraint partner_commissions_denied_earns_nothing check (denied is null or (rate = 0 and amount = 0))
);
alter table shop.partner_commissions enable row level security;
create index partner_commissions_order on shop.partner_commissions (order_id);
create index partner_commissions_partner on shop.partner_commissions (partner_id, created_at);
create index partner_commissions_link on shop.partner_commissions (affiliate_link_id) where affiliate_link_id is not null;
create index partner_commissions_tenant on shop.partner_commissions (tenant_id);
create trigger partner_commissions_append_only before update or delete or truncate on shop.partner_commissions
  for each statement execute function ops.refuse_change();
comment on table shop.partner_commissions is 'What partners earned on orders, and what refunds took back of it. Append-only.';
comment on column shop.partner_commissions.base is 'By how much the base changed. The sum over an order is what the shop keeps of it.';
comment on column shop.partner_commissions.rate is 'Percent, as it was when the first row of the order was written.';
comment on column shop.partner_commissions.amount is 'Signed. The sum over an order is rate percent of the sum of base, half up.';
comment on column shop.partner_commissions.denied is 'Why this order earns nothing; null where it earns.';

create function shop.is_sale(o shop.orders) returns boolean
language sql immutable set search_path = '' as $$
  select o.paid_at is not null and case o.status
    when 'manual_review' then o.review_reason = 'no_codes_available'
    when 'paid' then o.failure_reason is distinct from 'closed_by_staff'
    when 'partially_refunded' then o.failure_reason is distinct from 'closed_by_staff'
    else false end
$$;
comment on function shop.is_sale(shop.orders) is
  'Has this order been sold: its money is in and right (or accepted by staff), it has or awaits its codes, and not all of the money has gone back.';

create function shop.commission_base(o shop.orders) returns numeric
language sql stable set search_path = '' as $$
  select case when shop.is_sale(o) then coalesce((
    select sum(m.whole - m.returned) from shop.payments y cross join lateral shop.given_back(y) m
    where y.order_id = o.id and y.status = 'paid' and coalesce(y.received_currency, y.currency) = o.currency), 0) else 0 end
$$;
comment on function shop.commission_base(shop.orders) is 'What the shop keeps of a sale: what came in for its price, less what has gone back of it. 0 for what is no sale.';

create function shop.book_commission(p_order_id uuid, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
  a shop.partner_accounts;
  v_base numeric;
  v_booked record;
begin
  select * into o from shop.orders where id = p_order_id;
  if o.partner_id is null then
    return;
  end if;
  v_base := shop.commission_base(o);
  select coalesce(sum(c.base), 0) as base, coalesce(sum(c.amount), 0) as amount, min(c.rate) as rate, min(c.denied) as denied into v_booked
  from shop.partner_commissions c where c.order_id = o.id;
  if v_base = v_booked.base then
    return;
  end if;
  if v_booked.rate is null then
    select * into a from shop.partner_accounts where id = o.partner_id;
    v_booked.denied := case when a.status <> 'active' then 'partner_not_active'
                            when a.partner_email in (lower(o.email), lower(o.recipient_email)) then 'own_order' end;
    v_booked.rate := case when v_booked.denied is null then a.commission_rate else 0 end;
  end if;
  insert into shop.partner_commissions (tenant_id, order_id, partner_id, affiliate_link_id, kind, base, rate, amount, currency, denied, created_at)
  values (o.tenant_id, o.id, o.partner_id, o.affiliate_link_id, case when v_base > v_booked.base then 'earned' else 'reversed' end,
    v_base - v_booked.base, v_booked.rate, round(v_base * v_booked.rate / 100, 2) - v_booked.amount, o.currency, v_booked.denied, p_now);
end
$$;
comment on function shop.book_commission(uuid, timestamptz) is
  'Books what has become due to the partner of an order, or what no longer is; nothing where nothing changed. The caller holds the order''s lock.';
