//! Orders nobody paid give their codes back.
//!
//! A reservation ends only after the bill's life plus the tenant's grace, and only after the provider was asked once more: a lost
//! notice of a paid bill is settled here instead of losing the sale. An order without a bill never had a payment link, so there is
//! nobody to ask. When the provider gives no usable answer, the order keeps its codes and is asked about again later, each time
//! after a longer wait, so that it does not keep other orders from being asked about.
//!
//! v1 has no word for an expired bill, and one that is `NEW` or `PROCESS` then may stay so: our own clock decides, and late money is
//! taken.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::cardlink::client::Unconfirmed;
use shared::error::ApiError;
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::bills::{self, Bill};
use crate::handler::Now;

/// Orders looked at in one run.
const BATCH: u32 = 50;
/// Bills asked for in one run, all at once: with a settle for some and the two calls around them at most 14 subrequests.
const POLLS: usize = 6;
const EXPIRABLE_ORDERS: Rpc = Rpc::idempotent("expirable_orders");
const EXPIRE_ORDERS: Rpc = Rpc::idempotent("expire_orders");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Orders that gave their codes back.
    pub expired: u32,
    /// Orders the last poll found paid.
    pub found_paid: u32,
    /// Orders kept because the provider could not be asked, or what it said could not be settled; asked again later.
    pub not_polled: usize,
}

#[derive(Deserialize)]
struct Expirable {
    orders: Vec<Due>,
}

#[derive(Deserialize)]
struct Due {
    order_id: Uuid,
    bill_id: Option<String>,
    amount: Amount,
    currency: String,
}

impl Due {
    fn bill(&self) -> Option<Bill> {
        Some(Bill {
            order_id: self.order_id,
            bill_id: self.bill_id.clone()?,
            amount: self.amount,
            currency: self.currency.clone(),
        })
    }
}

#[derive(Deserialize)]
struct Expired {
    expired: u32,
}

pub async fn run(config: &Config, now: Now) -> Result<Report, ApiError> {
    let due: Expirable = config.db.call(EXPIRABLE_ORDERS, &json!({"now": now, "limit": BATCH})).await?;
    let (mut over, mut unanswered) = (Vec::new(), Vec::new());
    let mut report = Report::default();
    let with_bill = due.orders.iter().filter_map(Due::bill).take(POLLS);
    let looks = join_all(with_bill.map(async |bill| {
        let state = bills::look(config, &bill).await;
        (bill, state)
    }))
    .await;
    for (bill, state) in looks {
        match state {
            Ok(state) if state.status.has_money() => match bills::settle(config, &bill, state, now).await {
                Ok(()) => report.found_paid += 1,
                // One order that cannot be settled now must not keep the others from ending.
                Err(_) => unanswered.push(bill.order_id),
            },
            // The provider does not know the bill: nobody can have paid it.
            Ok(_) | Err(Unconfirmed::NotFound) => over.push(bill.order_id),
            Err(_) => unanswered.push(bill.order_id),
        }
    }
    // Without a bill nobody could pay: there is nothing to ask.
    over.extend(
        due.orders
            .iter()
            .filter(|order| order.bill_id.is_none())
            .map(|order| order.order_id),
    );
    report.not_polled = unanswered.len();
    if !over.is_empty() || !unanswered.is_empty() {
        let p = json!({"now": now, "order_ids": over, "unanswered": unanswered});
        report.expired = config.db.call::<_, Expired>(EXPIRE_ORDERS, &p).await?.expired;
    }
    Ok(report)
}
