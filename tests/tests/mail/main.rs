//! The outbox and the mail providers: who may finish what, retries, dead letters, and what the providers report.
//!
//! Jobs work for every shop at once, so tests that run or stop them take turns.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod events;
mod leases;
mod mailgun;
mod order;
mod replay;
mod runs;
mod webhook;

use lonieve_tests::{Placed, Reply, Shop};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

pub static TURN: Mutex<()> = Mutex::const_new(());

/// A delivered order of this buyer whose mail is out, and nothing else to do.
pub async fn sold(shop: &Shop, email: &str) -> Placed {
    let mut cart = shop.cart();
    cart["email"] = json!(email);
    let order = shop.place(&cart).await;
    settle(shop, &order).await;
    shop.outbox_done().await;
    assert_eq!(shop.mailbox(email).await.len(), 1);
    order
}

/// What the webhook would do, but for waking jobs: nothing is sent until a test runs them.
pub async fn settle(shop: &Shop, order: &Placed) {
    let paid = json!({
        "source": "cardlink", "provider_api": "v2", "bill_id": order.bill_id, "status": "paid", "raw_status": "PAID", "amount": order.amount,
        "currency": "USD", "signature_form": "raw", "origin": "webhook", "headers": {}, "body": {}, "elapsed_ms": 1,
    });
    let settled = shop.rpc(&shop.info.tokens["cardlink"], "settle_payment", paid).await.expect(200);
    assert_eq!(settled["outcome"], "fulfilled");
}

/// An address nobody else has, with this word in it.
pub fn address(word: &str) -> String {
    format!("{word}-{}@example.com", Uuid::new_v4().simple())
}

/// A further mail of the order waits to be sent; nobody is woken to send it.
pub async fn mail_again(shop: &Shop, order: &Placed) {
    let again = shop
        .rpc(&shop.staff_token, "resend_order", json!({"order_id": order.order_id}))
        .await
        .expect(200);
    assert_eq!(again["outcome"], "ok");
}

/// The order's latest mail, as the table has it.
pub async fn last_mail(shop: &Shop, order_id: Uuid) -> Value {
    let sql = "select to_jsonb(b) from ops.outbox b where aggregate_id = $1 and kind like 'mail.%' order by seq desc, created_at desc, status limit 1";
    shop.db.query_one(sql, &[&order_id]).await.unwrap().get(0)
}

/// email_status and email_retry_count.
pub async fn email_status(shop: &Shop, order_id: Uuid) -> (String, i32) {
    let sql = "select email_status, email_retry_count from shop.orders where id = $1";
    let row = shop.db.query_one(sql, &[&order_id]).await.unwrap();
    (row.get(0), row.get(1))
}

/// The calls a stand-in had whose body holds this text, oldest first.
pub async fn calls(shop: &Shop, route: &str, text: &str) -> Vec<Value> {
    let url = format!("{}/calls?route={route}", shop.info.sandbox);
    let all = Reply::of(shop.http.get(url)).await.expect(200);
    let about = |call: &&Value| call["body"].as_str().is_some_and(|body| body.contains(text));
    all.as_array().unwrap().iter().filter(about).cloned().collect()
}

/// Open alerts about mails of this shop.
pub async fn alerts(shop: &Shop) -> i64 {
    let sql = "select count(*) from ops.system_notifications where tenant_id = $1 and type = 'failed_email' and not is_resolved";
    shop.count(sql).await
}
