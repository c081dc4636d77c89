-- api.capture_lead: finds or creates the lead of a form, in one transaction (O-64, OD-12 to OD-14, OD-25).
--
-- Called by the leads Worker with fields it has checked for form; here is checked what only the tenant knows: its sources and stages, the
-- country of a phone number, how many forms one address may send. A refusal writes nothing. With `discard` (a bot filled the field no
-- person sees) everything is checked and answered in the same way, and nothing written either.
--
-- One person at a time: the call first takes an advisory lock per phone and per e-mail, in one order, so two forms that share either of them
-- take turns and the second finds what the first wrote; two that share none never wait. The unique keys are the second line, for
-- writers that take no lock (an import): then the look-up is repeated.
--
-- Phone first, then e-mail. Found by one and the other still empty: it is filled in. Found by both and not the same lead: the form is booked on
-- the phone's lead, the two are linked and flagged, neither is changed otherwise. The answer is the same in every case.
--
-- Rejected: insert ... on conflict alone (a table has two unique keys here, and one statement can name only one of them); serializable
-- transactions (they would fail under exactly the load this is for).

set local role lonieve_owner;

create function crm.lead_setting_defaults() returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'phone_country', 'KZ',               -- whose numbers come without a calling code
    'lead_sources', jsonb_build_array('twland', 'proftest_a', 'proftest_b', 'expresscourse'),
    'lead_stages', jsonb_build_array('proftest_submitted', 'expresscourse_clicked', 'expresscourse_submitted',
                                     'payment_kaspi', 'payment_card', 'payment_manager'),
    'thank_you_path', '/thank-you',      -- where a form without script leads, on the tenant's site
    'max_leads_per_address', 300         -- forms one client address may send in an hour
  )
$$;
comment on function crm.lead_setting_defaults() is 'The settings of shop.tenants.settings that this schema reads, with their defaults.';

create function crm.is_list_of_names(p_value jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p_value) = 'array' then jsonb_array_length(p_value) <= 50 and not exists (
    select from jsonb_array_elements(p_value) n where jsonb_typeof(n.value) <> 'string' or n.value #>> '{}' !~ '^[a-z0-9][a-z0-9_-]{0,63}$')
  else false end
$$;
comment on function crm.is_list_of_names(jsonb) is 'At most 50 names of lower-case letters, digits, _ and -.';

create function crm.lead_settings_are_valid(p_settings jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select not exists (
    select from jsonb_each(p_settings) s
    where s.value <> 'null'::jsonb and case s.key
      when 'phone_country' then jsonb_typeof(s.value) <> 'string' or s.value #>> '{}' !~ '^[A-Z]{2}$'
      when 'lead_sources' then not crm.is_list_of_names(s.value) or jsonb_array_length(s.value) = 0
      when 'lead_stages' then not crm.is_list_of_names(s.value)
      -- A path of the tenant's own site and nothing that a browser reads as another one.
      when 'thank_you_path' then jsonb_typeof(s.value) <> 'string' or s.value #>> '{}' !~ '^(/[A-Za-z0-9_~.-]+)*/?$' or s.value #>> '{}' = ''
      when 'max_leads_per_address' then jsonb_typeof(s.value) <> 'number' or (s.value #>> '{}')::numeric not between 0 and 1000000
      else false end)
$$;
comment on function crm.lead_settings_are_valid(jsonb) is 'The settings this schema reads have the right type and form; others are left alone.';

alter table shop.tenants add constraint tenants_lead_settings_valid check (crm.lead_settings_are_valid(settings));

create function crm.lead_settings(p_tenant_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select crm.lead_setting_defaults() || jsonb_strip_nulls(t.settings) from shop.tenants t where t.id = p_tenant_id
$$;
comment on function crm.lead_settings(uuid) is 'A tenant''s settings over the defaults of this schema.';

create function crm.default_stage(p_source text) returns text
language sql immutable set search_path = '' as $$
  select split_part(p_source, '_', 1) || '_submitted'
$$;
comment on function crm.default_stage(text) is 'The stage of a form that names none: proftest_a and proftest_b give proftest_submitted, twland gives twland_submitted.';

create function crm.wrong_lead_fields(p jsonb, p_settings jsonb, p_phone text) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'phone', case when p ->> 'phone' is not null and p_phone is null then 'must be a phone number such as +7 777 123 45 67' end,
    'source', case when not coalesce(p_settings -> 'lead_sources' ? (p ->> 'source'), false) then 'must be one of the sources of this site' end,
    'stage', case when p ->> 'stage' is not null and not p_settings -> 'lead_stages' ? (p ->> 'stage') and not exists (
      select from jsonb_array_elements_text(p_settings -> 'lead_sources') s where crm.default_stage(s.value) = p ->> 'stage')
      then 'must be one of the stages of this site' end))
$$;
comment on function crm.wrong_lead_fields(jsonb, jsonb, text) is 'Field -> sentence, for what only the tenant''s settings can tell.';

create function crm.find_or_create_unified_lead(p_tenant_id uuid, p_email text, p_name text, p_phone text, p_phone_normalized text, p_source text,
  p_metadata jsonb, p_submission_id uuid, p_now timestamptz) returns uuid
language plpgsql volatile set search_path = '' as $$
declare
  v_by_phone uuid;
  v_by_email uuid;
  v_lead uuid;
begin
  perform pg_catalog.pg_advisory_xact_lock(k.key)
  from (select pg_catalog.hashtextextended('lead|' || p_tenant_id::text || '|' || c.value, 0) as key
        from (values (p_phone_normalized), (p_email)) c (value) where c.value is not null order by 1) k;
  for v_attempt in 1..3 loop
    select id into v_by_phone from crm.landing_leads where tenant_id = p_tenant_id and phone_normalized = p_phone_normalized;
    select id into v_by_email from crm.landing_leads where tenant_id = p_tenant_id and email = p_email;
    v_lead := coalesce(v_by_phone, v_by_email);
    if v_by_phone <> v_by_email then
      perform from crm.landing_leads where id in (v_by_phone, v_by_email) order by id for update;
      update crm.landing_leads set needs_review = true where id in (v_by_phone, v_by_email) and not needs_review
        and not exists (select from crm.lead_links k where k.resolved_at is not null
                        and (k.lead_id, k.other_lead_id) in ((v_by_phone, v_by_email), (v_by_email, v_by_phone)));
      insert into crm.lead_links (tenant_id, lead_id, other_lead_id, submission_id, created_at)
      values (p_tenant_id, v_by_phone, v_by_email, p_submission_id, p_now) on conflict do nothing;
      return v_lead;
    end if;
    begin
      if v_lead is null then
        insert into crm.landing_leads (tenant_id, email, name, phone, phone_normalized, source, metadata, created_at)
        values (p_tenant_id, p_email, p_name, p_phone, p_phone_normalized, p_source, p_metadata, p_now)
        returning id into v_lead;
      else
        update crm.landing_leads l
        set email = coalesce(l.email, p_email),
            phone = coalesce(l.phone, p_phone),
            phone_normalized = coalesce(l.phone_normalized, p_phone_normalized)
        where l.id = v_lead and ((l.email is null and p_email is not null) or (l.phone is null and p_phone is not null));
      end if;
      return v_lead;
    exception when unique_violation then
      null; -- somebody without the locks was quicker: look again
    end;
  end loop;
  raise exception 'lead_contended' using errcode = '40001';
end
$$;
comment on function crm.find_or_create_unified_lead(uuid, text, text, text, text, text, jsonb, uuid, timestamptz) is
  'The lead with this phone, else with this e-mail, else a new one. Fills in what the lead lacks, overwrites nothing; two different leads are linked and flagged, never merged.';

create function crm.store_lead(p_tenant_id uuid, p jsonb, p_phone text, p_stage text, p_now timestamptz) returns void
language plpgsql volatile set search_path = '' as $$
declare
  v_receipt uuid := (p ->> 'receipt_id')::uuid;
  v_email text := lower(p ->> 'email');
  v_metadata jsonb := jsonb_strip_nulls(coalesce(nullif(p -> 'metadata', 'null'), '{}'::jsonb));
  v_answers jsonb := nullif(p -> 'answers', 'null');
  v_lead uuid := crm.find_or_create_unified_lead(p_tenant_id, v_email, p ->> 'name', p ->> 'phone', p_phone, p ->> 'source', v_metadata, v_receipt, p_now);
begin
  insert into crm.lead_submissions (id, tenant_id, lead_id, source, stage, name, email, phone, phone_normalized, answers, metadata,
    ip_address, ip_network, user_agent, created_at)
  values (v_receipt, p_tenant_id, v_lead, p ->> 'source', p_stage, p ->> 'name', v_email, p ->> 'phone', p_phone, v_answers, v_metadata,
    p ->> 'ip', ops.client_network(p ->> 'ip'), p ->> 'user_agent', p_now)
  on conflict (id) do nothing;
  insert into crm.lead_journey (tenant_id, lead_id, stage, source, metadata, created_at)
  values (p_tenant_id, v_lead, p_stage, p ->> 'source', v_metadata || jsonb_strip_nulls(jsonb_build_object('answers', v_answers)), p_now)
  on conflict on constraint lead_journey_stage_once do nothing;
  if p -> 'consent' ->> 'text' is not null then
    perform crm.record_consent(p_tenant_id, v_lead, p -> 'consent', v_receipt, p ->> 'ip', p ->> 'user_agent', p_now);
  end if;
end
$$;
comment on function crm.store_lead(uuid, jsonb, text, text, timestamptz) is 'Books a form: lead, submission, stage, consent.';

create function api.capture_lead(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
  v_now timestamptz := ops.request_time(p);
  v_settings jsonb;
  v_phone text;
  v_wrong jsonb;
  v_stage text;
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  if ops.try_uuid(p ->> 'receipt_id') is null or p ->> 'name' is null or (p ->> 'email' is null and p ->> 'phone' is null) then
    raise exception 'invalid_lead' using errcode = '22023', hint = 'receipt_id, name, and email or phone are needed.';
  end if;
  v_settings := crm.lead_settings(v_tenant);
  v_phone := crm.normalize_phone(p ->> 'phone', v_settings ->> 'phone_country');
  v_wrong := crm.wrong_lead_fields(p, v_settings, v_phone);
  if v_wrong <> '{}'::jsonb then
    return jsonb_build_object('outcome', 'invalid', 'fields', v_wrong);
  end if;
  if (select count(*) from crm.lead_submissions s
      where s.tenant_id = v_tenant and s.ip_network = ops.client_network(p ->> 'ip') and s.created_at > v_now - interval '1 hour')
     >= (v_settings ->> 'max_leads_per_address')::numeric and p ->> 'ip' is not null then
    return jsonb_build_object('outcome', 'too_many');
  end if;
  v_stage := coalesce(p ->> 'stage', crm.default_stage(p ->> 'source'));
  if p -> 'discard' is distinct from 'true'::jsonb then
    perform crm.store_lead(v_tenant, p, v_phone, v_stage, v_now);
  end if;
  return jsonb_build_object('outcome', 'captured', 'stage', v_stage,
    'thank_you_url', ops.tenant_site_url(v_tenant) || (v_settings ->> 'thank_you_path'));
end
$$;
comment on function api.capture_lead(jsonb) is
  'Role: edge_leads. p: host, origin_host, default_tenant, receipt_id, discard, name, email?, phone?, source, stage?, metadata, answers?, consent? {text, version}, ip, user_agent. {outcome: captured, stage, thank_you_url}; invalid {fields}, too_many, unknown_tenant. Never says whether the person was known. A refusal writes nothing.';

create function api.check_origin(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  return jsonb_build_object('outcome', case when exists (
    select from shop.domains d
    where d.tenant_id = v_tenant and d.status = 'active'
      -- Without TLS (a developer's machine) any port will do; a site on the internet is exactly https://<domain>.
      and case when d.ssl_enabled then p ->> 'origin' = 'https://' || d.domain
               else regexp_replace(p ->> 'origin', ':[0-9]{1,5}$', '') in ('http://' || d.domain, 'https://' || d.domain) end)
    then 'allowed' else 'refused' end);
end
$$;
comment on function api.check_origin(jsonb) is
  'Role: edge_leads. p: host, origin_host, default_tenant, origin (the header as sent). {outcome: allowed|refused|unknown_tenant}: whether pages of this origin may read the answers.';

grant execute on function api.capture_lead(jsonb) to edge_leads;
grant execute on function api.check_origin(jsonb) to edge_leads;
