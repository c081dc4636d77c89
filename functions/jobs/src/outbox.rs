//! Sends what the outbox holds.
//!
//! 1. `api.claim_outbox`: first turns `order.paid` and `order.delivered` rows into what follows from them, then leases rows to send.
//! 2. Each row is rendered from what it names, without a clock, so that every attempt under one key has the same bytes.
//! 3. `api.begin_outbox` keeps a keyed hash of the body before the first attempt. A body that differs from the first (a corrected
//!    address, a replaced code) closes the row and opens a new one under a new key.
//! 4. Each row is sent with its id as the provider's idempotency key.
//! 5. `api.finish_outbox` closes rows, or sets the next attempt.
//!
//! A run that dies anywhere leaves leased rows; when the lease ends another run repeats them under the same keys.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::edge;
use shared::error::ApiError;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::handler::Now;
use crate::mail::{self, Delivery, Mail, MailRow, Renderer};

const BATCH: u32 = 10;
/// Batches in a run at most.
pub const ROUNDS: u32 = 3;
/// Requests of one batch: a mail each, and three calls around them. `max_calls` of the job's row is as many.
pub const CALLS_OF_A_ROUND: u32 = BATCH + 3;
/// Longer than ten mails that all time out.
const LEASE_S: u32 = 180;
const CLAIM_OUTBOX: Rpc = Rpc::once("claim_outbox");
const BEGIN_OUTBOX: Rpc = Rpc::idempotent("begin_outbox");
const FINISH_OUTBOX: Rpc = Rpc::idempotent("finish_outbox");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub sent: u32,
    pub retried: u32,
    pub dead: u32,
}

#[derive(Deserialize)]
struct Claimed {
    rows: Vec<MailRow>,
}

#[derive(Deserialize)]
struct Begun {
    rows: Vec<BegunRow>,
}

#[derive(Deserialize)]
struct BegunRow {
    id: Uuid,
    outcome: Begin,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Begin {
    Send,
    Replaced,
    Gone,
}

#[derive(Deserialize)]
struct Finished {
    sent: u32,
    retried: u32,
    dead: u32,
}

/// What became of one row, as `api.finish_outbox` takes it.
#[derive(Debug, Serialize)]
struct FinishedRow {
    id: Uuid,
    outcome: &'static str,
    error: Option<String>,
    provider_id: Option<String>,
    retry_after_s: Option<u32>,
    duration_ms: Option<i64>,
}

pub async fn run(config: &Config, now: Now, rounds: u32) -> Result<Report, ApiError> {
    let mut report = Report::default();
    for _ in 0..rounds {
        let claimed: Claimed = config
            .db
            .call(CLAIM_OUTBOX, &json!({"limit": BATCH, "lease_s": LEASE_S, "now": now}))
            .await?;
        if claimed.rows.is_empty() {
            break;
        }
        let full = claimed.rows.len() as u32 >= BATCH;
        let finished = send_batch(config, &claimed.rows, now).await?;
        report.sent += finished.sent;
        report.retried += finished.retried;
        report.dead += finished.dead;
        if !full {
            break;
        }
    }
    Ok(report)
}

async fn send_batch(config: &Config, rows: &[MailRow], now: Now) -> Result<Finished, ApiError> {
    let mut finished = Vec::new();
    let mut mails = Vec::new();
    let renderer = Renderer {
        code_keys: &config.code_keys,
        token_key: &config.token_key,
        from: config.mail.from(),
    };
    for row in rows {
        match mail::render(&renderer, row) {
            Ok(mail) => mails.push((row.id, mail)),
            // Cannot get better by itself: somebody has to look at it.
            Err(problem) => finished.push(FinishedRow::failed(row.id, "dead", problem, None)),
        }
    }
    let begin: Vec<_> = mails
        .iter()
        .map(|(id, mail)| json!({"id": id, "payload_hash": config.token_key.payload_hash(mail.body.as_bytes())}))
        .collect();
    if !begin.is_empty() {
        let begun: Begun = config.db.call(BEGIN_OUTBOX, &json!({"rows": begin, "now": now})).await?;
        let may_send = |id: &Uuid| begun.rows.iter().any(|row| row.id == *id && row.outcome == Begin::Send);
        for (id, mail) in mails.iter().filter(|(id, _)| may_send(id)) {
            finished.push(send_one(config, *id, mail).await);
        }
    }
    if finished.is_empty() {
        return Ok(Finished {
            sent: 0,
            retried: 0,
            dead: 0,
        });
    }
    Ok(config.db.call(FINISH_OUTBOX, &json!({"rows": finished, "now": now})).await?)
}

async fn send_one(config: &Config, id: Uuid, mail: &Mail) -> FinishedRow {
    let started = edge::now();
    let delivery = config.mail.send(&config.outgoing, id, mail).await;
    let duration_ms = Some((edge::now() - started).num_milliseconds());
    match delivery {
        Delivery::Sent { provider_id } => FinishedRow {
            id,
            outcome: "sent",
            error: None,
            provider_id,
            retry_after_s: None,
            duration_ms,
        },
        Delivery::Retry { error, after_s } => FinishedRow {
            duration_ms,
            ..FinishedRow::failed(id, "retry", error, after_s)
        },
        Delivery::Refused { error } => FinishedRow {
            duration_ms,
            ..FinishedRow::failed(id, "dead", error, None)
        },
    }
}

impl FinishedRow {
    fn failed(id: Uuid, outcome: &'static str, error: String, retry_after_s: Option<u32>) -> Self {
        Self {
            id,
            outcome,
            error: Some(error),
            provider_id: None,
            retry_after_s,
            duration_ms: None,
        }
    }
}
