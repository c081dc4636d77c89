//! The ledger of codes, day by day: what a closed day holds, what is noticed when somebody who owns the database changes it, and how
//! long the looking takes.
//!
//! Jobs close days for all shops at once, with clocks that only go forward, so these tests take turns.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod days;
mod size;
mod tampering;

use lonieve_tests::Shop;
use serde_json::Value;
use tokio::sync::Mutex;

pub static TURN: Mutex<()> = Mutex::const_new(());

/// A day in words that cannot have been closed yet: this many days after the last that is.
async fn day_after_the_last(shop: &Shop, days: i32) -> String {
    let sql = "select (greatest((select max(day) from ops.ledger_days), (now() at time zone 'UTC')::date) + $1::int)::text";
    shop.db.query_one(sql, &[&days]).await.unwrap().get(0)
}

/// Runs the job at this time until no transaction is in its way.
async fn digest_at(shop: &Shop, clock: &str) -> Value {
    for _ in 0..20 {
        let report = shop.job("ledger_digest", Some(clock)).await.expect(200);
        if report["settling"] == false {
            return report;
        }
    }
    panic!("a transaction is in the way all the time")
}

/// Closes all that there is now, as of tomorrow.
async fn close(shop: &Shop) -> Value {
    let day = day_after_the_last(shop, 2).await;
    digest_at(shop, &format!("{day}T00:15:00Z")).await
}
