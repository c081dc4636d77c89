//! `POST /api/webhooks/cardlink`, contract v2
//!
//! 1. Any other path: 404; any other method: 405. Over 16 KB: 413. Not `application/json`: 415. Nothing written.
//! 2. Not a flat JSON object, or a required member missing: 400, nothing written.
//! 3. Signature wrong or missing: 401 `invalid_signature`; one counter row per minute, no body kept.
//! 4. `api.settle_payment`, one transaction: the log row, and whatever the notice changes. 200 with the outcome: `fulfilled`,
//!    `already_processed`, `ignored`, `manual_review`, `failed`, `expired`, `noop`.
//! 5. Bill unknown: 404 `payment_not_found`; the notice is kept and settled when the order appears.
//! 6. Database not reached, or a lock or connection not had in time: 503 with `Retry-After`, so that the provider repeats.
//! 7. After an outcome that sends something, `jobs` is woken by service binding; the answer does not wait for it.

use std::collections::BTreeMap;

use http::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::cardlink::{Api, BillStatus};
use shared::client_info::header_text;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::postgrest::{DbError, Rpc};

use crate::Config;
use crate::v2::{self, Refusal, SignatureForm, Verified};

pub const MAX_BODY: usize = 16 * 1024;
// A repeat of the same notice changes nothing.
const SETTLE_PAYMENT: Rpc = Rpc::idempotent("settle_payment");
const RECORD_REJECTED: Rpc = Rpc::once("record_rejected_webhook");
const LOG_FAILURE: Rpc = Rpc::once("log_webhook_failure");
/// Longest wait for noting a failed attempt; the provider is waiting too.
const LOG_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
/// Request headers kept with the log row.
const LOGGED_HEADERS: [&str; 4] = ["content-type", "user-agent", "cf-ray", "x-request-id"];

#[derive(Serialize)]
struct Notice<'a> {
    source: &'a str,
    provider_api: &'a str,
    origin: &'a str,
    bill_id: &'a str,
    status: BillStatus,
    raw_status: &'a str,
    amount: Amount,
    currency: &'a str,
    signature_form: SignatureForm,
    headers: BTreeMap<&'a str, String>,
    body: &'a BTreeMap<String, serde_json::Value>,
    elapsed_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Fulfilled,
    AlreadyProcessed,
    Ignored,
    ManualReview,
    Failed,
    Expired,
    Noop,
    PaymentNotFound,
}

impl Outcome {
    /// Whether the settle left something in the outbox worth sending now.
    fn wakes_jobs(self) -> bool {
        match self {
            Self::Fulfilled | Self::ManualReview => true,
            Self::AlreadyProcessed | Self::Ignored | Self::Failed | Self::Expired | Self::Noop | Self::PaymentNotFound => false,
        }
    }
}

#[derive(Deserialize)]
struct Settled {
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    outcome: Outcome,
    request_id: &'a str,
}

pub async fn handle(config: Config, request: Incoming) -> Result<Response<String>, ApiError> {
    if request.path != "/api/webhooks/cardlink" {
        return Err(Code::NotFound.into());
    }
    if request.method != Method::POST {
        return Err(ApiError::method_not_allowed("POST"));
    }
    match config.api {
        Api::V2 => notice_v2(&config, &request).await,
    }
}

async fn notice_v2(config: &Config, request: &Incoming) -> Result<Response<String>, ApiError> {
    request.expect_content_type(&["application/json"])?;
    let notice = match v2::verify(&config.secret, &request.body) {
        Ok(notice) => notice,
        Err(Refusal::Malformed(problem)) => return Err(ApiError::new(Code::InvalidRequest).field("body", problem)),
        Err(Refusal::InvalidSignature) => {
            let row = json!({"source": "cardlink", "reason": "invalid_signature"});
            // Counting is best effort: the answer is the same without it.
            let _ = config.db.call::<_, serde_json::Value>(RECORD_REJECTED, &row).await;
            return Err(Code::InvalidSignature.into());
        }
    };
    let outcome = settle(config, request, &notice).await?;
    if outcome == Outcome::PaymentNotFound {
        return Err(Code::PaymentNotFound.into());
    }
    if outcome.wakes_jobs() {
        wake_jobs(config, &request.request_id);
    }
    edge::json(
        StatusCode::OK,
        &Answer {
            outcome,
            request_id: &request.request_id,
        },
    )
}

async fn settle(config: &Config, request: &Incoming, notice: &Verified) -> Result<Outcome, ApiError> {
    let p = Notice {
        source: "cardlink",
        provider_api: "v2",
        origin: "webhook",
        bill_id: &notice.bill_id,
        status: notice.status,
        raw_status: &notice.raw_status,
        amount: notice.amount,
        currency: &notice.currency,
        signature_form: notice.form,
        headers: LOGGED_HEADERS
            .iter()
            .filter_map(|name| Some((*name, header_text(&request.headers, name, 300)?)))
            .collect(),
        body: &notice.members,
        elapsed_ms: (edge::now() - request.now).num_milliseconds(),
    };
    match config.db.call::<_, Settled>(SETTLE_PAYMENT, &p).await {
        Ok(settled) => Ok(settled.outcome),
        Err(error) => {
            // Best effort and briefly: the database may be what is away.
            let (DbError::Failed(detail) | DbError::Refused(detail) | DbError::Unavailable(detail)) = &error;
            let row = json!({"source": "cardlink", "bill_id": notice.bill_id, "status": notice.raw_status, "error": detail});
            let _ = edge::within(LOG_TIMEOUT, config.db.call::<_, serde_json::Value>(LOG_FAILURE, &row)).await;
            // Whatever went wrong on our side, the provider must repeat the notice: 503, never a final answer.
            Err(match error {
                DbError::Unavailable(detail) => ApiError::new(Code::DatabaseUnavailable).detail(detail),
                DbError::Refused(detail) | DbError::Failed(detail) => {
                    ApiError::new(Code::DatabaseUnavailable).detail(format_args!("settle failed: {detail}"))
                }
                DbError::CallerUnknown | DbError::CallerForbidden | DbError::TenantRequired => Code::DatabaseUnavailable.into(),
            })
        }
    }
}

/// Runs the outbox now instead of at the next tick. Lost kicks cost a minute, nothing else.
fn wake_jobs(config: &Config, request_id: &str) {
    let request = http::Request::builder()
        .method(Method::POST)
        .uri("http://jobs/api/jobs/run/outbox")
        .header(http::header::AUTHORIZATION, format!("Bearer {}", config.jobs_secret.expose()))
        .header(edge::REQUEST_ID, request_id)
        .body(worker::Body::empty());
    let Ok(request) = request else { return };
    let Ok(request) = worker::Request::try_from(request) else { return };
    let jobs = config.jobs.clone();
    config.context.wait_until(async move {
        let _ = jobs.fetch_request(request).await;
    });
}
