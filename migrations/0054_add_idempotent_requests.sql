-- Idempotent requests: a key is claimed, its answer kept or the key freed.
--
-- What: `ops.claim_key`, `keep_answer` and `free_key` are the whole life of a row of ops.idempotency; `shop.claim_order` are the rules of
-- POST /api/orders/create (contracts.md). Called by api.create_order, api.attach_bill and api.fail_order inside their own transactions, so
-- that idempotency costs no trip of its own.
--
--   the key is                                          a repeat gets
--   unknown, or older than 24 hours                     its own order
--   under way, same body                                in_progress
--   done (an order with its bill, or a refusal)         the same answer, `replayed`
--   known, another body                                 key_reused
--   under way for more than 60 seconds                  its own order; the one left behind fails and gives its codes back
--
-- A request that ends in 429 or 5xx frees its key. A request without a key is known by its session and cart; the answer is given again only
-- while that order is pending and younger than a minute, and refusals are not kept.
--
-- The order left behind is failed, not used again: its first request may be slow instead of dead, and two requests that ask the
-- provider for the bill of one order end with two bills, one of which is nobody's. When the slow one comes to attach its bill, the
-- bill is tied to the failed order (late money finds its order) and the request is told `order_closed`: it shows no payment link.
--
-- Locks: a key's row is locked after the bill and before the order, by whoever touches both.
--
-- Rejected: a call of its own to claim or finish (a third trip per order); waiting for the first request (a connection held for
-- as long as the provider takes).

set local role lonieve_owner;

create function ops.claim_key(p_tenant_id uuid, p_route text, p_key text, p_body_sha256 text, p_attempt uuid, p_keep interval, p_now timestamptz)
returns ops.idempotency
language plpgsql set search_path = '' as $$
declare
  k ops.idempotency;
begin
  loop
    -- Waits for whoever inserts the same key at this moment, until that transaction ends.
    insert into ops.idempotency (tenant_id, route, key, body_sha256, attempt_id, locked_until, created_at, expires_at)
    values (p_tenant_id, p_route, p_key, p_body_sha256, p_attempt, p_now + interval '60 seconds', p_now, p_now + p_keep)
    on conflict (tenant_id, route, key) do nothing
    returning * into k;
    exit when found;
    select * into k from ops.idempotency where tenant_id = p_tenant_id and route = p_route and key = p_key for update;
    exit when found; -- else it was freed in between
  end loop;
  return k;
end
$$;
comment on function ops.claim_key(uuid, text, text, text, uuid, interval, timestamptz) is
  'The row of a key, locked: a new one whose attempt_id is p_attempt, or the one that is there.';

create function ops.take_over_key(k ops.idempotency, p_body_sha256 text, p_attempt uuid, p_keep interval, p_now timestamptz) returns void
language sql set search_path = '' as $$
  update ops.idempotency
  set body_sha256 = p_body_sha256, status = 'in_progress', attempt_id = p_attempt, locked_until = p_now + interval '60 seconds', answer = null, replays = 0,
    created_at = p_now, expires_at = p_now + p_keep
  where (tenant_id, route, key) = (k.tenant_id, k.route, k.key)
$$;
comment on function ops.take_over_key(ops.idempotency, text, uuid, interval, timestamptz) is 'Starts a key anew for another attempt. The caller holds its row.';

create function ops.keep_answer(p_attempt uuid, p_answer jsonb) returns void
language sql set search_path = '' as $$
  update ops.idempotency set status = 'done', answer = p_answer where attempt_id = p_attempt and status = 'in_progress'
$$;
comment on function ops.keep_answer(uuid, jsonb) is 'The answer of the request that holds a key; nothing where it holds none (any more).';

create function ops.free_key(p_attempt uuid) returns void
language sql set search_path = '' as $$
  delete from ops.idempotency where attempt_id = p_attempt
$$;
comment on function ops.free_key(uuid) is 'Forgets the key a request holds: the next one under it starts anew.';

create function shop.abandon_order(p_order_id uuid, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
  y shop.payments;
begin
  select * into o from shop.orders where id = p_order_id for update;
  if not found or o.status <> 'pending' then
    return;
  end if;
  select * into y from shop.payments where order_id = o.id order by created_at, id limit 1 for update;
  if y.bill_id is null then
    perform shop.fail_unpaid(o.id, 'abandoned', p_now);
  end if;
end
$$;
comment on function shop.abandon_order(uuid, timestamptz) is 'An order whose request is gone before it had a bill: failed, its codes free.';

create function shop.claim_order(p jsonb, p_tenant_id uuid, p_order_id uuid, p_now timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_by_key boolean := p ->> 'idempotency_key' is not null;
  -- Two routes, so that no key a client chooses can be the name of somebody's cart.
  v_route text := case when v_by_key then 'orders/create' else 'orders/create cart' end;
  v_key text := coalesce(p ->> 'idempotency_key', p ->> 'cart_sha256');
  v_hash text := case when v_by_key then p ->> 'body_sha256' else p ->> 'cart_sha256' end;
  v_keep interval := case when v_by_key then interval '24 hours' else interval '1 minute' end;
  v_live boolean;
  k ops.idempotency;
begin
  if v_key is null then
    return null;
  end if;
  if v_hash is null then
    raise exception 'body_sha256 is required' using errcode = '22023';
  end if;
  k := ops.claim_key(p_tenant_id, v_route, v_key, v_hash, p_order_id, v_keep, p_now);
  if k.attempt_id = p_order_id then
    return null;
  end if;
  v_live := k.expires_at > p_now and (v_by_key or exists (select from shop.orders where id = k.attempt_id and status = 'pending'));
  if v_live and k.body_sha256 <> v_hash then
    return jsonb_build_object('outcome', 'key_reused');
  elsif v_live and k.status = 'done' then
    update ops.idempotency set replays = replays + 1 where attempt_id = k.attempt_id;
    return k.answer || jsonb_build_object('replayed', true);
  elsif v_live and k.locked_until > p_now then
    return jsonb_build_object('outcome', 'in_progress');
  end if;
  if k.status = 'in_progress' then
    perform shop.abandon_order(k.attempt_id, p_now);
  end if;
  perform ops.take_over_key(k, v_hash, p_order_id, v_keep, p_now);
  return null;
end
$$;
comment on function shop.claim_order(jsonb, uuid, uuid, timestamptz) is
  'Null: the request may make its order. Else what it is to answer: key_reused, in_progress, or the kept answer with `replayed`.';

create function shop.end_claim(p jsonb, p_order_id uuid, p_result jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  if p_result ->> 'outcome' = 'created' then
    return; -- the answer is kept when the bill is attached
  end if;
  if p ->> 'idempotency_key' is not null and p_result ->> 'outcome' <> 'too_many_pending' then
    perform ops.keep_answer(p_order_id, p_result);
  else
    perform ops.free_key(p_order_id);
  end if;
end
$$;
comment on function shop.end_claim(jsonb, uuid, jsonb) is 'What becomes of a key when the order was refused: the refusal is kept, or the key is free again.';

create function api.purge_idempotency(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_deleted integer;
begin
  with old as (
    select i.tenant_id, i.route, i.key from ops.idempotency i
    where i.expires_at <= ops.request_time(p)
    order by i.expires_at limit least(greatest(coalesce((p ->> 'limit')::integer, 1000), 0), 5000)
    for update skip locked
  )
  delete from ops.idempotency i using old where (i.tenant_id, i.route, i.key) = (old.tenant_id, old.route, old.key);
  get diagnostics v_deleted = row_count;
  return jsonb_build_object('deleted', v_deleted);
end
$$;
comment on function api.purge_idempotency(jsonb) is
  'Role: edge_jobs. p: now, limit (1000 unless given, at most 5000). Deletes keys that are over, oldest first. {deleted}; fewer than limit: nothing is left.';
grant execute on function api.purge_idempotency(jsonb) to edge_jobs;
