//! The ledger of codes: days that are over are closed with a digest, and the whole of it is checked, slice after slice.
//!
//! 1. `api.close_ledger_days` until nothing is due. `settling` means that a transaction may still write into the day: asked again after a
//!    moment, and, where that does not help, at the next run.
//! 2. `api.check_ledger` until it has come to the end, or the run's share of calls is used up; the next run goes on there. A fault opens a
//!    critical alert in the shop it is in.
//!
//! `head` is the newest digest closed by this run. Kept outside the database (a log is enough), it proves later that nothing before it
//! was changed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::calls::Allowance;
use shared::edge;
use shared::error::ApiError;
use shared::postgrest::Rpc;

use crate::Config;
use crate::handler::Now;

/// Calls to close days: some waits, and ten days a call.
const CLOSES: u32 = 10;
/// Calls to check, of some thousand codes each.
const CHECKS: u32 = 20;
const WAIT: Duration = Duration::from_millis(50);
const CLOSE_LEDGER_DAYS: Rpc = Rpc::idempotent("close_ledger_days");
const CHECK_LEDGER: Rpc = Rpc::idempotent("check_ledger");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub days_closed: usize,
    pub rows_closed: u64,
    /// Digest of the newest day closed now.
    pub head: Option<String>,
    /// A transaction that began before the end of a day is still running: the day is closed by a later run.
    pub settling: bool,
    pub codes_checked: u64,
    pub days_checked: u64,
    pub faults: u64,
    /// The check came to the end of the ledger; else the next run goes on.
    pub done: bool,
    pub more: bool,
}

#[derive(Deserialize)]
struct Closing {
    outcome: Outcome,
    days: Vec<Day>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Closed,
    Settling,
    NothingDue,
}

#[derive(Deserialize)]
struct Day {
    rows: u64,
    digest: String,
}

#[derive(Deserialize)]
struct Checked {
    codes: u64,
    days: u64,
    faults: u64,
    done: bool,
}

pub async fn run(config: &Config, now: Now, allowance: &Allowance) -> Result<Report, ApiError> {
    let mut report = Report::default();
    // What cannot be closed now must not keep the rest from being checked.
    // At least one check is left over.
    let closed = close(config, now, allowance.left().saturating_sub(1).min(CLOSES), &mut report).await;
    for _ in 0..CHECKS.min(allowance.left()) {
        let checked: Checked = config.db.call(CHECK_LEDGER, &json!({"now": now})).await?;
        report.codes_checked += checked.codes;
        report.days_checked += checked.days;
        report.faults += checked.faults;
        report.done = checked.done;
        report.more = !checked.done;
        if checked.done {
            break;
        }
    }
    closed.map(|()| report)
}

async fn close(config: &Config, now: Now, calls: u32, report: &mut Report) -> Result<(), ApiError> {
    for attempt in 1..=calls {
        let closing: Closing = config.db.call(CLOSE_LEDGER_DAYS, &json!({"now": now})).await?;
        report.days_closed += closing.days.len();
        report.rows_closed += closing.days.iter().map(|day| day.rows).sum::<u64>();
        report.head = closing.days.into_iter().next_back().map(|day| day.digest).or(report.head.take());
        report.settling = closing.outcome == Outcome::Settling;
        match closing.outcome {
            Outcome::NothingDue => break,
            Outcome::Settling => edge::sleep(WAIT * attempt).await,
            Outcome::Closed => {}
        }
    }
    Ok(())
}
