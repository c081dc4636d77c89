-- Whom to write to: abandoned checkouts and customers to win back (L-86, L-87; LD-98..LD-102).
--
-- What: two lists for the staff and, later, for campaigns. Neither sends anything. Whoever has unsubscribed is on none of them (LD-102).
--
-- Abandoned: a session's latest checkout, begun between `minutes_ago` and 30 minutes ago; a later one means that the shopper is still at it. The
-- address is that of the order the session made at or after the checkout; without one nobody has told us where to write, and the
-- document's mail would go to null (LD-98). What was paid at or after the checkout, by this session or this address, in any status, ends it; an
-- older purchase of the 30-day session does not (LD-99). The list has no memory of whom it has shown: what a campaign has sent is the
-- campaign's to know (LD-100).
--
-- Win-back: customers by address, so that guest and signed-in purchases of one person are one history (LD-101). The last order lends its user and
-- its UTM values.
--
-- Called by api.get_abandoned_checkouts, api.get_winback_candidates.

set local role lonieve_owner;

create function analytics.abandoned_checkouts(p_tenant_id uuid, p_minutes integer, p_now timestamptz)
returns table (session_id text, user_id uuid, email text, product_data jsonb, checkout_started_at timestamptz, minutes_since integer,
               utm_source text, utm_campaign text)
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
#variable_conflict use_column
declare
  v_from timestamptz;
begin
  if p_minutes is null or p_minutes not between 31 and 10080 then
    raise exception 'invalid_argument' using errcode = '22023', hint = 'minutes_ago must be a whole number from 31 to 10080.';
  end if;
  v_from := p_now - make_interval(mins => p_minutes);
  return query
  with latest as (
    select distinct on (e.session_id) e.session_id, e.created_at as at, e.data, e.utm_source, e.utm_campaign
    from analytics.events e
    where e.tenant_id = p_tenant_id and e.event_type = 'checkout_start' and e.bot is null and e.created_at >= v_from
    order by e.session_id, e.created_at desc, e.event_id desc
  ), addressed as (
    select l.*, o.email, o.user_id
    from latest l,
      lateral (
        select o.email, o.user_id from shop.orders o
        where o.tenant_id = p_tenant_id and o.session_id = l.session_id and o.created_at >= l.at
        order by o.created_at desc, o.id desc limit 1) o
    where l.at <= p_now - interval '30 minutes'
  )
  select a.session_id, a.user_id, a.email, a.data, a.at, floor(extract(epoch from p_now - a.at) / 60)::integer, a.utm_source, a.utm_campaign
  from addressed a
  where not exists (select from shop.orders o where o.tenant_id = p_tenant_id and o.session_id = a.session_id and o.paid_at >= a.at)
    and not exists (select from shop.orders o where o.tenant_id = p_tenant_id and o.email = a.email and o.paid_at >= a.at)
    and not exists (select from crm.landing_leads l where l.tenant_id = p_tenant_id and l.email = a.email and l.unsubscribed_at is not null)
  order by a.at, a.session_id;
end
$$;
comment on function analytics.abandoned_checkouts(uuid, integer, timestamptz) is
  'Sessions whose latest checkout began between p_minutes and 30 minutes ago, with an address, nothing paid since, and nobody unsubscribed. Oldest first.';

create function analytics.winback_candidates(p_tenant_id uuid, p_days integer, p_orders integer, p_now timestamptz)
returns table (email text, user_id uuid, last_order_date timestamptz, days_since_last_order integer, total_orders bigint, total_spent numeric,
               avg_order_value numeric, favorite_brand text, last_utm_source text, last_utm_campaign text)
language plpgsql stable set search_path = '' set plan_cache_mode = 'force_custom_plan' as $$
#variable_conflict use_column
declare
  v_today constant date := analytics.tenant_today(p_tenant_id, p_now);
  v_zone constant text := (select t.time_zone from shop.tenants t where t.id = p_tenant_id);
begin
  if p_days is null or p_days < 0 or p_orders is null or p_orders < 1 then
    raise exception 'invalid_argument' using errcode = '22023', hint = 'days_since_last must be 0 or more, min_previous_orders 1 or more.';
  end if;
  return query
  with silent as materialized (
    select c.email, c.orders, c.value, c.last_paid_at, v_today - (c.last_paid_at at time zone v_zone)::date as days
    from analytics.customers(p_tenant_id) c
    where c.orders >= p_orders and v_today - (c.last_paid_at at time zone v_zone)::date > p_days
      and not exists (select from crm.landing_leads l where l.tenant_id = p_tenant_id and l.email = c.email and l.unsubscribed_at is not null)
  ), bought as (
    select s.*, o.id, o.user_id, o.paid_at, o.utm_source, o.utm_campaign, it.product_brand as brand,
      sum(it.quantity) over brand_of_one as units, max(o.paid_at) over brand_of_one as brand_paid_at
    from silent s
    join shop.orders o on o.tenant_id = p_tenant_id and o.email = s.email
    left join shop.order_items it on it.order_id = o.id
    where o.paid_at is not null
    window brand_of_one as (partition by s.email, it.product_brand)
  )
  select b.email, (array_agg(b.user_id order by b.paid_at desc, b.id desc))[1], b.last_paid_at, b.days, b.orders, b.value, round(b.value / b.orders, 2),
    (array_agg(b.brand order by b.units desc, b.brand_paid_at desc, b.brand) filter (where b.brand is not null))[1],
    (array_agg(b.utm_source order by b.paid_at desc, b.id desc))[1], (array_agg(b.utm_campaign order by b.paid_at desc, b.id desc))[1]
  from bought b
  group by b.email, b.last_paid_at, b.days, b.orders, b.value
  order by b.value desc, b.email;
end
$$;
comment on function analytics.winback_candidates(uuid, integer, integer, timestamptz) is
  'Customers with at least p_orders paid orders, the last of them more than p_days days ago, who have not unsubscribed. By what they are worth.';

create function api.get_abandoned_checkouts(minutes_ago integer default 360)
returns table (session_id text, user_id uuid, email text, product_data jsonb, checkout_started_at timestamptz, minutes_since integer,
               utm_source text, utm_campaign text)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select a.session_id, a.user_id, a.email, a.product_data, a.checkout_started_at, a.minutes_since, a.utm_source, a.utm_campaign
  from analytics.abandoned_checkouts(v_tenant, minutes_ago, now()) with ordinality a
  order by a.ordinality;
end
$$;
comment on function api.get_abandoned_checkouts(integer) is
  'Staff (viewer). Checkouts begun between minutes_ago (31 to 10080, else 22023) and 30 minutes ago and not paid since, one per session, oldest first.';

create function api.get_winback_candidates(days_since_last integer default 30, min_previous_orders integer default 2)
returns table (email text, user_id uuid, last_order_date timestamptz, days_since_last_order integer, total_orders bigint, total_spent numeric,
               avg_order_value numeric, favorite_brand text, last_utm_source text, last_utm_campaign text)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
begin
  return query
  select w.email, w.user_id, w.last_order_date, w.days_since_last_order, w.total_orders, w.total_spent, w.avg_order_value, w.favorite_brand,
    w.last_utm_source, w.last_utm_campaign
  from analytics.winback_candidates(v_tenant, days_since_last, min_previous_orders, now()) with ordinality w
  order by w.ordinality;
end
$$;
comment on function api.get_winback_candidates(integer, integer) is
  'Staff (viewer). Customers with at least min_previous_orders (1 and up) paid orders, silent for more than days_since_last (0 and up) days, by what they are worth. Else 22023.';
