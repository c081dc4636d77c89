//! A request that died, or is very slow: its lease ends, a repeat takes its key over, and nothing half-made stays.

use futures::future::join_all;
use lonieve_tests::{Reply, Shop};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{FREE, KEYS, PENDING, RESERVED, created, replayed, until, with};

/// A request under this key that died before it had a bill; returns its order.
async fn left_behind(shop: &Shop, key: &str, cart: &Value) -> Uuid {
    let order_id = Uuid::new_v4();
    let p = json!({
        "order_id": order_id, "host": shop.host, "product_id": shop.product, "nominal": "50.00", "email": cart["email"],
        "idempotency_key": key, "body_sha256": hex::encode(Sha256::digest(cart.to_string())),
    });
    let made = shop.rpc(&shop.info.tokens["orders"], "create_order", p).await.expect(200);
    assert_eq!(made["outcome"], "created", "{made}");
    order_id
}

/// The lease of every key of this shop ends now.
async fn leases_end(shop: &Shop) {
    let sql = "update ops.idempotency set locked_until = now() where tenant_id = $1 and status = 'in_progress'";
    assert_eq!(shop.db.execute(sql, &[&shop.tenant]).await.unwrap(), 1);
}

async fn attach(shop: &Shop, order_id: Uuid, bill: &str) -> Value {
    let p = json!({"order_id": order_id, "bill_id": bill, "payment_url": "https://pay.example/late"});
    shop.rpc(&shop.info.tokens["orders"], "attach_bill", p).await.expect(200)
}

async fn reason(shop: &Shop, order_id: Uuid) -> (String, String, Option<String>, String) {
    let sql = "select o.status, o.fulfilment, o.failure_reason, y.status from shop.orders o join shop.payments y on y.order_id = o.id where o.id = $1";
    let row = shop.db.query_one(sql, &[&order_id]).await.unwrap();
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

fn abandoned() -> (String, String, Option<String>, String) {
    ("failed".into(), "none".into(), Some("abandoned".into()), "failed".into())
}

#[tokio::test]
async fn a_lease_lasts_a_minute_and_then_a_repeat_takes_over_on_the_same_code() {
    let shop = Shop::with_codes(1).await;
    let (key, cart) = (Uuid::new_v4().to_string(), shop.cart());
    let orphan = left_behind(&shop, &key, &cart).await;
    let lease = "select round(extract(epoch from locked_until - created_at))::bigint from ops.idempotency where tenant_id = $1";
    assert_eq!(shop.count(lease).await, 60);
    shop.adds_nothing(shop.create_once(&key, &cart)).await.refused(409, "in_progress");
    leases_end(&shop).await;
    // Another body still has no business under this key.
    let other = with(&cart, "firstName", json!("Sam"));
    shop.adds_nothing(shop.create_once(&key, &other))
        .await
        .refused(422, "idempotency_key_reused");

    // The only code goes from the order left behind to the new one: released and reserved.
    let rows: Vec<_> = created(2, false);
    let second = shop.adds(&rows, shop.create_once(&key, &cart)).await;
    assert!(!replayed(&second));
    let second = second.expect(200);
    assert_ne!(second["orderId"], json!(orphan));
    assert_eq!(reason(&shop, orphan).await, abandoned());
    assert_eq!(
        (shop.count(RESERVED).await, shop.count(FREE).await, shop.count(PENDING).await),
        (1, 0, 1)
    );
    assert!(replayed(&shop.adds_nothing(shop.create_once(&key, &cart)).await));
    let broken = shop
        .db
        .query(
            "select f.* from shop.gift_codes g, lateral ops.verify_ledger(g.id) f where g.tenant_id = $1",
            &[&shop.tenant],
        )
        .await
        .unwrap();
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn of_twenty_who_take_over_at_once_one_does() {
    let shop = Shop::with_codes(5).await;
    let (key, cart) = (Uuid::new_v4().to_string(), shop.cart());
    let orphan = left_behind(&shop, &key, &cart).await;
    leases_end(&shop).await;
    let replies = join_all((0..20).map(|_| shop.create_once(&key, &cart))).await;
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.refused(409, "in_progress");
    }
    assert_eq!(replies.iter().filter(|reply| reply.status == 200 && !replayed(reply)).count(), 1);
    assert_eq!(reason(&shop, orphan).await, abandoned());
    assert_eq!(
        (shop.count(RESERVED).await, shop.count(FREE).await, shop.count(PENDING).await),
        (1, 4, 1)
    );
}

#[tokio::test]
async fn a_slow_request_that_was_taken_over_shows_no_payment_link_and_its_late_money_finds_its_order() {
    let shop = Shop::with_codes(2).await;
    let (key, cart) = (Uuid::new_v4().to_string(), shop.cart());
    let rules = json!([{"route": "cardlink.create", "match": cart["email"], "delay_ms": 3000, "times": 1}]);
    let work = async {
        let meanwhile = async {
            until(&shop, PENDING, 1).await;
            leases_end(&shop).await;
            shop.create_once(&key, &cart).await
        };
        tokio::join!(shop.create_once(&key, &cart), meanwhile)
    };
    let (slow, second) = shop.under_faults(&shop.info.sandbox, rules, work).await;
    slow.refused(504, "provider_unavailable");
    let second = second.expect(200);
    let again = shop.create_once(&key, &cart).await;
    assert_eq!((replayed(&again), &again.json()), (true, &second), "the key is the second one's");

    let sql = "select o.id, y.bill_id from shop.orders o join shop.payments y on y.order_id = o.id where o.tenant_id = $1 and o.failure_reason = 'abandoned'";
    let row = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap();
    let (orphan, bill): (Uuid, String) = (row.get(0), row.get(1));
    assert_eq!(reason(&shop, orphan).await, abandoned());
    assert_eq!((shop.count(RESERVED).await, shop.count(FREE).await), (1, 1));
    let redirects = "select count(*) from analytics.events where tenant_id = $1 and event_type = 'payment_redirect'";
    assert_eq!(shop.count(redirects).await, 1, "nobody was sent to the first bill");
    // Should it be paid all the same, the money is not lost.
    assert_eq!(shop.notice(&bill, "PAID", "37.50", "USD").await.expect(200)["outcome"], "fulfilled");
}

#[tokio::test]
async fn an_order_whose_link_was_shown_in_a_replay_is_not_given_up() {
    let shop = Shop::with_codes(2).await;
    let cart = shop.cart();
    let give_up = async |order: Uuid| {
        let p = json!({"order_id": order, "reason": "database_unavailable", "link_not_shown": true});
        shop.rpc(&shop.info.tokens["orders"], "fail_order", p).await.expect(200)
    };
    // The first request never heard that its bill was attached. One of the two had its answer given to a repeat.
    let (one, two) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let (shown, unseen) = (left_behind(&shop, &one, &cart).await, left_behind(&shop, &two, &cart).await);
    for order in [shown, unseen] {
        let attached = attach(&shop, order, &format!("bill-{}", order.simple())).await;
        assert_eq!(attached["outcome"], "attached");
    }
    let reply = shop.create_once(&one, &cart).await;
    assert_eq!((replayed(&reply), &reply.expect(200)["orderId"]), (true, &json!(shown)));
    assert_eq!(give_up(shown).await["outcome"], "ignored");
    assert_eq!(give_up(unseen).await["outcome"], "failed");
    assert_eq!(
        (shop.count(RESERVED).await, shop.count(FREE).await, shop.count(KEYS).await),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn a_bill_that_comes_back_to_an_order_that_has_ended_is_tied_to_it_once() {
    let shop = Shop::with_codes(1).await;
    let (key, cart) = (Uuid::new_v4().to_string(), shop.cart());
    let orphan = left_behind(&shop, &key, &cart).await;
    leases_end(&shop).await;
    shop.create_once(&key, &cart).await.expect(200);
    let bill = format!("bill-{}", orphan.simple());
    for _ in 0..2 {
        // Also the repeat of a call whose answer was lost.
        let late = shop.adds_nothing(attach(&shop, orphan, &bill)).await;
        assert_eq!(late["outcome"], "order_closed", "{late}");
    }
    let paid: Reply = shop.notice(&bill, "PAID", "37.50", "USD").await;
    assert_eq!(paid.expect(200)["outcome"], "manual_review", "its code is the second order's");
}
