//! Orders nobody paid give their codes back.
//!
//! A reservation ends only after the bill's life plus the tenant's grace, and only after the provider was asked once more: a lost
//! notice of a paid bill is settled here instead of losing the sale. An order without a bill never had a payment link, so there is
//! nobody to ask. When the provider gives no usable answer, the order keeps its codes and is asked about again later, each time
//! after a longer wait, so that it does not keep other orders from being asked about.

use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::cardlink::{Api, BillStatus, BillStatusV2};
use shared::error::ApiError;
use shared::money::Amount;
use shared::postgrest::{DbError, Rpc};
use uuid::Uuid;

use crate::Config;
use crate::handler::Now;

/// Orders looked at in one run.
const BATCH: u32 = 50;
/// Bills asked for in one run, all at once: with a settle each and the two calls around them 22 subrequests.
const POLLS: usize = 10;
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

#[derive(Deserialize)]
struct Expired {
    expired: u32,
}

enum Poll {
    Paid(Payment),
    Unpaid,
    Unknown,
}

/// What the provider says was paid.
struct Payment {
    raw_status: String,
    amount: Amount,
    currency: String,
}

pub async fn run(config: &Config, now: Now) -> Result<Report, ApiError> {
    let due: Expirable = config.db.call(EXPIRABLE_ORDERS, &json!({"now": now, "limit": BATCH})).await?;
    let (mut over, mut unanswered) = (Vec::new(), Vec::new());
    let mut report = Report::default();
    let with_bill = due.orders.iter().filter(|order| order.bill_id.is_some()).take(POLLS);
    let polls = join_all(with_bill.map(async |order| (order, poll(config, order).await))).await;
    for (order, answer) in polls {
        match answer {
            Poll::Paid(payment) => match settle(config, order, &payment, now).await {
                Ok(()) => report.found_paid += 1,
                // One order that cannot be settled now must not keep the others from ending.
                Err(_) => unanswered.push(order.order_id),
            },
            Poll::Unpaid => over.push(order.order_id),
            Poll::Unknown => unanswered.push(order.order_id),
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

async fn settle(config: &Config, order: &Due, payment: &Payment, now: Now) -> Result<(), DbError> {
    let notice = json!({
        "source": "cardlink", "provider_api": "v2", "origin": "poll", "bill_id": order.bill_id, "status": BillStatus::Paid,
        "raw_status": payment.raw_status, "amount": payment.amount, "currency": payment.currency, "headers": {}, "body": {},
        "elapsed_ms": 0, "now": now,
    });
    config.db.call::<_, Value>(SETTLE_PAYMENT, &notice).await.map(|_| ())
}

async fn poll(config: &Config, order: &Due) -> Poll {
    match (&order.bill_id, config.cardlink_api) {
        (Some(bill_id), Api::V2) => poll_v2(config, order, bill_id).await,
        (None, Api::V2) => Poll::Unpaid,
    }
}

async fn poll_v2(config: &Config, order: &Due, bill_id: &str) -> Poll {
    let url = format!("{}/bill/status?bill_id={}", config.cardlink_url, encode(bill_id));
    let Ok(answer) = config.outgoing.get(&url, config.cardlink_token.expose(), TIMEOUT).await else {
        return Poll::Unknown;
    };
    // The provider itself says, in its JSON, that it does not know the bill: nobody can have paid it. Another 404 is a wrong address.
    if answer.status == 404 && answer.json::<Value>().is_some_and(|body| body.is_object()) {
        return Poll::Unpaid;
    }
    match answer
        .json::<BillStatusV2>()
        .filter(|status| answer.is_success() && status.bill_id == bill_id)
    {
        None => Poll::Unknown,
        Some(status) if BillStatus::from_v2(&status.status) == BillStatus::Paid => Poll::Paid(Payment {
            raw_status: status.status,
            // The status call of v2 names no currency, and may name no amount: then the bill's own hold.
            amount: status.amount.unwrap_or(order.amount),
            currency: status.currency.unwrap_or_else(|| order.currency.clone()),
        }),
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
