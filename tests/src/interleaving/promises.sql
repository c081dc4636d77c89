-- What must hold of a world: one row (promise, what is wrong) for each breach, none if all is well.
-- $1 tenant; $2 what is known of the orders from outside, [{id, bill, total, quantity, created, attached, money, plain, refunded, charged,
-- foreign (a refund in another currency than the payment's was not booked: an alert of its own)}];
-- $3 the world's time; $4 true: nothing is live any more.
-- Written from the documents (state-machine.md, contracts), not from the functions: it calls none of them but ops.verify_ledger.
with f as (
  select * from jsonb_to_recordset($2) as f(id uuid, bill text, total numeric, quantity integer, created boolean, attached boolean, money boolean,
    plain boolean, refunded numeric, charged boolean, "foreign" boolean)
), o as (
  select * from shop.orders where tenant_id = $1
), y as (
  select * from shop.payments where order_id in (select id from o)
), i as (
  select * from shop.order_items where order_id in (select id from o)
), l as (
  select l.*, lag(l.entry) over w as was, lag(l.order_id) over w as was_for
  from shop.code_ledger l where l.tenant_id = $1 window w as (partition by l.code_id order by l.seq)
), held as (
  -- What each order holds. Codes that were sold to it and revoked since stay its cost.
  select i.order_id, i.id as item_id, i.quantity, i.price,
    count(*) filter (where g.status = 'reserved') as reserved, count(*) filter (where g.status = 'sold') as sold,
    count(*) filter (where g.status = 'revoked') as revoked,
    case when count(*) filter (where g.status in ('sold', 'revoked')) > 0
           and count(g.cost_price) filter (where g.status in ('sold', 'revoked')) = count(*) filter (where g.status in ('sold', 'revoked'))
      then sum(g.cost_price) filter (where g.status in ('sold', 'revoked')) end as cost,
    bool_or(g.product_id <> i.product_id or g.nominal <> i.nominal or g.tenant_id <> i.tenant_id) as is_wrong
  from i left join shop.gift_codes g on g.order_item_id = i.id group by 1, 2, 3, 4
), replaced as (
  -- An order with a replaced code has more than one mail; the replacement's own tests count those.
  select distinct order_id from l where entry = 'replaced'
), asked as (
  -- Staff have asked for a refund that is not done yet: codes nobody has seen are revoked already, and none is given meanwhile.
  select distinct r.order_id from shop.refunds r join o on o.id = r.order_id where r.status in ('pending', 'approved')
), alert as (
  select n.*, substr(n.subject, 7)::uuid as order_id from ops.system_notifications n where n.tenant_id = $1 and n.subject like 'order:%' and not n.is_resolved
), parked as (
  select * from ops.webhook_logs where not processed and outcome = 'parked'
), back as (
  -- What went back, by the provider's count. A surplus goes back first; no more than the price counts.
  select y.order_id, least(m.received, y.amount) as whole, m.returned,
    least(least(m.received, y.amount), greatest(m.returned + m.charged - greatest(m.received - y.amount, 0), 0)) as counted, m.charges
  from y, lateral (
    select coalesce(y.received_amount, y.amount) as received,
      coalesce(sum(r.refund_amount) filter (where r.kind = 'refund'), 0) as returned,
      coalesce(sum(r.refund_amount) filter (where r.kind = 'chargeback'), 0) as charged, count(*) filter (where r.kind = 'chargeback') as charges
    from shop.refunds r where r.payment_id = y.id and r.status = 'completed') m
)
select 'sold_once' as promise, 'code ' || code_id || ' was sold ' || count(*) || ' times' as what
from l where entry = 'sold' group by code_id having count(*) > 1
union all
select 'sold_once', 'item ' || item_id || ' of ' || quantity || ' holds ' || reserved || ' reserved and ' || sold || ' sold codes'
from held where reserved + sold > quantity
union all
select 'sold_once', 'item ' || item_id || ' holds a code of another product or face value' from held where is_wrong
union all
select 'ledger', 'code ' || code_id || ': ' || coalesce(was, 'nothing') || ' then ' || entry
from l where not case coalesce(was, '') when '' then entry = 'imported'
  when 'imported' then entry in ('reserved', 'sold', 'revoked') when 'released' then entry in ('reserved', 'sold', 'revoked')
  when 'reserved' then entry in ('released', 'sold', 'revoked', 'replaced') when 'sold' then entry in ('revealed', 'revoked', 'replaced')
  when 'revealed' then entry in ('revoked', 'replaced') else false end
union all
select 'ledger', 'code ' || code_id || ': ' || was || ' for ' || coalesce(was_for::text, 'nobody') || ', then ' || entry || ' for ' || coalesce(order_id::text, 'nobody')
from l where was in ('reserved', 'sold', 'revealed') and order_id is distinct from was_for
union all
select 'ledger', 'code ' || g.id || ' is ' || g.status || ', last written ' || coalesce(e.entry, 'nothing') || ' for ' || coalesce(e.order_id::text, 'nobody')
from shop.gift_codes g left join i on i.id = g.order_item_id left join lateral (
  select * from l where l.code_id = g.id and l.entry <> 'revealed' order by seq desc limit 1) e on true
where g.tenant_id = $1 and not coalesce(case g.status when 'available' then e.entry in ('imported', 'released')
  when 'reserved' then e.entry = 'reserved' and e.order_id = i.order_id when 'sold' then e.entry = 'sold' and e.order_id = i.order_id
  else e.entry in ('revoked', 'replaced') end, false)
union all
select 'ledger', v.code_id || ' at ' || v.seq || ': ' || v.problem
from shop.gift_codes g, lateral ops.verify_ledger(g.id) v where g.tenant_id = $1
union all
select 'delivered', o.id || ' is ' || o.status || ' ' || o.fulfilment || ' with ' || h.sold || ' of ' || h.quantity || ' codes'
from o join held h on h.order_id = o.id
where o.status in ('paid', 'partially_refunded')
  and not (o.fulfilment = 'delivered' and h.sold = h.quantity or o.fulfilment = 'none' and o.failure_reason = 'closed_by_staff'
    or o.fulfilment = 'revoked' and o.id in (select order_id from asked))
union all
select 'delivered', o.id || ' waits without an open alert'
from o where o.fulfilment = 'waiting' and not exists (select from alert a where a.order_id = o.id and a.type = 'no_codes_available')
union all
select 'waiting', o.id || ' waits for ' || i.quantity || ', free are ' || s.free
from o join i on i.order_id = o.id, lateral (
  select count(*) as free from shop.gift_codes g, shop.tenants t
  where g.tenant_id = $1 and t.id = $1 and g.product_id = i.product_id and g.nominal = i.nominal and g.currency = i.currency and g.status = 'available'
    and (g.expires_at is null
      or g.expires_at > $3::text::timestamptz + interval '1 day' * coalesce((t.settings ->> 'code_expiry_margin_days')::integer, 7))) s
where o.fulfilment = 'waiting' and s.free >= i.quantity and o.id not in (select order_id from asked)
union all
select 'reserved', o.id || ' is ' || o.status || ' ' || o.fulfilment || ' ' || coalesce(o.review_reason, '') || ', reserved are ' || h.reserved || ' of ' || h.quantity
from o join held h on h.order_id = o.id
where (h.reserved > 0 or o.fulfilment = 'reserved')
  and not (h.reserved = h.quantity and o.fulfilment = 'reserved'
    and (o.paid_at is null and o.status in ('pending', 'failed') and not $4
      or o.status = 'manual_review' and o.review_reason in ('amount_mismatch', 'currency_mismatch', 'underpaid')))
union all
select 'finished', o.id || ' is ' || o.status || ' ' || o.fulfilment || ' and holds ' || h.reserved || ' reserved, ' || h.sold || ' sold codes'
from o join held h on h.order_id = o.id
where (o.status in ('refunded', 'chargeback') and (h.reserved + h.sold > 0 or o.fulfilment not in ('none', 'revoked')))
  or (o.fulfilment in ('none', 'waiting', 'revoked') and h.reserved + h.sold > 0)
  or (o.fulfilment = 'revoked' and h.revoked < h.quantity)
  or (o.fulfilment not in ('revoked', 'delivered') and h.revoked > 0)
union all
select 'states', o.id || ' is ' || o.status || ' ' || o.fulfilment || ', its payment ' || y.status || ', paid at ' || coalesce(o.paid_at::text, 'no time')
from o join y on y.order_id = o.id
where y.status <> case when o.status in ('paid', 'partially_refunded', 'manual_review') then 'paid' else o.status end
  or (o.paid_at is null) <> (o.status in ('pending', 'failed', 'expired'))
  or (o.delivered_at is not null) <> (o.fulfilment in ('delivered', 'revoked'))
  or (o.fulfilment = 'waiting') <> (o.status = 'manual_review' and o.review_reason = 'no_codes_available')
  or ($4 and o.status = 'pending')
union all
select 'states', o.id || ' was paid in the plainest way and is ' || o.status || ' ' || o.fulfilment
from o join f using (id)
where f.plain and o.paid_at is not null and (o.status, o.fulfilment) not in (('paid', 'delivered'), ('manual_review', 'waiting'))
union all
select 'price', coalesce(o.id, f.id) || ': asked for ' || coalesce(o.total_amount::text, 'nothing') || ', payment ' || coalesce(y.amount::text, 'none')
  || ', item ' || coalesce(i.price * i.quantity || '', 'none') || '; right is ' || coalesce(f.total::text, 'nothing')
from o full join f on f.id = o.id and f.created left join y on y.order_id = o.id left join i on i.order_id = o.id
where (f.created or o.id is not null)
  and (o.total_amount is distinct from f.total or y.amount is distinct from f.total or i.price * i.quantity is distinct from f.total
    or i.quantity is distinct from f.quantity)
union all
select 'fees', o.id || ' (' || o.status || '): ' || e.fees || ' fees, ' || coalesce(e.fee::text, 'none') || ' of ' || y.amount || ', received ' || coalesce(y.received_amount::text, '?')
from o join y on y.order_id = o.id join f on f.id = o.id, lateral (
  select count(*) as fees, sum(t.fee_amount) as fee from shop.transaction_fees t where t.order_id = o.id and t.fee_type = 'payment_gateway') e
where e.fees > 1 or (o.paid_at is null and e.fees > 0) or (f.plain and o.paid_at is not null and e.fees <> 1)
  or e.fee not in (round(y.amount * 0.029 + 0.30, 2), round(coalesce(y.received_amount, y.amount) * 0.029 + 0.30, 2))
union all
select 'totals', o.id || ' (' || o.status || '): cost ' || coalesce(o.total_cost::text, 'unknown') || ', codes cost ' || coalesce(c.cost::text, 'unknown')
  || ', profit ' || coalesce(o.total_profit::text, 'unknown') || ', fees ' || o.transaction_fees || ', rows say ' || c.fees
  || ', refunds ' || o.refund_amount || ', true profit ' || coalesce(o.true_profit::text, 'unknown')
from o, lateral (
  select (select case when count(h.cost) = count(*) then sum(h.cost) end from held h where h.order_id = o.id) as cost,
    (select coalesce(sum(t.fee_amount), 0) from shop.transaction_fees t where t.order_id = o.id) as fees) c
where o.total_cost is distinct from c.cost or o.total_profit is distinct from o.total_amount - c.cost or o.transaction_fees <> c.fees
  or o.true_profit is distinct from o.total_amount - c.cost - c.fees - o.refund_amount
union all
select 'totals', h.item_id || ': cost ' || coalesce(i.cost_price::text, 'unknown') || ', codes cost ' || coalesce(h.cost::text, 'unknown')
from held h join i on i.id = h.item_id
where i.cost_price is distinct from h.cost or i.profit is distinct from i.price * i.quantity - h.cost
union all
select 'refunds', o.id || ' (' || o.status || '): the provider says ' || coalesce(f.refunded, 0) || ', booked ' || back.returned || ' and ' || back.charges || ' chargebacks, counted '
  || back.counted || ' of ' || back.whole || ', the order says ' || o.refund_amount
from o join f on f.id = o.id join back on back.order_id = o.id
where back.returned <> coalesce(f.refunded, 0) or back.charges <> f.charged::integer or o.refund_amount <> back.counted
  or (o.status = 'chargeback') <> f.charged
  or (o.status = 'refunded') <> (not f.charged and back.returned > 0 and back.counted = back.whole)
  or (o.status = 'partially_refunded' and (back.counted = 0 or back.counted >= back.whole))
  or (o.status = 'paid' and back.counted > 0 and o.fulfilment = 'delivered')
union all
select 'outbox', o.id || ' (' || o.status || ' ' || o.fulfilment || '): ' || e.paid || ' order.paid, ' || e.delivered || ' order.delivered'
from o, lateral (
  select count(*) filter (where b.kind = 'order.paid') as paid, count(*) filter (where b.kind = 'order.delivered') as delivered
  from ops.outbox b where b.aggregate_id = o.id) e
where e.paid <> (o.paid_at is not null)::integer
  or e.delivered <> (o.delivered_at is not null)::integer
union all
select 'outbox', o.id || ' (' || o.delivery_type || '): ' || e.codes || ' mails with codes, ' || e.gifts || ' gifts, ' || e.receipts || ' receipts, sent again ' || e.again
from o, lateral (
  select count(*) filter (where b.kind = 'mail.codes') as codes, count(*) filter (where b.kind = 'mail.gift') as gifts,
    count(*) filter (where b.kind = 'mail.receipt') as receipts,
    (select count(*) from ops.audit_log a where a.action = 'order.resend' and a.subject = 'order:' || o.id and a.details ->> 'was_waiting' = 'false') as again
  from ops.outbox b where b.aggregate_id = o.id and b.status <> 'replaced') e
where $4 and o.delivered_at is not null and o.id not in (select order_id from replaced)
  and (e.codes, e.gifts, e.receipts) <> case o.delivery_type when 'gift' then (0::bigint, 1 + e.again, 1::bigint) else (1 + e.again, 0::bigint, 0::bigint) end
union all
select 'outbox', b.kind || ' ' || b.id || ' is ' || b.status
from o join ops.outbox b on b.aggregate_id = o.id where $4 and b.status in ('pending', 'dead') and b.kind like any (array['order.%', 'mail.%'])
union all
select 'alerts', o.id || ' is under review because of ' || o.review_reason || ' without an open alert'
from o where o.status = 'manual_review' and not exists (select from alert a where a.order_id = o.id and a.type = o.review_reason)
union all
select 'alerts', o.id || ' is ' || o.status || ' ' || coalesce(o.review_reason, '') || ' and its alert ' || a.type || ' is open'
from o join alert a on a.order_id = o.id join f on f.id = o.id
where a.type in ('no_codes_available', 'amount_mismatch', 'currency_mismatch', 'underpaid') and a.type is distinct from o.review_reason
  and not (a.type = 'currency_mismatch' and f."foreign")
union all
select 'heard', o.id || ' is ' || o.status || ': the provider has the money, its bill is known, and it is not in'
from o join f on f.id = o.id join y on y.order_id = o.id
where f.money and f.attached and o.paid_at is null and ($4 or not exists (select from parked w where w.merchant_ref in (f.id::text, f.bill)))
union all
select 'heard', o.id || ' is ' || o.status || ': paid, and nobody has paid' from o join f on f.id = o.id where o.paid_at is not null and not (f.money and f.attached)
union all
select 'notices', w.event_type || ' of ' || f.bill || ' is parked: ' || coalesce(w.error, 'not settled')
from f join parked w on w.bill_id = f.bill or (w.merchant_ref = f.id::text and w.event_type = 'payment.notice')
where f.attached and ($4 or w.error is not null)
