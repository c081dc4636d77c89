//! `POST /api/jobs/run/{name}`: one job, at once, also when it is not due; or `tick`, which is what the cron trigger runs.
//! (`POST /api/webhooks/mail`: see [`crate::webhook`].)
//!
//! 1. Any other path: 404 `not_found`; any other method: 405 with `Allow`.
//! 2. No `Authorization: Bearer <JOBS_SECRET>`: 401 `unauthorized`, nothing done.
//! 3. A name that is no job: 404 `job_not_found`.
//! 4. 200 with counts of what was done. Database not reached: 503; what was begun goes on at the next run.
//!
//! The jobs and their functions stand in [`run_job`]; when each runs by itself is a row of `ops.scheduled_jobs`.

use chrono::{DateTime, Utc};
use http::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::calls::Allowance;
use shared::client_info;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;

use crate::{Config, bills, digest, expiry, metrics, outbox, reconcile, refunds, reseal, schedule, webhook};

const MAX_BODY: usize = 4 * 1024;
/// Orders one run looks at.
const BATCH: u32 = 50;
/// Calls of `fulfil_waiting` in one run; each delivers up to [`BATCH`] orders.
const FULFIL_ROUNDS: u32 = 4;
const FULFIL_WAITING: Rpc = Rpc::idempotent("fulfil_waiting");
const CHECK_PENDING_PAYMENTS: Rpc = Rpc::idempotent("check_pending_payments");
const CHECK_STOCK: Rpc = Rpc::idempotent("check_stock");
const PURGE: Rpc = Rpc::idempotent("purge");
const REPLAY_EVENTS: Rpc = Rpc::idempotent("replay_events");

/// The time a run acts at. `None`, the rule, is the database's own clock: a Worker's may differ from it, and leases and due times
/// are compared there. `Some` comes from the test clock only.
pub type Now = Option<DateTime<Utc>>;

/// Every job: its name, and the function that does it with at most as many requests as allowed. `more: true` in what it answers means that
/// it goes on at once. A new job needs a line here and a row in `ops.scheduled_jobs`.
pub async fn run_job(config: &Config, name: &str, now: Now, allowance: &Allowance) -> Result<Value, ApiError> {
    match name {
        "fulfil_waiting" => report(fulfil_waiting(config, now, allowance).await),
        "outbox" => report(outbox::run(config, now, allowance.fits(outbox::CALLS_OF_A_ROUND, 0).clamp(1, outbox::ROUNDS)).await),
        "poll_bills" => report(bills::run(config, now, allowance).await),
        "expire_orders" => report(expiry::run(config, now, allowance).await),
        "pending_payments" => {
            let p = json!({"now": now, "default_tenant": config.default_tenant});
            Ok(config.db.call(CHECK_PENDING_PAYMENTS, &p).await?)
        }
        "low_stock" => report(low_stock(config, now, allowance).await),
        "reconcile" => report(reconcile::run(config, now, allowance).await),
        "refunds" => report(refunds::run(config, now, allowance.fits(refunds::CALLS_OF_ONE, 1).clamp(1, refunds::BATCH)).await),
        "refresh_metrics" => report(metrics::run(config, now, allowance).await),
        "refresh_daily_metrics" => report(metrics::refresh_daily(config).await),
        "ledger_digest" => report(digest::run(config, now, allowance).await),
        "reseal_codes" => report(reseal::run(config, now, allowance).await),
        "purge" => Ok(config.db.call(PURGE, &json!({"now": now})).await?),
        "replay_events" => Ok(config.db.call(REPLAY_EVENTS, &json!({"now": now})).await?),
        _ => Err(Code::JobNotFound.into()),
    }
}

fn report<T: Serialize>(result: Result<T, ApiError>) -> Result<Value, ApiError> {
    serde_json::to_value(result?).map_err(|error| ApiError::new(Code::InternalError).detail(error))
}

/// Answer of `api.fulfil_waiting`: orders delivered now, and orders still without codes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Waiting {
    fulfilled: u32,
    waiting: u32,
}

/// Answer of `api.check_stock`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stock {
    shops: u32,
    /// Face values of which there is too little.
    low: u32,
    /// Shops that could not be checked.
    failed: u32,
    #[serde(skip_serializing)]
    next: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    job: &'a str,
    #[serde(flatten)]
    report: Value,
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
        "tick" => report(schedule::tick(config, now).await)?,
        _ => schedule::run_by_hand(&config, name, now).await?,
    };
    edge::json(StatusCode::OK, &Answer { job: name, report })
}

async fn fulfil_waiting(config: &Config, now: Now, allowance: &Allowance) -> Result<Waiting, ApiError> {
    let mut total = Waiting::default();
    for _ in 0..FULFIL_ROUNDS.min(allowance.left()) {
        let round: Waiting = config.db.call(FULFIL_WAITING, &json!({"now": now, "limit": BATCH})).await?;
        total.fulfilled += round.fulfilled;
        total.waiting = round.waiting;
        if round.fulfilled == 0 || round.waiting == 0 {
            break;
        }
    }
    Ok(total)
}

async fn low_stock(config: &Config, now: Now, allowance: &Allowance) -> Result<Stock, ApiError> {
    let mut total = Stock::default();
    while allowance.left() > 0 {
        let round: Stock = config.db.call(CHECK_STOCK, &json!({"now": now, "after": total.next})).await?;
        total = Stock {
            shops: total.shops + round.shops,
            low: total.low + round.low,
            failed: total.failed + round.failed,
            next: round.next,
        };
        if total.next.is_none() {
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
