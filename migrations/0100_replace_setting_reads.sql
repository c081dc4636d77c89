-- A tenant's settings, read quickly.
--
-- They were built from all defaults at every read, 0.4 ms each time, and read once for each row by whoever asks in a condition (is this code
-- sellable for long enough?); shop.next_look, called by every order, read two settings for each of 31 times: 30 ms of an order's 45. Now the
-- defaults are part of a plan that lives as long as the connection, and shop.next_look reads the settings once. Called as before.
--
-- Rejected: a table of defaults, which everybody who adds a setting would have to keep. The price: a migration that changes
-- ops.setting_defaults() replaces ops.tenant_settings() as well, so that plans made before are made again.
set local role lonieve_owner;

create or replace function ops.tenant_settings(p_tenant_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (select ops.setting_defaults() || t.settings from shop.tenants t where t.id = p_tenant_id);
end
$$;

create or replace function ops.tenant_setting(p_tenant_id uuid, p_name text) returns numeric
language plpgsql stable set search_path = '' as $$
begin
  return (select coalesce(t.settings ->> p_name, ops.setting_defaults() ->> p_name)::numeric from shop.tenants t where t.id = p_tenant_id);
end
$$;

create or replace function shop.next_look(o shop.orders, y shop.payments, p_after timestamptz) returns timestamptz
language sql stable set search_path = '' as $$
  with s as materialized (
    select ops.tenant_setting(o.tenant_id, 'poll_first_s')::double precision as first, ops.tenant_setting(o.tenant_id, 'poll_growth')::double precision as growth)
  select min(t.at)
  from s,
    lateral (
      select y.created_at + make_interval(secs => least(s.first * power(s.growth, n), 1e9)) as at
      from generate_series(0, 30) n
      where s.first * power(s.growth, n) < extract(epoch from o.expires_at - y.created_at)
      union all
      select o.expires_at + h from unnest(array[interval '1 hour', interval '6 hours', interval '24 hours']) h) t
  where t.at > p_after
$$;
