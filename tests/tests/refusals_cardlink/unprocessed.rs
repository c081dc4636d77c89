//! Genuine notices that cannot be settled now: the bill is not known yet, or the database is away. The provider repeats both.

use lonieve_tests::{Placed, Reply, Shop};
use serde_json::{Value, json};
use uuid::Uuid;

/// outcome, status, answered status, repeats, processed of each log row of a bill, whosever it is.
async fn logs(shop: &Shop, bill_id: &str) -> Vec<(String, Option<String>, i32, i32, bool)> {
    let sql = "select outcome, status, response_status, repeats, processed from ops.webhook_logs where bill_id = $1 order by created_at";
    let rows = shop.db.query(sql, &[&bill_id]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect()
}

fn parked(status: &str, repeats: i32) -> (String, Option<String>, i32, i32, bool) {
    ("parked".into(), Some(status.into()), 404, repeats, false)
}

fn settled(outcome: &str, status: &str, repeats: i32) -> (String, Option<String>, i32, i32, bool) {
    (outcome.into(), Some(status.into()), 404, repeats, true)
}

/// Places an order for which the provider makes a bill of this id.
async fn place_with_bill(shop: &Shop, bill_id: &str) -> Placed {
    let cart = shop.cart();
    let bill = json!({"bill_id": bill_id, "payment_url": format!("https://pay.example/{bill_id}")});
    let rules = json!([{"route": "cardlink.create", "match": cart["email"], "status": 200, "body": bill}]);
    shop.under_faults(&shop.info.sandbox, rules, shop.place(&cart)).await
}

fn fresh_bill() -> String {
    format!("bill-{}", Uuid::new_v4().simple())
}

#[tokio::test]
async fn a_notice_of_an_unknown_bill_is_404_kept_once_and_settled_when_its_order_appears() {
    let shop = Shop::with_codes(2).await;
    let bill = fresh_bill();
    let paid = |bill: String| {
        let shop = &shop;
        async move { shop.notice(&bill, "PAID", "37.50", "USD").await }
    };
    for repeats in 0..3 {
        shop.adds_nothing(paid(bill.clone())).await.refused(404, "payment_not_found");
        assert_eq!(logs(&shop, &bill).await, [parked("paid", repeats)]);
    }
    shop.adds_nothing(shop.notice(&bill, "PENDING", "37.50", "USD"))
        .await
        .refused(404, "payment_not_found");
    assert_eq!(logs(&shop, &bill).await, [parked("paid", 2), parked("pending", 0)]);
    // Nobody's yet: without order, tenant or signature.
    let sql = "select count(*) from ops.webhook_logs where bill_id = $1 and tenant_id is null and order_id is null and not request_body ? 'signature'";
    assert_eq!(shop.db.query_one(sql, &[&bill]).await.unwrap().get::<_, i64>(0), 2);

    // Another order's bill leaves it alone.
    let other = shop.place(&shop.cart()).await;
    assert_eq!(shop.state(other.order_id).await.0, "pending");
    assert_eq!(logs(&shop, &bill).await.len(), 2);

    let order = place_with_bill(&shop, &bill).await;
    assert_eq!(shop.state(order.order_id).await, ("paid".into(), "delivered".into(), None));
    assert_eq!(
        logs(&shop, &bill).await,
        [settled("fulfilled", "paid", 2), settled("noop", "pending", 0)]
    );
    assert_eq!(
        shop.order(order.order_id, &order.token).await.expect(200)["codes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(paid(bill).await.expect(200)["outcome"], "already_processed");
    shop.mails(&order.email, 1).await;
}

#[tokio::test]
async fn a_parked_notice_of_another_amount_is_reviewed_when_its_order_appears() {
    let shop = Shop::with_codes(1).await;
    let bill = fresh_bill();
    shop.notice(&bill, "PAID", "1.00", "USD").await.refused(404, "payment_not_found");
    let order = place_with_bill(&shop, &bill).await;
    assert_eq!(
        shop.state(order.order_id).await,
        ("manual_review".into(), "reserved".into(), Some("amount_mismatch".into()))
    );
    assert_eq!(logs(&shop, &bill).await, [settled("manual_review", "paid", 0)]);
    let alerts =
        "select count(*) from ops.system_notifications where tenant_id = $1 and type = 'amount_mismatch' and severity = 'critical'";
    assert_eq!(shop.count(alerts).await, 1);
}

#[tokio::test]
async fn a_notice_the_database_cannot_take_is_503_so_that_the_provider_repeats_it() {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    let error = |status: u16, code: &str| json!({"status": status, "body": {"code": code, "message": "Key (email)=(buyer-1@example.com)"}});
    for effect in [
        json!({"drop": true}),
        json!({"status": 503}),
        error(504, "PGRST003"),
        error(500, "57014"),
        error(400, "55P03"),
        error(403, "42501"),
        error(401, "PGRST301"),
        error(400, "P0001"),
        json!({"status": 200, "body": {"outcome": "unheard_of"}}),
    ] {
        let mut rule = json!({"rpc": "settle_payment", "match": order.bill_id});
        rule.as_object_mut().unwrap().extend(effect.as_object().unwrap().clone());
        let before = logs(&shop, &order.bill_id).await.len();
        let work = shop.under_faults(&shop.info.proxy, json!([rule]), shop.notice(&order.bill_id, "PAID", "37.50", "USD"));
        // The attempt is noted: only the settle itself fails here.
        let rows: &[(&str, i64)] = &[("ops.webhook_logs", 1)];
        let reply = shop.adds(rows, work).await;
        reply.refused(503, "database_unavailable");
        assert!(!reply.text.contains("buyer-"), "{}", reply.text);
        let after = logs(&shop, &order.bill_id).await;
        assert_eq!(after.len() - before, rows.len(), "{effect}");
        let last = after.last().unwrap();
        assert_eq!((last.0.as_str(), last.2, last.4), ("error", 503, false), "{effect}");
    }
    let sql = "select count(*) from ops.webhook_logs where tenant_id = $1 and error like '%buyer-%'";
    assert_eq!(shop.count(sql).await, 0);
    assert_eq!(shop.state(order.order_id).await.0, "pending");
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200)["outcome"],
        "fulfilled"
    );
}

#[tokio::test]
async fn a_lock_not_had_in_time_is_tried_once_more() {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    let busy = json!({"code": "55P03", "message": "lock timeout"});
    let rules = json!([{"rpc": "settle_payment", "match": order.bill_id, "status": 500, "body": busy, "times": 1}]);
    let reply = shop
        .under_faults(&shop.info.proxy, rules, shop.notice(&order.bill_id, "PAID", "37.50", "USD"))
        .await;
    assert_eq!(reply.expect(200)["outcome"], "fulfilled");
}

#[tokio::test]
async fn a_notice_whose_answer_was_lost_has_been_settled_and_is_not_settled_twice() {
    let shop = Shop::with_codes(2).await;
    let order = shop.place(&shop.cart()).await;
    let rules = json!([{"rpc": "settle_payment", "match": order.bill_id, "drop_after": true}]);
    let reply: Reply = shop
        .under_faults(&shop.info.proxy, rules, shop.notice(&order.bill_id, "PAID", "37.50", "USD"))
        .await;
    reply.refused(503, "database_unavailable");
    assert_eq!(shop.state(order.order_id).await, ("paid".into(), "delivered".into(), None));
    let again: Value = shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
    assert_eq!(again["outcome"], "already_processed");
    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'sold'")
            .await,
        1
    );
    assert_eq!(
        shop.count("select count(*) from shop.transaction_fees where tenant_id = $1").await,
        1
    );
}
