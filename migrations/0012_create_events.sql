-- Events: what visitors do in the shop (L-51..L-59).
--
-- What: one row per event, keyed by the id its sender gave it, so that sending it again changes nothing. Sixteen standard types
-- and the tenant's own `x_...`. `session_id` lives 30 days, `visitor_id` 365; `visit_id` groups events of a session that
-- are at most 30 minutes apart (LD-69), because "sessions" on dashboards means visits.
--
-- Not partitioned: a unique key of a partitioned table must contain the partition key, and then the same event id could be stored
-- twice. Time ranges are read through a BRIN index, a few pages for any number of rows; old rows go by batched deletes.
--
-- Left out of the document's seven indexes: event_type (prefix of idx_events_analytics). session_id became (tenant, session, time),
-- which is also what the visit rule reads.

set local role lonieve_owner;

create table analytics.events (
  event_id uuid constraint events_pkey primary key,
  tenant_id uuid not null constraint events_tenant_id_fkey references shop.tenants (id) on delete restrict,
  created_at timestamptz not null default now(),
  received_at timestamptz not null default now(),
  event_type text not null constraint events_event_type_known check (
    event_type in (
      'page_view', 'view_catalog', 'view_product',
      'configurator_open', 'configurator_change', 'add_to_cart', 'checkout_start', 'checkout_submit',
      'payment_redirect', 'payment_return', 'payment_success', 'code_sent',
      'support_open', 'support_request', 'resend_email_request', 'account_login')
    or event_type ~ '^x_[a-z0-9_]{1,40}$'),
  session_id text not null constraint events_session_id_length check (length(session_id) between 1 and 255),
  visit_id uuid,
  user_id uuid,
  visitor_id text constraint events_visitor_id_length check (length(visitor_id) between 1 and 255),
  url text,
  referrer text,
  utm_source text constraint events_utm_source_normal check (utm_source <> '' and utm_source = lower(utm_source)),
  utm_medium text constraint events_utm_medium_normal check (utm_medium <> '' and utm_medium = lower(utm_medium)),
  utm_campaign text constraint events_utm_campaign_normal check (utm_campaign <> '' and utm_campaign = lower(utm_campaign)),
  utm_content text constraint events_utm_content_normal check (utm_content <> '' and utm_content = lower(utm_content)),
  utm_term text constraint events_utm_term_normal check (utm_term <> '' and utm_term = lower(utm_term)),
  data jsonb constraint events_data_object check (ops.is_json_object(data))
    -- 8 KB as sent; jsonb prints a space after each comma and colon.
    constraint events_data_size check (octet_length(data::text) <= 16384),
  session_duration integer constraint events_session_duration_not_negative check (session_duration >= 0),
  page_duration integer constraint events_page_duration_not_negative check (page_duration >= 0),
  scroll_depth integer constraint events_scroll_depth_percent check (scroll_depth between 0 and 100),
  device_type text constraint events_device_type_known check (device_type in ('mobile', 'tablet', 'desktop')),
  country text,
  city text,
  ip_address text,
  user_agent text
);
alter table analytics.events enable row level security;
create index idx_events_created on analytics.events using brin (created_at);
create index idx_events_session on analytics.events (tenant_id, session_id, created_at);
create index idx_events_visitor on analytics.events (visitor_id) where visitor_id is not null;
create index idx_events_utm on analytics.events (utm_source, utm_campaign) where utm_source is not null;
create index idx_events_funnel on analytics.events (session_id, event_type, created_at);
create index idx_events_analytics on analytics.events (event_type, created_at, utm_source);
comment on table analytics.events is 'What visitors did, one row per event id.';
comment on column analytics.events.event_id is 'Made by the sender; the same id again is a duplicate. The document''s column id.';
comment on column analytics.events.created_at is 'When it happened.';
comment on column analytics.events.received_at is 'When it was stored.';
comment on column analytics.events.visit_id is 'Events of one session at most 30 minutes apart share it. Server events join a visit, they never open one.';
comment on column analytics.events.utm_source is 'Last non-direct click, lower-cased; the letter case of a link makes no second channel.';

create function analytics.find_visit(p_tenant_id uuid, p_session_id text, p_at timestamptz) returns uuid
language sql stable set search_path = '' as $$
  -- The nearest earlier event decides; an event that arrives late may also join a visit that begins just after it.
  select coalesce(
    (select e.visit_id from analytics.events e
     where e.tenant_id = p_tenant_id and e.session_id = p_session_id and e.visit_id is not null
       and e.created_at between p_at - interval '30 minutes' and p_at
       and e.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
     order by e.created_at desc limit 1),
    (select e.visit_id from analytics.events e
     where e.tenant_id = p_tenant_id and e.session_id = p_session_id and e.visit_id is not null
       and e.created_at > p_at and e.created_at <= p_at + interval '30 minutes'
       and e.event_type not in ('payment_redirect', 'payment_success', 'code_sent')
     order by e.created_at limit 1))
$$;
comment on function analytics.find_visit(uuid, text, timestamptz) is 'The visit of this session that was active within 30 minutes of this moment, or null.';

create function analytics.server_event_id(p_event_type text, p_order_id uuid) returns uuid
language sql immutable set search_path = '' as $$
  select (substr(h, 1, 12) || '8' || substr(h, 14, 3) || 'a' || substr(h, 18, 15))::uuid
  from (select encode(sha256(convert_to('lonieve.event|' || p_event_type || '|' || p_order_id::text, 'UTF8')), 'hex') as h) d
$$;
comment on function analytics.server_event_id(text, uuid) is
  'The id of a server-side event follows from order and type, so however often it is recorded there is one. It is a UUID of version 8, which ingest_events takes from no browser: a buyer knows the order''s id and could otherwise occupy it.';

create function analytics.record_order_event(p_order_id uuid, p_event_type text, p_data jsonb, p_at timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  o shop.orders;
begin
  select * into o from shop.orders where id = p_order_id;
  insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id, user_id, visitor_id, referrer,
    utm_source, utm_medium, utm_campaign, utm_content, utm_term, data, device_type, country, city, ip_address, user_agent)
  values (
    analytics.server_event_id(p_event_type, o.id),
    o.tenant_id, p_at, p_event_type,
    -- An order without a session still leaves its events; the prefix keeps them apart from visitors.
    coalesce(o.session_id, 'order:' || o.id::text), analytics.find_visit(o.tenant_id, o.session_id, p_at), o.user_id, o.visitor_id, o.referrer,
    o.utm_source, o.utm_medium, o.utm_campaign, o.utm_content, o.utm_term, p_data, o.device_type, o.country, o.city, o.ip_address, o.user_agent)
  on conflict (event_id) do nothing;
exception when others then
  -- Analytics must never undo what it describes.
  raise warning 'event % of order % was not stored: %', p_event_type, p_order_id, sqlerrm;
end
$$;
comment on function analytics.record_order_event(uuid, text, jsonb, timestamptz) is
  'Stores a server-side event of an order, once per order and type. Never fails its caller: a fault becomes a warning in the log.';
