//! `POST /api/webhooks/cardlink`, and under contract v1 also `.../refund` and `.../chargeback`
//!
//! 1. Any other path: 404; any other method: 405. Over 16 KB: 413. Nothing written.
//!
//! Under v1 see [`crate::confirm`]. Under v2:
//!
//! 2. Not `application/json`: 415. Not a flat JSON object, or a required member missing: 400. Nothing written.
//! 3. Signature wrong or missing: 401 `invalid_signature`; one counter row per minute, no body kept.
//! 4. `api.settle_payment`, one transaction: the log row, and whatever the notice changes. 200 with the outcome: `fulfilled`,
//!    `already_processed`, `ignored`, `manual_review`, `failed`, `expired`, `noop`.
//! 5. Bill unknown: 404 `payment_not_found`; the notice is kept and settled when the order appears.
//! 6. Database not reached, or a lock or connection not had in time: 503 with `Retry-After`, so that the provider repeats.
//! 7. After an outcome that sends something, `jobs` is woken by service binding; the answer does not wait for it.

use std::collections::BTreeMap;

use http::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::client_info::header_text;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::{DbError, Rpc};
use shared::secret::Secret;

use crate::v1::Kind;
use crate::v2::{self, Refusal};
use crate::{Config, Contract, confirm};

pub const MAX_BODY: usize = 16 * 1024;
// A repeat of the same notice changes nothing.
pub const SETTLE_PAYMENT: Rpc = Rpc::idempotent("settle_payment");
const RECORD_REJECTED: Rpc = Rpc::once("record_rejected_webhook");
const LOG_FAILURE: Rpc = Rpc::once("log_webhook_failure");
/// Longest wait for noting a failed attempt; the provider is waiting too.
const LOG_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
/// Request headers kept with the log row.
const LOGGED_HEADERS: [&str; 4] = ["content-type", "user-agent", "cf-ray", "x-request-id"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Fulfilled,
    AlreadyProcessed,
    Ignored,
    ManualReview,
    Failed,
    Expired,
    Noop,
    Refunded,
    PartiallyRefunded,
    Chargeback,
    PaymentNotFound,
}

impl Outcome {
    /// Whether the settle left something in the outbox worth sending now.
    fn wakes_jobs(self) -> bool {
        match self {
            Self::Fulfilled | Self::ManualReview => true,
            Self::AlreadyProcessed
            | Self::Ignored
            | Self::Failed
            | Self::Expired
            | Self::Noop
            | Self::Refunded
            | Self::PartiallyRefunded
            | Self::Chargeback
            | Self::PaymentNotFound => false,
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
    let kind = match request.path.as_str() {
        "/api/webhooks/cardlink" => Kind::Payment,
        "/api/webhooks/cardlink/refund" => Kind::Refund,
        "/api/webhooks/cardlink/chargeback" => Kind::Chargeback,
        _ => return Err(Code::NotFound.into()),
    };
    if kind != Kind::Payment && matches!(config.contract, Contract::V2 { .. }) {
        return Err(Code::NotFound.into());
    }
    if request.method != Method::POST {
        return Err(ApiError::method_not_allowed("POST"));
    }
    match &config.contract {
        Contract::V1(client) => confirm::notice(&config, client, &request, kind).await,
        Contract::V2 { secret } => notice_v2(&config, secret, &request).await,
    }
}

async fn notice_v2(config: &Config, secret: &Secret, request: &Incoming) -> Result<Response<String>, ApiError> {
    request.expect_content_type(&["application/json"])?;
    let notice = match v2::verify(secret, &request.body) {
        Ok(notice) => notice,
        Err(refusal) => return Err(refuse(config, refusal).await),
    };
    let p = json!({
        "source": "cardlink", "provider_api": "v2", "origin": "webhook", "bill_id": notice.bill_id, "status": notice.status,
        "raw_status": notice.raw_status, "amount": notice.amount, "currency": notice.currency, "signature_form": notice.form,
        "headers": logged_headers(request), "body": notice.members, "elapsed_ms": elapsed_ms(request),
    });
    let outcome = settle(config, SETTLE_PAYMENT, &notice.bill_id, &notice.raw_status, &p).await?;
    answer(config, request, outcome)
}

/// 400, or 401 with its counter row. Counting is best effort: the answer is the same without it.
pub async fn refuse(config: &Config, refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Malformed(problem) => ApiError::new(Code::InvalidRequest).field("body", problem),
        Refusal::InvalidSignature => {
            let row = json!({"source": "cardlink", "reason": "invalid_signature"});
            let _ = config.db.call::<_, Value>(RECORD_REJECTED, &row).await;
            Code::InvalidSignature.into()
        }
    }
}

/// Calls a settling function of the database.
pub async fn settle(config: &Config, rpc: Rpc, bill_id: &str, raw_status: &str, p: &Value) -> Result<Outcome, ApiError> {
    match config.db.call::<_, Settled>(rpc, p).await {
        Ok(settled) => Ok(settled.outcome),
        Err(error) => Err(not_settled(config, Some(bill_id), raw_status, error).await),
    }
}

/// Whatever went wrong on our side, the provider must repeat the notice: 503, never a final answer.
pub async fn not_settled(config: &Config, bill_id: Option<&str>, raw_status: &str, error: DbError) -> ApiError {
    match error {
        DbError::Unavailable(detail) | DbError::Refused(detail) | DbError::Failed(detail) => {
            log_failure(config, bill_id, raw_status, &detail).await;
            ApiError::new(Code::DatabaseUnavailable).detail(format_args!("settle failed: {detail}"))
        }
        DbError::CallerUnknown | DbError::CallerForbidden | DbError::TenantRequired => Code::DatabaseUnavailable.into(),
    }
}

/// A row for people who look for a lost notice. Best effort. `status` is the provider's word, or the HTTP status answered.
pub async fn log_failure(config: &Config, bill_id: Option<&str>, status: &str, error: &str) {
    let row = json!({"source": "cardlink", "bill_id": bill_id, "status": status, "error": error});
    let _ = edge::within(LOG_TIMEOUT, config.db.call::<_, Value>(LOG_FAILURE, &row)).await;
}

pub fn answer(config: &Config, request: &Incoming, outcome: Outcome) -> Result<Response<String>, ApiError> {
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

pub fn logged_headers(request: &Incoming) -> BTreeMap<&'static str, String> {
    LOGGED_HEADERS
        .iter()
        .filter_map(|name| Some((*name, header_text(&request.headers, name, 300)?)))
        .collect()
}

pub fn elapsed_ms(request: &Incoming) -> i64 {
    (edge::now() - request.now).num_milliseconds()
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
