//! Orders nobody paid give their codes back.
//!
//! A reservation ends only after the bill's life plus the tenant's grace, and only after the provider was asked once more: a lost
//! notice of a paid bill is settled here instead of losing the sale. An order without a bill never had a payment link, so there is
//! nobody to ask. When the provider cannot be asked, the order keeps its codes until the next run.
//!
//! v1 has no word for an expired bill, and one that is `NEW` or `PROCESS` then may stay so: our own clock decides, and late money is
//! taken.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::cardlink::client::Unconfirmed;
use shared::error::ApiError;
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::bills::{self, Bill};

/// Bills asked for in one run: with the database calls it stays far below the 50 subrequests a Worker may make.
const BATCH: u32 = 12;
const EXPIRABLE_ORDERS: Rpc = Rpc::idempotent("expirable_orders");
const EXPIRE_ORDERS: Rpc = Rpc::idempotent("expire_orders");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Orders that gave their codes back.
    pub expired: u32,
    /// Orders the last poll found paid.
    pub found_paid: u32,
    /// Orders kept because the provider could not be asked.
    pub not_polled: u32,
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

#[derive(Deserialize)]
struct Expired {
    expired: u32,
}

pub async fn run(config: &Config, now: DateTime<Utc>) -> Result<Report, ApiError> {
    let due: Expirable = config.db.call(EXPIRABLE_ORDERS, &json!({"now": now, "limit": BATCH})).await?;
    let mut report = Report::default();
    let mut unpaid = Vec::new();
    for Due {
        order_id,
        bill_id,
        amount,
        currency,
    } in due.orders
    {
        let Some(bill_id) = bill_id else {
            unpaid.push(order_id);
            continue;
        };
        let bill = Bill {
            order_id,
            bill_id,
            amount,
            currency,
        };
        match bills::look(config, &bill).await {
            Ok(state) if state.status.has_money() => {
                bills::settle(config, &bill, state, now).await?;
                report.found_paid += 1;
            }
            // The provider does not know the bill: nobody can have paid it.
            Ok(_) | Err(Unconfirmed::NotFound) => unpaid.push(order_id),
            Err(_) => report.not_polled += 1,
        }
    }
    if !unpaid.is_empty() {
        let expired: Expired = config.db.call(EXPIRE_ORDERS, &json!({"now": now, "order_ids": unpaid})).await?;
        report.expired = expired.expired;
    }
    Ok(report)
}
