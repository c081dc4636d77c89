-- Tenants: the shops, their host names and their staff (L-114..L-116).
--
-- What: `tenants` with one currency and time zone each; `domains`, by which a public request finds its tenant; `staff_members`, the
-- only source of staff rights (never a JWT's `user_metadata`, which users can write themselves).
-- Settings are one jsonb column, read through `ops.tenant_settings` only, so that every default stands in one place.
--
-- The pair (id, currency) is unique so that products and codes can refer to both at once: one currency per tenant is then a foreign
-- key, not a habit.
--
-- Rejected: a column per setting (each new one would be a migration); a tenant id in the request (a browser could name any).

set local role lonieve_owner;

create function ops.setting_defaults() returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'bill_ttl_s', 3600,              -- how long a bill can be paid and its codes stay reserved
    'reservation_grace_s', 600,      -- how much longer the codes stay reserved once the bill has expired
    'max_unpaid_units', 20,          -- unpaid units per e-mail, session and address
    'max_unpaid_share', 50,          -- percent of a nominal's stock that may be reserved and unpaid
    'code_expiry_margin_days', 7,    -- a code that expires sooner than this is not sold
    'fee_percent', 2.9,              -- the payment provider's fee: percent of the amount ...
    'fee_fixed', 0.30,               -- ... plus this much per payment
    'fee_refund_percent', 0,         -- percent of its fee the provider returns with a refund; most keep all of it
    'refund_revoke_unused', 1,       -- 1: asking for a full refund takes codes nobody has seen out of circulation at once; 0: once it is done
    'poll_first_s', 120,             -- an unpaid bill is asked about this long after the order ...
    'poll_growth', 3,                -- ... and then each time this many times later: 2, 6, 18, 54 minutes
    'pending_alert_s', 7200,         -- an order that is pending for longer is an alert (L-120)
    'low_stock_below', 10,           -- fewer free codes of a face value on offer are an alert (L-19) ...
    'low_stock_days', 7,             -- ... and so is stock for fewer days ...
    'sales_rate_days', 14            -- ... at the rate of this many last days
  )
$$;
comment on function ops.setting_defaults() is 'Every setting a tenant can override in shop.tenants.settings, with its default. All are numbers.';

create function ops.settings_are_valid(p_settings jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select jsonb_typeof(p_settings) = 'object'
    and not exists (
      select from jsonb_each(p_settings) s
      where ops.setting_defaults() ? s.key
        and case when jsonb_typeof(s.value) <> 'number' then true
                 when s.key = 'bill_ttl_s' then (s.value #>> '{}')::numeric not between 300 and 604800
                 when s.key in ('max_unpaid_share', 'fee_percent', 'fee_refund_percent') then (s.value #>> '{}')::numeric not between 0 and 100
                 when s.key = 'poll_first_s' then (s.value #>> '{}')::numeric not between 60 and 86400
                 when s.key = 'poll_growth' then (s.value #>> '{}')::numeric not between 1.5 and 100
                 when s.key = 'sales_rate_days' then (s.value #>> '{}')::numeric not between 1 and 365
                 else (s.value #>> '{}')::numeric not between 0 and 1000000 end)
    and not exists (
      select from jsonb_each(p_settings) s
      where s.key in ('site_url', 'support_email') and jsonb_typeof(s.value) not in ('string', 'null'))
$$;
comment on function ops.settings_are_valid(jsonb) is 'Known settings have the right type and range; unknown ones are left alone.';

create table shop.tenants (
  id uuid constraint tenants_pkey primary key default gen_random_uuid(),
  name text not null,
  primary_domain text not null constraint tenants_primary_domain_key unique
    constraint tenants_primary_domain_lower check (primary_domain = lower(primary_domain) and primary_domain !~ '[:/[:space:]]'),
  currency text not null default 'USD' constraint tenants_currency_iso check (currency ~ '^[A-Z]{3}$'),
  time_zone text not null default 'UTC',
  theme_overrides jsonb constraint tenants_theme_overrides_object check (ops.is_json_object(theme_overrides)),
  settings jsonb not null default '{}'::jsonb constraint tenants_settings_valid check (ops.settings_are_valid(settings)),
  status text not null default 'active' constraint tenants_status_known check (status in ('active', 'suspended')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint tenants_id_currency_key unique (id, currency)
);
alter table shop.tenants enable row level security;
create trigger tenants_touch before update on shop.tenants for each row execute function ops.touch_updated_at();
comment on table shop.tenants is 'A shop. Everything else belongs to one.';
comment on column shop.tenants.currency is 'The one currency of this shop: its products, codes, orders and reports use no other.';
comment on column shop.tenants.time_zone is 'Where its days begin and end in reports.';
comment on column shop.tenants.settings is 'Overrides of ops.setting_defaults(), and site_url, support_email. Read it through ops.tenant_settings().';

create table shop.domains (
  id uuid constraint domains_pkey primary key default gen_random_uuid(),
  domain text not null constraint domains_domain_key unique
    constraint domains_domain_lower check (domain = lower(domain) and domain !~ '[:/[:space:]]'),
  tenant_id uuid not null constraint domains_tenant_id_fkey references shop.tenants (id) on delete cascade,
  is_primary boolean not null default false,
  ssl_enabled boolean not null default true,
  status text not null default 'active' constraint domains_status_known check (status in ('active', 'inactive')),
  created_at timestamptz not null default now()
);
alter table shop.domains enable row level security;
create unique index domains_one_primary on shop.domains (tenant_id) where is_primary;
create index domains_tenant on shop.domains (tenant_id);
comment on table shop.domains is 'Host names (lower case, no port) under which a tenant is reached.';

create table shop.staff_members (
  user_id uuid not null,
  tenant_id uuid not null constraint staff_members_tenant_id_fkey references shop.tenants (id) on delete cascade,
  role text not null constraint staff_members_role_known check (role in ('viewer', 'manager', 'admin')),
  created_at timestamptz not null default now(),
  constraint staff_members_pkey primary key (user_id, tenant_id)
);
alter table shop.staff_members enable row level security;
create index staff_members_tenant on shop.staff_members (tenant_id);
comment on table shop.staff_members is 'Who works for which tenant, and with what rights. The only source of staff rights.';
comment on column shop.staff_members.user_id is 'auth.users.id; no foreign key, that table may belong to somebody else.';

create function ops.tenant_settings(p_tenant_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select ops.setting_defaults() || t.settings from shop.tenants t where t.id = p_tenant_id
$$;
comment on function ops.tenant_settings(uuid) is 'A tenant''s settings over the defaults.';

create function ops.tenant_setting(p_tenant_id uuid, p_name text) returns numeric
language sql stable set search_path = '' as $$
  select (ops.tenant_settings(p_tenant_id) ->> p_name)::numeric
$$;
comment on function ops.tenant_setting(uuid, text) is 'One numeric setting of a tenant, or its default.';

create function ops.tenant_site_url(p_tenant_id uuid) returns text
language sql stable set search_path = '' as $$
  select rtrim(coalesce(nullif(t.settings ->> 'site_url', ''), 'https://' || t.primary_domain), '/') from shop.tenants t where t.id = p_tenant_id
$$;
comment on function ops.tenant_site_url(uuid) is 'Where the tenant''s pages are, without a slash at the end.';

create function ops.resolve_tenant(p jsonb) returns uuid
language plpgsql stable set search_path = '' as $$
declare
  v_host text;
  v_tenant record;
begin
  foreach v_host in array array[p ->> 'host', p ->> 'origin_host'] loop
    select t.id, t.status into v_tenant
    from shop.domains d join shop.tenants t on t.id = d.tenant_id
    where d.domain = lower(v_host) and d.status = 'active';
    if found then
      -- A known host of a suspended tenant is nobody's: falling through would show its visitors another shop.
      return case when v_tenant.status = 'active' then v_tenant.id end;
    end if;
  end loop;
  return (select t.id from shop.tenants t where t.id = ops.try_uuid(p ->> 'default_tenant') and t.status = 'active');
end
$$;
comment on function ops.resolve_tenant(jsonb) is 'The tenant of a public request: p.host, else p.origin_host (beacons and cross-site forms), else p.default_tenant, else null.';

create function ops.require_staff(p_min_role text) returns uuid
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
    raise exception 'tenant_required' using errcode = '22023', hint = 'You work for several tenants: name one in the header X-Tenant.';
  end if;
  if array_position(v_rank, v_rows[1].role) < array_position(v_rank, p_min_role) then
    raise exception 'role_too_low' using errcode = '42501';
  end if;
  return v_rows[1].tenant_id;
end
$$;
comment on function ops.require_staff(text) is
  'The tenant the signed-in user works for with at least this role (viewer < manager < admin); else 42501. Header X-Tenant chooses among several.';
