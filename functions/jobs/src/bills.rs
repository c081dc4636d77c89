//! Bills the provider is asked about: what it says there is settled like a notice.
//!
//! Under v1 a notice may come before its bill is known here. It proves nothing alone, so it cannot simply be settled when the bill
//! appears, as under v2: the provider is asked about the bill then. Under v2 there is nothing to do in [`run`].

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::cardlink::Api;
use shared::cardlink::client::{BillState, Unconfirmed};
use shared::error::ApiError;
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::handler::Now;

/// Early notices are rare. A run of all jobs stays below the 50 subrequests a Worker may make.
const BATCH: u32 = 3;
const PARKED_BILLS: Rpc = Rpc::idempotent("parked_bills");
const SETTLE_PAYMENT: Rpc = Rpc::idempotent("settle_payment");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Bills whose early notice has been followed up.
    pub polled: u32,
    /// Bills the provider could not be asked about, or that could not be settled; the next run does.
    pub poll_failed: u32,
}

/// A bill with what was asked for.
#[derive(Deserialize)]
pub struct Bill {
    pub order_id: Uuid,
    pub bill_id: String,
    pub amount: Amount,
    pub currency: String,
}

#[derive(Deserialize)]
struct Parked {
    orders: Vec<Bill>,
}

pub async fn run(config: &Config, now: Now) -> Result<Report, ApiError> {
    let mut report = Report::default();
    if config.cardlink.api() != Api::V1 {
        return Ok(report);
    }
    let parked: Parked = config.db.call(PARKED_BILLS, &json!({"now": now, "limit": BATCH})).await?;
    for bill in &parked.orders {
        let settled = match look(config, bill).await {
            Ok(state) => settle(config, bill, state, now).await.is_ok(),
            Err(_) => false,
        };
        // One that cannot be settled now must not keep the others waiting.
        if settled {
            report.polled += 1;
        } else {
            report.poll_failed += 1;
        }
    }
    Ok(report)
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
