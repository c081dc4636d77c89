//! Orders beyond the ordinary: repeats under an idempotency key, requests that were left behind, limits on what is unpaid, and all that an
//! order keeps of where it came from.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod attribution;
mod leftovers;
mod limits;
mod repeats;
mod session;

use lonieve_tests::{Reply, Shop};
use serde_json::Value;

pub const FREE: &str = "select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'";
pub const RESERVED: &str = "select count(*) from shop.gift_codes where tenant_id = $1 and status = 'reserved'";
pub const KEYS: &str = "select count(*) from ops.idempotency where tenant_id = $1";
pub const PENDING: &str = "select count(*) from shop.orders where tenant_id = $1 and status = 'pending'";

/// Rows that a created order of this many codes adds; `keyed`: its repeats are recognised.
pub fn created(codes: i64, keyed: bool) -> Vec<(&'static str, i64)> {
    let mut rows = vec![
        ("shop.orders", 1),
        ("shop.order_items", 1),
        ("shop.payments", 1),
        ("shop.code_ledger", codes),
        ("analytics.events", 1),
    ];
    rows.extend(keyed.then_some(("ops.idempotency", 1)));
    rows
}

pub fn with(cart: &Value, member: &str, value: Value) -> Value {
    let mut cart = cart.clone();
    cart[member] = value;
    cart
}

/// A bill is paid, and all that follows from it is done.
pub async fn pay(shop: &Shop, bill: &str, amount: &str) {
    let paid = shop.notice(bill, "PAID", amount, "USD").await.expect(200);
    assert_eq!(paid["outcome"], "fulfilled");
    shop.outbox_done().await;
}

/// The answer is one that was given before.
#[track_caller]
pub fn replayed(reply: &Reply) -> bool {
    match reply.header("idempotency-replayed") {
        None => false,
        Some("true") => true,
        Some(other) => panic!("Idempotency-Replayed: {other}"),
    }
}

/// Bills that were asked for with this address, whatever became of them.
pub async fn bills_asked_for(shop: &Shop, email: &Value) -> usize {
    let url = format!("{}/calls?route=cardlink.create", shop.info.sandbox);
    let calls = Reply::of(shop.http.get(url)).await.expect(200);
    let email = email.as_str().unwrap();
    calls
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| call["body"].as_str().is_some_and(|body| body.contains(email)))
        .count()
}

/// Waits until a number from SQL is this.
pub async fn until(shop: &Shop, sql: &str, wanted: i64) {
    for _ in 0..200 {
        if shop.count(sql).await == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{sql}: not {wanted} but {}", shop.count(sql).await);
}
