//! Bills the provider is asked about, in case a notice of it is lost: what it says there is settled like a notice.
//!
//! Which bills, and when each is asked about again, is decided by `api.due_bills` and `api.finish_looks`. Under v1 they include bills
//! whose notice came before we knew them: it proved nothing alone, so it was kept until the provider could be asked.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::calls::Allowance;
use shared::cardlink::client::{BillState, Unconfirmed};
use shared::cardlink::{Api, BillStatus};
use shared::error::ApiError;
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::handler::Now;

const DUE_BILLS: Rpc = Rpc::once("due_bills");
const FINISH_LOOKS: Rpc = Rpc::idempotent("finish_looks");
const SETTLE_PAYMENT: Rpc = Rpc::idempotent("settle_payment");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Bills the provider gave an answer about, settled where it was news.
    pub polled: usize,
    /// Of them, how many it had money for.
    pub found_paid: usize,
    /// Bills the provider could not be asked about, or that could not be settled; asked again later.
    pub poll_failed: usize,
    /// Bills that are due and did not fit into this run.
    pub left: usize,
}

/// A bill with what was asked for.
#[derive(Debug, Clone, Deserialize)]
pub struct Bill {
    pub order_id: Uuid,
    pub bill_id: String,
    pub amount: Amount,
    pub currency: String,
}

#[derive(Deserialize)]
struct Due {
    bills: Vec<DueBill>,
}

#[derive(Deserialize)]
struct DueBill {
    #[serde(flatten)]
    bill: Bill,
    /// Of our payment.
    status: String,
    /// A notice of it is parked, which is settled with whatever the provider says.
    announced: bool,
}

impl DueBill {
    /// Whether what the provider says changes anything. An open bill that is still open is not worth a row in the log.
    fn is_news(&self, status: BillStatus) -> bool {
        let unpaid = self.status == "pending" && matches!(status, BillStatus::Failed | BillStatus::Expired);
        self.announced || status.has_money() || unpaid
    }
}

/// Requests that one bill may take: its status, under v1 its payments where too much or too little came in, and the settle.
pub fn calls_of_a_look(config: &Config) -> u32 {
    match config.cardlink.api() {
        Api::V1 => 3,
        Api::V2 => 2,
    }
}

pub async fn run(config: &Config, now: Now, allowance: &Allowance) -> Result<Report, ApiError> {
    let mut report = Report::default();
    // At least one request for each, one here and one at the end.
    let limit = allowance.fits(1, 2);
    let due: Due = config.db.call(DUE_BILLS, &json!({"now": now, "limit": limit})).await?;
    let (mut answered, mut unanswered) = (Vec::new(), Vec::new());
    let mut rest = due.bills.as_slice();
    while !rest.is_empty() {
        let batch = rest.len().min(allowance.fits(calls_of_a_look(config), 1) as usize);
        if batch == 0 {
            break;
        }
        let (looked_at, later) = rest.split_at(batch);
        let looks = join_all(looked_at.iter().map(|due| look_and_settle(config, due, now))).await;
        for (due, look) in looked_at.iter().zip(looks) {
            match look {
                Some(status) => {
                    report.found_paid += usize::from(status.has_money());
                    answered.push(&due.bill.bill_id);
                }
                None => unanswered.push(&due.bill.bill_id),
            }
        }
        rest = later;
    }
    report.polled = answered.len();
    report.poll_failed = unanswered.len();
    report.left = rest.len();
    if !due.bills.is_empty() {
        let returned: Vec<&String> = rest.iter().map(|due| &due.bill.bill_id).collect();
        let p = json!({"now": now, "answered": answered, "unanswered": unanswered, "returned": returned});
        let _: Value = config.db.call(FINISH_LOOKS, &p).await?;
    }
    Ok(report)
}

/// What the provider says, once it is booked; `None` where it could not be asked or booked. One bill must not keep the others waiting.
async fn look_and_settle(config: &Config, due: &DueBill, now: Now) -> Option<BillStatus> {
    let state = look(config, &due.bill).await.ok()?;
    let status = state.status;
    if due.is_news(status) {
        settle(config, &due.bill, state, now).await.ok()?;
    }
    Some(status)
}

pub async fn look(config: &Config, bill: &Bill) -> Result<BillState, Unconfirmed> {
    config.cardlink.bill_state(&bill.bill_id, &bill.order_id.to_string()).await
}

/// Settles what a look at the bill has found.
pub async fn settle(config: &Config, bill: &Bill, state: BillState, now: Now) -> Result<(), ApiError> {
    let (amount, currency) = match config.cardlink.api() {
        Api::V1 => (state.amount, state.currency),
        // The status call of v2 names no currency, and may name no amount: then the bill's own hold.
        Api::V2 => (
            state.amount.or(Some(bill.amount)),
            state.currency.or_else(|| Some(bill.currency.clone())),
        ),
    };
    let notice = json!({
        "source": "cardlink", "provider_api": config.cardlink.api().name(), "origin": "poll", "bill_id": bill.bill_id, "status": state.status,
        "raw_status": state.raw_status, "amount": amount, "received": state.received, "currency": currency, "headers": {}, "body": {},
        "elapsed_ms": 0, "now": now,
    });
    let _: Value = config.db.call(SETTLE_PAYMENT, &notice).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_something_is_settled() {
        let due = |status: &str, announced| DueBill {
            bill: Bill {
                order_id: Uuid::nil(),
                bill_id: "b".into(),
                amount: Amount::ZERO,
                currency: "USD".into(),
            },
            status: status.into(),
            announced,
        };
        for (ours, announced, theirs, news) in [
            ("pending", false, BillStatus::Pending, false),
            ("pending", false, BillStatus::Paid, true),
            ("pending", false, BillStatus::Underpaid, true),
            ("pending", false, BillStatus::Failed, true),
            ("pending", false, BillStatus::Expired, true),
            ("failed", false, BillStatus::Failed, false),
            ("expired", false, BillStatus::Expired, false),
            ("expired", false, BillStatus::Overpaid, true),
            ("failed", true, BillStatus::Pending, true),
        ] {
            assert_eq!(due(ours, announced).is_news(theirs), news, "{ours} {announced} {theirs:?}");
        }
    }
}
