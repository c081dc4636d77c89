-- Schemas: one per domain, and one door.
--
-- What: `shop` (catalogue, orders, money, codes), `analytics` (events, experiments), `crm` (leads and campaigns, later files), `ai`
-- (copilot, later files), `ops` (outbox, logs, alerts, jobs, helpers) and `api`, the only schema PostgREST exposes. `api` holds
-- functions only, so no table can be reached over HTTP whatever its grants are.
--
-- The runner keeps its own table `ops.schema_migrations` and so may have made `ops` before this file: then only the owner changes.
-- Schemas are created "authorization lonieve_owner" by the connecting role, so the owner itself never needs CREATE on the database.
--
-- Rejected: everything in `public` (hosted Supabase exposes it by default); one schema per source document (XD-1: the documents
-- overlap, the domains do not).

create schema if not exists shop authorization lonieve_owner;
create schema if not exists analytics authorization lonieve_owner;
create schema if not exists crm authorization lonieve_owner;
create schema if not exists ai authorization lonieve_owner;
create schema if not exists ops authorization lonieve_owner;
create schema if not exists api authorization lonieve_owner;

do $$
begin
  if (select pg_catalog.pg_get_userbyid(nspowner) from pg_catalog.pg_namespace where nspname = 'ops') <> 'lonieve_owner' then
    alter schema ops owner to lonieve_owner;
  end if;
  if exists (
    select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'ops' and c.relname = 'schema_migrations' and pg_catalog.pg_get_userbyid(c.relowner) <> 'lonieve_owner'
  ) then
    alter table ops.schema_migrations owner to lonieve_owner;
    alter table ops.schema_migrations enable row level security;
  end if;
end
$$;

set local role lonieve_owner;

comment on schema shop is 'Tenants, catalogue, orders, payments and gift codes.';
comment on schema analytics is 'Events of the shop''s visitors, and experiments.';
comment on schema crm is 'Leads and campaigns.';
comment on schema ai is 'The copilot''s log and budget.';
comment on schema ops is 'Outbox, logs, alerts, jobs, and the helpers the other schemas share.';
comment on schema api is 'The only schema PostgREST exposes: functions, no table.';

grant usage on schema api to authenticated;
grant usage on schema api to edge_events;
grant usage on schema api to edge_orders;
grant usage on schema api to edge_cardlink;
grant usage on schema api to edge_leads;
grant usage on schema api to edge_copilot;
grant usage on schema api to edge_jobs;
grant usage on schema api to edge_admin;
