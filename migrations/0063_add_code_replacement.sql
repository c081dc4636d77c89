-- api.replace_code: a code that turned out bad leaves circulation, and whoever had it gets another.
--
-- Called by the admin Worker in the member's own name (POST /api/admin/codes/{id}/replace). What happens follows from the code's state:
--
--   available   revoked (ledger `revoked`); there is nobody to give another to
--   reserved    revoked (ledger `replaced`), and another free code is reserved in its place; no mail, nothing was delivered
--   sold        the same, the other one is sold at once (ledger `sold`), and its mail follows: to the buyer, or to the recipient of a gift
--   revoked     nothing; `code_already_revoked`, or, where this very call had done it (same note), its answer again
--
-- The other code is of the same product, face value, currency and tenant, soonest expiry first, as in every sale. Where there is none, nothing
-- changes at all (`out_of_stock`): an order that loses its code without getting another would be delivered in name only, and the owner, who is
-- told so at once, imports codes and asks again.
--
-- Money: a code that was sold and turned out bad was bought all the same. It keeps its order row, and shop.compute_totals counts it: the cost
-- of the row is what all its codes cost, the dead ones too, so the loss shows in the order's profit and true_profit until a supplier makes it
-- good. A code that was only reserved, or free, belongs to no order; its cost is a loss of the stock (the revoked codes without an order row).
--
-- Mail: a row that still waits renders the new code by itself and is made due. One that somebody has claimed may be on its way with the
-- old code, so it gets a successor of its own.
--
-- Locks: order, payments, code, then the free code (SKIP LOCKED), then outbox, as everywhere. The order is known only from the code's row,
-- which is not locked yet: so it is looked at, the order is locked, the code is locked and looked at again. A code that moved meanwhile
-- gives those locks back and starts over; LV003 is raised inside and never leaves.
--
-- Rejected: replacing by a column on the code (the ledger's `replaced` row names the successor); a new status for bad codes (every reader
-- of `revoked` means exactly that: no longer in circulation).

set local role lonieve_owner;

create function shop.lock_code(p_tenant_id uuid, p_code_id uuid) returns shop.gift_codes
language plpgsql volatile set search_path = '' as $$
declare
  g shop.gift_codes;
  v_item uuid;
begin
  for attempt in 1..5 loop
    select c.order_item_id into v_item from shop.gift_codes c where c.tenant_id = p_tenant_id and c.id = p_code_id;
    if not found then
      return null;
    end if;
    begin
      perform from shop.orders o where o.id = (select it.order_id from shop.order_items it where it.id = v_item) for update;
      perform from shop.payments y where y.order_id = (select it.order_id from shop.order_items it where it.id = v_item) order by y.id for update;
      select * into g from shop.gift_codes c where c.id = p_code_id for update;
      if g.order_item_id is not distinct from v_item then
        return g;
      end if;
      raise exception 'moved' using errcode = 'LV003';
    exception when sqlstate 'LV003' then
      null; -- the block has given its locks back
    end;
  end loop;
  raise exception 'the code does not stand still' using errcode = 'lock_not_available';
end
$$;
comment on function shop.lock_code(uuid, uuid) is
  'A code of a tenant with its row locked, and before it the order it belongs to and that order''s payments; null where there is no such code.';

create function shop.take_free_code_like(g shop.gift_codes, p_status text, p_now timestamptz) returns uuid
language plpgsql volatile set search_path = '' as $$
declare
  v_id uuid;
begin
  select f.id into v_id from shop.gift_codes f
  where f.product_id = g.product_id and f.nominal = g.nominal and f.status = 'available' and f.tenant_id = g.tenant_id and f.currency = g.currency
    and (f.expires_at is null
      or f.expires_at > p_now + make_interval(days => ops.tenant_setting(g.tenant_id, 'code_expiry_margin_days')::int))
  order by f.expires_at, f.imported_at, f.id
  limit 1
  for update skip locked;
  update shop.gift_codes f set status = p_status, order_item_id = g.order_item_id, sold_at = case p_status when 'sold' then p_now end where f.id = v_id;
  return v_id;
end
$$;
comment on function shop.take_free_code_like(shop.gift_codes, text, timestamptz) is
  'Takes a free code like this one, soonest expiry first, for the same order row; null where there is none. The caller writes the ledger.';

create function shop.mail_codes_anew(o shop.orders, p_now timestamptz) returns void
language plpgsql volatile set search_path = '' as $$
declare
  v_kind text := case o.delivery_type when 'gift' then 'mail.gift' else 'mail.codes' end;
  v_waiting uuid;
begin
  -- FOR UPDATE waits for a claim that is at this row, and then sees its lease.
  select b.id into v_waiting from ops.outbox b
  where b.aggregate_id = o.id and b.status = 'pending' and b.kind in (v_kind, 'order.delivered') and b.locked_until is null
  order by b.seq limit 1 for update;
  if found then
    update ops.outbox set next_attempt_at = least(next_attempt_at, p_now) where id = v_waiting;
  else
    perform ops.enqueue(o.tenant_id, v_kind, o.id, jsonb_build_object('order_id', o.id), p_now);
    update shop.orders set email_status = 'pending' where id = o.id;
  end if;
end
$$;
comment on function shop.mail_codes_anew(shop.orders, timestamptz) is
  'Mails the codes an order has now: with the row that waits, or with a new one where none does or it may be on its way.';

create function shop.replacement_json(p_code_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('outcome', 'ok', 'order_id', l.order_id,
    'code', jsonb_build_object('id', g.id, 'last4', g.code_last4, 'status', g.status),
    'replacement', case when n.id is not null then jsonb_build_object('id', n.id, 'last4', n.code_last4, 'status', n.status) end)
  from shop.gift_codes g
  join lateral (
    select m.order_id, m.details from shop.code_ledger m
    where m.code_id = g.id and m.entry in ('revoked', 'replaced') order by m.seq desc limit 1) l on true
  left join shop.gift_codes n on n.id = ops.try_uuid(l.details ->> 'replaced_by')
  where g.id = p_code_id
$$;
comment on function shop.replacement_json(uuid) is 'What became of a code that was taken out of circulation, from its ledger.';

create function api.replace_code(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('manager');
  v_note text := btrim(coalesce(p ->> 'reason', ''));
  v_now timestamptz := now();
  v_new uuid;
  g shop.gift_codes;
  o shop.orders;
begin
  if length(v_note) not between 1 and 500 then
    raise exception 'reason must have 1 to 500 characters' using errcode = '22023';
  end if;
  g := shop.lock_code(v_tenant, ops.try_uuid(p ->> 'code_id'));
  if g.id is null then
    return jsonb_build_object('outcome', 'code_not_found');
  end if;
  if g.status = 'revoked' then
    -- The key `note` is in no row but those of this function.
    if exists (select from shop.code_ledger l where l.code_id = g.id and l.entry in ('revoked', 'replaced') and l.details ->> 'note' = v_note) then
      return shop.replacement_json(g.id);
    end if;
    return jsonb_build_object('outcome', 'code_already_revoked');
  end if;
  select ord.* into o from shop.orders ord join shop.order_items it on it.order_id = ord.id where it.id = g.order_item_id;
  if g.status <> 'available' then
    v_new := shop.take_free_code_like(g, g.status, v_now);
    if v_new is null then
      return jsonb_build_object('outcome', 'out_of_stock');
    end if;
  end if;
  update shop.gift_codes set status = 'revoked', order_item_id = case g.status when 'sold' then g.order_item_id end where id = g.id;
  if v_new is null then
    perform ops.append_ledger(v_tenant, g.id, 'revoked', null, v_now, jsonb_build_object('note', v_note));
  else
    perform ops.append_ledger(v_tenant, g.id, 'replaced', o.id, v_now, jsonb_build_object('note', v_note, 'replaced_by', v_new));
    perform ops.append_ledger(v_tenant, v_new, g.status, o.id, v_now, jsonb_build_object('replaces', g.id));
  end if;
  if g.status = 'sold' then
    perform shop.compute_totals(o.id);
    perform shop.mail_codes_anew(o, v_now);
  end if;
  perform ops.audit(v_tenant, 'code.replace', 'code:' || g.id,
    jsonb_build_object('note', v_note, 'was', g.status, 'order_id', o.id, 'replaced_by', v_new));
  return shop.replacement_json(g.id);
end
$$;
comment on function api.replace_code(jsonb) is
  'Role: authenticated, staff from manager up; audited. p: code_id, reason (1 to 500 characters). {outcome: ok, order_id, code: {id, last4, status}, replacement: the same or null}; again for a repeat with the same reason. code_not_found; code_already_revoked; out_of_stock (nothing changed).';
