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
use shared::calls::Allowance;
use shared::cardlink::client::Unconfirmed;
use shared::error::ApiError;
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::bills::{self, Bill};
use crate::handler::Now;

/// Orders looked at in one run. As many of their bills are asked about as the run's requests allow.
const BATCH: u32 = 50;
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

pub async fn run(config: &Config, now: Now, allowance: &Allowance) -> Result<Report, ApiError> {
    let due: Expirable = config.db.call(EXPIRABLE_ORDERS, &json!({"now": now, "limit": BATCH})).await?;
    let (mut over, mut unanswered) = (Vec::new(), Vec::new());
    let mut report = Report::default();
    let with_bill: Vec<Bill> = due.orders.iter().filter_map(Due::bill).collect();
    let mut rest = with_bill.as_slice();
    while !rest.is_empty() {
        let batch = rest.len().min(allowance.fits(bills::calls_of_a_look(config), 1) as usize);
        if batch == 0 {
            break;
        }
        let (looked_at, later) = rest.split_at(batch);
        for look in join_all(looked_at.iter().map(|bill| last_look(config, bill, now))).await {
            match look {
                LastLook::Paid => report.found_paid += 1,
                LastLook::Over(order) => over.push(order),
                LastLook::Unanswered(order) => unanswered.push(order),
            }
        }
        rest = later;
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

enum LastLook {
    /// It is settled.
    Paid,
    Over(Uuid),
    /// The provider could not be asked, or what it said not settled: one such order must not keep the others from ending.
    Unanswered(Uuid),
}

async fn last_look(config: &Config, bill: &Bill, now: Now) -> LastLook {
    match bills::look(config, bill).await {
        Ok(state) if state.status.has_money() => match bills::settle(config, bill, state, now).await {
            Ok(()) => LastLook::Paid,
            Err(_) => LastLook::Unanswered(bill.order_id),
        },
        // The provider does not know the bill: nobody can have paid it.
        Ok(_) | Err(Unconfirmed::NotFound) => LastLook::Over(bill.order_id),
        Err(_) => LastLook::Unanswered(bill.order_id),
    }
}
