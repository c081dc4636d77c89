//! `POST /api/orders/create` when Cardlink or the database does not do its part.

use lonieve_tests::{Reply, Shop};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ORDER, created};

const FREE: &str = "select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'";
const RESERVED: &str = "select count(*) from shop.gift_codes where tenant_id = $1 and status = 'reserved'";

/// status, fulfilment, failure reason and bill of the order of this address, and the status of its payment.
async fn order_of(shop: &Shop, email: &Value) -> (String, String, Option<String>, Option<String>, String) {
    let sql = "select o.status, o.fulfilment, o.failure_reason, y.bill_id, y.status \
               from shop.orders o join shop.payments y on y.order_id = o.id where o.tenant_id = $1 and o.email = $2";
    let row = shop.db.query_one(sql, &[&shop.tenant, &email.as_str().unwrap()]).await.unwrap();
    (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))
}

fn failed() -> (String, String, Option<String>, Option<String>, String) {
    (
        "failed".into(),
        "none".into(),
        Some("provider_unavailable".into()),
        None,
        "failed".into(),
    )
}

/// A rule of the sandbox for the bill of this cart.
fn for_bill_of(cart: &Value, effect: &Value) -> Value {
    let mut rule = json!({"route": "cardlink.create", "match": cart["email"]});
    rule.as_object_mut().unwrap().extend(effect.as_object().unwrap().clone());
    rule
}

fn provider_unavailable(reply: &Reply, status: u16) {
    reply.refused(status, "provider_unavailable");
    assert_eq!(reply.header("retry-after"), Some("5"));
    for leak in ["buyer-", "cardlink", "internal note"] {
        assert!(!reply.text.contains(leak), "{leak}: {}", reply.text);
    }
}

#[tokio::test]
async fn without_a_usable_bill_the_answer_is_502_the_order_failed_and_its_code_free_at_once() {
    let shop = Shop::with_codes(1).await;
    let answer = |body: Value| json!({"status": 200, "body": body});
    for effect in [
        json!({"status": 500, "body": {"message": "internal note"}}),
        json!({"status": 401}),
        json!({"status": 422}),
        json!({"status": 429}),
        json!({"drop": true}),
        json!({"drop_after": true}),
        answer(json!("not an object")),
        answer(json!({"payment_url": "https://pay.example/b"})),
        answer(json!({"bill_id": "", "payment_url": "https://pay.example/b"})),
        answer(json!({"bill_id": "b", "payment_url": "javascript:alert(1)"})),
    ] {
        let cart = shop.cart();
        let rules = json!([for_bill_of(&cart, &effect)]);
        let rows = [ORDER.as_slice(), &[("shop.code_ledger", 2)]].concat();
        let reply = shop
            .adds(&rows, shop.under_faults(&shop.info.sandbox, rules, shop.create(&cart)))
            .await;
        provider_unavailable(&reply, 502);
        assert_eq!(order_of(&shop, &cart["email"]).await, failed(), "{effect}");
        assert_eq!(shop.count(FREE).await, 1, "{effect}");
    }
    shop.adds(&created(1), shop.create(&shop.cart())).await.expect(200);
}

#[tokio::test]
async fn a_provider_that_takes_over_eight_seconds_is_504_the_order_failed_and_its_code_free_at_once() {
    let shop = Shop::with_codes(1).await;
    let (slow, next) = (shop.cart(), shop.cart());
    let rules = json!([
        for_bill_of(&slow, &json!({"delay_ms": 12_000})),
        for_bill_of(&next, &json!({"delay_ms": 1000}))
    ]);
    shop.under_faults(&shop.info.sandbox, rules, async {
        let rows = [ORDER.as_slice(), &[("shop.code_ledger", 2)]].concat();
        provider_unavailable(&shop.adds(&rows, shop.create(&slow)).await, 504);
        assert_eq!(order_of(&shop, &slow["email"]).await, failed());
        assert_eq!(shop.count(FREE).await, 1);
        shop.adds(&created(1), shop.create(&next)).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_bill_that_belongs_to_another_order_is_502_and_stays_with_that_order() {
    let shop = Shop::with_codes(2).await;
    let first = shop.place(&shop.cart()).await;
    let cart = shop.cart();
    let rule = for_bill_of(
        &cart,
        &json!({"status": 200, "body": {"bill_id": first.bill_id, "payment_url": first.payment_url}}),
    );
    let rows = [ORDER.as_slice(), &[("shop.code_ledger", 2)]].concat();
    let reply = shop
        .adds(&rows, shop.under_faults(&shop.info.sandbox, json!([rule]), shop.create(&cart)))
        .await;
    provider_unavailable(&reply, 502);
    assert_eq!(order_of(&shop, &cart["email"]).await, failed());
    assert_eq!((shop.count(FREE).await, shop.count(RESERVED).await), (1, 1));
    assert_eq!(
        shop.notice(&first.bill_id, "PAID", "37.50", "USD").await.expect(200)["outcome"],
        "fulfilled"
    );
    assert_eq!(shop.state(first.order_id).await.0, "paid");
}

#[tokio::test]
async fn a_database_that_is_away_before_the_order_is_503_and_nothing_is_written() {
    let shop = Shop::with_codes(1).await;
    let error = |status: u16, code: &str| json!({"status": status, "body": {"code": code, "message": "Key (email)=(buyer-1@example.com)"}});
    for (effect, status, code) in [
        (json!({"drop": true}), 503, "database_unavailable"),
        (json!({"status": 503}), 503, "database_unavailable"),
        (error(504, "PGRST003"), 503, "database_unavailable"),
        (error(500, "57014"), 503, "database_unavailable"),
        // Not tried again by itself: each call is another order.
        (error(400, "40P01"), 503, "database_unavailable"),
        (error(403, "42501"), 500, "misconfigured"),
        (error(400, "P0001"), 500, "internal_error"),
    ] {
        let cart = shop.cart();
        let mut rule = json!({"rpc": "create_order", "match": cart["email"]});
        rule.as_object_mut().unwrap().extend(effect.as_object().unwrap().clone());
        let work = async {
            let reply = shop.create(&cart).await;
            (reply, shop.fault_hits(&shop.info.proxy).await)
        };
        let (reply, hits) = shop.adds_nothing(shop.under_faults(&shop.info.proxy, json!([rule]), work)).await;
        reply.refused(status, code);
        assert!(!reply.text.contains("buyer-"), "{}", reply.text);
        assert_eq!((hits, shop.count(FREE).await), (vec![1], 1), "{effect}");
    }
    shop.adds(&created(1), shop.create(&shop.cart())).await.expect(200);
}

/// An order nobody was shown a payment link of: failed, its code free.
fn given_up(bill: Option<String>) -> (String, String, Option<String>, Option<String>, String) {
    (
        "failed".into(),
        "none".into(),
        Some("database_unavailable".into()),
        bill,
        "failed".into(),
    )
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_gives_its_code_back_at_once() {
    let shop = Shop::with_codes(1).await;
    let cart = shop.cart();
    let rules = json!([{"rpc": "create_order", "match": cart["email"], "drop_after": true}]);
    let rows = [ORDER.as_slice(), &[("shop.code_ledger", 2)]].concat();
    let reply = shop
        .adds(&rows, shop.under_faults(&shop.info.proxy, rules, shop.create(&cart)))
        .await;
    reply.refused(503, "database_unavailable");
    assert_eq!((order_of(&shop, &cart["email"]).await, shop.count(FREE).await), (given_up(None), 1));
}

#[tokio::test]
async fn an_order_that_cannot_even_be_given_up_gives_its_code_back_at_its_end() {
    let shop = Shop::with_codes(1).await;
    let cart = shop.cart();
    let rules = json!([
        {"rpc": "create_order", "match": cart["email"], "drop_after": true},
        {"rpc": "fail_order", "drop": true},
    ]);
    let rows = [ORDER.as_slice(), &[("shop.code_ledger", 1)]].concat();
    let reply = shop
        .adds(&rows, shop.under_faults(&shop.info.proxy, rules, shop.create(&cart)))
        .await;
    reply.refused(503, "database_unavailable");
    assert_eq!(
        order_of(&shop, &cart["email"]).await,
        ("pending".into(), "reserved".into(), None, None, "pending".into())
    );

    // Its time has not come yet; then it has. Nobody has to be asked, and no grace is given: there is no bill.
    shop.job("expire_orders", None).await.expect(200);
    assert_eq!(shop.count(FREE).await, 0);
    shop.db
        .execute("update shop.orders set expires_at = now() where tenant_id = $1", &[&shop.tenant])
        .await
        .unwrap();
    shop.adds(&[("shop.code_ledger", 1)], shop.job("expire_orders", None))
        .await
        .expect(200);
    let ended = (
        "expired".into(),
        "none".into(),
        Some("reservation_over".into()),
        None,
        "expired".into(),
    );
    assert_eq!((order_of(&shop, &cart["email"]).await, shop.count(FREE).await), (ended, 1));
}

#[tokio::test]
async fn a_bill_that_cannot_be_tied_to_its_order_is_503_and_the_code_free_at_once() {
    let shop = Shop::with_codes(2).await;
    let (lost, kept) = (shop.cart(), shop.cart());
    let bills: Vec<String> = (0..2).map(|_| format!("bill-{}", Uuid::new_v4().simple())).collect();
    let bill = |cart: &Value, id: &String| {
        for_bill_of(
            cart,
            &json!({"status": 200, "body": {"bill_id": id, "payment_url": "https://pay.example/b"}}),
        )
    };
    let away = |id: &String, times: u32| json!({"rpc": "attach_bill", "match": id, "status": 503, "times": times});
    let boards = [
        (shop.info.sandbox.as_str(), json!([bill(&lost, &bills[0]), bill(&kept, &bills[1])])),
        (shop.info.proxy.as_str(), json!([away(&bills[0], 5), away(&bills[1], 4)])),
    ];
    shop.under_rules(&boards, async {
        let rows = [ORDER.as_slice(), &[("shop.code_ledger", 2)]].concat();
        shop.adds(&rows, shop.create(&lost)).await.refused(503, "database_unavailable");
        assert_eq!(
            shop.adds(&created(1), shop.create(&kept)).await.expect(200)["billId"],
            bills[1].as_str()
        );
        assert_eq!(shop.fault_hits(&shop.info.proxy).await, [5, 4], "five attempts");
    })
    .await;
    let given_up = (
        "failed".into(),
        "none".into(),
        Some("database_unavailable".into()),
        None,
        "failed".into(),
    );
    assert_eq!(order_of(&shop, &lost["email"]).await, given_up);
    let tied = ("pending".into(), "reserved".into(), None, Some(bills[1].clone()), "pending".into());
    assert_eq!(order_of(&shop, &kept["email"]).await, tied);
}

#[tokio::test]
async fn an_order_that_was_tied_to_its_bill_before_the_answer_was_lost_gives_its_code_back_at_once() {
    let shop = Shop::with_codes(1).await;
    let (cart, bill) = (shop.cart(), format!("bill-{}", Uuid::new_v4().simple()));
    let answer = json!({"status": 200, "body": {"bill_id": bill, "payment_url": "https://pay.example/b"}});
    let boards = [
        (shop.info.sandbox.as_str(), json!([for_bill_of(&cart, &answer)])),
        (
            shop.info.proxy.as_str(),
            json!([{"rpc": "attach_bill", "match": bill, "drop_after": true}]),
        ),
    ];
    // Reserved and released.
    let reply = shop.adds(&created(2), shop.under_rules(&boards, shop.create(&cart))).await;
    reply.refused(503, "database_unavailable");
    assert_eq!(
        (order_of(&shop, &cart["email"]).await, shop.count(FREE).await),
        (given_up(Some(bill)), 1)
    );
}
