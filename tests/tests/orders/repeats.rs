//! `Idempotency-Key` (contracts.md): each row of its contract.

use std::collections::BTreeSet;

use futures::future::join_all;
use lonieve_tests::{Reply, Shop, dump};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{FREE, KEYS, PENDING, RESERVED, bills_asked_for, created, pay, replayed, until, with};

fn fresh_key() -> String {
    Uuid::new_v4().to_string()
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_no_second_order() {
    let shop = Shop::with_codes(3).await;
    let (key, cart) = (fresh_key(), shop.cart());
    let first = shop.adds(&created(1, true), shop.create_once(&key, &cart)).await;
    first.expect(200);
    assert!(!replayed(&first));
    for _ in 0..3 {
        let again = shop.adds_nothing(shop.create_once(&key, &cart)).await;
        assert!(replayed(&again));
        assert_eq!((again.status, &again.text), (200, &first.text), "every byte, the token too");
    }
    assert_eq!(bills_asked_for(&shop, &cart["email"]).await, 1);

    // Whatever has become of the order since.
    pay(&shop, first.json()["billId"].as_str().unwrap(), "37.50").await;
    let again = shop.adds_nothing(shop.create_once(&key, &cart)).await;
    assert_eq!((replayed(&again), &again.text), (true, &first.text));
    // Another key is another order.
    let other = shop.adds(&created(1, true), shop.create_once(&fresh_key(), &cart)).await;
    assert!(!replayed(&other) && other.expect(200)["orderId"] != first.json()["orderId"]);
}

#[tokio::test]
async fn a_refusal_is_given_again_when_its_reason_is_gone() {
    let shop = Shop::new().await;
    let sells = shop.cart();
    let nobodys = with(&sells, "productId", json!(Uuid::new_v4()));
    let cases = [
        (nobodys, 404, "product_not_found", None),
        (with(&sells, "nominal", json!(33)), 400, "nominal_not_offered", None),
        (
            with(&sells, "currency", json!("EUR")),
            409,
            "currency_mismatch",
            Some(("currency", "USD")),
        ),
        (
            with(&sells, "price", json!("35.00")),
            409,
            "price_changed",
            Some(("price", "37.50")),
        ),
        (sells.clone(), 409, "out_of_stock", None),
    ];
    let mut keys = Vec::new();
    for (cart, status, code, extra) in &cases {
        let key = fresh_key();
        let reply = shop.adds(&[("ops.idempotency", 1)], shop.create_once(&key, cart)).await;
        let body = reply.refused(*status, code);
        assert!(!replayed(&reply));
        if let Some((member, value)) = extra {
            assert_eq!(body[member], *value);
        }
        keys.push(key);
    }
    // Now all of it would be sold: other price, other face values, stock.
    shop.add_codes("50.00", 9).await;
    let sql = "update shop.products set nominals = '[33, 50]', discount_percentage = 30 where id = $1";
    shop.db.execute(sql, &[&shop.product]).await.unwrap();
    for (key, (cart, status, code, extra)) in keys.iter().zip(&cases) {
        let reply = shop.adds_nothing(shop.create_once(key, cart)).await;
        let body = reply.refused(*status, code);
        assert!(replayed(&reply), "{code}");
        if let Some((member, value)) = extra {
            assert_eq!(body[member], *value, "the first answer, not today's");
        }
    }
    shop.adds(&created(1, true), shop.create_once(&fresh_key(), &cases[3].0))
        .await
        .expect(200);
}

#[tokio::test]
async fn another_body_under_a_key_is_422_and_changes_nothing() {
    let shop = Shop::with_codes(3).await;
    let (key, cart) = (fresh_key(), shop.cart());
    let first = shop.create_once(&key, &cart).await;
    first.expect(200);
    let refused_key = fresh_key();
    let unsold = with(&cart, "nominal", json!(33));
    shop.create_once(&refused_key, &unsold).await.refused(400, "nominal_not_offered");

    let raw = async |key: &str, body: String| {
        let request = shop.request(Method::POST, "orders", "/api/orders/create");
        let request = request.header("idempotency-key", key).header("content-type", "application/json");
        shop.adds_nothing(Reply::of(request.body(body))).await
    };
    for (key, body) in [
        (&key, with(&cart, "quantity", json!(2)).to_string()),
        (&key, with(&cart, "quantity", json!(1)).to_string()),
        // The same cart in other bytes is another body.
        (&key, format!("{cart} ")),
        (&refused_key, cart.to_string()),
    ] {
        let reply = raw(key, body).await;
        reply.refused(422, "idempotency_key_reused");
        assert!(!replayed(&reply));
    }
    let again = raw(&key, cart.to_string()).await;
    assert_eq!(
        (replayed(&again), &again.text),
        (true, &first.text),
        "the first body still gets its answer"
    );
    assert!(replayed(&raw(&refused_key, unsold.to_string()).await));
    assert_eq!(shop.count(FREE).await, 2);
}

#[tokio::test]
async fn while_the_first_request_is_under_way_a_repeat_is_409_and_afterwards_a_replay() {
    let shop = Shop::with_codes(3).await;
    let (key, cart) = (fresh_key(), shop.cart());
    let rules = json!([{"route": "cardlink.create", "match": cart["email"], "delay_ms": 1500}]);
    let work = async {
        let meanwhile = async {
            until(&shop, PENDING, 1).await;
            let early = shop.adds_nothing(shop.create_once(&key, &cart)).await;
            let other = shop.adds_nothing(shop.create_once(&key, &with(&cart, "quantity", json!(2)))).await;
            (early, other)
        };
        tokio::join!(shop.create_once(&key, &cart), meanwhile)
    };
    let (first, (early, other)) = shop.under_faults(&shop.info.sandbox, rules, work).await;
    early.refused(409, "in_progress");
    assert_eq!((early.header("retry-after"), replayed(&early)), (Some("2"), false));
    other.refused(422, "idempotency_key_reused");
    first.expect(200);
    // `in_progress` was not kept.
    let again = shop.adds_nothing(shop.create_once(&key, &cart)).await;
    assert_eq!((replayed(&again), again.text), (true, first.text));
}

#[tokio::test]
async fn twenty_equal_requests_at_once_make_one_order_and_one_bill() {
    let shop = Shop::with_codes(20).await;
    let (key, cart) = (fresh_key(), shop.cart());
    let replies = shop
        .adds(&created(1, true), join_all((0..20).map(|_| shop.create_once(&key, &cart))))
        .await;
    let (placed, refused): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.status == 200);
    for reply in refused {
        reply.refused(409, "in_progress");
    }
    let answers: BTreeSet<&str> = placed.iter().map(|reply| reply.text.as_str()).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(
        placed.iter().filter(|reply| !replayed(reply)).count(),
        1,
        "one of them made the order"
    );
    assert_eq!(bills_asked_for(&shop, &cart["email"]).await, 1);
    assert_eq!((shop.count(RESERVED).await, shop.count(FREE).await), (1, 19));
    let late = join_all((0..5).map(|_| shop.create_once(&key, &cart))).await;
    assert!(late.iter().all(|reply| replayed(reply) && answers.contains(reply.text.as_str())));
}

#[tokio::test]
async fn a_request_that_failed_at_the_provider_frees_its_key_and_its_code() {
    let shop = Shop::with_codes(1).await;
    for effect in [
        json!({"status": 500}),
        json!({"drop": true}),
        json!({"drop_after": true}),
        json!({"status": 200, "body": {"bill_id": ""}}),
        json!({"delay_ms": 9000}),
    ] {
        let (key, cart) = (fresh_key(), shop.cart());
        let mut rule = json!({"route": "cardlink.create", "match": cart["email"], "times": 1});
        rule.as_object_mut().unwrap().extend(effect.as_object().unwrap().clone());
        let failed = shop
            .under_faults(&shop.info.sandbox, json!([rule]), shop.create_once(&key, &cart))
            .await;
        let status = if effect["delay_ms"].is_null() { 502 } else { 504 };
        failed.refused(status, "provider_unavailable");
        assert_eq!(
            (shop.count(KEYS).await, shop.count(FREE).await, shop.count(PENDING).await),
            (0, 1, 0),
            "{effect}"
        );
        // The same key, even with another body, is a new request.
        let again = shop
            .adds(&created(1, true), shop.create_once(&key, &with(&cart, "firstName", json!("Sam"))))
            .await;
        assert!(!replayed(&again));
        let bill = again.expect(200)["billId"].as_str().unwrap().to_owned();
        // Its code goes back for the next round.
        shop.notice(&bill, "EXPIRED", "37.50", "USD").await.expect(200);
        shop.db
            .execute("delete from ops.idempotency where tenant_id = $1", &[&shop.tenant])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_request_that_failed_at_the_database_frees_its_key_and_its_code() {
    let shop = Shop::with_codes(1).await;
    for rule in [
        json!({"rpc": "attach_bill", "status": 503}),
        json!({"rpc": "attach_bill", "drop": true}),
        // Done, but nobody heard of it.
        json!({"rpc": "attach_bill", "drop_after": true}),
        json!({"rpc": "create_order", "drop_after": true}),
        json!({"rpc": "create_order", "drop": true}),
    ] {
        let (key, cart) = (fresh_key(), shop.cart());
        let bill = format!("bill-{}", Uuid::new_v4().simple());
        let mut rule = rule;
        let at_create = rule["rpc"] == "create_order";
        rule["match"] = if at_create { json!(key) } else { json!(bill) };
        let answer = json!({"bill_id": bill, "payment_url": "https://pay.example/b"});
        let boards = [
            (
                shop.info.sandbox.as_str(),
                json!([{"route": "cardlink.create", "match": cart["email"], "status": 200, "body": answer}]),
            ),
            (shop.info.proxy.as_str(), json!([rule])),
        ];
        shop.under_rules(&boards, shop.create_once(&key, &cart))
            .await
            .refused(503, "database_unavailable");
        assert_eq!(
            (shop.count(KEYS).await, shop.count(FREE).await, shop.count(PENDING).await),
            (0, 1, 0),
            "{rule}"
        );
    }
    let (key, cart) = (fresh_key(), shop.cart());
    assert!(!replayed(&shop.adds(&created(1, true), shop.create_once(&key, &cart)).await));
}

#[tokio::test]
async fn keys_of_two_shops_and_of_two_routes_never_meet() {
    let (one, two) = (Shop::with_codes(2).await, Shop::with_codes(2).await);
    let key = fresh_key();
    let first = one.create_once(&key, &one.cart()).await.expect(200);
    // Another shop knows nothing of the key: neither its answer nor its body.
    let other = one
        .adds_nothing(two.adds(&created(1, true), two.create_once(&key, &two.cart())))
        .await;
    assert!(!replayed(&other) && other.expect(200)["orderId"] != first["orderId"]);

    // A key that is spelt like the name under which somebody's cart is kept.
    let cart = with(&one.cart(), "sessionId", json!("s-1"));
    one.create(&cart).await.expect(200);
    let sql = "select key from ops.idempotency where tenant_id = $1 and route = 'orders/create cart'";
    let name: String = one.db.query_one(sql, &[&one.tenant]).await.unwrap().get(0);
    let reply = one.create_once(&name, &cart).await;
    reply.refused(409, "out_of_stock");
    assert!(!replayed(&reply));
}

#[tokio::test]
async fn a_key_is_over_after_24_hours_and_goes_with_the_next_purge() {
    let shop = Shop::with_codes(2).await;
    let (key, cart) = (fresh_key(), shop.cart());
    let first = shop.create_once(&key, &cart).await.expect(200);
    let kept = "select round(extract(epoch from expires_at - created_at))::bigint from ops.idempotency where tenant_id = $1";
    assert_eq!(shop.count(kept).await, 86_400);
    let age = async |interval: &str| {
        let sql = format!("update ops.idempotency set expires_at = created_at + interval '{interval}' where tenant_id = $1");
        shop.db.execute(&sql, &[&shop.tenant]).await.unwrap();
    };
    let purge = async |clock: &str| {
        let p = json!({"now": shop.time(clock).await, "limit": 5000});
        shop.rpc(&shop.info.tokens["jobs"], "purge_idempotency", p).await.expect(200)
    };
    purge("0").await;
    assert_eq!(shop.count(KEYS).await, 1, "not before its time");
    age("0").await;
    // The same row starts anew, with any body.
    let rows: Vec<_> = created(1, true)
        .into_iter()
        .filter(|(table, _)| *table != "ops.idempotency")
        .collect();
    let second = shop
        .adds(&rows, shop.create_once(&key, &with(&cart, "firstName", json!("Sam"))))
        .await;
    assert!(!replayed(&second) && second.expect(200)["orderId"] != first["orderId"]);
    assert_eq!(shop.count(kept).await, 86_400);
    age("0").await;
    assert!(purge("1 second").await["deleted"].as_i64().unwrap() >= 1);
    assert_eq!(shop.count(KEYS).await, 0);
}

#[tokio::test]
async fn neither_a_token_nor_a_code_is_kept_with_an_answer() {
    let shop = Shop::new().await;
    let codes = shop.add_codes("50.00", 1).await;
    let (key, cart) = (fresh_key(), shop.cart());
    let placed = shop.create_once(&key, &cart).await.expect(200);
    let id: Uuid = placed["orderId"].as_str().unwrap().parse().unwrap();
    let token = placed["orderToken"].as_str().unwrap();
    pay(&shop, placed["billId"].as_str().unwrap(), "37.50").await;
    assert!(replayed(&shop.create_once(&key, &cart).await));
    assert_eq!(shop.order(id, token).await.expect(200)["codes"][0]["code"], codes[0].as_str());
    let sql = "select answer from ops.idempotency where tenant_id = $1";
    let answer: Value = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0);
    let members: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        ["amount", "bill_id", "currency", "expires_at", "order_id", "outcome", "payment_url"]
    );
    for (table, rows) in dump(&shop).await {
        for secret in [token, &codes[0]] {
            assert!(!rows.contains(secret), "{table}");
        }
    }
}
