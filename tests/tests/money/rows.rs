//! Rows of money stay as they were written, and what the provider returns of its fee reverses it.

use lonieve_tests::Shop;
use serde_json::json;

use crate::support::{columns, partner, referred, refund_rows, text, told};

async fn sold() -> (Shop, lonieve_tests::Placed) {
    let shop = Shop::v1(1).await;
    let order = referred(&shop, &partner(&shop, "10").await, 50).await;
    told(&shop, &order).paid().await;
    told(&shop, &order).refunded("r1", "10.00").await;
    (shop, order)
}

#[tokio::test]
async fn nobody_changes_or_removes_a_row_of_money() {
    let (shop, _) = sold().await;
    for statement in [
        "update shop.transaction_fees set fee_amount = 0",
        "delete from shop.transaction_fees",
        "truncate shop.transaction_fees cascade",
        "update shop.partner_commissions set amount = 0",
        "delete from shop.partner_commissions",
        "truncate shop.partner_commissions",
        "update shop.affiliate_clicks set created_at = now()",
        "delete from shop.affiliate_clicks",
        "delete from shop.refunds",
        "truncate shop.refunds cascade",
    ] {
        let refused = shop.db.batch_execute(statement).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("55000"), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn a_refund_moves_one_way_only() {
    let (shop, order) = sold().await;
    let tenant = shop.tenant;
    let insert = "insert into shop.refunds (tenant_id, order_id, payment_id, refund_amount, refund_reason, status) \
                  select $1, o.id, y.id, 1.00, 'r', $3 from shop.orders o join shop.payments y on y.order_id = o.id where o.id = $2 returning id";
    let refused = async |from: &str, change: &str| {
        let id: uuid::Uuid = shop.db.query_one(insert, &[&tenant, &order.order_id, &from]).await.unwrap().get(0);
        let sql = format!("update shop.refunds set {change} where id = $1");
        let changed = shop.db.execute(&sql, &[&id]).await;
        // One that is open would count as money on its way in what follows.
        let _ = shop
            .db
            .execute("update shop.refunds set status = 'rejected' where id = $1", &[&id])
            .await;
        changed.err().map(|error| error.code().unwrap().code().to_owned())
    };
    for (from, change) in [
        ("completed", "status = 'rejected'"),
        ("completed", "refund_amount = 2"),
        ("completed", "refund_reason = 'another'"),
        ("rejected", "status = 'approved'"),
        ("rejected", "refund_amount = 2"),
        ("approved", "status = 'pending'"),
        ("approved", "refund_amount = 2"),
        ("approved", "requested_by = gen_random_uuid()"),
        ("approved", "requested_at = now() - interval '1 day'"),
        ("approved", "kind = 'chargeback'"),
        ("pending", "payment_id = null"),
    ] {
        assert_eq!(refused(from, change).await.as_deref(), Some("55000"), "{from}: {change}");
    }
    for (from, change) in [
        ("pending", "status = 'approved'"),
        ("approved", "provider_refund_id = 'x', provider_payment_id = 'p'"),
        ("approved", "status = 'completed', refund_amount = 0.99, processed_at = now()"),
        ("approved", "status = 'rejected'"),
        ("rejected", "status = 'completed'"),
    ] {
        assert_eq!(refused(from, change).await, None, "{from}: {change}");
    }
    assert!(refund_rows(&shop, &order).await.starts_with("refund 10.00 partial completed"));
}

/// Amounts of the order's rows of fees, oldest first.
async fn fees(shop: &Shop, order: &lonieve_tests::Placed) -> String {
    text(
        shop,
        order,
        "select string_agg(fee_amount::text, ' ' order by created_at, fee_amount desc) from shop.transaction_fees where order_id = $1",
    )
    .await
}

#[tokio::test]
async fn the_provider_keeps_its_fee_unless_the_shop_says_otherwise() {
    let parts = ["12.50", "12.50", "12.50"];
    // 37.50 x 0.029 + 0.30 = 1.3875 -> 1.39. A third of it 0.4633 -> 0.46, two thirds 0.9267 -> 0.93, all 1.39.
    // Half of it, in thirds: 0.2317 -> 0.23, 0.4633 -> 0.46, 0.695 -> 0.70.
    for (percent, rows, sums) in [
        (0, "1.39", "1.39 37.50 -31.39 none"),
        (100, "1.39 -0.46 -0.47 -0.46", "0.00 37.50 -30.00 none"),
        (50, "1.39 -0.23 -0.23 -0.24", "0.69 37.50 -30.69 none"),
    ] {
        let shop = Shop::v1(1).await;
        shop.settings(json!({"fee_refund_percent": percent})).await;
        let order = shop.place(&shop.cart()).await;
        told(&shop, &order).paid().await;
        for (n, amount) in parts.iter().enumerate() {
            told(&shop, &order).refunded(&format!("r{n}"), amount).await;
        }
        assert_eq!(
            (fees(&shop, &order).await.as_str(), columns(&shop, &order).await.as_str()),
            (rows, sums),
            "{percent} %"
        );
    }
}

#[tokio::test]
async fn a_chargeback_returns_no_fee() {
    let shop = Shop::v1(1).await;
    shop.settings(json!({"fee_refund_percent": 100})).await;
    let order = shop.place(&shop.cart()).await;
    told(&shop, &order).paid().await;
    told(&shop, &order).refunded("r", "12.50").await;
    told(&shop, &order).charged_back().await;
    assert_eq!(
        (fees(&shop, &order).await.as_str(), columns(&shop, &order).await.as_str()),
        ("1.39 -0.46", "0.93 37.50 -30.93 none")
    );
}

#[tokio::test]
async fn a_review_is_verified_by_the_order_and_not_by_who_writes_it() {
    let shop = Shop::v1(2).await;
    let (bought, unpaid) = (shop.place(&shop.cart()).await, shop.place(&shop.cart()).await);
    told(&shop, &bought).paid().await;
    let insert = "insert into shop.product_reviews (tenant_id, product_id, order_id, email, rating, verified_purchase) \
                  values ($1, $2, $3, $4, 5, $5) returning verified_purchase";
    for (order, email, claimed, verified) in [
        (Some(unpaid.order_id), &unpaid.email, true, false),
        (Some(bought.order_id), &unpaid.email, true, false),
        (None, &bought.email, true, false),
        (Some(bought.order_id), &bought.email, false, true),
    ] {
        shop.db.batch_execute("begin").await.unwrap();
        let row = shop
            .db
            .query_one(insert, &[&shop.tenant, &shop.product, &order, email, &claimed])
            .await
            .unwrap();
        assert_eq!(row.get::<_, bool>(0), verified, "{order:?} {email}");
        shop.db.batch_execute("rollback").await.unwrap();
    }
    for rating in [0, 6] {
        let sql = format!(
            "insert into shop.product_reviews (tenant_id, product_id, email, rating) values ('{}', '{}', 'a@example.com', {rating})",
            shop.tenant, shop.product
        );
        let refused = shop.db.batch_execute(&sql).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("23514"), "{refused}");
    }
}
