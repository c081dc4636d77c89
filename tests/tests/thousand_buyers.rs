//! A thousand buyers and 999 codes, through every door: import, orders, the payment page, webhooks; and what an order costs the database.
//!
//! Trips are counted by the proxy for the whole stack, so the tests of this file take turns.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Instant;

use futures::StreamExt;
use futures::stream::iter;
use lonieve_tests::{Reply, Shop, fresh_code};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

const BUYERS: usize = 1000;
const AT_ONCE: usize = 50;
static TURN: Mutex<()> = Mutex::const_new(());

const AVAILABLE: &str = "select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'";
const RESERVED: &str = "select count(*) from shop.gift_codes where tenant_id = $1 and status = 'reserved'";
const SOLD: &str = "select count(distinct (code_fingerprint, order_item_id)) from shop.gift_codes where tenant_id = $1 and status = 'sold'";

/// Trips of the orders Worker since the last time.
async fn trips(shop: &Shop) -> Value {
    let url = format!("{}/counts", shop.info.proxy);
    let counts = Reply::of(shop.http.get(&url)).await.expect(200);
    Reply::of(shop.http.delete(&url)).await;
    counts["roles"]["edge_orders"].clone()
}

/// A sheet of so many fresh codes for this shop's face value of 50.
fn sheet(shop: &Shop, count: usize) -> String {
    let rows = (0..count).map(|_| format!("{},50,{},30\n", fresh_code(), shop.product));
    format!("code,nominal,product_id,cost_price\n{}", rows.collect::<String>())
}

/// Presses "pay" on the payment page; what the webhook was answered.
async fn pay(shop: &Shop, bill: &str) -> String {
    let page = format!("{}/pay/{bill}/pay", shop.info.sandbox);
    let report = Reply::of(shop.http.post(page).header("accept", "application/json"))
        .await
        .expect(200);
    let answer = &report["webhook"]["answers"][0];
    assert_eq!(answer["status"], 200, "{report}");
    answer["body"]["outcome"].as_str().unwrap().to_owned()
}

fn text<'a>(created: &'a Value, member: &str) -> &'a str {
    created[member].as_str().unwrap_or_else(|| panic!("no {member} in {created}"))
}

#[tokio::test]
async fn a_thousand_buyers_and_999_codes() {
    let _turn = TURN.lock().await;
    let begun = Instant::now();
    let step = |what: &str| println!("{:>5} ms  {what}", begun.elapsed().as_millis());
    let shop = Shop::new().await;
    let imported = shop.import(&shop.staff_token, sheet(&shop, BUYERS - 1)).await.expect(200);
    assert_eq!(imported["imported"], BUYERS - 1, "{imported}");
    step("999 codes are imported");

    // A thousand carts, 50 at a time: one of them comes too late.
    let carts: Vec<(String, Value)> = (0..BUYERS).map(|_| (Uuid::new_v4().to_string(), shop.cart())).collect();
    trips(&shop).await;
    let replies: Vec<(usize, Reply)> = iter(carts.iter().enumerate())
        .map(async |(n, (key, cart))| (n, shop.create_once(key, cart).await))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let (created, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(_, reply)| reply.status == 200);
    assert_eq!(
        refused.len(),
        1,
        "{:?}",
        refused.iter().map(|(_, reply)| &reply.text).collect::<Vec<_>>()
    );
    let (late_comer, reply) = &refused[0];
    reply.refused(409, "out_of_stock");
    assert_eq!(
        trips(&shop).await,
        json!({"total": 1999, "rpc": {"create_order": 1000, "attach_bill": 999}}),
        "two trips for each order, one for the refusal"
    );
    assert_eq!((shop.count(RESERVED).await, shop.count(AVAILABLE).await), (999, 0));
    let mut orders: Vec<Value> = created.iter().map(|(_, reply)| reply.json()).collect();
    step("999 orders and one refusal");

    // One of them is not paid in time; the job asks the provider and puts its code back.
    let expired: Uuid = text(&orders[500], "orderId").parse().unwrap();
    let sql = "update shop.orders set expires_at = now() + interval '5 minutes' where id = $1";
    shop.db.execute(sql, &[&expired]).await.unwrap();
    let later = shop.time("16 minutes").await;
    for _ in 0..50 {
        shop.job("expire_orders", Some(&later)).await.expect(200);
        if shop.state(expired).await.0 == "expired" {
            break;
        }
    }
    assert_eq!(shop.state(expired).await, ("expired".into(), "none".into(), None));
    assert_eq!((shop.count(RESERVED).await, shop.count(AVAILABLE).await), (998, 1));

    // The one who came too late gets it. Under the old key the old answer would come.
    let (key, cart) = &carts[*late_comer];
    shop.create_once(key, cart).await.refused(409, "out_of_stock");
    let thousandth = shop.create_once(&Uuid::new_v4().to_string(), cart).await.expect(200);
    assert_eq!((shop.count(RESERVED).await, shop.count(AVAILABLE).await), (999, 0));
    orders.push(thousandth);
    assert_eq!(orders.len(), BUYERS);
    step("one has expired, the thousandth has its order");

    // All thousand pay, 50 at a time, the one who is too late among them.
    let outcomes: Vec<(Uuid, String)> = iter(&orders)
        .map(async |order| (text(order, "orderId").parse().unwrap(), pay(&shop, text(order, "billId")).await))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    step("all have paid");
    for (order, outcome) in &outcomes {
        let wanted = if *order == expired { "manual_review" } else { "fulfilled" };
        assert_eq!(outcome, wanted, "{order}");
    }
    assert_eq!(
        (shop.count(SOLD).await, shop.count(RESERVED).await, shop.count(AVAILABLE).await),
        (999, 0, 0)
    );
    let waiting = "select count(*) from shop.orders where tenant_id = $1 and fulfilment = 'waiting'";
    assert_eq!(shop.count(waiting).await, 1);
    let state = ("manual_review".into(), "waiting".into(), Some("no_codes_available".into()));
    assert_eq!(shop.state(expired).await, state);

    // One more code, and nobody has to do anything else.
    assert_eq!(shop.import(&shop.staff_token, sheet(&shop, 1)).await.expect(200)["imported"], 1);
    for _ in 0..300 {
        if shop.count(waiting).await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(shop.state(expired).await, ("paid".into(), "delivered".into(), None));
    step("the last one has its code");

    assert_eq!(
        (shop.count(SOLD).await, shop.count(RESERVED).await, shop.count(AVAILABLE).await),
        (1000, 0, 0)
    );
    for (what, wrong) in [
        (
            "orders that are not paid and delivered",
            "select count(*) from shop.orders where tenant_id = $1 and (status, fulfilment) <> ('paid', 'delivered')",
        ),
        (
            "orders without exactly one code, or with another face value",
            "select count(*) from (select o.id from shop.orders o join shop.order_items i on i.order_id = o.id left join shop.gift_codes g on g.order_item_id = i.id \
             and g.nominal = i.nominal and g.product_id = i.product_id where o.tenant_id = $1 group by o.id having count(g.id) <> 1) w",
        ),
        (
            "payments that are not paid",
            "select count(*) from shop.payments where tenant_id = $1 and (status <> 'paid' or received_amount <> 37.50)",
        ),
        (
            "orders whose cost or profit is not 30.00 and 7.50",
            "select count(*) from shop.orders where tenant_id = $1 and (total_cost, total_profit) is distinct from (30.00, 7.50)",
        ),
        (
            "open alerts",
            "select count(*) from ops.system_notifications where tenant_id = $1 and not is_resolved",
        ),
        (
            "unknown ledger histories",
            "select count(*) from (select string_agg(entry, ' ' order by seq) as chain from shop.code_ledger where tenant_id = $1 group by code_id) h \
          where chain not in ('imported reserved sold', 'imported reserved released reserved sold', 'imported sold')",
        ),
        (
            "ledger faults",
            "select count(*) from shop.gift_codes g, lateral ops.verify_ledger(g.id) f where g.tenant_id = $1",
        ),
    ] {
        assert_eq!(shop.count(wrong).await, 0, "{what}");
    }
    for (what, sql, wanted) in [
        ("orders", "select count(*) from shop.orders where tenant_id = $1", 1000),
        ("fees", "select count(*) from shop.transaction_fees where tenant_id = $1", 1000),
        ("notices", "select count(*) from ops.webhook_logs where tenant_id = $1", 1000),
        (
            "order.paid",
            "select count(*) from ops.outbox where tenant_id = $1 and kind = 'order.paid'",
            1000,
        ),
        (
            "kept answers",
            "select count(*) from ops.idempotency where tenant_id = $1 and status = 'done'",
            1001,
        ),
    ] {
        assert_eq!(shop.count(sql).await, wanted, "{what}");
    }
    step("and every row says so");
}

#[tokio::test]
async fn an_order_takes_two_trips_to_the_database_and_a_repeat_one() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(9).await;
    let (key, cart) = (Uuid::new_v4().to_string(), shop.cart());
    let rpc = |calls: Value, total: u32| json!({"rpc": calls, "total": total});
    trips(&shop).await;
    shop.create_once(&key, &cart).await.expect(200);
    assert_eq!(
        trips(&shop).await,
        rpc(json!({"create_order": 1, "attach_bill": 1}), 2),
        "under a key"
    );
    shop.create_once(&key, &cart).await.expect(200);
    assert_eq!(trips(&shop).await, rpc(json!({"create_order": 1}), 1), "a replay");
    shop.create(&cart).await.expect(200);
    assert_eq!(
        trips(&shop).await,
        rpc(json!({"create_order": 1, "attach_bill": 1}), 2),
        "without a key"
    );
    let mut session = cart.clone();
    session["sessionId"] = json!("s-1");
    shop.create(&session).await.expect(200);
    assert_eq!(
        trips(&shop).await,
        rpc(json!({"create_order": 1, "attach_bill": 1}), 2),
        "of a session"
    );
    shop.create(&session).await.expect(200);
    assert_eq!(trips(&shop).await, rpc(json!({"create_order": 1}), 1), "a replay of a session");
    session["nominal"] = json!(25);
    shop.create_once("another", &session).await.refused(409, "out_of_stock");
    assert_eq!(trips(&shop).await, rpc(json!({"create_order": 1}), 1), "a refusal");

    // What fails is given up with one trip more.
    let rules = json!([{"route": "cardlink.create", "match": cart["email"], "status": 500}]);
    shop.under_faults(&shop.info.sandbox, rules, shop.create(&cart))
        .await
        .refused(502, "provider_unavailable");
    assert_eq!(trips(&shop).await, rpc(json!({"create_order": 1, "fail_order": 1}), 2), "a failure");
}
