-- Alerts about states that last, not about things that happened: stock, payments that stay open, money without an order (L-19, L-119, L-120).
--
-- Called by jobs every five minutes. A state is looked at again each time, so such an alert is opened once, kept up to date while
-- the state lasts, and closed when it ends; it does not count up at each look, as an alert about an event does (ops.notify).
--
-- Where a member of staff has closed an alert by hand while its state lasts, it stays closed until the state gets worse: of stock, when there
-- are fewer codes than then; of a payment, never.
--
-- Stock: each face value of an active product is low when fewer than `low_stock_below` codes can be sold now, or fewer than
-- `low_stock_days` days' worth at the rate of the last `sales_rate_days` days. None left is critical, also where there never were any: it is
-- on offer, and nobody can buy it. The rate is of units paid for, delivered or not: orders that wait are demand too.
--
-- Payments: an order that is pending for over `pending_alert_s`. A notice of money (v2: signed, v1: so it says) that is parked for over a quarter
-- of an hour belongs to no order we know; that is critical. Under v1 it names our order, and that order's shop is told; else nobody
-- knows whose it is, and the oldest shop of the installation is told.
--
-- Rejected: a trigger on codes (each sale would look at the stock; they would wait for each other at the alert's row); telling all shops of
-- a notice that is nobody's (a shop's payments are not its neighbours' business).

set local role lonieve_owner;

create function ops.keep_alert(p_tenant_id uuid, p_type text, p_subject text, p_severity text, p_title text, p_message text, p_data jsonb,
                               p_now timestamptz) returns void
language sql set search_path = '' as $$
  insert into ops.system_notifications as n (tenant_id, type, subject, severity, title, message, data, created_at, last_seen_at)
  values (p_tenant_id, p_type, p_subject, p_severity, p_title, p_message, p_data, p_now, p_now)
  on conflict (tenant_id, type, subject) where not is_resolved
  do update set severity = excluded.severity, title = excluded.title, message = excluded.message, data = excluded.data, last_seen_at = excluded.last_seen_at
  where (n.severity, n.title, n.message, n.data) is distinct from (excluded.severity, excluded.title, excluded.message, excluded.data)
$$;
comment on function ops.keep_alert(uuid, text, text, text, text, text, jsonb, timestamptz) is 'Opens an alert about a state that lasts, or brings the open one up to date. Does not count up.';

create function shop.cover(p_tenant_id uuid, p_now timestamptz)
returns table (product_id uuid, product_name text, nominal numeric, available bigint, sold_per_day numeric, days_of_cover numeric)
language sql stable set search_path = '' as $$
  with s as (
    select ops.tenant_setting(p_tenant_id, 'sales_rate_days') as days,
      p_now + make_interval(days => ops.tenant_setting(p_tenant_id, 'code_expiry_margin_days')::integer) as sellable_until
  ), offered as (
    select r.id, r.name, r.currency, (v #>> '{}')::numeric as nominal
    from shop.products r, jsonb_array_elements(r.nominals) v
    where r.tenant_id = p_tenant_id and r.status = 'active'
  ), sold as (
    select it.product_id, it.nominal, sum(it.quantity) as units
    from s, shop.orders o join shop.order_items it on it.order_id = o.id
    where o.tenant_id = p_tenant_id and o.paid_at > p_now - make_interval(secs => (s.days * 86400)::double precision) and o.paid_at <= p_now
    group by it.product_id, it.nominal
  )
  select f.id, f.name, f.nominal, c.available, round(coalesce(d.units, 0) / s.days, 2),
    case when d.units > 0 then round(c.available * s.days / d.units, 1) end
  from offered f cross join s
    cross join lateral (
      select count(*) as available from shop.gift_codes g
      where g.product_id = f.id and g.nominal = f.nominal and g.currency = f.currency and g.status = 'available'
        and (g.expires_at is null or g.expires_at > s.sellable_until)) c
    left join sold d on d.product_id = f.id and d.nominal = f.nominal
$$;
comment on function shop.cover(uuid, timestamptz) is
  'For each face value an active product is sold with: codes that can be sold now, units paid for per day over the last sales_rate_days, and for how many days the codes last (null where none were sold).';

create function shop.check_stock_of(p_tenant_id uuid, p_now timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_below numeric := ops.tenant_setting(p_tenant_id, 'low_stock_below');
  v_days numeric := ops.tenant_setting(p_tenant_id, 'low_stock_days');
  v_low text[] := '{}';
  v_subject text;
  c record;
begin
  for c in select * from shop.cover(p_tenant_id, p_now) where available < v_below or days_of_cover < v_days order by product_id, nominal loop
    v_subject := 'stock:' || c.product_id || ':' || ops.money(c.nominal);
    v_low := v_low || v_subject;
    if not exists (
      select from (select n.* from ops.system_notifications n where n.tenant_id = p_tenant_id and n.type = 'low_stock' and n.subject = v_subject
                   order by n.created_at desc, n.id limit 1) last
      where last.is_resolved and last.resolved_by is not null and (last.data ->> 'available')::bigint <= c.available)
    then
      perform ops.keep_alert(p_tenant_id, 'low_stock', v_subject, case when c.available = 0 then 'critical' else 'warning' end,
        case when c.available = 0 then 'Out of stock' else 'Stock is low' end,
        c.product_name || ' ' || ops.money(c.nominal) || ': ' || c.available || ' codes left'
          || case when c.days_of_cover is null then '.' else '; at ' || c.sold_per_day || ' a day they last ' || c.days_of_cover || ' days.' end || ' Import codes.',
        jsonb_build_object('product_id', c.product_id, 'nominal', ops.money(c.nominal), 'available', c.available, 'sold_per_day', c.sold_per_day::text,
          'days_of_cover', c.days_of_cover::text), p_now);
    end if;
  end loop;
  update ops.system_notifications set is_resolved = true, resolved_at = p_now
  where tenant_id = p_tenant_id and type = 'low_stock' and not is_resolved and subject <> all (v_low);
  return cardinality(v_low);
end
$$;
comment on function shop.check_stock_of(uuid, timestamptz) is 'Opens and closes the alerts about the stock of one shop. Returns how many face values are low.';

create function api.check_stock(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_limit integer := least(greatest(coalesce((p ->> 'limit')::integer, 200), 1), 200);
  v_tenant uuid;
  v_checked integer := 0;
  v_low integer := 0;
  v_failed integer := 0;
begin
  for v_tenant in
    select id from shop.tenants where status = 'active' and (p ->> 'after' is null or id > ops.try_uuid(p ->> 'after')) order by id limit v_limit
  loop
    v_checked := v_checked + 1;
    begin
      v_low := v_low + shop.check_stock_of(v_tenant, v_now);
    exception when others then
      raise warning 'the stock of shop % was not checked: %', v_tenant, sqlerrm;
      v_failed := v_failed + 1;
    end;
  end loop;
  return jsonb_build_object('shops', v_checked, 'low', v_low, 'failed', v_failed, 'next', case when v_checked = v_limit then v_tenant end);
end
$$;
comment on function api.check_stock(jsonb) is
  'Role: edge_jobs. p: now, limit (shops, at most 200), after? (a shop''s id). Alerts about low stock, opened and closed. {shops, low: face values that are low, failed: shops that could not be checked, next: `after` of the next call, or null}.';

create function api.check_pending_payments(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_home uuid := coalesce((select id from shop.tenants where id = ops.try_uuid(p ->> 'default_tenant') and status = 'active'),
    (select id from shop.tenants where status = 'active' order by created_at, id limit 1));
  v_pending integer := 0;
  v_unmatched integer := 0;
  r record;
begin
  update ops.system_notifications n set is_resolved = true, resolved_at = v_now
  from shop.orders o
  where n.type = 'pending_payment' and not n.is_resolved and n.tenant_id = o.tenant_id and n.subject = 'order:' || o.id
    and o.id = ops.try_uuid(substr(n.subject, 7)) and (o.paid_at is not null or (o.status <> 'pending' and o.fulfilment <> 'reserved'));
  for r in
    select o.id, o.tenant_id, o.created_at, o.total_amount, o.currency, o.cardlink_bill_id from shop.orders o
    where o.status = 'pending' and o.created_at <= v_now - interval '1 minute'
      and o.created_at <= v_now - make_interval(secs => ops.tenant_setting(o.tenant_id, 'pending_alert_s')::double precision)
      and not exists (select from ops.system_notifications n where n.tenant_id = o.tenant_id and n.type = 'pending_payment' and n.subject = 'order:' || o.id)
    order by o.created_at, o.id limit 200
  loop
    perform ops.keep_alert(r.tenant_id, 'pending_payment', 'order:' || r.id, 'warning', 'A payment is open for too long',
      'Ordered at ' || ops.iso(r.created_at) || ' for ' || ops.money(r.total_amount) || ' ' || r.currency || ', and neither paid nor ended since. Look the bill up at the provider.',
      jsonb_build_object('order_id', r.id, 'bill_id', r.cardlink_bill_id), v_now);
    v_pending := v_pending + 1;
  end loop;

  update ops.system_notifications n set is_resolved = true, resolved_at = v_now
  where n.type = 'unmatched_payment' and not n.is_resolved
    and not exists (select from ops.webhook_logs l where l.id = ops.try_uuid(substr(n.subject, 8)) and l.outcome = 'parked');
  for r in
    select l.id, coalesce(l.bill_id, l.merchant_ref) as ref, l.amount, l.currency, l.created_at, coalesce(o.tenant_id, v_home) as tenant_id
    from ops.webhook_logs l left join shop.orders o on l.provider_api = 'v1' and o.id = ops.try_uuid(l.merchant_ref)
    where not l.processed and l.outcome = 'parked' and l.created_at <= v_now - interval '15 minutes'
      and (l.status in ('paid', 'overpaid', 'underpaid')
        or (l.event_type = 'payment.notice' and upper(l.raw_status) in ('SUCCESS', 'OVERPAID', 'UNDERPAID')))
      and not exists (select from ops.system_notifications n where n.type = 'unmatched_payment' and n.subject = 'notice:' || l.id)
    order by l.created_at, l.id limit 100
  loop
    perform ops.keep_alert(r.tenant_id, 'unmatched_payment', 'notice:' || r.id, 'critical', 'Money came in without an order',
      'The provider says since ' || ops.iso(r.created_at) || ' that ' || r.ref || ' was paid' || coalesce(' with ' || r.amount || ' ' || coalesce(r.currency, ''), '')
        || ', and no order has this bill. Look it up at the provider; give the money back, or find the buyer.',
      jsonb_build_object('ref', r.ref), v_now);
    v_unmatched := v_unmatched + 1;
  end loop;
  return jsonb_build_object('pending', v_pending, 'unmatched', v_unmatched);
end
$$;
comment on function api.check_pending_payments(jsonb) is
  'Role: edge_jobs. p: now, default_tenant?. Alerts about payments that stay open and about money without an order, opened and closed. {pending, unmatched}: how many were opened.';
