//! Gives back the money that staff have decided to give back (Cardlink v1).
//!
//! 1. `api.claim_refunds` leases refunds that are due, of one order one at a time.
//! 2. The provider is looked at first: a refund it has a number for is asked about by that; else the bill's payment is, with the refunds it
//!    has. One that was asked for before, and whose answer never came, is found there.
//! 3. Only where it is not there: `api.begin_refund` notes that the provider is asked now, and what refunds there were before. It says no to
//!    one that was asked for less than ten minutes ago, that is done, or that another run has taken over.
//! 4. The provider is asked, once.
//! 5. `api.finish_refund` books what is known then. Done: like a refund notice, which may come before, meanwhile or later. In progress, or
//!    no clear answer: asked about again later. Refused: closed, with an alert.
//!
//! A run that dies anywhere leaves a lease, and a note of the call if it was about to be made. Subrequests: one, and five per refund.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::cardlink::Api;
use shared::cardlink::refunds::{self, Before, Called, Create, Done, Found, Stage};
use shared::cardlink::v1::Payment;
use shared::error::ApiError;
use shared::money::Amount;
use shared::outgoing::NoAnswer;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::handler::Now;

/// Refunds in a run of their own.
pub const BATCH: u32 = 3;
/// Requests of one refund: begin, finish, and up to four to the provider.
pub const CALLS_OF_ONE: u32 = 6;
/// Longer than [`BATCH`] refunds whose every call times out.
const LEASE_S: u32 = 180;
const CLAIM_REFUNDS: Rpc = Rpc::once("claim_refunds");
const BEGIN_REFUND: Rpc = Rpc::once("begin_refund");
const FINISH_REFUND: Rpc = Rpc::idempotent("finish_refund");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub refunds_done: u32,
    /// In progress at the provider, or without a clear answer.
    pub refunds_open: u32,
    pub refunds_rejected: u32,
}

#[derive(Deserialize)]
struct Claimed {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    refund_id: Uuid,
    lease: Uuid,
    bill_id: String,
    amount: Amount,
    /// The provider's ids, once they are known.
    payment_id: Option<String>,
    provider_refund_id: Option<String>,
    /// The provider may have been asked already.
    called: bool,
    seen: Vec<String>,
    seen_amount: Amount,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Begun {
    Call,
    TooEarly,
    Closed,
    Lost,
}

#[derive(Deserialize)]
struct Finished {}

/// What is known of a refund at the end of a run.
enum Verdict {
    Completed {
        provider_refund_id: Option<String>,
        payment_id: Option<String>,
        refunds: Value,
        refunded_amount: Option<Amount>,
        currency: Option<String>,
    },
    Pending {
        provider_refund_id: String,
        payment_id: Option<String>,
    },
    Rejected(String),
    Retry {
        problem: String,
        after_s: Option<u32>,
    },
    /// Somebody else has it, or it is over.
    Nothing,
}

pub async fn run(config: &Config, now: Now, limit: u32) -> Result<Report, ApiError> {
    let mut report = Report::default();
    let claimed: Claimed = config
        .db
        .call(CLAIM_REFUNDS, &json!({"limit": limit, "lease_s": LEASE_S, "now": now}))
        .await?;
    for row in &claimed.rows {
        let verdict = work(config, row, now).await?;
        match verdict {
            Verdict::Completed { .. } => report.refunds_done += 1,
            Verdict::Pending { .. } | Verdict::Retry { .. } => report.refunds_open += 1,
            Verdict::Rejected(_) => report.refunds_rejected += 1,
            Verdict::Nothing => continue,
        }
        let Finished {} = config.db.call(FINISH_REFUND, &finish(row, verdict, now)).await?;
    }
    Ok(report)
}

async fn work(config: &Config, row: &Row, now: Now) -> Result<Verdict, ApiError> {
    if config.cardlink.api() != Api::V1 {
        return Ok(Verdict::Rejected("the payment provider's contract v2 knows no refunds".into()));
    }
    if let Some(id) = &row.provider_refund_id {
        return Ok(match config.cardlink.refund(id).await {
            Ok(refund) => made(row, row.payment_id.clone(), refund.id.clone(), Stage::of(&refund)),
            Err(problem) => retry(format!("refund/status: {problem}")),
        });
    }
    let payment_id = match &row.payment_id {
        Some(id) => id.clone(),
        None => match config.cardlink.payments(&row.bill_id).await {
            Ok(payments) => match refunds::choose(&payments, row.amount) {
                Some(payment) => payment.id.clone(),
                None => {
                    let problem = "no single payment of the bill has that much left; where it was paid in parts, give them back one by one";
                    return Ok(Verdict::Rejected(problem.into()));
                }
            },
            Err(problem) => return Ok(retry(format!("bill/payments: {problem}"))),
        },
    };
    let payment = match config.cardlink.payment(&payment_id, &row.bill_id).await {
        Ok(payment) => payment,
        Err(problem) => return Ok(retry(format!("payment/status: {problem}"))),
    };
    if row.called
        && let Some(verdict) = found(row, &payment)
    {
        return Ok(verdict);
    }
    call(config, row, &payment, now).await
}

/// Whether a refund that was asked for is among those of its payment.
fn found(row: &Row, payment: &Payment) -> Option<Verdict> {
    let before = Before {
        order_id: &row.refund_id.to_string(),
        amount: row.amount,
        seen: &row.seen,
        seen_amount: row.seen_amount,
    };
    match refunds::find(payment, &before) {
        Found::Nowhere => None,
        Found::DoneWithoutId => Some(completed(payment, None)),
        Found::Made { id, stage: Stage::Done } => Some(completed(payment, Some(id))),
        Found::Made { id, stage } => Some(made(row, Some(payment.id.clone()), id, stage)),
    }
}

async fn call(config: &Config, row: &Row, payment: &Payment, now: Now) -> Result<Verdict, ApiError> {
    if refunds::left(payment) < row.amount && !row.called {
        return Ok(Verdict::Rejected("that much is not left of the payment at the provider".into()));
    }
    let seen: Vec<&str> = payment.refunds.iter().map(|refund| refund.id.as_str()).collect();
    let begin = json!({
        "refund_id": row.refund_id, "lease": row.lease, "payment_id": payment.id, "seen": seen,
        "seen_amount": payment.refunded_amount.unwrap_or(Amount::ZERO), "now": now,
    });
    match config.db.call(BEGIN_REFUND, &begin).await? {
        Begun::Call => {}
        Begun::TooEarly => return Ok(retry("no answer came, and the refund is not there yet".into())),
        Begun::Closed | Begun::Lost => return Ok(Verdict::Nothing),
    }
    let is_whole = payment.amount == Some(row.amount) && payment.refunds.is_empty();
    let create = Create {
        payment_id: &payment.id,
        order_id: &row.refund_id.to_string(),
        amount: (!is_whole).then_some(row.amount),
    };
    Ok(match config.cardlink.create_refund(&create).await {
        Ok(answer) => match refunds::called(answer.status, &answer.body, &payment.id) {
            Called::Made { id, stage } => made(row, Some(payment.id.clone()), id, stage),
            Called::Refused(sentence) => Verdict::Rejected(sentence),
            Called::Unknown(problem) => Verdict::Retry {
                problem: format!("refund/create: {problem}"),
                after_s: answer.retry_after,
            },
        },
        Err(NoAnswer::Timeout) => retry("refund/create: no answer in time".into()),
        Err(NoAnswer::Unreachable) => retry("refund/create: the connection broke".into()),
    })
}

fn made(row: &Row, payment_id: Option<String>, id: String, stage: Stage) -> Verdict {
    match stage {
        Stage::Done => Verdict::Completed {
            refunds: json!([Done {
                id: &id,
                amount: row.amount,
                reference: None
            }]),
            provider_refund_id: Some(id),
            payment_id,
            refunded_amount: None,
            currency: None,
        },
        Stage::InProgress => Verdict::Pending {
            provider_refund_id: id,
            payment_id,
        },
        Stage::Failed => Verdict::Rejected("Cardlink has tried and failed.".into()),
    }
}

/// With all that the provider has given back of the payment, as a notice would bring it.
fn completed(payment: &Payment, id: Option<String>) -> Verdict {
    Verdict::Completed {
        provider_refund_id: id,
        payment_id: Some(payment.id.clone()),
        refunds: json!(refunds::done(payment)),
        refunded_amount: refunds::total(payment),
        currency: payment.currency_in.clone(),
    }
}

fn retry(problem: String) -> Verdict {
    Verdict::Retry { problem, after_s: None }
}

fn finish(row: &Row, verdict: Verdict, now: Now) -> Value {
    let mut p = match verdict {
        Verdict::Completed {
            provider_refund_id,
            payment_id,
            refunds,
            refunded_amount,
            currency,
        } => json!({
            "outcome": "completed", "provider_refund_id": provider_refund_id, "payment_id": payment_id, "refunds": refunds,
            "refunded_amount": refunded_amount, "currency": currency,
        }),
        Verdict::Pending {
            provider_refund_id,
            payment_id,
        } => json!({"outcome": "pending", "provider_refund_id": provider_refund_id, "payment_id": payment_id}),
        Verdict::Rejected(reason) => json!({"outcome": "rejected", "error": reason}),
        Verdict::Retry { problem, after_s } => json!({"outcome": "retry", "error": problem, "retry_after_s": after_s}),
        Verdict::Nothing => json!({}),
    };
    if let Value::Object(p) = &mut p {
        p.insert("refund_id".into(), json!(row.refund_id));
        p.insert("lease".into(), json!(row.lease));
        p.insert("now".into(), json!(now));
    }
    p
}
