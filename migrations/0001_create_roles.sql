-- Roles: who owns the data, who may call what.
--
-- What: `lonieve_owner` owns every schema, table and function and can log in nowhere. Each Worker has a role of its own
-- (`edge_events` ... `edge_admin`), so a leaked token of one Worker opens that Worker's functions and nothing else.
-- `authenticator` is the login PostgREST uses; it becomes one of the others by the role claim of the JWT. `anon` and
-- `authenticated` are the names hosted Supabase already has: there they are left as they are.
--
-- Who runs it: any superuser, or a role with CREATEROLE that owns the database (hosted Supabase's `postgres`), on Postgres 15 to 17.
-- Roles belong to the cluster, not to the database, so every step first looks whether it was done already: a second database of
-- the same cluster, or a second run, changes nothing.
--
-- Postgres 16 changed membership: who creates a role only gets ADMIN on it and must give itself SET and INHERIT. Before 16 a
-- CREATEROLE role could grant itself anything, and the new words are a syntax error; hence the test of `server_version_num`.
--
-- Rejected: Supabase's `service_role` for the Workers (it bypasses row security and can read every table); a password for
-- `authenticator` in this file (it would be the same everywhere; set it with `alter role` when you deploy).

do $$
declare
  v_edge text[] := array['edge_events', 'edge_orders', 'edge_cardlink', 'edge_leads', 'edge_copilot', 'edge_jobs', 'edge_admin'];
  v_new text[] := array[]::text[];
  v_role text;
  v_setting text;
begin
  foreach v_role in array array['lonieve_owner', 'anon', 'authenticated'] || v_edge loop
    if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I nologin', v_role);
      v_new := v_new || v_role;
    end if;
  end loop;
  if not exists (select from pg_catalog.pg_roles where rolname = 'authenticator') then
    -- noinherit: the login itself may do nothing until it has become one of its roles.
    create role authenticator login noinherit;
  end if;

  if exists (select from pg_catalog.pg_roles where rolname = 'lonieve_owner' and (rolsuper or rolcanlogin or rolbypassrls)) then
    raise exception 'role lonieve_owner exists with SUPERUSER, LOGIN or BYPASSRLS: take these away, the owner of the data must not have them';
  end if;

  foreach v_role in array array['anon', 'authenticated'] || v_edge loop
    if not pg_catalog.pg_has_role('authenticator', v_role, 'MEMBER') then
      execute format('grant %I to authenticator', v_role);
    end if;
  end loop;

  -- Limits per role: PostgREST applies them at the start of each call. A call that waits for a row longer than two seconds is
  -- better tried again by the provider or the browser than left holding a connection.
  foreach v_role in array v_edge || v_new loop
    continue when v_role = 'lonieve_owner';
    foreach v_setting in array array[
      'statement_timeout=' || '8s',
      'lock_timeout=2s'
    ] loop
      if not exists (
        select from pg_catalog.pg_roles
        where rolname = v_role and rolconfig is not null and v_setting = any (rolconfig)
      ) then
        execute format('alter role %I set %s = %L', v_role, split_part(v_setting, '=', 1), split_part(v_setting, '=', 2));
      end if;
    end loop;
  end loop;

  -- The connecting role must be able to act as the owner: the later files say `set local role lonieve_owner`.
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    if current_setting('server_version_num')::int >= 160000 then
      if not (pg_catalog.pg_has_role(current_user, 'lonieve_owner', 'SET') and pg_catalog.pg_has_role(current_user, 'lonieve_owner', 'USAGE')) then
        execute format('grant lonieve_owner to %I with set true, inherit true', current_user);
      end if;
    elsif not pg_catalog.pg_has_role(current_user, 'lonieve_owner', 'MEMBER') then
      execute format('grant lonieve_owner to %I', current_user);
    end if;
  end if;

  if 'lonieve_owner' = any (v_new) then
    comment on role lonieve_owner is 'Owns every schema, table and function of lonieve-edge. Logs in nowhere.';
  end if;
exception when insufficient_privilege then
  raise exception using errcode = '42501',
    message = format('%s may not set up the roles of lonieve-edge: %s', current_user, sqlerrm),
    hint = format('It needs CREATEROLE. Where another role made them before (for another database of this cluster), a superuser must say: grant lonieve_owner to %I.', current_user);
end
$$;

-- A new function is executable by PUBLIC unless this says otherwise. Only this form does it: the one with `in schema` can add
-- rights but not take away the built-in one.
alter default privileges for role lonieve_owner revoke execute on functions from public;
