-- Leads: people who left an address on a landing form, and how far they came (O-35 to O-37).
--
-- What: `landing_leads` holds a person once per tenant, `lead_journey` the stages they reached, once each, `lead_submissions` every form
-- that was sent (its id is the receipt the browser gets), `lead_links` pairs of leads that may be one person. Written by
-- `api.capture_lead` (0038) and `api.follow_link` (0039).
--
-- One person is one row because phone and e-mail are unique per tenant in their normal form (OD-12, OD-13, A-26); a second table of
-- leads does not exist (A-25), and `source_table` says where an imported row came from (AD-18). Either may be missing, never both.
-- Nothing a form says overwrites what a lead already has: whoever knows a phone number could otherwise redirect its owner's mail. What
-- differs stays readable in the submission.
--
-- Children carry the tenant beside the lead and refer to both at once, so no row can hang on another tenant's lead.
--
-- Rejected: merging two leads when one form names the phone of the first and the e-mail of the second (OD-14: anybody can type
-- both; the pair is linked and flagged for staff); `source ... default 'twland'` (sources are the tenant's own list); the view of the document
-- (it named a table that does not exist, OD-6, and showed every lead to whoever could read the view, OD-26).

set local role lonieve_owner;

create table crm.landing_leads (
  id uuid constraint landing_leads_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint landing_leads_tenant_id_fkey references shop.tenants (id) on delete restrict,
  email text constraint landing_leads_email_form check (ops.is_email(email)),
  name text not null constraint landing_leads_name_length check (length(name) between 1 and 200),
  phone text constraint landing_leads_phone_length check (length(phone) between 1 and 40),
  phone_normalized text constraint landing_leads_phone_e164 check (phone_normalized ~ '^\+[1-9][0-9]{6,14}$'),
  source text not null constraint landing_leads_source_length check (length(source) between 1 and 64),
  source_table text,
  amocrm_lead_id text,
  amocrm_contact_id text,
  amocrm_synced boolean not null default false,
  email_sent boolean not null default false,
  sms_sent boolean not null default false,
  email_clicked boolean not null default false,
  email_clicked_at timestamptz,
  sms_clicked boolean not null default false,
  sms_clicked_at timestamptz,
  click_count integer not null default 0 constraint landing_leads_click_count_not_negative check (click_count >= 0),
  needs_review boolean not null default false,
  unsubscribed_at timestamptz,
  metadata jsonb not null default '{}'::jsonb constraint landing_leads_metadata_object check (ops.is_json_object(metadata)),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint landing_leads_tenant_phone_key unique (tenant_id, phone_normalized),
  constraint landing_leads_tenant_email_key unique (tenant_id, email),
  constraint landing_leads_tenant_id_key unique (tenant_id, id),
  constraint landing_leads_reachable check (email is not null or phone_normalized is not null),
  constraint landing_leads_phone_whole check ((phone is null) = (phone_normalized is null))
);
alter table crm.landing_leads enable row level security;
create index landing_leads_created_at_idx on crm.landing_leads (tenant_id, created_at desc);
create index landing_leads_amocrm_synced_idx on crm.landing_leads (tenant_id, created_at) where not amocrm_synced;
create index landing_leads_needs_review_idx on crm.landing_leads (tenant_id, created_at) where needs_review;
create trigger landing_leads_touch before update on crm.landing_leads for each row execute function ops.touch_updated_at();
comment on table crm.landing_leads is 'A person who left an e-mail address or phone number, once per tenant.';
comment on column crm.landing_leads.phone is 'As first typed.';
comment on column crm.landing_leads.phone_normalized is 'E.164, by crm.normalize_phone: what makes 8 777 ... and +7 777 ... one person.';
comment on column crm.landing_leads.source is 'The form that brought the person first.';
comment on column crm.landing_leads.source_table is 'Where an imported lead came from; null for those that came in by a form.';
comment on column crm.landing_leads.email_clicked_at is 'The first click on a link of an e-mail.';
comment on column crm.landing_leads.needs_review is 'Linked to another lead in crm.lead_links: staff decides whether the two are one person.';
comment on column crm.landing_leads.unsubscribed_at is 'Since when no campaign may reach this person. A form sent later does not take it back: anybody can type an address.';
comment on column crm.landing_leads.metadata is 'First touch: utm_*, device_type, session_id, visitor_id, referrer, country, city.';

create table crm.lead_submissions (
  id uuid constraint lead_submissions_pkey primary key,
  tenant_id uuid not null,
  lead_id uuid not null,
  source text not null,
  stage text not null,
  name text not null,
  email text,
  phone text,
  phone_normalized text,
  answers jsonb constraint lead_submissions_answers_object check (ops.is_json_object(answers))
    constraint lead_submissions_answers_size check (octet_length(answers::text) <= 32768),
  metadata jsonb not null default '{}'::jsonb constraint lead_submissions_metadata_object check (ops.is_json_object(metadata)),
  ip_address text,
  ip_network text,
  user_agent text,
  created_at timestamptz not null default now(),
  constraint lead_submissions_lead_fkey foreign key (tenant_id, lead_id) references crm.landing_leads (tenant_id, id) on delete cascade
);
alter table crm.lead_submissions enable row level security;
create index lead_submissions_lead_idx on crm.lead_submissions (lead_id, created_at);
create index lead_submissions_network_idx on crm.lead_submissions (tenant_id, ip_network, created_at) where ip_network is not null;
comment on table crm.lead_submissions is 'Every form that was stored, as it was sent: nothing a person wrote is lost when it differs from the lead, and staff can undo a merge.';
comment on column crm.lead_submissions.id is 'The receipt: made by the Worker, so that a repeated call stores nothing twice.';
comment on column crm.lead_submissions.ip_network is 'The address, an IPv6 one as its /64: what the limit per address counts.';

create table crm.lead_journey (
  id uuid constraint lead_journey_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null,
  lead_id uuid not null,
  stage text not null constraint lead_journey_stage_length check (length(stage) between 1 and 80),
  source text,
  metadata jsonb not null default '{}'::jsonb constraint lead_journey_metadata_object check (ops.is_json_object(metadata)),
  created_at timestamptz not null default now(),
  constraint lead_journey_lead_fkey foreign key (tenant_id, lead_id) references crm.landing_leads (tenant_id, id) on delete cascade,
  constraint lead_journey_stage_once unique (lead_id, stage)
);
alter table crm.lead_journey enable row level security;
create index lead_journey_stage_idx on crm.lead_journey (tenant_id, stage, created_at);
comment on table crm.lead_journey is 'The stages a lead reached, each once: the first time counts.';
comment on column crm.lead_journey.stage is 'What the form or link said. A claim of a browser: money is in shop.orders, never here.';
comment on column crm.lead_journey.metadata is 'What came with it: answers, utm_*.';

create table crm.lead_links (
  id uuid constraint lead_links_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null,
  lead_id uuid not null,
  other_lead_id uuid not null,
  submission_id uuid,
  created_at timestamptz not null default now(),
  resolved_at timestamptz,
  constraint lead_links_lead_fkey foreign key (tenant_id, lead_id) references crm.landing_leads (tenant_id, id) on delete cascade,
  constraint lead_links_other_lead_fkey foreign key (tenant_id, other_lead_id) references crm.landing_leads (tenant_id, id) on delete cascade,
  constraint lead_links_two_leads check (lead_id <> other_lead_id)
);
alter table crm.lead_links enable row level security;
create unique index lead_links_pair on crm.lead_links (least(lead_id, other_lead_id), greatest(lead_id, other_lead_id));
create index lead_links_lead_idx on crm.lead_links (lead_id);
create index lead_links_other_lead_idx on crm.lead_links (other_lead_id);
comment on table crm.lead_links is 'Two leads one form named together: the phone of the first, the e-mail of the second. Each pair once, whichever came first.';
comment on column crm.lead_links.lead_id is 'The lead with the phone; the form was booked on it.';
comment on column crm.lead_links.submission_id is 'The form that named both first.';
comment on column crm.lead_links.resolved_at is 'When staff decided; null while open.';

-- The stages come from a subquery, not from a join with GROUP BY as in the document: one index look-up per lead that is read.
create view crm.leads_with_journey with (security_invoker = true) as
  select l.*, coalesce((
    select json_agg(json_build_object('id', j.id, 'stage', j.stage, 'source', j.source, 'metadata', j.metadata, 'created_at', j.created_at)
                    order by j.created_at, j.id)
    from crm.lead_journey j where j.lead_id = l.id), '[]'::json) as journey_stages
  from crm.landing_leads l
  order by l.created_at desc;
comment on view crm.leads_with_journey is 'Leads, newest first, each with its stages in time order. Runs with the reader''s own rights; nobody but the owner has any.';
