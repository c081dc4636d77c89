//! Codes are sold once, whoever pays when.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;

use futures::future::join_all;
use lonieve_tests::{Placed, Reply, Shop};
use serde_json::{Value, json};

/// The codes an order shows to its buyer.
async fn codes(shop: &Shop, order: &Placed) -> Vec<String> {
    let view = shop.order(order.order_id, &order.token).await.expect(200);
    view["codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code["code"].as_str().unwrap().to_owned())
        .collect()
}

fn outcome(reply: &Reply) -> String {
    reply.expect(200)["outcome"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_same_paid_notice_twenty_times_at_once_sells_one_code_and_sends_one_mail() {
    let shop = Shop::with_codes(5).await;
    let order = shop.place(&shop.cart()).await;
    let replies = join_all((0..20).map(|_| shop.notice(&order.bill_id, "PAID", "37.50", "USD"))).await;
    let mut outcomes: Vec<String> = replies.iter().map(outcome).collect();
    outcomes.sort();
    let mut expected = vec!["already_processed".to_owned(); 19];
    expected.push("fulfilled".to_owned());
    assert_eq!(outcomes, expected);

    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'sold'")
            .await,
        1
    );
    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'")
            .await,
        4
    );
    assert_eq!(
        shop.count("select count(*) from shop.transaction_fees where tenant_id = $1").await,
        1
    );
    assert_eq!(shop.count("select count(*) from ops.webhook_logs where tenant_id = $1").await, 20);

    let mails = shop.mails(&order.email, 1).await;
    // Whatever is still to be sent is sent now; a second mail would show up.
    join_all((0..5).map(|_| shop.job("outbox", None))).await;
    assert_eq!(shop.mailbox(&order.email).await.len(), 1);
    let shown = codes(&shop, &order).await;
    assert_eq!(shown.len(), 1);
    assert!(mails[0]["text"].as_str().unwrap().contains(&shown[0]), "{}", mails[0]["text"]);
}

#[tokio::test]
async fn twenty_codes_and_thirty_payers() {
    let shop = Shop::with_codes(20).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;

    // 20 at once take the 20 codes; the 21st finds none.
    let carts: Vec<Value> = (0..30).map(|_| shop.cart()).collect();
    let early = join_all(carts[..20].iter().map(|cart| shop.place(cart))).await;
    let before = shop.rows().await;
    shop.create(&carts[20]).await.refused(409, "out_of_stock");
    assert_eq!(shop.rows().await, before, "a refused order writes nothing");

    // Their reservations end two hours later, and ten other buyers take ten of the codes.
    shop.expire_reservations().await;
    let expired = "select count(*) from shop.orders where tenant_id = $1 and status = 'expired'";
    assert_eq!(shop.count(expired).await, 20);
    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'")
            .await,
        20
    );
    let live = join_all(carts[20..].iter().map(|cart| shop.place(cart))).await;

    // All thirty pay at once: the ten live reservations are safe, ten of the late payers get the rest.
    let orders: Vec<&Placed> = early.iter().chain(&live).collect();
    let replies = join_all(orders.iter().map(|order| shop.notice(&order.bill_id, "PAID", &order.amount, "USD"))).await;
    let outcomes: Vec<String> = replies.iter().map(outcome).collect();
    assert_eq!(outcomes[20..].iter().filter(|o| *o == "fulfilled").count(), 10, "{outcomes:?}");
    assert_eq!(outcomes[..20].iter().filter(|o| *o == "fulfilled").count(), 10, "{outcomes:?}");
    assert_eq!(outcomes[..20].iter().filter(|o| *o == "manual_review").count(), 10, "{outcomes:?}");
    for (order, outcome) in orders.iter().zip(&outcomes) {
        let expected = if outcome == "fulfilled" {
            ("paid", "delivered", None)
        } else {
            ("manual_review", "waiting", Some("no_codes_available"))
        };
        let (status, fulfilment, reason) = shop.state(order.order_id).await;
        assert_eq!((status.as_str(), fulfilment.as_str(), reason.as_deref()), expected);
    }
    let critical = "select count(*) from ops.system_notifications where tenant_id = $1 and type = 'no_codes_available' and severity = 'critical' and not is_resolved";
    assert_eq!(shop.count(critical).await, 10);
    let sold: BTreeSet<String> = join_all(orders.iter().map(|order| codes(&shop, order)))
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(sold.len(), 20, "20 different codes");

    // Ten more codes serve the ten who wait.
    let added = shop.add_codes("50.00", 10).await;
    shop.job("fulfil_waiting", None).await.expect(200);
    assert_eq!(
        shop.count("select count(*) from shop.orders where tenant_id = $1 and fulfilment = 'delivered'")
            .await,
        30
    );
    assert_eq!(shop.count(critical).await, 0, "delivered orders close their alert");
    let sold: BTreeSet<String> = join_all(orders.iter().map(|order| codes(&shop, order)))
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(sold.len(), 30);
    assert!(added.iter().all(|code| sold.contains(code)));

    for order in &orders {
        shop.mails(&order.email, 1).await;
    }
    join_all((0..3).map(|_| shop.job("outbox", None))).await;
    for order in &orders {
        assert_eq!(shop.mailbox(&order.email).await.len(), 1, "one mail each");
    }
}
