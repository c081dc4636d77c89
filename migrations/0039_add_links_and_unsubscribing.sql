-- api.follow_link, api.unsubscribe: what a lead does with a message.
--
-- Called by the leads Worker for `GET /l/{code}` and `GET|POST /u/{token}`. A link belongs to the tenant whose host was asked, so two
-- tenants may use one code. A click is stamped on the link and, where the link was made for one lead, on the lead; `count` is false for
-- HEAD requests, which are programs looking at the address.
--
-- Only POST unsubscribes (`confirm`): mail filters open every link of a mail, and must not unsubscribe anybody by that. It is idempotent:
-- the second time changes nothing and answers the same.
--
-- Rejected: redirecting to an address in the request (an open redirect); a stop per channel (who says stop means all of it).

set local role lonieve_owner;

create function api.follow_link(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
  v_now timestamptz := ops.request_time(p);
  v_link crm.short_links;
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  select * into v_link from crm.short_links where tenant_id = v_tenant and code = p ->> 'code';
  if not found then
    return jsonb_build_object('outcome', 'not_found');
  end if;
  if p -> 'count' is distinct from 'false'::jsonb then
    update crm.short_links
    set click_count = click_count + 1, first_clicked_at = coalesce(first_clicked_at, v_now), last_clicked_at = v_now
    where id = v_link.id;
    update crm.landing_leads
    set click_count = click_count + 1,
        email_clicked = email_clicked or v_link.channel is not distinct from 'email',
        email_clicked_at = case when v_link.channel = 'email' then coalesce(email_clicked_at, v_now) else email_clicked_at end,
        sms_clicked = sms_clicked or v_link.channel is not distinct from 'sms',
        sms_clicked_at = case when v_link.channel = 'sms' then coalesce(sms_clicked_at, v_now) else sms_clicked_at end
    where id = v_link.lead_id;
    if v_link.lead_id is not null and v_link.stage is not null then
      insert into crm.lead_journey (tenant_id, lead_id, stage, source, metadata, created_at)
      values (v_tenant, v_link.lead_id, v_link.stage, v_link.channel, jsonb_build_object('link', v_link.code), v_now)
      on conflict on constraint lead_journey_stage_once do nothing;
    end if;
  end if;
  return jsonb_build_object('outcome', 'ok', 'target', v_link.target_url);
end
$$;
comment on function api.follow_link(jsonb) is
  'Role: edge_leads. p: host, origin_host, default_tenant, code, count. {outcome: ok, target}; not_found, unknown_tenant. Stamps the click.';

create function api.unsubscribe(p jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_tenant uuid := ops.resolve_tenant(p);
  v_now timestamptz := ops.request_time(p);
  v_token crm.unsubscribe_tokens;
  v_shop text;
begin
  if v_tenant is null then
    return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  select * into v_token from crm.unsubscribe_tokens where token_sha256 = crm.sha256_hex(p ->> 'token') and tenant_id = v_tenant;
  if not found then
    return jsonb_build_object('outcome', 'not_found');
  end if;
  select name into v_shop from shop.tenants where id = v_tenant;
  if p -> 'confirm' is distinct from 'true'::jsonb then
    return jsonb_build_object('outcome', 'ok', 'shop', v_shop,
      'unsubscribed', (select l.unsubscribed_at is not null from crm.landing_leads l where l.id = v_token.lead_id));
  end if;
  update crm.landing_leads set unsubscribed_at = v_now where id = v_token.lead_id and unsubscribed_at is null;
  if found then
    insert into crm.consents (tenant_id, lead_id, action, created_at) values (v_tenant, v_token.lead_id, 'withdrawn', v_now);
  end if;
  update crm.unsubscribe_tokens set used_at = v_now where token_sha256 = v_token.token_sha256 and used_at is null;
  update crm.scheduled_notifications set status = 'cancelled' where lead_id = v_token.lead_id and status = 'pending';
  return jsonb_build_object('outcome', 'ok', 'shop', v_shop, 'unsubscribed', true);
end
$$;
comment on function api.unsubscribe(jsonb) is
  'Role: edge_leads. p: host, origin_host, default_tenant, token, confirm. {outcome: ok, shop, unsubscribed}; not_found, unknown_tenant. With confirm true: no campaign reaches the lead any more, messages that wait are cancelled.';

grant execute on function api.follow_link(jsonb) to edge_leads;
grant execute on function api.unsubscribe(jsonb) to edge_leads;
