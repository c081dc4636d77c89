-- Ad spend: what a day's advertising cost, per channel (table ad_spend of the document).
--
-- What: one row per day, source, campaign and ad creative, entered or imported by staff. Reports compare it with what the channel's
-- orders brought. A day is a day of the tenant's time zone, so spend and revenue are cut at the same midnight (LD-85).
--
-- Differences to the document, each against a wrong number: `tenant_id` (LD-83: both tenants saw all spend); lower-case UTM values, as
-- orders and events have them (LD-84: 'Facebook' matched nothing); empty text is null and nulls are equal in the unique
-- constraint, so spend without a campaign cannot be entered twice; the currency is the tenant's, by foreign key (LD-63).

set local role lonieve_owner;

create table analytics.ad_spend (
  id uuid constraint ad_spend_pkey primary key default gen_random_uuid(),
  tenant_id uuid not null constraint ad_spend_tenant_id_fkey references shop.tenants (id) on delete restrict,
  date date not null,
  utm_source text constraint ad_spend_utm_source_normal check (utm_source <> '' and utm_source = lower(utm_source)),
  utm_campaign text constraint ad_spend_utm_campaign_normal check (utm_campaign <> '' and utm_campaign = lower(utm_campaign)),
  utm_content text constraint ad_spend_utm_content_normal check (utm_content <> '' and utm_content = lower(utm_content)),
  spend numeric(12,2) not null constraint ad_spend_spend_not_negative check (spend >= 0),
  currency text not null default 'USD',
  clicks integer constraint ad_spend_clicks_not_negative check (clicks >= 0),
  impressions integer constraint ad_spend_impressions_not_negative check (impressions >= 0),
  notes text,
  created_at timestamptz not null default now(),
  constraint ad_spend_tenant_currency_fkey foreign key (tenant_id, currency) references shop.tenants (id, currency) on delete restrict,
  -- Its index is also the one reports read: a tenant's days.
  constraint ad_spend_once unique nulls not distinct (tenant_id, date, utm_source, utm_campaign, utm_content)
);
alter table analytics.ad_spend enable row level security;
comment on table analytics.ad_spend is 'What advertising cost, per day of the tenant''s time zone and channel.';
comment on column analytics.ad_spend.utm_content is 'The ad creative.';
