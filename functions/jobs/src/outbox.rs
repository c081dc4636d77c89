//! Sends what the outbox holds.
//!
//! 1. `api.claim_outbox`: first turns `order.paid` and `order.delivered` rows into what follows from them, then leases rows to send.
//! 2. Each row is rendered from what it names, without a clock, so that every attempt under one key has the same bytes.
//! 3. `api.begin_outbox` keeps a keyed hash of the body before the first attempt. A body that differs from the first (a corrected
//!    address, a replaced code) closes the row and opens a new one under a new key.
//! 4. Each row is sent with its id as the provider's idempotency key. When the provider asks to be left alone (429), or the lease is
//!    nearly over, the rest is handed back untried.
//! 5. `api.finish_outbox` closes rows, or sets the next attempt: once for all, or, where a repeat would be a second mail, after each one.
//!
//! A run that dies anywhere leaves leased rows; when the lease ends another run repeats them under the same keys. Begin and finish show the
//! lease: a run that was slower than its lease changes nothing any more.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::edge;
use shared::error::ApiError;
use shared::postgrest::{DbError, Rpc};
use uuid::Uuid;

use crate::Config;
use crate::handler::Now;
use crate::mail::{self, Delivery, Mail, MailRow, Renderer, Why};

/// Mails in a batch: with the calls around them at most 13 subrequests.
const BATCH: u32 = 10;
/// The same where each mail is finished by itself.
const BATCH_ONE_BY_ONE: u32 = 5;
/// Batches in a run at most.
pub const ROUNDS: u32 = 3;
/// Requests of one batch: a mail each, and three calls around them. `max_calls` of the job's row is as many.
pub const CALLS_OF_A_ROUND: u32 = BATCH + 3;
/// Longer than [`SENDING`] and one mail more that times out.
const LEASE_S: u32 = 180;
/// How long a batch goes on beginning mails.
const SENDING: chrono::TimeDelta = chrono::TimeDelta::seconds(120);
/// Waits before a verdict that could not be booked is booked again.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
const CLAIM_OUTBOX: Rpc = Rpc::once("claim_outbox");
const BEGIN_OUTBOX: Rpc = Rpc::idempotent("begin_outbox");
const FINISH_OUTBOX: Rpc = Rpc::idempotent("finish_outbox");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub sent: u32,
    pub retried: u32,
    pub dead: u32,
    /// Verdicts that came after the row had been given to another run.
    pub stale: u32,
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
    stale: u32,
}

/// What became of one row, as `api.finish_outbox` takes it.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Verdict {
    id: Uuid,
    lease: Uuid,
    outcome: &'static str,
    error: Option<String>,
    provider_id: Option<String>,
    retry_after_s: Option<u32>,
    duration_ms: Option<i64>,
    /// Whether the provider may have taken the mail; `false`: it has not.
    unanswered: Option<bool>,
}

/// A row on its way out.
struct Ready<'a> {
    row: &'a MailRow,
    mail: Mail,
}

pub async fn run(config: &Config, now: Now, rounds: u32) -> Result<Report, ApiError> {
    let mut report = Report::default();
    let batch = if config.mail.provider.has_idempotency_keys() {
        BATCH
    } else {
        BATCH_ONE_BY_ONE
    };
    for _ in 0..rounds {
        let claimed: Claimed = config
            .db
            .call(CLAIM_OUTBOX, &json!({"limit": batch, "lease_s": LEASE_S, "now": now}))
            .await?;
        if claimed.rows.is_empty() {
            break;
        }
        let full = claimed.rows.len() as u32 >= batch;
        let released = send_batch(config, &claimed.rows, now, &mut report).await?;
        if !full || released {
            break;
        }
    }
    Ok(report)
}

/// Whether rows were handed back untried.
async fn send_batch(config: &Config, rows: &[MailRow], now: Now, report: &mut Report) -> Result<bool, ApiError> {
    let deadline = edge::now() + SENDING;
    let (ready, mut verdicts) = prepare(config, rows);
    let mut released = false;
    let mut wait = None;
    for Ready { row, mail } in begun(config, ready, now).await? {
        if wait.is_some() || edge::now() > deadline {
            released = true;
            verdicts.push(Verdict::of(row, "released").after(wait));
            continue;
        }
        let started = edge::now();
        let delivery = config.mail.send(&config.outgoing, row.id, &mail).await;
        if let Delivery::Retry {
            why: Why::Busy, after_s, ..
        } = &delivery
        {
            wait = Some(after_s.unwrap_or(1));
        }
        let verdict = Verdict {
            duration_ms: Some((edge::now() - started).num_milliseconds()),
            ..Verdict::on(row, delivery)
        };
        if config.mail.provider.has_idempotency_keys() {
            verdicts.push(verdict);
        } else {
            // Lost, this verdict would be a second mail: no other is begun before it is booked.
            finish_surely(config, vec![verdict], now, report).await?;
        }
    }
    if !verdicts.is_empty() {
        finish(config, &verdicts, now, report).await?;
    }
    Ok(released)
}

/// Renders the rows. What cannot be rendered cannot get better by itself: somebody has to look at it.
fn prepare<'a>(config: &Config, rows: &'a [MailRow]) -> (Vec<Ready<'a>>, Vec<Verdict>) {
    let renderer = Renderer {
        code_keys: &config.code_keys,
        token_key: &config.token_key,
        from: config.mail.from(),
    };
    let (mut ready, mut verdicts) = (Vec::new(), Vec::new());
    for row in rows {
        match mail::render(&renderer, row).and_then(|message| config.mail.encode(&message)) {
            Ok(mail) => ready.push(Ready { row, mail }),
            Err(problem) => verdicts.push(Verdict {
                error: Some(problem),
                ..Verdict::of(row, "dead")
            }),
        }
    }
    (ready, verdicts)
}

/// Those of them that may be sent.
async fn begun<'a>(config: &Config, ready: Vec<Ready<'a>>, now: Now) -> Result<Vec<Ready<'a>>, ApiError> {
    if ready.is_empty() {
        return Ok(ready);
    }
    let rows: Vec<_> = ready
        .iter()
        .map(|Ready { row, mail }| {
            let hash = config.token_key.payload_hash(mail.body.as_bytes());
            json!({"id": row.id, "lease": row.lease, "payload_hash": hash})
        })
        .collect();
    let begun: Begun = config.db.call(BEGIN_OUTBOX, &json!({"rows": rows, "now": now})).await?;
    let may_send = |id: Uuid| begun.rows.iter().any(|row| row.id == id && row.outcome == Begin::Send);
    Ok(ready.into_iter().filter(|ready| may_send(ready.row.id)).collect())
}

async fn finish(config: &Config, verdicts: &[Verdict], now: Now, report: &mut Report) -> Result<(), DbError> {
    let p = json!({"provider": config.mail.provider, "rows": verdicts, "now": now});
    let finished: Finished = config.db.call(FINISH_OUTBOX, &p).await?;
    report.sent += finished.sent;
    report.retried += finished.retried;
    report.dead += finished.dead;
    report.stale += finished.stale;
    Ok(())
}

/// The same, patiently.
async fn finish_surely(config: &Config, verdicts: Vec<Verdict>, now: Now, report: &mut Report) -> Result<(), DbError> {
    for wait in AGAIN {
        match finish(config, &verdicts, now, report).await {
            Err(DbError::Unavailable(_)) => edge::sleep(wait).await,
            finished => return finished,
        }
    }
    finish(config, &verdicts, now, report).await
}

impl Verdict {
    fn of(row: &MailRow, outcome: &'static str) -> Self {
        Self {
            id: row.id,
            lease: row.lease,
            outcome,
            ..Self::default()
        }
    }

    fn after(self, seconds: Option<u32>) -> Self {
        Self {
            retry_after_s: seconds,
            ..self
        }
    }

    fn on(row: &MailRow, delivery: Delivery) -> Self {
        match delivery {
            Delivery::Sent { provider_id } => Self {
                provider_id,
                ..Self::of(row, "sent")
            },
            Delivery::Retry { error, after_s, why } => Self {
                error: Some(error),
                unanswered: (why == Why::Unanswered).then_some(true),
                ..Self::of(row, "retry").after(after_s)
            },
            Delivery::Refused { error, never_taken } => Self {
                error: Some(error),
                unanswered: never_taken.then_some(false),
                ..Self::of(row, "dead")
            },
        }
    }
}
