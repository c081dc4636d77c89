//! Experiments (L-117, L-118).
//!
//! `GET /api/admin/experiments?status=`: 200 `{experiments}`, newest first.
//! `POST /api/admin/experiments`, `PATCH /api/admin/experiments/{id}`:
//! 1. Not `application/json`: 415. Not JSON: 400 `invalid_json`. Wrong or missing fields, a `trafficAllocation` that is not a whole percent for
//!    each variant with 100 together: 400 `invalid_request`, each named. Nothing written.
//! 2. POST: a key the shop has used: 409 `experiment_key_taken`. It begins as a draft.
//! 3. PATCH: only the fields given change; null equals absent, a blank text empties description and dates. Another shop's, or no UUID: 404
//!    `experiment_not_found`. What its state does not allow: 409 `experiment_locked` with `status` and `fields`. `status` goes from `draft` to
//!    `running`, between `running` and `paused`, and from both to `completed`; variants, goal and start are fixed once it has run, the
//!    allocation while it runs.
//! 4. 200 with the experiment as it is now.
//!
//! `GET /api/admin/experiments/{id}/results`: 200 with counts, the sample-ratio check and each variant against the first one
//! ([`crate::statistics`]); 404 as above.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, SecondsFormat};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::read::{Fields, Query, YEARS, string, typed};
use crate::staff::Staff;
use crate::statistics::{self, Arm, Cell, Comparison, SampleRatio};

const STAFF_EXPERIMENTS: Rpc = Rpc::idempotent("staff_experiments");
// Not repeated: the second call would find the key taken.
const CREATE_EXPERIMENT: Rpc = Rpc::once("create_experiment");
const UPDATE_EXPERIMENT: Rpc = Rpc::idempotent("update_experiment");
const EXPERIMENT_RESULTS: Rpc = Rpc::idempotent("experiment_results");
const STATUSES: [&str; 4] = ["draft", "running", "paused", "completed"];
const GOALS: [&str; 3] = ["conversion_rate", "revenue", "aov"];

/// The fields that staff set; those not given stay as they are.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Edit {
    name: Option<String>,
    description: Option<String>,
    variants: Option<Vec<String>>,
    traffic_allocation: Option<BTreeMap<String, u8>>,
    status: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    goal_metric: Option<String>,
}

#[derive(Serialize)]
struct New {
    key: Option<String>,
    #[serde(flatten)]
    edit: Edit,
}

#[derive(Serialize)]
struct EditOf {
    experiment_id: Uuid,
    #[serde(flatten)]
    edit: Edit,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
struct Experiment {
    id: Uuid,
    key: String,
    name: String,
    description: Option<String>,
    variants: Vec<String>,
    /// As staff set it; absent for equal parts.
    traffic_allocation: Option<BTreeMap<String, u8>>,
    /// Variant and percent, in order: what is in force.
    shares: Vec<(String, u8)>,
    status: String,
    start_date: Option<String>,
    end_date: Option<String>,
    goal_metric: String,
    created_at: String,
    updated_at: String,
    /// Visitors assigned so far.
    assigned: u64,
}

#[derive(Serialize, Deserialize)]
struct Experiments {
    experiments: Vec<Experiment>,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Edited {
    Ok { experiment: Box<Experiment> },
    Invalid { fields: BTreeMap<String, String> },
    ExperimentNotFound,
    ExperimentKeyTaken,
    ExperimentLocked { status: String, fields: BTreeMap<String, String> },
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Counted {
    Ok(Box<Counts>),
    ExperimentNotFound,
}

#[derive(Deserialize)]
struct Counts {
    experiment: Experiment,
    until: String,
    currency: String,
    variants: Vec<Totals>,
    allocations: Vec<Vec<Cell>>,
    contradicting_exposures: u64,
    contradicting_visitors: u64,
    unassigned_exposures: u64,
}

/// Of one variant, over all allocations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
struct Totals {
    variant: String,
    assigned: u64,
    exposed: u64,
    converted: u64,
    orders: u64,
    unclear_orders: u64,
    revenue: Amount,
    revenue_per_visitor: Option<Amount>,
    average_order_value: Option<Amount>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Results {
    experiment: Experiment,
    /// Counted up to here.
    until: String,
    currency: String,
    sample_ratio_mismatch: Option<bool>,
    sample_ratio: SampleRatio,
    variants: Vec<VariantResults>,
    contradicting_exposures: u64,
    contradicting_visitors: u64,
    unassigned_exposures: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VariantResults {
    #[serde(flatten)]
    totals: Totals,
    /// Percent of the exposed visitors who bought.
    conversion_rate: Option<f64>,
    /// What the experiment is about: the rate, the revenue per exposed visitor, or the average order.
    goal_value: Option<String>,
    /// Against the first variant; absent for that one itself.
    comparison: Option<Comparison>,
}

pub async fn list(request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    let mut query = Query::of(request);
    let status = query.word("status", &STATUSES);
    query.problems.check()?;
    let experiments: Experiments = staff.call(STAFF_EXPERIMENTS, &json!({"status": status})).await?;
    edge::json(StatusCode::OK, &experiments)
}

pub async fn create(request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    let mut fields = Fields::of(request)?;
    fields.require(&["key", "name", "variants"]);
    let key = fields.value("key", "must be 1 to 64 lower-case letters, digits and _", |raw| {
        string(raw).filter(|key| is_name(key, 64))
    });
    let edit = edit(&mut fields);
    if edit.status.as_deref().is_some_and(|status| status != "draft") {
        fields.problems.add("status", "must be draft, or absent: start it with a PATCH");
    }
    fields.problems.check()?;
    answer(staff.call(CREATE_EXPERIMENT, &New { key, edit }).await?)
}

pub async fn update(request: &Incoming, staff: &Staff, id: &str) -> Result<Response<String>, ApiError> {
    let experiment_id: Uuid = id.parse().map_err(|_| Code::ExperimentNotFound)?;
    let mut fields = Fields::of(request)?;
    if fields.has("key") {
        fields
            .problems
            .add("key", "cannot be changed: the visitors' variants follow from it");
    }
    let edit = edit(&mut fields);
    if edit == Edit::default() {
        fields.problems.add("body", "must name something to change");
    }
    fields.problems.check()?;
    answer(staff.call(UPDATE_EXPERIMENT, &EditOf { experiment_id, edit }).await?)
}

pub async fn results(staff: &Staff, id: &str) -> Result<Response<String>, ApiError> {
    let id: Uuid = id.parse().map_err(|_| Code::ExperimentNotFound)?;
    match staff.call(EXPERIMENT_RESULTS, &json!({"experiment_id": id})).await? {
        Counted::Ok(counts) => edge::json(StatusCode::OK, &judge(*counts)),
        Counted::ExperimentNotFound => Err(Code::ExperimentNotFound.into()),
    }
}

fn answer(edited: Edited) -> Result<Response<String>, ApiError> {
    match edited {
        Edited::Ok { experiment } => edge::json(StatusCode::OK, &experiment),
        Edited::Invalid { fields } => Err(with_fields(ApiError::new(Code::InvalidRequest), fields)),
        Edited::ExperimentNotFound => Err(Code::ExperimentNotFound.into()),
        Edited::ExperimentKeyTaken => Err(Code::ExperimentKeyTaken.into()),
        Edited::ExperimentLocked { status, fields } => {
            Err(with_fields(ApiError::new(Code::ExperimentLocked), fields).with("status", status))
        }
    }
}

fn with_fields(error: ApiError, fields: BTreeMap<String, String>) -> ApiError {
    fields.into_iter().fold(error, |error, (name, problem)| error.field(name, problem))
}

fn edit(f: &mut Fields) -> Edit {
    Edit {
        name: f.name("name", 200),
        description: f.text("description", 2000),
        variants: f.value(
            "variants",
            "must be 2 to 10 different names of 1 to 40 lower-case letters, digits and _",
            variants,
        ),
        traffic_allocation: f.value(
            "trafficAllocation",
            "must be a whole percent for each variant, together 100",
            |raw| typed::<BTreeMap<String, u8>>(raw).filter(|shares| shares.values().map(|share| u32::from(*share)).sum::<u32>() == 100),
        ),
        status: f.word("status", &STATUSES),
        start_date: f.value("startDate", TIME, time),
        end_date: f.value("endDate", TIME, time),
        goal_metric: f.word("goalMetric", &GOALS),
    }
}

const TIME: &str = "must be an RFC 3339 time such as 2026-12-01T00:00:00Z, or blank";

fn variants(raw: &str) -> Option<Vec<String>> {
    let names: Vec<String> = typed(raw)?;
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    let right = (2..=10).contains(&names.len()) && sorted.len() == names.len() && names.iter().all(|name| is_name(name, 40));
    right.then_some(names)
}

fn is_name(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// In the one form the database reads; a blank text stays one.
fn time(raw: &str) -> Option<String> {
    let text = string(raw)?;
    match text.trim() {
        "" => Some(String::new()),
        text => DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| time.to_utc())
            .filter(|time| YEARS.contains(&time.year()))
            .map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)),
    }
}

fn judge(counts: Counts) -> Results {
    let sample_ratio = statistics::sample_ratio(&counts.allocations);
    let mismatch = sample_ratio.mismatch == Some(true);
    let arm = |totals: &Totals| Arm {
        exposed: totals.exposed,
        converted: totals.converted,
    };
    let compared = counts.variants.len().saturating_sub(1);
    let first = counts.variants.first().cloned();
    let variant = |(place, totals): (usize, Totals)| {
        let this = arm(&totals);
        let rate = this.conversion_rate();
        let comparison = first
            .as_ref()
            .filter(|_| place > 0)
            .map(|first| statistics::compare([&first.variant, &totals.variant], arm(first), this, compared, mismatch));
        VariantResults {
            conversion_rate: rate,
            goal_value: match counts.experiment.goal_metric.as_str() {
                "revenue" => totals.revenue_per_visitor.map(|amount| amount.to_string()),
                "aov" => totals.average_order_value.map(|amount| amount.to_string()),
                _ => rate.map(|rate| format!("{rate:.2}")),
            },
            comparison,
            totals,
        }
    };
    let variants = counts.variants.into_iter().enumerate().map(variant).collect();
    Results {
        variants,
        sample_ratio_mismatch: sample_ratio.mismatch,
        sample_ratio,
        experiment: counts.experiment,
        until: counts.until,
        currency: counts.currency,
        contradicting_exposures: counts.contradicting_exposures,
        contradicting_visitors: counts.contradicting_visitors,
        unassigned_exposures: counts.unassigned_exposures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Edit, String> {
        let mut fields = Fields::parse(body.as_bytes()).map_err(|error| error.response("r").into_body())?;
        let edit = edit(&mut fields);
        fields.problems.check().map_err(|error| error.response("r").into_body())?;
        Ok(edit)
    }

    #[test]
    fn the_fields_given_are_read_and_no_others() {
        let edit = read(
            r#"{"variants": ["control", "b"], "trafficAllocation": {"control": 90, "b": 10}, "startDate": "2026-12-01T03:00:00+03:00", "endDate": " ", "goalMetric": null}"#,
        )
        .unwrap();
        let expected = Edit {
            variants: Some(vec!["control".into(), "b".into()]),
            traffic_allocation: Some(BTreeMap::from([("control".into(), 90), ("b".into(), 10)])),
            start_date: Some("2026-12-01T00:00:00.000Z".into()),
            end_date: Some(String::new()),
            ..Edit::default()
        };
        assert_eq!(edit, expected);
        assert_eq!(read("{}").unwrap(), Edit::default());
    }

    #[test]
    fn wrong_fields_are_named() {
        for (field, body) in [
            ("name", r#"{"name": " "}"#),
            ("variants", r#"{"variants": ["a"]}"#),
            ("variants", r#"{"variants": ["a", "a"]}"#),
            ("variants", r#"{"variants": ["a", "B"]}"#),
            ("variants", r#"{"variants": ["a", ""]}"#),
            ("variants", r#"{"variants": ["a", 1]}"#),
            ("variants", r#"{"variants": {"a": 50, "b": 50}}"#),
            ("variants", r#"{"variants": ["a","b","c","d","e","f","g","h","i","j","k"]}"#),
            ("trafficAllocation", r#"{"trafficAllocation": {"a": 90, "c": 50}}"#),
            ("trafficAllocation", r#"{"trafficAllocation": {"a": 49.5, "b": 50.5}}"#),
            ("trafficAllocation", r#"{"trafficAllocation": {"a": 110, "b": -10}}"#),
            ("trafficAllocation", r#"{"trafficAllocation": {"a": "50", "b": "50"}}"#),
            ("trafficAllocation", r#"{"trafficAllocation": [50, 50]}"#),
            ("status", r#"{"status": "started"}"#),
            ("startDate", r#"{"startDate": "2026-12-01"}"#),
            ("endDate", r#"{"endDate": "tomorrow"}"#),
            ("goalMetric", r#"{"goalMetric": "clicks"}"#),
        ] {
            let refused = read(body).unwrap_err();
            assert!(refused.contains(&format!("\"fields\":{{\"{field}\":")), "{body}: {refused}");
        }
    }
}
