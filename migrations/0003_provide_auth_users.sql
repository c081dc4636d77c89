-- auth.users, where nobody else provides it.
--
-- What: hosted Supabase has a schema `auth` of its own, owned by somebody else, with the people who can sign in. Plain Postgres
-- has none, and a developer needs a place for the demo staff. So the table is made only where it is missing; one that exists is
-- never touched.
--
-- Nothing refers to it by a foreign key: on hosted projects that would need rights on a foreign table. Tables here store a user's id
-- as a plain uuid, and staff rights come from `shop.staff_members`.
--
-- The look-up goes through the catalogue because `to_regclass('auth.users')` fails with 42501 for a role without USAGE on `auth`.

do $$
begin
  if exists (select from pg_catalog.pg_namespace where nspname = 'auth') then
    return;
  end if;
  create schema auth authorization lonieve_owner;
  set local role lonieve_owner;
  create table auth.users (
    id uuid constraint users_pkey primary key default gen_random_uuid(),
    email text constraint users_email_key unique constraint users_email_lower check (email = lower(email)),
    created_at timestamptz not null default now()
  );
  alter table auth.users enable row level security;
  comment on schema auth is 'Stand-in for Supabase''s schema of the same name, made because there was none.';
  comment on table auth.users is 'People who can sign in. Only on plain Postgres; Supabase brings its own.';
end
$$;
