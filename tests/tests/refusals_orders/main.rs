//! What the Worker `orders` refuses, and what each refusal writes.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod body;
mod provider;
mod stock;
mod views;

/// Rows of an order whose codes are reserved; one ledger row per code comes on top.
pub const ORDER: [(&str, i64); 3] = [("shop.orders", 1), ("shop.order_items", 1), ("shop.payments", 1)];

/// The same for a request whose repeats are recognised: it had an idempotency key, or a session.
pub fn created_once(codes: i64) -> Vec<(&'static str, i64)> {
    [created(codes), vec![("ops.idempotency", 1)]].concat()
}

/// Rows that a created order of this many codes adds.
pub fn created(codes: i64) -> Vec<(&'static str, i64)> {
    let mut rows = ORDER.to_vec();
    // `attach_bill` records the event payment_redirect.
    rows.extend([("shop.code_ledger", codes), ("analytics.events", 1)]);
    rows
}
