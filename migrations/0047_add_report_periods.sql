-- Periods of reports: from words to two moments (LD-75, LD-85).
--
-- What: a report counts over whole days of the tenant's time zone, half-open: from the first day's midnight to the midnight after the
-- last day. So two adjoining periods share nothing and miss nothing, and money and ad spend are cut at the same moments. Here, and
-- nowhere else, "last week" becomes two dates; the Worker passes the words on as data and gets the dates back.
--
-- Rules: the running day counts. A week begins on Monday. `last_week` and `last_month` are the calendar week and month before the
-- running one; `last_days`, `last_weeks` and `last_months` with a count end today: the last 7 days are today and the six days
-- before, the last month on 15 March begins on 16 February.
--
-- Callers: api.ask_* (period as a document) and the reports with the document's names (two moments). There, a moment stands for
-- the day it lies in, the end excluded; rounding both ends the same way is what keeps adjoining windows apart.
--
-- Rejected: computing this in the Worker, which would need the time zone tables in its module and the tenant's zone before it asks.

set local role lonieve_owner;

create type analytics.period as (
  from_day date,
  to_day date,            -- excluded
  starts_at timestamptz,
  ends_at timestamptz,    -- excluded
  today date,
  time_zone text
);
comment on type analytics.period is 'Whole days [from_day, to_day) of a tenant''s time zone, and the same as moments.';

create function analytics.make_period(p_tenant_id uuid, p_from_day date, p_to_day date, p_now timestamptz) returns analytics.period
language sql stable set search_path = '' as $$
  select row(p_from_day, p_to_day, p_from_day::timestamp at time zone t.time_zone, p_to_day::timestamp at time zone t.time_zone,
             (p_now at time zone t.time_zone)::date, t.time_zone)::analytics.period
  from shop.tenants t where t.id = p_tenant_id
$$;
comment on function analytics.make_period(uuid, date, date, timestamptz) is 'The period of these days, the last one excluded, in the tenant''s time zone.';

create function analytics.tenant_today(p_tenant_id uuid, p_now timestamptz) returns date
language sql stable set search_path = '' as $$
  select (p_now at time zone t.time_zone)::date from shop.tenants t where t.id = p_tenant_id
$$;
comment on function analytics.tenant_today(uuid, timestamptz) is 'Which day it is where the tenant is.';

create function analytics.period_days(p_period jsonb, p_today date) returns daterange
language plpgsql stable set search_path = '' as $$
declare
  v_kind constant text := p_period ->> 'kind';
  v_monday constant date := p_today - (extract(isodow from p_today)::integer - 1);
  v_first constant date := date_trunc('month', p_today::timestamp)::date;
  v_count integer;
  -- The pattern keeps out words such as `infinity`, which the cast would take.
  v_pattern constant text := '^[0-9]{4}-[0-9]{2}-[0-9]{2}$';
  v_from text;
  v_to text;
begin
  if v_kind in ('last_days', 'last_weeks', 'last_months') then
    v_count := case when p_period ->> 'count' ~ '^[0-9]{1,4}$' then (p_period ->> 'count')::integer end;
    if v_count is null or v_count not between 1 and 3660 then
      raise exception 'invalid_period' using errcode = '22023', hint = 'count must be a whole number from 1 to 3660.';
    end if;
  elsif v_kind in ('day', 'range') then
    v_from := p_period ->> case v_kind when 'day' then 'date' else 'from' end;
    v_to := p_period ->> case v_kind when 'day' then 'date' else 'to' end;
    -- Dates of this form order as text does.
    if (v_from ~ v_pattern and v_to ~ v_pattern and v_from <= v_to) is not true then
      raise exception 'invalid_period' using errcode = '22023', hint = 'A range needs from and to, in this order.';
    end if;
  end if;
  return case v_kind
    when 'today' then daterange(p_today, p_today + 1)
    when 'yesterday' then daterange(p_today - 1, p_today)
    when 'this_week' then daterange(v_monday, p_today + 1)
    when 'last_week' then daterange(v_monday - 7, v_monday)
    when 'this_month' then daterange(v_first, p_today + 1)
    when 'last_month' then daterange((v_first - interval '1 month')::date, v_first)
    when 'last_days' then daterange(p_today - v_count + 1, p_today + 1)
    when 'last_weeks' then daterange(p_today - v_count * 7 + 1, p_today + 1)
    when 'last_months' then daterange((p_today - make_interval(months => v_count))::date + 1, p_today + 1)
    when 'day' then daterange(v_from::date, v_to::date + 1)
    when 'range' then daterange(v_from::date, v_to::date + 1)
  end;
end
$$;
comment on function analytics.period_days(jsonb, date) is
  'The days of {kind: today|yesterday|this_week|last_week|this_month|last_month}, {kind: last_days|last_weeks|last_months, count}, {kind: day, date} or {kind: range, from, to (included)}; null for anything else.';

create function analytics.resolve_period(p_tenant_id uuid, p_period jsonb, p_now timestamptz) returns analytics.period
language plpgsql stable set search_path = '' as $$
declare
  v_days daterange := analytics.period_days(p_period, analytics.tenant_today(p_tenant_id, p_now));
begin
  if v_days is null then
    raise exception 'invalid_period' using errcode = '22023', hint = 'Unknown kind of period.';
  end if;
  return analytics.make_period(p_tenant_id, lower(v_days), upper(v_days), p_now);
end
$$;
comment on function analytics.resolve_period(uuid, jsonb, timestamptz) is 'The period a document describes, as seen at this moment. 22023 for one it does not know.';

create function analytics.period_between(p_tenant_id uuid, p_start timestamptz, p_end timestamptz, p_default_days integer, p_now timestamptz)
returns analytics.period
language sql stable set search_path = '' as $$
  select analytics.make_period(p_tenant_id, least(f.day, d.day), d.day, p_now)
  from (select coalesce(analytics.tenant_today(p_tenant_id, p_end), analytics.tenant_today(p_tenant_id, p_now) + 1) as day) d,
       lateral (select coalesce(analytics.tenant_today(p_tenant_id, p_start), d.day - p_default_days) as day) f
$$;
comment on function analytics.period_between(uuid, timestamptz, timestamptz, integer, timestamptz) is
  'The days from that of p_start up to, not including, that of p_end. Without p_end up to and including today; without p_start this many days.';

create function analytics.previous_period(p analytics.period, p_tenant_id uuid, p_now timestamptz) returns analytics.period
language sql stable set search_path = '' as $$
  select analytics.make_period(p_tenant_id, (p).from_day - ((p).to_day - (p).from_day), (p).from_day, p_now)
$$;
comment on function analytics.previous_period(analytics.period, uuid, timestamptz) is 'As many days, right before.';
