-- A host that was taken out of service is nobody's (L-114 to L-116).
--
-- What: `ops.resolve_tenant` is replaced. It skipped a domain with status `inactive` as if it had never been entered, so that on a
-- deployment with a default tenant such a host showed the default shop's pages under another shop's name. Now a host that is known decides
-- alone: its tenant if domain and tenant are active, else nobody. Only a host without a row lets `Origin`, then the default, speak.
--
-- A theme is checked when it is written: colours as `#RRGGBB`, a logo as an address or a path, texts as texts. Mails and pages fill in what is
-- missing (primary #D4AF37 on background #0A0A0A, L-115: `ops.tenant_theme`), and would do so for a colour they cannot use, but whoever
-- set it should hear of it.
--
-- A time zone is checked too: one that Postgres does not know stopped the reports that go over all tenants.
--
-- `ops.is_own_origin` is the rule of `api.check_origin` in a place where other doors can use it without a second trip.
--
-- Callers: every public function of `api` (resolve_tenant); check_origin and assign_experiments (is_own_origin).
-- Rejected: deleting the row of a domain instead of switching it off (the next shop to enter the name would get its visitors and its mail
-- links, silently).

set local role lonieve_owner;

create or replace function ops.resolve_tenant(p jsonb) returns uuid
language plpgsql stable set search_path = '' as $$
declare
  v_host text;
  v_row record;
begin
  foreach v_host in array array[p ->> 'host', p ->> 'origin_host'] loop
    select t.id, t.status = 'active' and d.status = 'active' as is_active into v_row
    from shop.domains d join shop.tenants t on t.id = d.tenant_id
    where d.domain = lower(v_host);
    if found then
      -- Falling through would show a suspended shop's visitors, or those of a host taken out of service, another shop.
      return case when v_row.is_active then v_row.id end;
    end if;
  end loop;
  return (select t.id from shop.tenants t where t.id = ops.try_uuid(p ->> 'default_tenant') and t.status = 'active');
end
$$;
comment on function ops.resolve_tenant(jsonb) is
  'The tenant of a public request: p.host, else p.origin_host (beacons and cross-site forms), else p.default_tenant, else null. A host that is known decides alone: null where it or its tenant is not active.';

create function ops.theme_is_valid(p_theme jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select p_theme is null or (jsonb_typeof(p_theme) = 'object' and not exists (
    select from jsonb_each(p_theme) m
    where case m.key
      when 'colors' then case when jsonb_typeof(m.value) = 'object' then exists (
          select from jsonb_each(m.value) c where jsonb_typeof(c.value) <> 'string' or c.value #>> '{}' !~ '^#[0-9A-Fa-f]{6}$') else true end
      when 'logo' then jsonb_typeof(m.value) <> 'string' or m.value #>> '{}' !~ '^(https://|/([^/\\]|$))[^[:space:]"''<>\\]*$'
      when 'texts' then case when jsonb_typeof(m.value) = 'object' then exists (
          select from jsonb_each(m.value) t where jsonb_typeof(t.value) <> 'string') else true end
      else false end))
$$;
comment on function ops.theme_is_valid(jsonb) is 'colors: {name: "#RRGGBB"}; logo: an https address or a path; texts: {name: text}. Other members are left alone; null is valid.';

alter table shop.tenants
  drop constraint tenants_theme_overrides_object,
  add constraint tenants_theme_overrides_valid check (ops.theme_is_valid(theme_overrides));
comment on column shop.tenants.theme_overrides is 'Over the defaults of ops.tenant_theme(): {"colors": {"primary": "#D4AF37", "background": "#0A0A0A"}, "logo": "/logo.png", "texts": {...}}.';

create function ops.is_own_origin(p_tenant_id uuid, p_origin text) returns boolean
language sql stable set search_path = '' as $$
  select exists (
    select from shop.domains d
    where d.tenant_id = p_tenant_id and d.status = 'active'
      -- Without TLS (a developer's machine) any port will do; a site on the internet is exactly https://<domain>.
      and case when d.ssl_enabled then p_origin = 'https://' || d.domain
               else regexp_replace(p_origin, ':[0-9]{1,5}$', '') in ('http://' || d.domain, 'https://' || d.domain) end)
$$;
comment on function ops.is_own_origin(uuid, text) is 'Is this Origin a page on one of the tenant''s active domains? Exact, scheme and port included.';

create or replace function api.check_origin(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  return jsonb_build_object('outcome', case when ops.is_own_origin(v_tenant, p ->> 'origin') then 'allowed' else 'refused' end);
end
$$;

create function ops.is_time_zone(p_name text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  perform timestamptz '2000-01-01 00:00Z' at time zone p_name;
  return true;
exception when invalid_parameter_value then
  return false;
end
$$;
comment on function ops.is_time_zone(text) is 'Does Postgres know this time zone? One it does not would stop every report that goes over all tenants.';

alter table shop.tenants add constraint tenants_time_zone_known check (ops.is_time_zone(time_zone));
