//! Repeats without an `Idempotency-Key`: the same cart of the same session, for a minute.

use futures::future::join_all;
use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{KEYS, PENDING, RESERVED, bills_asked_for, created, pay, replayed, until, with};

fn cart_of_session(shop: &Shop) -> Value {
    with(&shop.cart(), "sessionId", json!(format!("s-{}", Uuid::new_v4().simple())))
}

#[tokio::test]
async fn the_same_cart_of_the_same_session_is_the_same_order() {
    let shop = Shop::with_codes(5).await;
    let cart = cart_of_session(&shop);
    let first = shop.adds(&created(1, true), shop.create(&cart)).await;
    assert!(!replayed(&first));
    // The cart counts, not its spelling; a session in the cookie is the same session.
    let spelt = with(&cart, "email", json!(cart["email"].as_str().unwrap().to_uppercase()));
    let mut cookie = cart.clone();
    cookie.as_object_mut().unwrap().remove("sessionId");
    let cookie = shop
        .request(Method::POST, "orders", "/api/orders/create")
        .header("cookie", format!("lv_sess={}", cart["sessionId"].as_str().unwrap()))
        .json(&cookie);
    let again = shop
        .adds_nothing(async { [shop.create(&cart).await, shop.create(&spelt).await, Reply::of(cookie).await] })
        .await;
    for reply in again {
        assert_eq!((replayed(&reply), &reply.text), (true, &first.text));
    }
    assert_eq!(bills_asked_for(&shop, &cart["email"]).await, 1);

    // Another cart, or another session, is another order.
    for other in [with(&cart, "quantity", json!(2)), with(&cart, "sessionId", json!("another"))] {
        let codes = other["quantity"].as_i64().unwrap_or(1);
        assert!(!replayed(&shop.adds(&created(codes, true), shop.create(&other)).await));
    }
}

#[tokio::test]
async fn without_session_and_key_every_request_is_an_order() {
    let shop = Shop::with_codes(2).await;
    let cart = shop.cart();
    for _ in 0..2 {
        assert!(!replayed(&shop.adds(&created(1, false), shop.create(&cart)).await));
    }
    assert_eq!(shop.count(RESERVED).await, 2);
}

#[tokio::test]
async fn twenty_equal_requests_of_one_session_at_once_make_one_order() {
    let shop = Shop::with_codes(20).await;
    let cart = cart_of_session(&shop);
    let replies = shop.adds(&created(1, true), join_all((0..20).map(|_| shop.create(&cart)))).await;
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.refused(409, "in_progress");
    }
    assert_eq!(replies.iter().filter(|reply| reply.status == 200 && !replayed(reply)).count(), 1);
    assert_eq!(shop.count(RESERVED).await, 1);
}

#[tokio::test]
async fn an_order_that_is_not_pending_or_a_minute_old_is_not_given_again() {
    let shop = Shop::with_codes(5).await;
    let cart = cart_of_session(&shop);
    let first = shop.place(&cart).await;
    pay(&shop, &first.bill_id, "37.50").await;
    // The shopper wants the same once more. The row that knew the first order now knows the second.
    let second = shop.adds(&created(1, false), shop.create(&cart)).await;
    assert!(!replayed(&second));
    assert_ne!(second.expect(200)["orderId"], json!(first.order_id));

    let kept = "select round(extract(epoch from expires_at - created_at))::bigint from ops.idempotency where tenant_id = $1";
    assert_eq!(shop.count(kept).await, 60);
    assert!(replayed(&shop.adds_nothing(shop.create(&cart)).await));
    let sql = "update ops.idempotency set expires_at = now() where tenant_id = $1";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    let third = shop.adds(&created(1, false), shop.create(&cart)).await;
    assert!(!replayed(&third));
    assert_eq!(shop.count(PENDING).await, 2, "the second order was not touched");
}

#[tokio::test]
async fn a_refusal_or_a_failure_is_forgotten() {
    let shop = Shop::new().await;
    let cart = cart_of_session(&shop);
    shop.adds_nothing(shop.create(&cart)).await.refused(409, "out_of_stock");
    shop.add_codes("50.00", 1).await;
    let rules = json!([{"route": "cardlink.create", "match": cart["email"], "status": 500}]);
    shop.under_faults(&shop.info.sandbox, rules, shop.create(&cart))
        .await
        .refused(502, "provider_unavailable");
    assert_eq!(shop.count(KEYS).await, 0);
    let placed = shop.adds(&created(1, true), shop.create(&cart)).await;
    assert!(!replayed(&placed) && placed.status == 200);
}

#[tokio::test]
async fn while_the_first_request_is_under_way_the_same_cart_is_409() {
    let shop = Shop::with_codes(2).await;
    let cart = cart_of_session(&shop);
    let rules = json!([{"route": "cardlink.create", "match": cart["email"], "delay_ms": 1000}]);
    let work = async {
        let meanwhile = async {
            until(&shop, PENDING, 1).await;
            shop.adds_nothing(shop.create(&cart)).await
        };
        tokio::join!(shop.create(&cart), meanwhile)
    };
    let (first, early) = shop.under_faults(&shop.info.sandbox, rules, work).await;
    early.refused(409, "in_progress");
    assert!(!replayed(&first) && first.status == 200);
}
