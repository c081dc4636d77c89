-- The ledger of codes: what happened to each, in order, tamper-evident.
--
-- What: one append-only row for each step of a code's life, chained by sha256 to the previous row of the same code. Whoever
-- changes, removes or inserts a row in the middle breaks the chain, and `ops.verify_ledger` (0065) says where. Called by every function
-- that moves a code; the caller holds the code's row lock, which is what makes "the previous row" well defined.
--
-- Rejected: one chain over all codes. It was measured to cap sales at about a third of the throughput, because every sale waits
-- for the one before. The daily digest over all rows, chained day to day, is added in 0065.
--
-- The hashed text is a JSON array, not joined with a separator: no value can imitate a neighbour.

set local role lonieve_owner;

create table shop.code_ledger (
  id bigint generated always as identity constraint code_ledger_pkey primary key,
  tenant_id uuid not null constraint code_ledger_tenant_id_fkey references shop.tenants (id) on delete restrict,
  code_id uuid not null constraint code_ledger_code_id_fkey references shop.gift_codes (id) on delete restrict,
  seq integer not null constraint code_ledger_seq_positive check (seq > 0),
  entry text not null constraint code_ledger_entry_known
    check (entry in ('imported', 'reserved', 'released', 'sold', 'revealed', 'revoked', 'replaced')),
  order_id uuid constraint code_ledger_order_id_fkey references shop.orders (id) on delete restrict,
  actor text not null,
  details jsonb not null default '{}'::jsonb,
  created_at timestamptz not null,
  prev_hash text not null,
  row_hash text not null,
  constraint code_ledger_code_seq_key unique (code_id, seq)
);
alter table shop.code_ledger enable row level security;
create index code_ledger_created on shop.code_ledger (tenant_id, created_at);
create unique index code_ledger_revealed_once on shop.code_ledger (code_id) where entry = 'revealed';
comment on table shop.code_ledger is 'Append-only: every step of every code''s life, chained by hash per code.';
comment on column shop.code_ledger.actor is 'user:<id>, or the role that did it.';
comment on column shop.code_ledger.prev_hash is 'row_hash of the previous row of the same code; empty for its first.';

create function ops.refuse_change() returns trigger
language plpgsql set search_path = '' as $$
begin
  raise exception '%.% is append-only', tg_table_schema, tg_table_name using errcode = '55000';
end
$$;
comment on function ops.refuse_change() is 'Trigger of append-only tables.';
create trigger code_ledger_append_only before update or delete or truncate on shop.code_ledger
  for each statement execute function ops.refuse_change();

create function ops.ledger_hash(r shop.code_ledger) returns text
language plpgsql stable set search_path = '' as $$
begin
  return encode(sha256(convert_to(jsonb_build_array(
    'lonieve.ledger.v1', r.prev_hash, r.tenant_id, r.code_id, r.seq, r.entry, r.order_id, r.actor, r.details,
    to_char(r.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text, 'UTF8')), 'hex');
end
$$;
comment on function ops.ledger_hash(shop.code_ledger) is 'The hash a ledger row must carry: over its content and the previous row''s hash.';

create function ops.append_ledger(p_tenant_id uuid, p_code_id uuid, p_entry text, p_order_id uuid, p_now timestamptz,
                                  p_details jsonb default '{}'::jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  r shop.code_ledger;
begin
  -- A transaction id before a row id: what closes the days (0065) tells by it which row ids may still be on their way.
  perform pg_catalog.pg_current_xact_id();
  select l.seq, l.row_hash into r.seq, r.prev_hash from shop.code_ledger l where l.code_id = p_code_id order by l.seq desc limit 1;
  r.seq := coalesce(r.seq, 0) + 1;
  r.prev_hash := coalesce(r.prev_hash, '');
  r.tenant_id := p_tenant_id;
  r.code_id := p_code_id;
  r.entry := p_entry;
  r.order_id := p_order_id;
  r.actor := ops.actor();
  r.details := p_details;
  r.created_at := p_now;
  insert into shop.code_ledger (tenant_id, code_id, seq, entry, order_id, actor, details, created_at, prev_hash, row_hash)
  values (r.tenant_id, r.code_id, r.seq, r.entry, r.order_id, r.actor, r.details, r.created_at, r.prev_hash, ops.ledger_hash(r));
end
$$;
comment on function ops.append_ledger(uuid, uuid, text, uuid, timestamptz, jsonb) is
  'Adds a row to a code''s chain. The caller has locked the code''s row (or has just inserted it).';

create function ops.verify_codes(p_after uuid, p_through uuid) returns table (code_id uuid, seq integer, problem text)
language sql stable set search_path = '' as $$
  with chain as (
    select l as r, l.code_id, l.seq, l.prev_hash, l.row_hash,
           lag(l.row_hash, 1, '') over w as expected_prev, lag(l.seq, 1, 0) over w + 1 as expected_seq
    from shop.code_ledger l
    where l.code_id > p_after and l.code_id <= p_through
    window w as (partition by l.code_id order by l.seq)
  ), last_move as (
    select distinct on (l.code_id) l.code_id, l.seq, l.entry
    from shop.code_ledger l
    where l.entry <> 'revealed' and l.code_id > p_after and l.code_id <= p_through
    order by l.code_id, l.seq desc
  )
  select c.code_id, c.seq, 'a row is missing before this one' from chain c where c.seq <> c.expected_seq
  union all
  select c.code_id, c.seq, 'does not continue the previous row' from chain c where c.prev_hash <> c.expected_prev
  union all
  select c.code_id, c.seq, 'content does not match its hash' from chain c where c.row_hash <> ops.ledger_hash(c.r)
  union all
  select coalesce(g.id, m.code_id), m.seq,
    case when g.id is null then 'the code itself is gone' else 'code is ' || g.status || ', ledger says ' || coalesce(m.entry, 'nothing') end
  from (select c.id, c.status from shop.gift_codes c where c.id > p_after and c.id <= p_through) g
  full join last_move m on m.code_id = g.id
  where g.status is distinct from case m.entry when 'imported' then 'available' when 'released' then 'available' when 'reserved' then 'reserved'
                                             when 'sold' then 'sold' when 'revoked' then 'revoked' when 'replaced' then 'revoked' end
$$;
comment on function ops.verify_codes(uuid, uuid) is
  'Every fault in the chains of the codes with ids in (after, through]: broken chain, changed row, or a code whose state the ledger does not explain. ops.verify_ledger asks it, and for the days too.';
