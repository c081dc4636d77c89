//! Two shops in one database see nothing of each other, even when the same person visits both.

use lonieve_tests::Shop;
use serde_json::{Value, json};

/// A cart of the same buyer in the same session, whatever the shop.
fn cart_of(shop: &Shop, person: &str) -> Value {
    let mut cart = shop.cart();
    cart["email"] = json!(format!("{person}@example.com"));
    cart["sessionId"] = json!(person);
    cart["visitorId"] = json!(person);
    cart
}

async fn products(shop: &Shop) -> Vec<String> {
    let listed = shop.get("orders", "/api/products").await.expect(200);
    listed["products"]
        .as_array()
        .unwrap()
        .iter()
        .map(|product| product["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn each_host_shows_its_own_products_only() {
    let (one, two) = (Shop::new().await, Shop::new().await);
    assert_eq!(products(&one).await, [one.product.to_string()]);
    assert_eq!(products(&two).await, [two.product.to_string()]);
    one.get("orders", &format!("/api/products/{}", one.product)).await.expect(200);
    one.get("orders", &format!("/api/products/{}", two.product))
        .await
        .refused(404, "product_not_found");
}

#[tokio::test]
async fn the_product_of_another_shop_cannot_be_ordered() {
    let (one, two) = (Shop::with_codes(1).await, Shop::with_codes(1).await);
    let before = (one.rows().await, two.rows().await);
    one.create(&two.cart()).await.refused(404, "product_not_found");
    assert_eq!((one.rows().await, two.rows().await), before, "nothing was written in either shop");
    two.create(&two.cart()).await.expect(200);
}

#[tokio::test]
async fn the_stock_of_one_shop_does_not_serve_the_other() {
    let (empty, full) = (Shop::new().await, Shop::with_codes(3).await);
    empty.create(&empty.cart()).await.refused(409, "out_of_stock");
    assert_eq!(
        full.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'")
            .await,
        3
    );
}

#[tokio::test]
async fn the_same_person_buying_in_both_shops_has_two_orders_that_do_not_meet() {
    let (one, two) = (Shop::with_codes(1).await, Shop::with_codes(1).await);
    let person = format!("same-{}", uuid::Uuid::new_v4().simple());
    let (first, second) = (one.place(&cart_of(&one, &person)).await, two.place(&cart_of(&two, &person)).await);
    one.notice(&first.bill_id, "PAID", &first.amount, "USD").await.expect(200);

    let orders = "select count(*) from shop.orders where tenant_id = $1";
    let paid = "select count(*) from shop.orders where tenant_id = $1 and paid_at is not null";
    assert_eq!((one.count(orders).await, one.count(paid).await), (1, 1));
    assert_eq!((two.count(orders).await, two.count(paid).await), (1, 0));
    for table in [
        "shop.code_ledger where entry = 'sold' and",
        "ops.outbox where",
        "ops.webhook_logs where",
        "shop.transaction_fees where",
    ] {
        let sql = format!("select count(*) from {table} tenant_id = $1");
        assert!(one.count(&sql).await > 0 && two.count(&sql).await == 0, "{sql}");
    }

    // A token opens the order it was made for; the order of the other shop is as unknown to it as any.
    let seen = one.order(first.order_id, &first.token).await.expect(200);
    assert_eq!(
        (&seen["fulfilment"], seen["codes"].as_array().map(Vec::len)),
        (&json!("delivered"), Some(1)),
        "{seen}"
    );
    one.order(first.order_id, &second.token).await.refused(404, "order_not_found");
    two.order(second.order_id, &first.token).await.refused(404, "order_not_found");
    let unpaid = two.order(second.order_id, &second.token).await.expect(200);
    assert_eq!((&unpaid["status"], &unpaid["codes"]), (&json!("pending"), &json!([])), "{unpaid}");
}

#[tokio::test]
async fn the_same_session_in_both_shops_makes_a_visit_in_each() {
    let (one, two) = (Shop::new().await, Shop::new().await);
    let session = format!("same-{}", uuid::Uuid::new_v4().simple());
    for shop in [&one, &two, &one] {
        shop.post(
            "events",
            "/api/events",
            &json!({"event_type": "page_view", "session_id": session, "visitor_id": session}),
        )
        .await
        .expect(200);
    }
    let sql =
        "select count(*), count(distinct visit_id), min(visit_id::text) from analytics.events where tenant_id = $1 and session_id = $2";
    let mut visits = Vec::new();
    for (shop, events) in [(&one, 2_i64), (&two, 1)] {
        let row = shop.db.query_one(sql, &[&shop.tenant, &session]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (events, 1));
        visits.push(row.get::<_, String>(2));
    }
    assert_ne!(visits[0], visits[1]);
}

#[tokio::test]
async fn the_same_code_is_known_to_each_shop_by_itself() {
    let (one, two) = (Shop::new().await, Shop::new().await);
    let code = crate::new_code();
    for shop in [&one, &two] {
        let imported = shop
            .rpc(
                &shop.staff_token,
                "import_codes",
                json!({"rows": [shop.sealed_row(1, "50.00", &code)]}),
            )
            .await
            .expect(200);
        assert_eq!(imported["imported"], 1, "{imported}");
    }
    let again = one
        .rpc(
            &one.staff_token,
            "import_codes",
            json!({"rows": [one.sealed_row(1, "50.00", &code)]}),
        )
        .await
        .expect(200);
    assert_eq!(again["errors"][0]["reason"], "duplicate_code", "{again}");
}

#[tokio::test]
async fn a_host_nobody_owns_finds_no_shop() {
    let mut shop = Shop::new().await;
    let before = shop.rows().await;
    let cart = shop.cart();
    shop.host = format!("nobody-{}.test", uuid::Uuid::new_v4().simple());
    shop.get("orders", "/api/products").await.refused(404, "unknown_tenant");
    shop.create(&cart).await.refused(404, "unknown_tenant");
    assert_eq!(shop.rows().await, before);
}
