-- The copilot's log (L-130).
--
-- What: one row per question a member of staff asked, with the intent it was understood as, the call that answered it and how long that
-- took. Written by the copilot Worker with the asker's own token, after the answer; read by the report of popular intents.
--
-- `sql_executed` keeps its name from the document, but holds the name and arguments of one allow-listed function: no SQL is ever
-- taken from a question (LD-112). `response` is the answer without its rows: the rows of "best customers" are addresses, and the
-- call beside it says how to get them again. Intents are one list, the longer of the document's two (LD-114), with `unknown` for
-- questions that were not understood: those are what shows where the parser should grow.
--
-- Never raises for what it is given: a question that is too long or an intent it does not know is stored cut or as `unknown`. Not being
-- staff is the one refusal, and then there is nothing to log. The limits are looser than the Worker's on purpose.
--
-- Rejected: writing the row inside the functions that answer. They only read, and PostgREST runs them in a read-only transaction.

set local role lonieve_owner;

create table ai.ai_queries (
  id uuid constraint ai_queries_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint ai_queries_tenant_id_fkey references shop.tenants (id) on delete restrict,
  user_id uuid not null,
  conversation_id uuid,
  query_text text not null,
  query_intent text not null constraint ai_queries_query_intent_known check (query_intent in
    ('revenue', 'profit', 'orders', 'top_products', 'top_customers', 'channels', 'alerts', 'unit_economics', 'unknown')),
  sql_executed text,
  response text,
  response_time_ms integer constraint ai_queries_response_time_not_negative check (response_time_ms >= 0),
  created_at timestamptz not null default now()
);
alter table ai.ai_queries enable row level security;
create index idx_ai_queries_user on ai.ai_queries (user_id);
-- Also serves every reader that knows only the tenant.
create index idx_ai_queries_created on ai.ai_queries (tenant_id, created_at);
comment on table ai.ai_queries is 'Questions of the staff to the copilot, one row each.';
comment on column ai.ai_queries.user_id is 'Who asked; auth.users.id, no foreign key, that table may belong to somebody else.';
comment on column ai.ai_queries.conversation_id is 'Groups the questions of one chat. Given by the client, so it proves nothing.';
comment on column ai.ai_queries.sql_executed is 'The allow-listed function that answered, with its arguments; null where none was called.';
comment on column ai.ai_queries.response is 'The answer as JSON, without its rows.';

create function api.log_ai_query(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_intent text := p ->> 'intent';
  v_ms numeric := case when jsonb_typeof(p -> 'response_time_ms') = 'number' then (p ->> 'response_time_ms')::numeric end;
  v_id uuid;
begin
  insert into ai.ai_queries (tenant_id, user_id, conversation_id, query_text, query_intent, sql_executed, response, response_time_ms)
  values (v_tenant, ops.request_user(), ops.try_uuid(p ->> 'conversation_id'), left(coalesce(p ->> 'query', ''), 1000),
    case when v_intent in ('revenue', 'profit', 'orders', 'top_products', 'top_customers', 'channels', 'alerts', 'unit_economics')
      then v_intent else 'unknown' end,
    left('api.' || (p ->> 'function') || '(' || coalesce((p -> 'parameters')::text, '') || ')', 2000),
    left((p -> 'response')::text, 8000),
    least(greatest(v_ms, 0), 2147483647)::integer)
  returning id into v_id;
  return jsonb_build_object('outcome', 'ok', 'id', v_id);
end
$$;
comment on function api.log_ai_query(jsonb) is
  'Staff (viewer). p: query, intent, function, parameters, response, response_time_ms, conversation_id. Stores one question of the caller. {outcome: ok, id}.';

create function api.get_popular_intents(days integer default 7)
returns table (query_intent text, questions bigint, average_response_time_ms numeric)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  v_tenant uuid := ops.require_staff('viewer');
  v_since timestamptz := now() - make_interval(days => least(greatest(coalesce(days, 7), 1), 3660));
begin
  return query
  select q.query_intent, count(*), round(avg(q.response_time_ms), 2)
  from ai.ai_queries q
  where q.tenant_id = v_tenant and q.created_at >= v_since
  group by q.query_intent
  order by count(*) desc, q.query_intent;
end
$$;
comment on function api.get_popular_intents(integer) is 'Staff (viewer). What staff asked the copilot about in the last days (a rolling window, 7 by default), most frequent first.';

grant execute on function api.log_ai_query(jsonb) to authenticated;
grant execute on function api.get_popular_intents(integer) to authenticated;
