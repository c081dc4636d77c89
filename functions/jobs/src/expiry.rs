//! Orders nobody paid give their codes back.
//!
//! A reservation ends only after the bill's life plus the tenant's grace, and only after the provider was asked once more: a lost
//! notice of a paid bill is settled here instead of losing the sale. An order without a bill never had a payment link, so there is
//! nobody to ask. When the provider cannot be asked, the order keeps its codes until the next run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::cardlink::{Api, BillStatus, BillStatusV2};
use shared::error::ApiError;
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;

/// Bills asked for in one run: with the database calls it stays far below the 50 subrequests a Worker may make.
const BATCH: u32 = 15;
const TIMEOUT: Duration = Duration::from_secs(5);
const EXPIRABLE_ORDERS: Rpc = Rpc::idempotent("expirable_orders");
const EXPIRE_ORDERS: Rpc = Rpc::idempotent("expire_orders");
const SETTLE_PAYMENT: Rpc = Rpc::idempotent("settle_payment");

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

enum Poll {
    Paid {
        raw_status: String,
        amount: Amount,
        currency: String,
    },
    Unpaid,
    Unknown,
}

pub async fn run(config: &Config, now: DateTime<Utc>) -> Result<Report, ApiError> {
    let due: Expirable = config.db.call(EXPIRABLE_ORDERS, &json!({"now": now, "limit": BATCH})).await?;
    let mut report = Report::default();
    let mut unpaid = Vec::new();
    for order in &due.orders {
        let poll = match &order.bill_id {
            Some(bill_id) => poll(config, order, bill_id).await,
            None => Poll::Unpaid,
        };
        match (poll, &order.bill_id) {
            (
                Poll::Paid {
                    raw_status,
                    amount,
                    currency,
                },
                Some(bill_id),
            ) => {
                let notice = json!({
                    "source": "cardlink", "provider_api": "v2", "origin": "poll", "bill_id": bill_id, "status": BillStatus::Paid,
                    "raw_status": raw_status, "amount": amount, "currency": currency, "headers": {}, "body": {}, "elapsed_ms": 0, "now": now,
                });
                let _: Value = config.db.call(SETTLE_PAYMENT, &notice).await?;
                report.found_paid += 1;
            }
            (Poll::Unknown, _) => report.not_polled += 1,
            _ => unpaid.push(order.order_id),
        }
    }
    if !unpaid.is_empty() {
        let expired: Expired = config.db.call(EXPIRE_ORDERS, &json!({"now": now, "order_ids": unpaid})).await?;
        report.expired = expired.expired;
    }
    Ok(report)
}

async fn poll(config: &Config, order: &Due, bill_id: &str) -> Poll {
    match config.cardlink_api {
        Api::V2 => poll_v2(config, order, bill_id).await,
    }
}

async fn poll_v2(config: &Config, order: &Due, bill_id: &str) -> Poll {
    let url = format!("{}/bill/status?bill_id={}", config.cardlink_url, encode(bill_id));
    let Ok(answer) = config.outgoing.get(&url, config.cardlink_token.expose(), TIMEOUT).await else {
        return Poll::Unknown;
    };
    // The provider does not know the bill: nobody can have paid it.
    if answer.status == 404 {
        return Poll::Unpaid;
    }
    match answer
        .json::<BillStatusV2>()
        .filter(|status| answer.is_success() && status.bill_id == bill_id)
    {
        None => Poll::Unknown,
        Some(status) if BillStatus::from_v2(&status.status) == BillStatus::Paid => Poll::Paid {
            raw_status: status.status,
            // The status call of v2 names no currency, and may name no amount: then the bill's own hold.
            amount: status.amount.unwrap_or(order.amount),
            currency: status.currency.unwrap_or_else(|| order.currency.clone()),
        },
        Some(_) => Poll::Unpaid,
    }
}

/// Percent-encodes a query value.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bill_ids_are_encoded() {
        assert_eq!(encode("bill_A-1.~"), "bill_A-1.~");
        assert_eq!(encode("a&b=ü"), "a%26b%3D%C3%BC");
    }
}
