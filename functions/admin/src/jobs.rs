//! What runs by itself, and whether the books agree.
//!
//! `GET /api/admin/jobs`: 200 `{jobs, reports}`. `jobs`: each job of the installation with its schedule, its last run and its next, in the order
//! in which they run. `reports`: the shop's daily reconciliations, of the last seven days, newest first.

use std::collections::BTreeMap;

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::edge;
use shared::error::ApiError;
use shared::money::Amount;
use shared::postgrest::Rpc;

use crate::staff::Staff;

const STAFF_JOBS: Rpc = Rpc::idempotent("staff_jobs");

#[derive(Serialize, Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
    reports: Vec<DayReport>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
struct Job {
    name: String,
    /// Cron expression, UTC.
    schedule: String,
    enabled: bool,
    last_run_at: Option<String>,
    /// `running`, `success`, `failed` or `cancelled`; none where it never ran.
    last_run_status: Option<String>,
    last_run_duration_ms: Option<u32>,
    /// Runs in a row that failed.
    failures: u32,
    next_run_at: Option<String>,
    /// It has been due for over five minutes.
    is_late: Option<bool>,
    /// Why it failed, while it does.
    last_error: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
struct DayReport {
    /// `YYYY-MM-DD`, in the shop's time zone.
    day: String,
    /// `running`, `clean` or `differences`.
    status: String,
    checked_at: Option<String>,
    counts: BTreeMap<String, u64>,
    /// None where the provider lists no such sum.
    sums: BTreeMap<String, Option<Amount>>,
    differences: Vec<Difference>,
}

#[derive(Serialize, Deserialize)]
struct Difference {
    /// `bill:<id>`, `order:<id>` or `code:<id>`.
    subject: String,
    problem: String,
}

pub async fn list(staff: &Staff) -> Result<Response<String>, ApiError> {
    let jobs: Jobs = staff.call(STAFF_JOBS, &json!({})).await?;
    edge::json(StatusCode::OK, &jobs)
}
