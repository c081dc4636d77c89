//! `POST /api/jobs/run/{name}`, and the cron trigger, which runs `tick`. (`POST /api/webhooks/mail`: see [`crate::webhook`].)
//!
//! 1. Any other path: 404 `not_found`; any other method: 405 with `Allow`.
//! 2. No `Authorization: Bearer <JOBS_SECRET>`: 401 `unauthorized`, nothing done.
//! 3. A name that is no job: 404 `job_not_found`.
//! 4. 200 with counts of what was done. Database not reached: 503; what was begun goes on at the next run.

use chrono::{DateTime, Utc};
use http::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::client_info;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;

use crate::{Config, bills, expiry, outbox, webhook};

const MAX_BODY: usize = 4 * 1024;
/// Orders one run looks at.
const BATCH: u32 = 50;
/// Calls of `fulfil_waiting` in one run; each delivers up to [`BATCH`] orders.
const FULFIL_ROUNDS: u32 = 4;
const FULFIL_WAITING: Rpc = Rpc::idempotent("fulfil_waiting");

/// The time a run acts at. `None`, the rule, is the database's own clock: a Worker's may differ from it, and leases and due times
/// are compared there. `Some` comes from the test clock only.
pub type Now = Option<DateTime<Utc>>;

/// What a run did.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub polled: Option<bills::Report>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<expiry::Report>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub outbox: Option<outbox::Report>,
}

/// Answer of `api.fulfil_waiting`: orders delivered now, and orders still without codes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Waiting {
    pub fulfilled: u32,
    pub waiting: u32,
}

#[derive(Serialize)]
struct Answer<'a> {
    job: &'a str,
    #[serde(flatten)]
    report: Report,
}

/// Bytes the body of a request to this path may have.
pub fn body_limit(path: &str) -> usize {
    if path == webhook::PATH { webhook::MAX_BODY } else { MAX_BODY }
}

pub async fn handle(config: Config, request: Incoming) -> Result<Response<String>, ApiError> {
    if request.path == webhook::PATH {
        return webhook::handle(&config, &request).await;
    }
    let Some(name) = request.path.strip_prefix("/api/jobs/run/") else {
        return Err(Code::NotFound.into());
    };
    if request.method != Method::POST {
        return Err(ApiError::method_not_allowed("POST"));
    }
    if !client_info::bearer(&request.headers).is_some_and(|token| config.jobs_secret.matches(token)) {
        return Err(Code::Unauthorized.into());
    }
    let now = clock(&config, &request)?;
    let report = match name {
        "tick" => tick(config, now).await?,
        "outbox" => Report {
            outbox: Some(outbox::run(&config, now, outbox::ROUNDS).await?),
            ..Report::default()
        },
        "poll_bills" => Report {
            polled: Some(bills::run(&config, now).await?),
            ..Report::default()
        },
        "expire_orders" => Report {
            expiry: Some(expiry::run(&config, now).await?),
            ..Report::default()
        },
        "fulfil_waiting" => Report {
            waiting: Some(fulfil_waiting(&config, now).await?),
            ..Report::default()
        },
        _ => return Err(Code::JobNotFound.into()),
    };
    edge::json(StatusCode::OK, &Answer { job: name, report })
}

/// All due work. Every part runs, whatever became of the others; the first error is reported at the end. What shoppers wait for comes
/// first. Subrequests: early notices of v1 at most 7, waiting orders 4, one round of the outbox 13, expiry 14; together below the 40 a
/// tick may make.
pub async fn tick(config: Config, now: Now) -> Result<Report, ApiError> {
    let polled = bills::run(&config, now).await;
    let waiting = fulfil_waiting(&config, now).await;
    let outbox = outbox::run(&config, now, 1).await;
    let expiry = expiry::run(&config, now).await;
    Ok(Report {
        polled: Some(polled?),
        waiting: Some(waiting?),
        outbox: Some(outbox?),
        expiry: Some(expiry?),
    })
}

async fn fulfil_waiting(config: &Config, now: Now) -> Result<Waiting, ApiError> {
    let mut total = Waiting::default();
    for _ in 0..FULFIL_ROUNDS {
        let round: Waiting = config.db.call(FULFIL_WAITING, &json!({"now": now, "limit": BATCH})).await?;
        total.fulfilled += round.fulfilled;
        total.waiting = round.waiting;
        if round.fulfilled == 0 || round.waiting == 0 {
            break;
        }
    }
    Ok(total)
}

pub fn clock(config: &Config, request: &Incoming) -> Result<Now, ApiError> {
    match client_info::header_text(&request.headers, "x-test-clock", 64) {
        Some(text) if config.test_clock => DateTime::parse_from_rfc3339(&text)
            .map(|time| Some(time.with_timezone(&Utc)))
            .map_err(|_| ApiError::new(Code::InvalidRequest).field("X-Test-Clock", "must be an RFC 3339 time")),
        _ => Ok(None),
    }
}
