-- Limits on what may be reserved without being paid.
--
-- What: one person (e-mail, session, address; an IPv6 /64 is one address) holds at most `max_unpaid_units` units, and of a face value
-- with more than 20 codes at most `max_unpaid_share` percent are reserved without a payment. Without them anybody could empty the shelf for
-- an hour at a time. Called by create_order, after it knows that there are codes: an empty shelf is `out_of_stock`, not a limit.
--
-- A unit counts from its reservation until it is paid for or put back, also while a payment has failed and may be tried again.
--
-- Locks: the three keys of a person are advisory locks, taken in the order of their numbers, so that requests of one person go one
-- after the other and strangers do not wait. They come after the idempotency key's row and before any row of an order. The share would need
-- one lock for all buyers of a face value; it is taken only when fewer than 200 units are left below the limit: a shop in ordinary
-- business never waits, and ten requests of 20 units each have room to be in flight unseen.
--
-- Rejected: counters (a row all buyers would wait for, and one more thing that can be wrong); counting all stock (the count
-- stops where it can no longer matter).

set local role lonieve_owner;

create function shop.lock_buyer(p_tenant_id uuid, p jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_advisory_xact_lock(k.key)
  from (select pg_catalog.hashtextextended('unpaid|' || p_tenant_id::text || '|' || c.value, 0) as key
        from (values ('email|' || lower(p ->> 'email')), ('session|' || (p ->> 'session_id')), ('network|' || ops.client_network(p ->> 'ip'))) c (value)
        where c.value is not null order by 1) k;
end
$$;
comment on function shop.lock_buyer(uuid, jsonb) is 'Orders of one e-mail, session or address are counted and made one after the other.';

create function shop.buyer_wait(p_tenant_id uuid, p jsonb, p_quantity integer, p_now timestamptz) returns integer
language sql stable set search_path = '' as $$
  with settings as (
    select ops.tenant_setting(p_tenant_id, 'max_unpaid_units') as most, ops.tenant_setting(p_tenant_id, 'bill_ttl_s') as ttl,
           make_interval(secs => ops.tenant_setting(p_tenant_id, 'reservation_grace_s')::double precision) as grace
  ), unpaid as (
    select 'email' as scope, o.id, o.expires_at from shop.orders o
    where o.tenant_id = p_tenant_id and o.fulfilment = 'reserved' and o.paid_at is null and o.email = lower(p ->> 'email')
    union all
    select 'session', o.id, o.expires_at from shop.orders o
    where o.tenant_id = p_tenant_id and o.fulfilment = 'reserved' and o.paid_at is null and o.session_id = p ->> 'session_id'
    union all
    select 'network', o.id, o.expires_at from shop.orders o
    where o.tenant_id = p_tenant_id and o.fulfilment = 'reserved' and o.paid_at is null and ops.client_network(o.ip_address) = ops.client_network(p ->> 'ip')
  ), held as (
    select u.scope, u.expires_at, sum(i.quantity) over (partition by u.scope) as units,
           sum(i.quantity) over (partition by u.scope order by u.expires_at, u.id) as free_by_then
    from unpaid u join shop.order_items i on i.order_id = u.id
  ), waits as (
    -- Until so many have ended that the new ones fit.
    select coalesce(min(h.expires_at) filter (where h.units - h.free_by_then + p_quantity <= s.most), max(h.expires_at)) + s.grace as ends
    from held h cross join settings s group by h.scope, s.most, s.grace having max(h.units) + p_quantity > s.most
    union all
    select p_now + make_interval(secs => s.ttl::double precision) from settings s where p_quantity > s.most
  )
  select greatest(ceil(extract(epoch from max(ends) - p_now)), 1)::integer from waits having count(*) > 0
$$;
comment on function shop.buyer_wait(uuid, jsonb, integer, timestamptz) is
  'Null: this buyer may have so many more units unpaid. Else the seconds until enough reservations of theirs will have ended.';

create function shop.share_room(p_tenant_id uuid, p_product_id uuid, p_nominal numeric, p_currency text, p_quantity integer, p_margin integer,
                                p_share numeric, p_now timestamptz) returns numeric
language plpgsql stable set search_path = '' as $$
declare
  v_unpaid bigint;
  v_stock bigint;
begin
  select count(*) into v_unpaid
  from shop.gift_codes g join shop.order_items i on i.id = g.order_item_id join shop.orders o on o.id = i.order_id
  where g.product_id = p_product_id and g.nominal = p_nominal and g.status = 'reserved' and g.tenant_id = p_tenant_id and o.paid_at is null;
  -- From so many free codes on there is room for the margin as well, and more need not be counted.
  select v_unpaid + count(*) into v_stock from (
    select from shop.gift_codes g
    where g.product_id = p_product_id and g.nominal = p_nominal and g.status = 'available' and g.tenant_id = p_tenant_id and g.currency = p_currency
      and (g.expires_at is null or g.expires_at > p_now + make_interval(days => ops.tenant_setting(p_tenant_id, 'code_expiry_margin_days')::int))
    limit 21 + ceil((v_unpaid + p_quantity + p_margin + 1) * 100 / greatest(p_share, 0.01))) free_codes;
  return case when v_stock > 20 then floor(v_stock * p_share / 100) - v_unpaid - p_quantity end;
end
$$;
comment on function shop.share_room(uuid, uuid, numeric, text, integer, integer, numeric, timestamptz) is
  'How many more units of a face value could be reserved after these, below its limit; exact below p_margin, at least p_margin above it. Null: 20 codes or fewer, no limit.';

create function shop.share_wait(p_tenant_id uuid, p_product_id uuid, p_nominal numeric, p_currency text, p_quantity integer, p_now timestamptz)
returns integer
language plpgsql set search_path = '' as $$
declare
  v_margin constant integer := 200;
  v_share numeric := ops.tenant_setting(p_tenant_id, 'max_unpaid_share');
  v_ends timestamptz;
begin
  -- At 100 percent the shelf itself is the limit.
  if v_share >= 100
    or coalesce(shop.share_room(p_tenant_id, p_product_id, p_nominal, p_currency, p_quantity, v_margin, v_share, p_now) >= v_margin, true) then
    return null;
  end if;
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('share|' || p_product_id::text || '|' || p_nominal::text, 0));
  if coalesce(shop.share_room(p_tenant_id, p_product_id, p_nominal, p_currency, p_quantity, v_margin, v_share, p_now) >= 0, true) then
    return null;
  end if;
  select min(o.expires_at) + make_interval(secs => ops.tenant_setting(p_tenant_id, 'reservation_grace_s')::double precision) into v_ends
  from shop.gift_codes g join shop.order_items i on i.id = g.order_item_id join shop.orders o on o.id = i.order_id
  where g.product_id = p_product_id and g.nominal = p_nominal and g.status = 'reserved' and g.tenant_id = p_tenant_id and o.paid_at is null;
  return coalesce(greatest(ceil(extract(epoch from v_ends - p_now)), 1), ops.tenant_setting(p_tenant_id, 'bill_ttl_s'))::integer;
end
$$;
comment on function shop.share_wait(uuid, uuid, numeric, text, integer, timestamptz) is
  'Null: so many more units of this face value may be reserved unpaid. Else the seconds until a reservation of it will have ended.';
