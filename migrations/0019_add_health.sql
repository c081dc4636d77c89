-- api.health: is the database there, and which migration is it at?
--
-- Called by every Worker's /health. The table it reads belongs to the migration runner and may be missing where the files were applied
-- by hand, so it is read by EXECUTE: a plain reference would make the whole answer fail.

set local role lonieve_owner;

create function api.health() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_newest text;
begin
  if pg_catalog.to_regclass('ops.schema_migrations') is not null then
    execute 'select max(file) from ops.schema_migrations' into v_newest;
  end if;
  return jsonb_build_object('ok', true, 'migration', v_newest);
end
$$;
comment on function api.health() is 'Roles: every Worker. {ok, migration: newest applied file or null}.';
