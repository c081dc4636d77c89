-- Small helpers the other files share.
--
-- What: reading a request's `p` argument (time, ids, amounts), printing money and time the one way the contract has, naming the
-- actor, and the trigger that keeps `updated_at`. Called by functions of `ops` and `api` only; nobody else may execute them.
--
-- Amounts leave the database as text with two decimals, never as JSON numbers: "75.00" must not become 75 on its way. Times leave it
-- in UTC with milliseconds whatever the session's time zone is, because mail bodies are rendered from them and must come out
-- byte for byte the same on a retry.
--
-- Rejected: `::uuid` and `::numeric` on input that a caller typed (they raise, where "not found" or "mismatch" is the answer).

set local role lonieve_owner;

create function ops.touch_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end
$$;
comment on function ops.touch_updated_at() is 'Row trigger: updated_at follows every update.';

create function ops.request_time(p jsonb) returns timestamptz
language sql stable set search_path = '' as $$
  select coalesce((p ->> 'now')::timestamptz, now())
$$;
comment on function ops.request_time(jsonb) is 'The time a function decides by: p.now (RFC 3339) for jobs and tests, else the transaction''s.';

create function ops.try_uuid(p_text text) returns uuid
language sql immutable set search_path = '' as $$
  select case when p_text ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then p_text::uuid end
$$;
comment on function ops.try_uuid(text) is 'A uuid in its hyphenated form, or null.';

create function ops.try_amount(p_text text) returns numeric
language sql immutable set search_path = '' as $$
  select case when p_text ~ '^[0-9]{1,10}(\.[0-9]{1,12})?$' then p_text::numeric end
$$;
comment on function ops.try_amount(text) is 'A plain decimal that is not negative and fits numeric(12,2) in front of the point, or null. Not rounded.';

create function ops.try_time(p_text text) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  -- The pattern keeps out words such as `now` and `infinity`, and times without a zone, which the cast would take.
  if p_text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})$' then
    return p_text::timestamptz;
  end if;
  return null;
exception when data_exception then
  return null; -- 30 February
end
$$;
comment on function ops.try_time(text) is 'An RFC 3339 time, or null.';

create function ops.money(p_amount numeric) returns text
language sql immutable set search_path = '' as $$
  select round(p_amount, 2)::text
$$;
comment on function ops.money(numeric) is 'An amount as the API prints it: two decimals, half up.';

create function ops.iso(p_at timestamptz) returns text
language sql stable set search_path = '' as $$
  select to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
comment on function ops.iso(timestamptz) is 'A time as the API prints it: RFC 3339, UTC, milliseconds, whatever the session''s time zone.';

create function ops.is_json_object(p_value jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select jsonb_typeof(p_value) = 'object'
$$;
comment on function ops.is_json_object(jsonb) is 'For CHECKs on columns that hold a JSON object; null stays null, so a null column passes.';

create function ops.is_email(p_text text) returns boolean
language sql immutable set search_path = '' as $$
  select p_text = lower(p_text) and length(p_text) <= 254 and p_text ~ '^[^@[:space:]]+@[^@[:space:]]+$'
$$;
comment on function ops.is_email(text) is 'Second line behind the Worker: lower-cased, one @, no white space. Lower-casing makes one customer of y@ and Y@.';

create function ops.client_network(p_ip text) returns text
language sql immutable set search_path = '' as $$
  -- One subscriber has a /64 of IPv6 addresses and would otherwise count as many.
  select case when family(p_ip::inet) = 6 then network(set_masklen(p_ip::inet, 64))::text else host(p_ip::inet) end
$$;
comment on function ops.client_network(text) is 'What counts as one client address, for limits per address.';

create function ops.request_user() returns uuid
language sql stable set search_path = '' as $$
  select ops.try_uuid(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
$$;
comment on function ops.request_user() is 'The signed-in user of this PostgREST request (claim sub), or null.';

create function ops.actor() returns text
language sql stable set search_path = '' as $$
  select coalesce('user:' || ops.request_user()::text, nullif(current_setting('role', true), 'none'), session_user::text)
$$;
comment on function ops.actor() is 'Who does this, for ledgers: the user, else the Worker''s role, else the login. The setting `role` keeps the caller''s inside definer functions.';
