//! One tick: runs what is due, one job after the other, as `api.claim_jobs` and `api.finish_job` hand it out.
//!
//! 1. `claim_jobs` leases the first job that is due and fits into the requests left.
//! 2. It runs, with as many requests as its row allows.
//! 3. `finish_job` notes how it went and leases the next one. After [`TICK`] requests what is still due is left to the next tick.
//!
//! A job that fails does not keep the others from running. A tick that dies leaves one leased job, which is due again when its lease ends.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::edge;
use shared::error::ApiError;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::handler::{self, Now};

/// Requests a tick may make. The platform's smallest plan allows 50; the rest is for calls that are repeated.
pub const TICK: u32 = 40;
const CLAIM_JOBS: Rpc = Rpc::once("claim_jobs");
const FINISH_JOB: Rpc = Rpc::once("finish_job");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub jobs: Vec<Ran>,
    /// Requests made.
    pub calls: u32,
}

#[derive(Debug, Serialize)]
pub struct Ran {
    pub job: String,
    /// `success`, `failed`, or `cancelled` where this Worker does not know the job.
    pub status: &'static str,
    #[serde(flatten)]
    pub result: Value,
}

#[derive(Deserialize)]
struct Claimed {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    name: String,
    token: Uuid,
    max_calls: u32,
}

#[derive(Deserialize)]
struct Finished {
    next: Option<Job>,
}

/// What is left for a job when the call that claims it, and the one that finishes it, are taken off.
fn budget(made: u32) -> u32 {
    TICK.saturating_sub(made + 2)
}

/// All due work. The first error is reported at the end.
pub async fn tick(config: Config, now: Now) -> Result<Report, ApiError> {
    let p = json!({"now": now, "limit": 1, "budget": budget(config.calls.made())});
    let claimed: Claimed = config.db.call(CLAIM_JOBS, &p).await?;
    let mut next = claimed.jobs.into_iter().next();
    let mut report = Report::default();
    let mut first_error = None;
    while let Some(job) = next {
        let started = edge::now();
        let result = handler::run_job(&config, &job.name, now, &config.calls.allow(job.max_calls)).await;
        let outcome = Outcome::of(&result);
        let finish = json!({
            "token": job.token, "status": outcome.status, "result": outcome.result, "error": outcome.error, "more": outcome.more,
            "duration_ms": (edge::now() - started).num_milliseconds(), "budget": budget(config.calls.made()), "now": now,
        });
        let finished: Finished = config.db.call(FINISH_JOB, &finish).await?;
        report.jobs.push(Ran {
            job: job.name,
            status: outcome.status,
            result: outcome.result.unwrap_or_else(|| json!({})),
        });
        if outcome.status == "failed" {
            first_error = first_error.or(result.err());
        }
        next = finished.next;
    }
    report.calls = config.calls.made();
    first_error.map_or(Ok(report), Err)
}

/// Runs one job at once, whatever the schedule says, and logs it. Its schedule stays as it is.
pub async fn run_by_hand(config: &Config, name: &str, now: Now) -> Result<Value, ApiError> {
    let started = edge::now();
    // One for the log.
    let result = handler::run_job(config, name, now, &config.calls.allow(TICK - 1)).await;
    let outcome = Outcome::of(&result);
    if outcome.status != "cancelled" {
        let log = json!({
            "name": name, "status": outcome.status, "result": outcome.result, "error": outcome.error,
            "duration_ms": (edge::now() - started).num_milliseconds(), "now": now,
        });
        // What was done is done, logged or not.
        let _ = config.db.call::<_, Value>(FINISH_JOB, &log).await;
    }
    result
}

struct Outcome {
    status: &'static str,
    result: Option<Value>,
    error: Option<String>,
    /// The job has not got to the end of its work, and got somewhere.
    more: bool,
}

impl Outcome {
    fn of(result: &Result<Value, ApiError>) -> Self {
        match result {
            Ok(value) => Self {
                status: "success",
                result: Some(value.clone()),
                error: None,
                more: value.get("more").and_then(Value::as_bool).unwrap_or(false),
            },
            Err(error) => Self {
                // The database may be ahead of this Worker: its next deploy knows the job.
                status: if error.code == shared::error::Code::JobNotFound {
                    "cancelled"
                } else {
                    "failed"
                },
                result: None,
                error: Some(match &error.detail {
                    Some(detail) => format!("{}: {detail}", error.code.name()),
                    None => error.code.name().to_owned(),
                }),
                more: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::error::Code;

    use super::*;

    #[test]
    fn a_claim_and_a_finish_always_fit_around_a_job() {
        assert_eq!(budget(0), 38);
        // 1 + 37 made, and two more: 40.
        assert_eq!((budget(38), budget(39), budget(100)), (0, 0, 0));
    }

    #[test]
    fn an_outcome_says_how_it_went_without_what_was_sent() {
        let done = Outcome::of(&Ok(json!({"sent": 2, "more": true})));
        assert_eq!((done.status, done.more, done.error), ("success", true, None));
        let unknown = Outcome::of(&Err(Code::JobNotFound.into()));
        assert_eq!((unknown.status, unknown.error.as_deref()), ("cancelled", Some("job_not_found")));
        let failed = Outcome::of(&Err(ApiError::new(Code::DatabaseUnavailable).detail("claim_outbox: HTTP 503")));
        assert_eq!(
            (failed.status, failed.error.as_deref(), failed.more),
            ("failed", Some("database_unavailable: claim_outbox: HTTP 503"), false)
        );
    }
}
