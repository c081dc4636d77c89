//! Genuine notices that do not simply sell a code: every pair of an order's state and a notice, and money that does not fit.

use futures::future::join_all;
use lonieve_tests::{Placed, Shop};
use serde_json::json;

const CRITICAL: &str = "select count(*) from ops.system_notifications where tenant_id = $1 and severity = 'critical' and not is_resolved";
const SOLD: &str = "select count(*) from shop.gift_codes where tenant_id = $1 and status = 'sold'";
const FEES: &str = "select count(*) from shop.transaction_fees where tenant_id = $1";

async fn outcome(shop: &Shop, order: &Placed, status: &str) -> String {
    let reply = shop.notice(&order.bill_id, status, "37.50", "USD").await;
    let answer = reply.expect(200);
    assert_eq!(answer["requestId"].as_str(), reply.header("x-request-id"));
    assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
    answer["outcome"].as_str().unwrap().to_owned()
}

/// Outcome and answered status of each log row of a bill, oldest first.
async fn logged(shop: &Shop, order: &Placed) -> Vec<(String, i32)> {
    let sql = "select outcome, response_status from ops.webhook_logs where tenant_id = $1 and bill_id = $2 and order_id = $3 and processed order by created_at";
    let rows = shop.db.query(sql, &[&shop.tenant, &order.bill_id, &order.order_id]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// An order brought into one of the states by notices, with the outcomes on the way.
async fn order_in(shop: &Shop, state: &str) -> (Placed, Vec<&'static str>) {
    let order = shop.place(&shop.cart()).await;
    let outcomes = match state {
        "pending" => vec![],
        "failed" => vec![("FAILED", "37.50", "failed")],
        "expired" => vec![("EXPIRED", "37.50", "expired")],
        "paid" => vec![("PAID", "37.50", "fulfilled")],
        "manual_review" => vec![("PAID", "37.00", "manual_review")],
        _ => panic!("{state}"),
    };
    let mut seen = Vec::new();
    for (status, amount, outcome) in outcomes {
        assert_eq!(
            shop.notice(&order.bill_id, status, amount, "USD").await.expect(200)["outcome"],
            outcome
        );
        seen.push(outcome);
    }
    assert_eq!(shop.state(order.order_id).await.0, state);
    (order, seen)
}

#[tokio::test]
async fn each_pair_of_state_and_notice_has_its_outcome_and_one_log_row() {
    let shop = Shop::with_codes(20).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    // State, then per notice: outcome, status and fulfilment afterwards.
    for (state, notices) in [
        (
            "pending",
            [
                ("PAID", "fulfilled", "paid", "delivered"),
                ("FAILED", "failed", "failed", "reserved"),
                ("EXPIRED", "expired", "expired", "none"),
                ("PENDING", "noop", "pending", "reserved"),
                ("REFUNDED", "noop", "pending", "reserved"),
                ("paid", "noop", "pending", "reserved"),
            ],
        ),
        (
            "failed",
            [
                ("PAID", "fulfilled", "paid", "delivered"),
                ("FAILED", "already_processed", "failed", "reserved"),
                // The bill's end frees the code that a second attempt might have used.
                ("EXPIRED", "ignored", "failed", "none"),
                ("PENDING", "noop", "failed", "reserved"),
                ("REFUNDED", "noop", "failed", "reserved"),
                ("Paid", "noop", "failed", "reserved"),
            ],
        ),
        (
            "expired",
            [
                ("PAID", "fulfilled", "paid", "delivered"),
                ("FAILED", "ignored", "expired", "none"),
                ("EXPIRED", "already_processed", "expired", "none"),
                ("PENDING", "noop", "expired", "none"),
                ("REFUNDED", "noop", "expired", "none"),
                ("UNHEARD_OF", "noop", "expired", "none"),
            ],
        ),
        (
            "paid",
            [
                ("PAID", "already_processed", "paid", "delivered"),
                ("FAILED", "ignored", "paid", "delivered"),
                ("EXPIRED", "ignored", "paid", "delivered"),
                ("PENDING", "noop", "paid", "delivered"),
                ("REFUNDED", "noop", "paid", "delivered"),
                ("UNHEARD_OF", "noop", "paid", "delivered"),
            ],
        ),
        (
            "manual_review",
            [
                ("PAID", "already_processed", "manual_review", "reserved"),
                ("FAILED", "ignored", "manual_review", "reserved"),
                ("EXPIRED", "ignored", "manual_review", "reserved"),
                ("PENDING", "noop", "manual_review", "reserved"),
                ("REFUNDED", "noop", "manual_review", "reserved"),
                ("UNHEARD_OF", "noop", "manual_review", "reserved"),
            ],
        ),
    ] {
        for (notice, expected, status, fulfilment) in notices {
            shop.add_codes("50.00", 1).await;
            let (order, mut outcomes) = order_in(&shop, state).await;
            let (sold, fees) = (shop.count(SOLD).await, shop.count(FEES).await);
            assert_eq!(outcome(&shop, &order, notice).await, expected, "{notice} for {state}");
            outcomes.push(expected);
            let after = shop.state(order.order_id).await;
            assert_eq!((after.0.as_str(), after.1.as_str()), (status, fulfilment), "{notice} for {state}");
            let logs: Vec<_> = outcomes.into_iter().map(|outcome| (outcome.to_owned(), 200)).collect();
            assert_eq!(logged(&shop, &order).await, logs, "{notice} for {state}");
            let taken = i64::from(expected == "fulfilled");
            assert_eq!(
                (shop.count(SOLD).await - sold, shop.count(FEES).await - fees),
                (taken, taken),
                "{notice} for {state}"
            );
        }
    }
}

#[tokio::test]
async fn another_amount_is_reviewed_alerts_staff_and_gives_no_code() {
    let shop = Shop::with_codes(5).await;
    for (index, amount) in ["37.49", "0.01", "37.51", "3750"].iter().enumerate() {
        let order = shop.place(&shop.cart()).await;
        let reviewed = shop.notice(&order.bill_id, "PAID", amount, "USD").await.expect(200);
        assert_eq!(reviewed["outcome"], "manual_review", "{amount}");
        is_reviewed(&shop, &order, "amount_mismatch", "reserved", index as i64 + 1).await;
        // The right amount afterwards is not asked for again.
        assert_eq!(outcome(&shop, &order, "PAID").await, "already_processed");
    }
    assert_eq!((shop.count(SOLD).await, shop.count(FEES).await), (0, 4));
    let order = shop.place(&shop.cart()).await;
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", "37.5", "USD").await.expect(200)["outcome"],
        "fulfilled"
    );
    assert_eq!((shop.count(SOLD).await, shop.count(CRITICAL).await), (1, 4));
}

#[tokio::test]
async fn another_currency_is_reviewed_alerts_staff_and_gives_no_code() {
    let shop = Shop::with_codes(2).await;
    let order = shop.place(&shop.cart()).await;
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", "37.50", "EUR").await.expect(200)["outcome"],
        "manual_review"
    );
    is_reviewed(&shop, &order, "currency_mismatch", "reserved", 1).await;
    assert_eq!(
        (shop.count(SOLD).await, shop.count(FEES).await),
        (0, 0),
        "a fee in another currency is not booked"
    );
    let order = shop.place(&shop.cart()).await;
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", "37.50", "usd").await.expect(200)["outcome"],
        "fulfilled"
    );
}

#[tokio::test]
async fn late_money_finds_no_code_of_somebody_else_and_is_reviewed() {
    let shop = Shop::with_codes(1).await;
    let late = shop.place(&shop.cart()).await;
    assert_eq!(outcome(&shop, &late, "EXPIRED").await, "expired");
    let live = shop.place(&shop.cart()).await;
    assert_eq!(outcome(&shop, &late, "PAID").await, "manual_review");
    is_reviewed(&shop, &late, "no_codes_available", "waiting", 1).await;
    assert_eq!(shop.count(SOLD).await, 0);
    assert_eq!(outcome(&shop, &live, "PAID").await, "fulfilled");
    assert_eq!(shop.count(SOLD).await, 1);
}

/// The order is under review: money in, an alert about it, and nothing for the buyer to see or be sent.
async fn is_reviewed(shop: &Shop, order: &Placed, reason: &str, fulfilment: &str, alerts: i64) {
    assert_eq!(
        shop.state(order.order_id).await,
        ("manual_review".into(), fulfilment.into(), Some(reason.into()))
    );
    assert_eq!(shop.count(CRITICAL).await, alerts);
    let sql = "select type from ops.system_notifications where tenant_id = $1 and subject = 'order:' || $2::text and severity = 'critical'";
    let alert = shop.db.query_one(sql, &[&shop.tenant, &order.order_id.to_string()]).await.unwrap();
    assert_eq!(alert.get::<_, String>(0), reason);
    let sql = format!(
        "select count(*) from shop.orders where tenant_id = $1 and id = '{}' and paid_at is not null",
        order.order_id
    );
    assert_eq!(shop.count(&sql).await, 1);
    let view = shop.order(order.order_id, &order.token).await.expect(200);
    assert_eq!(view["codes"], json!([]));
    join_all((0..2).map(|_| shop.job("outbox", None))).await;
    assert_eq!(shop.mailbox(&order.email).await.len(), 0);
    assert!(!shop.outbox().await.iter().any(|(kind, _)| kind == "mail.receipt"));
}
