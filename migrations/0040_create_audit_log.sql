-- The audit of staff actions, and who is asking (LD-39).
--
-- What: `audit_log` has one row for each action of a member of staff that changed something, written by the function that changed it, in
-- the same transaction: there is no change without its row. An import is there even where no code came in, since its verdicts tell
-- whether a code is in stock. Append-only. `details` says what changed in words and numbers; it never holds a code, a token or a buyer's
-- address.
--
-- `ops.require_staff` is replaced by the same function with an error code of its own (LV002) for a person who works for several tenants
-- and named none: that is the caller's to correct, and 22023 could not be told from a defect of the Worker.
--
-- `api.check_staff` is called by the admin Worker before work that costs something (sealing ten thousand codes), and before it explains
-- what is wrong with a request: who may not act is told so first, whatever the body holds.
--
-- Rejected: an audit written by the Worker after the call (lost when the Worker dies in between); by trigger (it knows rows, not
-- actions); rows about refusals (the raise that refuses would take them back).

set local role lonieve_owner;

create table ops.audit_log (
  id bigint generated always as identity constraint audit_log_pkey primary key,
  tenant_id uuid not null constraint audit_log_tenant_id_fkey references shop.tenants (id) on delete restrict,
  actor_id uuid not null,
  action text not null constraint audit_log_action_form check (action ~ '^[a-z_]+\.[a-z_]+$'),
  subject text not null,
  details jsonb not null default '{}'::jsonb constraint audit_log_details_object check (ops.is_json_object(details)),
  created_at timestamptz not null default now()
);
alter table ops.audit_log enable row level security;
create index audit_log_created on ops.audit_log (tenant_id, created_at);
create index audit_log_subject on ops.audit_log (subject);
create trigger audit_log_append_only before update or delete or truncate on ops.audit_log
  for each statement execute function ops.refuse_change();
comment on table ops.audit_log is 'Append-only: what members of staff did. No codes, tokens or addresses.';
comment on column ops.audit_log.actor_id is 'auth.users.id of the member of staff; no foreign key, that table may belong to somebody else.';
comment on column ops.audit_log.action is 'codes.import, code.replace, product.create, product.update, order.resend, order.deliver, order.close, order.refund, alert.resolve, outbox.replay, experiment.create, experiment.update, ad_spend.import.';
comment on column ops.audit_log.subject is 'What it was done to: order:<id>, product:<id>, alert:<id>, batch:<id>, code:<id>, outbox:<id>, experiment:<id>.';

create function ops.audit(p_tenant_id uuid, p_action text, p_subject text, p_details jsonb default '{}'::jsonb) returns void
language sql volatile set search_path = '' as $$
  -- The database's own time: p.now comes from the caller, and an audit must not carry a time its actor chose.
  insert into ops.audit_log (tenant_id, actor_id, action, subject, details)
  values (p_tenant_id, ops.request_user(), p_action, p_subject, p_details)
$$;
comment on function ops.audit(uuid, text, text, jsonb) is 'Writes what the signed-in member of staff has just done. After ops.require_staff, in the transaction of the change.';

create or replace function ops.require_staff(p_min_role text) returns uuid
language plpgsql stable set search_path = '' as $$
declare
  v_rank constant text[] := array['viewer', 'manager', 'admin'];
  v_user uuid := ops.request_user();
  v_wanted text := nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-tenant';
  v_rows shop.staff_members[];
begin
  if array_position(v_rank, p_min_role) is null then
    raise exception 'unknown_role' using errcode = '22023';
  end if;
  select array_agg(s) into v_rows
  from shop.staff_members s join shop.tenants t on t.id = s.tenant_id
  where s.user_id = v_user and t.status = 'active' and (v_wanted is null or s.tenant_id = ops.try_uuid(v_wanted));
  if v_rows is null then
    raise exception 'not_staff' using errcode = '42501';
  end if;
  if cardinality(v_rows) > 1 then
    raise exception 'tenant_required' using errcode = 'LV002', hint = 'You work for several tenants: name one in the header X-Tenant.';
  end if;
  if array_position(v_rank, v_rows[1].role) < array_position(v_rank, p_min_role) then
    raise exception 'role_too_low' using errcode = '42501';
  end if;
  return v_rows[1].tenant_id;
end
$$;
comment on function ops.require_staff(text) is
  'The tenant the signed-in user works for with at least this role (viewer < manager < admin); else 42501. Header X-Tenant chooses among several; without it LV002.';

create function api.check_staff(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.require_staff(coalesce(p ->> 'min_role', 'viewer'));
begin
  return (
    select jsonb_build_object('outcome', 'ok', 'tenant_id', t.id, 'tenant_name', t.name, 'role', s.role)
    from shop.tenants t join shop.staff_members s on s.tenant_id = t.id and s.user_id = ops.request_user()
    where t.id = v_tenant);
end
$$;
comment on function api.check_staff(jsonb) is
  'Role: authenticated, staff. p: min_role (viewer by default). {outcome: ok, tenant_id, tenant_name, role}; 42501 below that role, LV002 without X-Tenant where it is needed.';
