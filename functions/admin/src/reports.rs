//! `GET /api/admin/reports/{function}`: the figures of the staff pages, and the rows behind each of them.
//!
//! 1. A function that is not on the list: 404 `not_found`, once the caller is known to be staff.
//! 2. A parameter that cannot be read or is out of bounds, or a required one that is missing: 400, each named. Parameters a function does not
//!    have are ignored, blank ones are absent. `filter_tenant_id` of another shop: 403 `forbidden`.
//! 3. 200 `{function, currency, rows}` for a report of docs/analytics.md; `{function, currency, total, sums, rows}` for the rows behind a
//!    number: `total` counts all of them, `sums` adds all of them up, `rows` holds the first 100 or `limit` (at most 500).
//!
//! One call of the database, which only reads. Days are days of the shop; the end day is excluded.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, SecondsFormat};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;

use crate::exact;
use crate::read::{Query, YEARS, plain_day};
use crate::staff::Staff;

const GET_REPORT: Rpc = Rpc::idempotent("get_report");

/// A parameter and what it may hold.
#[derive(Debug, Clone, Copy)]
enum Kind {
    DayOrTime,
    Time,
    /// A whole number between these two, both included.
    Whole(u32, u32),
    Flag,
    Uuid,
    Word(&'static [&'static str]),
    /// `YYYY-MM`.
    Month,
    /// At most so many characters, none of them a control character.
    Text(usize),
}

struct Parameter {
    name: &'static str,
    kind: Kind,
    required: bool,
}

const fn may(name: &'static str, kind: Kind) -> Parameter {
    Parameter {
        name,
        kind,
        required: false,
    }
}

const fn must(name: &'static str, kind: Kind) -> Parameter {
    Parameter {
        name,
        kind,
        required: true,
    }
}

const START: Parameter = may("start_date", Kind::DayOrTime);
const END: Parameter = may("end_date", Kind::DayOrTime);
const SOURCE: Parameter = may("utm_source", Kind::Text(255));
const CAMPAIGN: Parameter = may("utm_campaign", Kind::Text(255));
const LIMIT: Parameter = may("limit", Kind::Whole(1, 500));
const DEVICES: Kind = Kind::Word(&["mobile", "tablet", "desktop", "unknown"]);
const CHECKS: Kind = Kind::Word(&[
    "orders_without_session_id",
    "orders_without_utm",
    "orphaned_events",
    "funnel_integrity",
    "events_without_visit",
]);

/// The reports of docs/analytics.md, all behind `api.get_report`.
const REPORTS: &[(&str, &[Parameter])] = &[
    ("get_funnel_stats", &[START, END]),
    ("get_channel_stats_financial", &[START, END, may("filter_tenant_id", Kind::Uuid)]),
    ("get_unit_economics", &[START, END]),
    ("get_ltv_by_cohort", &[may("cohort_period_days", Kind::Whole(1, 366))]),
    ("detect_anomalies", &[]),
    ("get_rfm_segments", &[]),
    ("get_abandoned_checkouts", &[may("minutes_ago", Kind::Whole(31, 10_080))]),
    (
        "get_winback_candidates",
        &[
            may("days_since_last", Kind::Whole(0, 36_600)),
            may("min_previous_orders", Kind::Whole(1, 1_000_000)),
        ],
    ),
    ("get_behavior_stats", &[START, END]),
    ("get_system_health", &[]),
    ("get_daily_metrics", &[START, END]),
    ("get_data_quality", &[START, END]),
    ("ai_get_revenue_last_n_days", &[may("days", Kind::Whole(1, 3660))]),
    ("ai_get_profit_last_n_days", &[may("days", Kind::Whole(1, 3660))]),
    ("ai_get_top_products", &[may("limit_count", Kind::Whole(1, 100))]),
];

/// The rows behind the numbers, and what the pages need beside: functions of schema `api` of their own.
const ROWS: &[(Rpc, &str, &[Parameter])] = &[
    (Rpc::idempotent("get_shop_settings"), "get_shop_settings", &[]),
    (Rpc::idempotent("get_realtime"), "get_realtime", &[]),
    (
        Rpc::idempotent("get_paid_orders"),
        "get_paid_orders",
        &[
            START,
            END,
            SOURCE,
            CAMPAIGN,
            may("email", Kind::Text(254)),
            may("first_orders", Kind::Flag),
            LIMIT,
        ],
    ),
    (Rpc::idempotent("get_fee_rows"), "get_fee_rows", &[START, END, LIMIT]),
    (
        Rpc::idempotent("get_refund_rows"),
        "get_refund_rows",
        &[START, END, may("email", Kind::Text(254)), LIMIT],
    ),
    (
        Rpc::idempotent("get_ad_spend_rows"),
        "get_ad_spend_rows",
        &[START, END, SOURCE, CAMPAIGN, LIMIT],
    ),
    (
        Rpc::idempotent("get_visits"),
        "get_visits",
        &[
            START,
            END,
            SOURCE,
            CAMPAIGN,
            may("device_type", DEVICES),
            may("active_since", Kind::Time),
            LIMIT,
        ],
    ),
    (
        Rpc::idempotent("get_funnel_sessions"),
        "get_funnel_sessions",
        &[START, END, must("step", Kind::Whole(1, 5)), LIMIT],
    ),
    (
        Rpc::idempotent("get_cohort_customers"),
        "get_cohort_customers",
        &[
            must("cohort_month", Kind::Month),
            may("cohort_period_days", Kind::Whole(1, 366)),
            may("retention_period", Kind::Whole(1, 12)),
            may("repeat_only", Kind::Flag),
            LIMIT,
        ],
    ),
    (
        Rpc::idempotent("get_product_rows"),
        "get_product_rows",
        &[
            START,
            END,
            must("product_name", Kind::Text(255)),
            may("brand", Kind::Text(255)),
            LIMIT,
        ],
    ),
    (Rpc::idempotent("get_rfm_summary"), "get_rfm_summary", &[]),
    (
        Rpc::idempotent("get_rfm_customers"),
        "get_rfm_customers",
        &[may("segment", Kind::Text(50)), LIMIT],
    ),
    (
        Rpc::idempotent("get_event_rows"),
        "get_event_rows",
        &[
            may("start_time", Kind::Time),
            may("end_time", Kind::Time),
            may("event_type", Kind::Text(64)),
            may("session_id", Kind::Text(255)),
            LIMIT,
        ],
    ),
    (
        Rpc::idempotent("get_data_quality_rows"),
        "get_data_quality_rows",
        &[must("check_name", CHECKS), START, END, LIMIT],
    ),
];

/// What every function answers.
#[derive(Deserialize)]
struct Found {
    currency: String,
    total: Option<u64>,
    sums: Option<BTreeMap<String, Box<RawValue>>>,
    rows: Vec<BTreeMap<String, Box<RawValue>>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    function: &'a str,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sums: Option<BTreeMap<String, Box<RawValue>>>,
    rows: Vec<BTreeMap<String, Box<RawValue>>>,
}

pub async fn show(request: &Incoming, staff: &Staff, function: &str) -> Result<Response<String>, ApiError> {
    let (rpc, p) = question(function, Query::of(request))?;
    let found: Found = staff.call(rpc, &p).await?;
    let rows = found.rows.into_iter().map(exact::row).collect();
    edge::json(
        StatusCode::OK,
        &Answer {
            function,
            currency: found.currency,
            total: found.total,
            sums: found.sums.map(exact::row),
            rows,
        },
    )
}

/// Which function of `api` is called, and with what.
fn question(function: &str, query: Query) -> Result<(Rpc, Map<String, Value>), ApiError> {
    if let Some((_, parameters)) = REPORTS.iter().find(|(name, _)| *name == function) {
        let mut p = read(parameters, query)?;
        p.insert("function".into(), json!(function));
        return Ok((GET_REPORT, p));
    }
    let (rpc, _, parameters) = ROWS.iter().find(|(_, name, _)| *name == function).ok_or(Code::NotFound)?;
    Ok((*rpc, read(parameters, query)?))
}

fn read(parameters: &[Parameter], mut query: Query) -> Result<Map<String, Value>, ApiError> {
    let mut p = Map::new();
    for Parameter { name, kind, required } in parameters {
        let was_there = query.has(name);
        if let Some(value) = value(&mut query, name, *kind) {
            p.insert((*name).to_owned(), value);
        } else if *required && !was_there {
            query.problems.add(name, "is missing");
        }
    }
    query.problems.check()?;
    Ok(p)
}

fn value(query: &mut Query, name: &str, kind: Kind) -> Option<Value> {
    match kind {
        Kind::DayOrTime => query.value(
            name,
            "must be a date such as 2026-01-31 or an RFC 3339 time, from 2000 to 2100",
            |text| {
                if text.len() == 10 { day(text) } else { time(text) }
            },
        ),
        Kind::Time => query.value(name, "must be an RFC 3339 time, from 2000 to 2100", time),
        Kind::Whole(min, max) => query.whole(name, min, max).map(Value::from),
        Kind::Flag => query.word(name, &["true", "false"]).map(|word| json!(word == "true")),
        Kind::Uuid => query.value(name, "must be a UUID", |text| text.parse::<uuid::Uuid>().ok().map(|id| json!(id))),
        Kind::Word(words) => query.word(name, words).map(Value::from),
        Kind::Month => query.value(name, "must be a month such as 2026-01", |text| {
            let is_month = text.len() == 7 && day(&format!("{text}-01")).is_some();
            is_month.then(|| json!(text))
        }),
        Kind::Text(limit) => {
            let expected = format!("must be at most {limit} characters without control characters");
            query.value(name, &expected, |text| {
                (text.chars().count() <= limit && !text.chars().any(char::is_control)).then(|| json!(text))
            })
        }
    }
}

/// A day, passed on as it is: whose day it is, the database knows.
fn day(text: &str) -> Option<Value> {
    let day = plain_day(text)?;
    YEARS.contains(&day.year()).then(|| json!(text))
}

/// A moment in the one form the database takes.
fn time(text: &str) -> Option<Value> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    YEARS
        .contains(&time.year())
        .then(|| json!(time.to_rfc3339_opts(SecondsFormat::Micros, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(function: &str, query: &str) -> Result<Map<String, Value>, ApiError> {
        question(function, Query::parse(query)).map(|(_, p)| p)
    }

    #[test]
    fn a_report_is_asked_for_by_its_name_with_its_own_parameters_only() {
        let p = asked(
            "get_funnel_stats",
            "start_date=2026-01-01&end_date=2026-01-08T00:00:00%2B05:00&limit=5&x=1",
        )
        .unwrap();
        assert_eq!(
            Value::from(p),
            json!({"function": "get_funnel_stats", "start_date": "2026-01-01", "end_date": "2026-01-07T19:00:00.000000Z"})
        );
        let p = asked("get_paid_orders", "utm_source=Direct&first_orders=true&limit=500&email=").unwrap();
        assert_eq!(Value::from(p), json!({"utm_source": "Direct", "first_orders": true, "limit": 500}));
        let p = asked("get_cohort_customers", "cohort_month=2026-02&retention_period=12").unwrap();
        assert_eq!(Value::from(p), json!({"cohort_month": "2026-02", "retention_period": 12}));
    }

    #[test]
    fn what_is_not_on_the_list_is_not_found() {
        for name in [
            "",
            "get_report",
            "import_codes",
            "get_funnel_stats;select 1",
            "GET_FUNNEL_STATS",
            "staff_orders",
        ] {
            assert_eq!(asked(name, "").unwrap_err().code, Code::NotFound, "{name}");
        }
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        for (function, query, wrong) in [
            (
                "get_funnel_stats",
                "start_date=yesterday&end_date=2026-02-30",
                &["start_date", "end_date"][..],
            ),
            (
                "get_unit_economics",
                "start_date=1999-12-31&end_date=2101-01-01T00:00:00Z",
                &["start_date", "end_date"],
            ),
            ("get_ltv_by_cohort", "cohort_period_days=367", &["cohort_period_days"]),
            ("get_ltv_by_cohort", "cohort_period_days=1.5", &["cohort_period_days"]),
            ("get_abandoned_checkouts", "minutes_ago=30", &["minutes_ago"]),
            (
                "get_winback_candidates",
                "days_since_last=-1&min_previous_orders=0",
                &["days_since_last", "min_previous_orders"],
            ),
            ("get_channel_stats_financial", "filter_tenant_id=1", &["filter_tenant_id"]),
            ("get_paid_orders", "limit=501&first_orders=yes", &["limit", "first_orders"]),
            ("get_funnel_sessions", "", &["step"]),
            ("get_funnel_sessions", "step=6", &["step"]),
            ("get_cohort_customers", "cohort_month=2026-13", &["cohort_month"]),
            ("get_cohort_customers", "cohort_month=2026-1", &["cohort_month"]),
            (
                "get_event_rows",
                "start_time=2026-01-01&event_type=a%00b",
                &["start_time", "event_type"],
            ),
            ("get_data_quality_rows", "check_name=health_score", &["check_name"]),
            ("get_visits", "device_type=watch&active_since=now", &["device_type", "active_since"]),
            ("get_paid_orders", "start_date=%2B2026-1-01", &["start_date"]),
        ] {
            let answer = asked(function, query).unwrap_err().response("r");
            let body: Value = serde_json::from_str(answer.body()).unwrap();
            let mut named: Vec<&str> = body["fields"].as_object().unwrap().keys().map(String::as_str).collect();
            let mut wrong = wrong.to_vec();
            named.sort_unstable();
            wrong.sort_unstable();
            assert_eq!((answer.status().as_u16(), named), (400, wrong), "{function}?{query}");
        }
    }
}
