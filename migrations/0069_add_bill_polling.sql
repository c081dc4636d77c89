-- Polling: bills whose notice may be lost (L-158, LD-34).
--
-- Called by jobs each minute: `api.due_bills` hands out bills it is time to ask the provider about, jobs asks and settles what has changed through
-- api.settle_payment like any notice, and `api.finish_looks` says when each is asked about next.
--
-- When: `poll_first_s` after the order, and each time `poll_growth` times later, until the bill expires (2, 6, 18, 54 minutes for a bill of an hour).
-- The look at the end belongs to expire_orders, which frees no code without it. Then 1, 6 and 24 hours after the end, because a bill can
-- be paid late and that notice can be lost too. After that the daily reconciliation finds it. A failed order is asked about like a
-- pending one: the shopper may have tried again on the same page. So is one that was paid in part, while it waits for the rest.
--
-- Under v1 a notice may come before its bill is known here. It proves nothing alone, so it could not be settled when the bill appeared;
-- the bill is handed out at once instead.
--
-- A bill that is handed out is not handed out again for five minutes, so two runs ask about different bills, and one that dies costs
-- that long. Where the provider gave no usable answer it is asked again after ten minutes, for two days after the bill's end.
--
-- The order is not changed here, only the payment's row, and only if nobody has either: nothing of the money moves. An order that is being
-- worked on is passed over together with its payment, since whoever has the order comes for the payment next. `finish_looks` passes over a
-- bill that somebody has, too: runs of expire_orders and fulfil_waiting hold many payments in the order of their own lists, and two that
-- wait for each other's rows are a deadlock. Such a bill is asked about again five minutes after it was handed out.
--
-- Rejected: asking about every open bill each minute (a provider's rate limit, and a tick's 40 requests, are soon used up); a counter of
-- looks (a look that was late would shift all that follow).

set local role lonieve_owner;

create function shop.next_look(o shop.orders, y shop.payments, p_after timestamptz) returns timestamptz
language sql stable set search_path = '' as $$
  select min(t.at)
  from (select ops.tenant_setting(o.tenant_id, 'poll_first_s')::double precision as first, ops.tenant_setting(o.tenant_id, 'poll_growth')::double precision as growth) s,
    lateral (
      select y.created_at + make_interval(secs => least(s.first * power(s.growth, n), 1e9)) as at
      from generate_series(0, 30) n
      where s.first * power(s.growth, n) < extract(epoch from o.expires_at - y.created_at)
      union all
      select o.expires_at + h from unnest(array[interval '1 hour', interval '6 hours', interval '24 hours']) h) t
  where t.at > p_after
$$;
comment on function shop.next_look(shop.orders, shop.payments, timestamptz) is 'When the provider is asked about this unpaid bill next after p_after; null when it has been asked often enough.';

create function shop.is_worth_a_look(o shop.orders) returns boolean
language sql immutable set search_path = '' as $$
  select o.paid_at is null or shop.waits_for_the_rest(o)
$$;
comment on function shop.is_worth_a_look(shop.orders) is 'Could the provider know of money for this order that is not booked here?';

create function api.due_bills(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_limit integer := least(greatest(coalesce((p ->> 'limit')::integer, 10), 0), 50);
  v_bills jsonb := '[]'::jsonb;
  r record;
begin
  -- What has been paid since needs no look.
  update shop.payments set next_look_at = null where id in (
    select y.id from shop.payments y join shop.orders o on o.id = y.order_id
    where y.next_look_at <= v_now and not shop.is_worth_a_look(o) order by y.id limit 200 for update of y skip locked for key share of o skip locked);
  for r in
    with parked as (
      -- After a day the provider has given up repeating its notice; the looks by time go on.
      select distinct ops.try_uuid(l.merchant_ref) as order_id from ops.webhook_logs l
      where not l.processed and l.outcome = 'parked' and l.event_type = 'payment.notice' and l.created_at > v_now - interval '1 day' and l.created_at <= v_now
    ), candidates as (
      select y.id, true as is_announced from parked k join shop.payments y on y.order_id = k.order_id
      where y.bill_id is not null and (y.looked_at is null or y.looked_at <= v_now - interval '5 minutes')
      union
      (select y.id, false from shop.payments y join shop.orders o on o.id = y.order_id
       where y.next_look_at <= v_now and y.bill_id is not null and shop.is_worth_a_look(o) and y.order_id not in (select k.order_id from parked k where k.order_id is not null)
       order by y.next_look_at, y.id limit 2 * v_limit))
    select y.id, y.order_id, y.bill_id, y.currency, y.amount, y.status, c.is_announced
    from candidates c join shop.payments y on y.id = c.id join shop.orders o on o.id = y.order_id
    -- Asked again of the row as it is when it is locked: another run may have handed it out since this one looked.
    where case when c.is_announced then y.looked_at is null or y.looked_at <= v_now - interval '5 minutes' else y.next_look_at <= v_now end
    order by not c.is_announced, y.next_look_at, y.id limit v_limit for update of y skip locked for key share of o skip locked
  loop
    update shop.payments set looked_at = v_now, next_look_at = v_now + interval '5 minutes' where id = r.id;
    v_bills := v_bills || jsonb_build_array(jsonb_build_object('order_id', r.order_id, 'bill_id', r.bill_id, 'currency', r.currency,
      'amount', ops.money(r.amount), 'status', r.status, 'announced', r.is_announced));
  end loop;
  return jsonb_build_object('bills', v_bills);
end
$$;
comment on function api.due_bills(jsonb) is
  'Role: edge_jobs. p: now, limit (at most 50). {bills: [{order_id, bill_id, currency, amount, status (of the payment), announced (a v1 notice of it is parked)}]}; they are not handed out again for five minutes.';

create function api.finish_looks(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := ops.request_time(p);
  v_count integer;
begin
  with looked as (
    select b.value #>> '{}' as bill_id, k.what from unnest(array['answered', 'unanswered', 'returned']) k (what),
      lateral jsonb_array_elements(coalesce(p -> k.what, '[]'::jsonb)) b
  ), held as (
    select y.id, k.what, o, y from looked k join shop.payments y on y.bill_id = k.bill_id join shop.orders o on o.id = y.order_id
    order by y.id for update of y skip locked for key share of o skip locked)
  update shop.payments y set looked_at = case when h.what <> 'returned' then y.looked_at end, next_look_at = case
      when not shop.is_worth_a_look(h.o) then null
      when h.what = 'returned' then v_now
      when h.what = 'answered' then shop.next_look(h.o, h.y, v_now)
      when v_now < (h.o).expires_at + interval '2 days' then v_now + interval '10 minutes' end
  from held h where y.id = h.id;
  get diagnostics v_count = row_count;
  return jsonb_build_object('outcome', 'ok', 'bills', v_count);
end
$$;
comment on function api.finish_looks(jsonb) is
  'Role: edge_jobs. p: now, answered, unanswered, returned (not asked about) (ids of bills that were handed out). Says when each is handed out next; one whose payment is busy stays as due_bills left it. {outcome: ok, bills: how many were set}.';
