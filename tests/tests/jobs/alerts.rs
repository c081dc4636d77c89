//! Alerts about states that last: opened once, closed by themselves.

use lonieve_tests::{Placed, Shop};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{after, alerts, minute, press, turn};

async fn buy(shop: &Shop, nominal: u32, quantity: u32, price: &str) -> Placed {
    let mut cart = shop.cart();
    (cart["nominal"], cart["quantity"]) = (json!(nominal), json!(quantity));
    let order = shop.place(&cart).await;
    shop.notice(&order.bill_id, "PAID", price, "USD").await.expect(200);
    order
}

async fn check_stock(shop: &Shop) -> Vec<String> {
    shop.job("low_stock", None).await.expect(200);
    let mut open = alerts(shop).await;
    open.retain(|alert| alert.starts_with("low_stock"));
    open
}

#[tokio::test]
async fn stock_is_low_below_ten_codes_or_seven_days_of_sales() {
    let _turn = turn().await;
    let shop = Shop::new().await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    // Nominal 25 was never in stock, 100 has nine codes nobody buys. Of 50, 28 are sold: 2 a day over the 14 days that count.
    shop.add_codes("100.00", 9).await;
    shop.add_codes("50.00", 28 + 13).await;
    buy(&shop, 50, 14, "525.00").await;
    buy(&shop, 50, 14, "525.00").await;
    // 13 left / 2 a day = 6.5 days.
    let none = "low_stock | critical | Out of stock | Nimbus Card 25.00: 0 codes left. Import codes. | 1";
    let few = "low_stock | warning | Stock is low | Nimbus Card 100.00: 9 codes left. Import codes. | 1";
    let short =
        "low_stock | warning | Stock is low | Nimbus Card 50.00: 13 codes left; at 2.00 a day they last 6.5 days. Import codes. | 1";
    assert_eq!(check_stock(&shop).await, [none, few, short]);
    assert_eq!(check_stock(&shop).await, [none, few, short], "looked at again, not counted again");

    // 14 / 2 = 7.0 days, and ten codes: neither is low.
    shop.add_codes("50.00", 1).await;
    shop.add_codes("100.00", 1).await;
    assert_eq!(check_stock(&shop).await, [none]);
    // What was sold longer ago than two weeks is no demand.
    shop.settings(json!({"low_stock_days": 8})).await;
    assert_eq!(check_stock(&shop).await.len(), 2);
    let old = "update shop.orders set paid_at = paid_at - interval '15 days' where tenant_id = $1";
    shop.db.execute(old, &[&shop.tenant]).await.unwrap();
    assert_eq!(check_stock(&shop).await, [none]);
    // The shop's own limit; and what is off sale is nobody's worry.
    shop.settings(json!({"low_stock_below": 0})).await;
    assert_eq!(check_stock(&shop).await.len(), 0);
    shop.settings(json!({"low_stock_below": 100})).await;
    assert_eq!(check_stock(&shop).await.len(), 3);
    shop.db
        .execute("update shop.products set status = 'inactive' where tenant_id = $1", &[&shop.tenant])
        .await
        .unwrap();
    assert_eq!(check_stock(&shop).await.len(), 0);
}

#[tokio::test]
async fn what_staff_have_closed_comes_back_only_when_it_gets_worse() {
    let _turn = turn().await;
    let shop = Shop::with_codes(5).await;
    let product = "update shop.products set nominals = '[50]' where tenant_id = $1";
    shop.db.execute(product, &[&shop.tenant]).await.unwrap();
    assert_eq!(check_stock(&shop).await.len(), 1);
    let id: Uuid = shop
        .db
        .query_one("select id from ops.system_notifications where tenant_id = $1", &[&shop.tenant])
        .await
        .unwrap()
        .get(0);
    shop.rpc(&shop.staff_token, "resolve_alert", json!({"alert_id": id}))
        .await
        .expect(200);
    assert_eq!(check_stock(&shop).await.len(), 0);
    buy(&shop, 50, 1, "37.50").await;
    assert_eq!(check_stock(&shop).await.len(), 1, "one code less");
}

#[tokio::test]
async fn a_payment_that_is_open_for_two_hours_is_an_alert_until_it_ends() {
    let _turn = turn().await;
    let shop = Shop::with_codes(2).await;
    let order = shop.place(&shop.cart()).await;
    let check = async |offset: &str| {
        shop.job("pending_payments", Some(&after(&shop, &order, offset).await))
            .await
            .expect(200);
        let mut open = alerts(&shop).await;
        open.retain(|alert| alert.starts_with("pending_payment"));
        open
    };
    assert_eq!(check("119 minutes 59 seconds").await.len(), 0);
    for offset in ["2 hours", "2 hours 5 minutes"] {
        let open = check(offset).await;
        assert_eq!(open.len(), 1);
        assert!(
            open[0].starts_with("pending_payment | warning | A payment is open for too long | Ordered at 20"),
            "{open:?}"
        );
        assert!(open[0].contains("for 37.50 USD") && open[0].ends_with("| 1"), "{open:?}");
    }
    shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
    assert_eq!(check("2 hours 10 minutes").await.len(), 0);
    // It was about this order; a shop's own time counts.
    shop.settings(json!({"pending_alert_s": 600})).await;
    let second = shop.place(&shop.cart()).await;
    let clock = after(&shop, &second, "11 minutes").await;
    shop.job("pending_payments", Some(&clock)).await.expect(200);
    assert_eq!(
        alerts(&shop)
            .await
            .iter()
            .filter(|alert| alert.starts_with("pending_payment"))
            .count(),
        1
    );
    let expired = "update shop.orders set status = 'expired', fulfilment = 'none' where id = $1";
    shop.db.execute(expired, &[&second.order_id]).await.unwrap();
    shop.job("pending_payments", Some(&clock)).await.expect(200);
    assert_eq!(
        alerts(&shop)
            .await
            .iter()
            .filter(|alert| alert.starts_with("pending_payment"))
            .count(),
        0
    );
}

/// severity, tenant is the oldest, message; of the alert about a parked notice.
async fn unmatched(shop: &Shop, reference: &str) -> Vec<(String, Uuid, bool, String)> {
    let sql = "select severity, tenant_id, is_resolved, message from ops.system_notifications where type = 'unmatched_payment' and data ->> 'ref' = $1";
    let rows = shop.db.query(sql, &[&reference]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
}

async fn oldest(shop: &Shop) -> Uuid {
    let sql = "select id from shop.tenants where status = 'active' order by created_at, id limit 1";
    shop.db.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn money_of_a_bill_nobody_knows_is_an_alert_after_a_quarter_of_an_hour_until_it_is_settled() {
    let _turn = turn().await;
    let shop = Shop::with_codes(1).await;
    let bill = format!("bill-{}", Uuid::new_v4().simple());
    let failed = format!("bill-{}", Uuid::new_v4().simple());
    shop.notice(&bill, "PAID", "37.50", "USD").await.refused(404, "payment_not_found");
    shop.notice(&failed, "FAILED", "37.50", "USD")
        .await
        .refused(404, "payment_not_found");
    let check = async |offset: &str| shop.job("pending_payments", Some(&minute(&shop, offset).await)).await.expect(200);
    check("13 minutes").await;
    assert_eq!(unmatched(&shop, &bill).await.len(), 0);
    check("17 minutes").await;
    check("22 minutes").await;
    let found = unmatched(&shop, &bill).await;
    let (severity, tenant, resolved, message) = &found[0];
    assert_eq!(
        (found.len(), severity.as_str(), *resolved, *tenant),
        (1, "critical", false, oldest(&shop).await)
    );
    assert!(
        message.contains(&format!("that {bill} was paid with 37.50 USD, and no order has this bill")),
        "{message}"
    );
    assert_eq!(unmatched(&shop, &failed).await.len(), 0, "no money, no alert");

    // The bill appears: the notice is settled with it, and the alert closes.
    let order = shop.place(&shop.cart()).await;
    let forget = "update shop.payments set bill_id = null where order_id = $1";
    shop.db.execute(forget, &[&order.order_id]).await.unwrap();
    let p = json!({"order_id": order.order_id, "bill_id": bill, "payment_url": "https://pay.example/1"});
    shop.rpc(&shop.info.tokens["orders"], "attach_bill", p).await.expect(200);
    assert_eq!(shop.state(order.order_id).await.0, "paid");
    check("27 minutes").await;
    assert!(unmatched(&shop, &bill).await[0].2, "closed");
}

#[tokio::test]
async fn a_parked_v1_notice_is_the_alert_of_the_shop_whose_order_it_names() {
    let _turn = turn().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    let bill = "update shop.payments set bill_id = $2 where order_id = $1";
    shop.db.execute(bill, &[&order.order_id, &None::<String>]).await.unwrap();
    let reference = order.order_id.to_string();
    let notice = |status: &'static str, reference: String| json!({"source": "cardlink", "kind": "payment", "ref": reference, "raw_status": status, "headers": {}, "body": {}, "elapsed_ms": 1});
    let nobody = Uuid::new_v4().to_string();
    for p in [
        notice("SUCCESS", reference.clone()),
        notice("SUCCESS", nobody.clone()),
        notice("FAIL", Uuid::new_v4().to_string()),
    ] {
        let parked: Value = shop.rpc(&shop.info.tokens["cardlink"], "find_bill", p).await.expect(200).clone();
        assert_eq!(parked["outcome"], "payment_not_found");
    }
    let report = shop
        .job("pending_payments", Some(&minute(&shop, "17 minutes").await))
        .await
        .expect(200);
    assert_eq!(report["unmatched"], 2);
    let mine = unmatched(&shop, &reference).await;
    assert_eq!((mine[0].0.as_str(), mine[0].1), ("critical", shop.tenant));
    assert_eq!(unmatched(&shop, &nobody).await[0].1, oldest(&shop).await);

    // The bill is there again, the provider is asked, the order is settled: closed.
    shop.db.execute(bill, &[&order.order_id, &Some(&order.bill_id)]).await.unwrap();
    press(&shop, &order, "pay", false).await;
    shop.job("poll_bills", Some(&minute(&shop, "18 minutes").await)).await.expect(200);
    assert_eq!(shop.state(order.order_id).await.0, "paid");
    shop.job("pending_payments", Some(&minute(&shop, "19 minutes").await))
        .await
        .expect(200);
    assert!(unmatched(&shop, &reference).await[0].2);
}
