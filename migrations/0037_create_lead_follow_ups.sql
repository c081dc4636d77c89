-- What follows a lead: consents, planned messages, short links, the right to be left alone (O-38, A-12, LD-102, BD-12).
--
-- What: `consents` is the evidence of what a person agreed to, and when they withdrew it; `scheduled_notifications` are messages to come;
-- `short_links` are the addresses in them (`/l/{code}`), stamped when somebody follows one; `unsubscribe_tokens` open `/u/{token}`.
-- Campaigns that fill the last three come later; they call `crm.create_short_link` and `crm.issue_unsubscribe_token`.
--
-- An unsubscribe token is random and only its hash is kept, so a copy of the database unsubscribes nobody. A lead may have many, one per
-- message: an old mail's link keeps working. They never expire, as a mail does not either.
--
-- `scheduled_notifications` has the attempts and lease that the document's table lacks (OD-18): two senders cannot take one row, and a
-- sender that died does not keep it.
--
-- Rejected: one token per lead (it would have to be stored in clear to appear in the next mail); links to http (a mail's link can be
-- rewritten on its way); a foreign key from short_links to a campaign (there is none yet).

set local role lonieve_owner;

create table crm.consents (
  id bigint generated always as identity constraint consents_pkey primary key,
  tenant_id uuid not null,
  lead_id uuid not null,
  action text not null constraint consents_action_known check (action in ('given', 'withdrawn')),
  text text constraint consents_text_length check (length(text) between 1 and 5000),
  version text constraint consents_version_length check (length(version) between 1 and 64),
  submission_id uuid,
  ip_address text,
  user_agent text,
  created_at timestamptz not null default now(),
  constraint consents_lead_fkey foreign key (tenant_id, lead_id) references crm.landing_leads (tenant_id, id) on delete cascade,
  constraint consents_given_says_what check (action <> 'given' or (text is not null and version is not null))
);
alter table crm.consents enable row level security;
create index consents_lead_idx on crm.consents (lead_id, id);
comment on table crm.consents is 'What a lead agreed to, word by word, and when it was withdrawn. Rows are added, never changed.';
comment on column crm.consents.submission_id is 'The form it was given on.';

create function crm.record_consent(p_tenant_id uuid, p_lead_id uuid, p_consent jsonb, p_submission_id uuid, p_ip text, p_user_agent text, p_now timestamptz)
returns void language sql set search_path = '' as $$
  insert into crm.consents (tenant_id, lead_id, action, text, version, submission_id, ip_address, user_agent, created_at)
  select p_tenant_id, p_lead_id, 'given', p_consent ->> 'text', p_consent ->> 'version', p_submission_id, p_ip, p_user_agent, p_now
  where not exists (
    select from (select c.action, c.text, c.version from crm.consents c where c.lead_id = p_lead_id order by c.id desc limit 1) last
    where last.action = 'given' and last.text = p_consent ->> 'text' and last.version = p_consent ->> 'version')
$$;
comment on function crm.record_consent(uuid, uuid, jsonb, uuid, text, text, timestamptz) is
  'Adds a consent {text, version}, unless the lead''s newest row says the same.';

create table crm.scheduled_notifications (
  id uuid constraint scheduled_notifications_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null,
  lead_id uuid not null,
  notification_type text not null constraint scheduled_notifications_type_known check (notification_type in ('email', 'sms', 'whatsapp')),
  scheduled_for timestamptz not null,
  template_id text,
  status text not null default 'pending' constraint scheduled_notifications_status_known check (status in ('pending', 'sent', 'failed', 'cancelled')),
  attempts integer not null default 0 constraint scheduled_notifications_attempts_not_negative check (attempts >= 0),
  next_attempt_at timestamptz,
  locked_until timestamptz,
  sent_at timestamptz,
  error_message text,
  created_at timestamptz not null default now(),
  constraint scheduled_notifications_lead_fkey foreign key (tenant_id, lead_id) references crm.landing_leads (tenant_id, id) on delete cascade,
  constraint scheduled_notifications_sent_at_set check (status <> 'sent' or sent_at is not null)
);
alter table crm.scheduled_notifications enable row level security;
create index scheduled_notifications_due_idx on crm.scheduled_notifications (coalesce(next_attempt_at, scheduled_for)) where status = 'pending';
create index scheduled_notifications_lead_idx on crm.scheduled_notifications (lead_id);
comment on table crm.scheduled_notifications is 'Messages a lead is to get.';
comment on column crm.scheduled_notifications.next_attempt_at is 'When to try again after a failure; until then scheduled_for decides.';
comment on column crm.scheduled_notifications.locked_until is 'Until when the sender that took it may finish it.';

create table crm.short_links (
  id uuid constraint short_links_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint short_links_tenant_id_fkey references shop.tenants (id) on delete cascade,
  code text not null constraint short_links_code_form check (code ~ '^[A-Za-z0-9_-]{4,64}$'),
  target_url text not null constraint short_links_target_https check (target_url ~ '^https://[!-~]+$' and length(target_url) <= 2048),
  lead_id uuid,
  channel text constraint short_links_channel_known check (channel in ('email', 'sms')),
  stage text constraint short_links_stage_length check (length(stage) between 1 and 80),
  click_count integer not null default 0 constraint short_links_click_count_not_negative check (click_count >= 0),
  first_clicked_at timestamptz,
  last_clicked_at timestamptz,
  created_at timestamptz not null default now(),
  constraint short_links_tenant_code_key unique (tenant_id, code),
  constraint short_links_lead_fkey foreign key (tenant_id, lead_id) references crm.landing_leads (tenant_id, id) on delete cascade
);
alter table crm.short_links enable row level security;
create index short_links_lead_idx on crm.short_links (lead_id) where lead_id is not null;
comment on table crm.short_links is 'Short addresses of a tenant, /l/{code}.';
comment on column crm.short_links.target_url is 'Where it leads, https only. Written by staff or campaigns, never taken from a request.';
comment on column crm.short_links.lead_id is 'Whom it was sent to; null for a link that is for everybody.';
comment on column crm.short_links.channel is 'How it was sent: which of the lead''s click marks a click sets.';
comment on column crm.short_links.stage is 'The stage a click adds to the lead''s journey, such as expresscourse_clicked.';

create function crm.random_code() returns text
language sql volatile set search_path = '' as $$
  select translate(rtrim(encode(decode(replace(gen_random_uuid()::text, '-', ''), 'hex'), 'base64'), '='), '+/', '-_')
$$;
comment on function crm.random_code() is '22 characters that are safe in an address, with 122 random bits.';

create function crm.create_short_link(p_tenant_id uuid, p_target_url text, p_lead_id uuid, p_channel text, p_stage text) returns text
language plpgsql volatile set search_path = '' as $$
declare
  v_code text;
begin
  loop
    -- 48 random bits: nobody finds a link by trying, and it still fits into an SMS.
    v_code := left(crm.random_code(), 8);
    insert into crm.short_links (tenant_id, code, target_url, lead_id, channel, stage)
    values (p_tenant_id, v_code, p_target_url, p_lead_id, p_channel, p_stage)
    on conflict on constraint short_links_tenant_code_key do nothing;
    if found then
      return v_code;
    end if;
  end loop;
end
$$;
comment on function crm.create_short_link(uuid, text, uuid, text, text) is 'Makes a short link and returns its code: (tenant, target, lead or null, channel or null, stage or null).';

create table crm.unsubscribe_tokens (
  token_sha256 text constraint unsubscribe_tokens_pkey primary key constraint unsubscribe_tokens_sha256_hex check (token_sha256 ~ '^[0-9a-f]{64}$'),
  tenant_id uuid not null,
  lead_id uuid not null,
  created_at timestamptz not null default now(),
  used_at timestamptz,
  constraint unsubscribe_tokens_lead_fkey foreign key (tenant_id, lead_id) references crm.landing_leads (tenant_id, id) on delete cascade
);
alter table crm.unsubscribe_tokens enable row level security;
create index unsubscribe_tokens_lead_idx on crm.unsubscribe_tokens (lead_id);
comment on table crm.unsubscribe_tokens is 'Who may be unsubscribed by which /u/{token}; the token itself is only in the message.';
comment on column crm.unsubscribe_tokens.used_at is 'The first use; it works again afterwards and changes nothing more.';

create function crm.sha256_hex(p_text text) returns text
language sql immutable set search_path = '' as $$
  select encode(sha256(convert_to(p_text, 'UTF8')), 'hex')
$$;
comment on function crm.sha256_hex(text) is 'sha256 of a text, in hex.';

create function crm.issue_unsubscribe_token(p_lead_id uuid) returns text
language plpgsql volatile set search_path = '' as $$
declare
  v_token text := crm.random_code();
begin
  insert into crm.unsubscribe_tokens (token_sha256, tenant_id, lead_id)
  select crm.sha256_hex(v_token), l.tenant_id, l.id from crm.landing_leads l where l.id = p_lead_id;
  return case when found then v_token end;
end
$$;
comment on function crm.issue_unsubscribe_token(uuid) is 'A new token for a message to this lead; null for an unknown lead. Whoever sends the message puts it into /u/{token} and keeps it nowhere else.';
