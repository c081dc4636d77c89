//! `ops.verify_money`: nothing on a sound shop, and each fault by its name. The faults are planted in a transaction that is rolled
//! back, so one shop serves for all.

use lonieve_tests::{Placed, Shop};
use serde_json::json;

use crate::support::turn;

/// Settles a bill as the webhook would.
async fn settle(shop: &Shop, order: &Placed, status: &str, amount: &str) {
    let p = json!({"source": "cardlink", "provider_api": "v1", "bill_id": order.bill_id, "status": status, "raw_status": status, "amount": "37.50",
                   "received": amount, "currency": "USD", "headers": {}, "body": {}, "elapsed_ms": 1});
    shop.rpc(&shop.info.tokens["cardlink"], "settle_payment", p).await.expect(200);
}

async fn refund(shop: &Shop, order: &Placed, so_far: &str) {
    let p = json!({"source": "cardlink", "provider_api": "v1", "bill_id": order.bill_id, "payment_id": "p1", "refund_id": so_far,
                   "refunded_amount": so_far, "refunds": [], "currency": "USD", "raw_status": "SUCCESS", "headers": {}, "body": {}, "elapsed_ms": 1});
    shop.rpc(&shop.info.tokens["cardlink"], "settle_refund", p).await.expect(200);
}

/// Subject and problem of every fault, sorted; the ids of orders, bills and codes in `names` are replaced by their names.
async fn problems(db: &impl tokio_postgres::GenericClient, shop: &Shop, names: &[(String, &str)]) -> Vec<String> {
    let rows = db
        .query("select subject || ' ' || problem from ops.verify_money($1)", &[&shop.tenant])
        .await
        .unwrap();
    let mut found: Vec<String> = rows
        .iter()
        .map(|row| {
            names
                .iter()
                .fold(row.get::<_, String>(0), |text, (id, name)| text.replace(id.as_str(), name))
        })
        .collect();
    found.sort();
    found
}

/// A shop with an order in each state money can be in: paid, waiting, expired, open, refunded, refunded in part, charged back, overpaid,
/// underpaid.
async fn shop_of_all_states() -> (Shop, Vec<(&'static str, Placed)>) {
    let shop = Shop::with_codes(20).await;
    let mut orders = Vec::new();
    for name in [
        "paid",
        "pending",
        "failed",
        "expired",
        "refunded",
        "part",
        "chargeback",
        "overpaid",
        "underpaid",
        "completed",
    ] {
        orders.push((name, shop.place(&shop.cart()).await));
    }
    let order = |name: &str| &orders.iter().find(|(n, _)| *n == name).unwrap().1;
    for name in ["paid", "refunded", "part", "chargeback"] {
        settle(&shop, order(name), "paid", "37.50").await;
    }
    settle(&shop, order("failed"), "failed", "37.50").await;
    settle(&shop, order("expired"), "expired", "37.50").await;
    settle(&shop, order("overpaid"), "overpaid", "40.00").await;
    settle(&shop, order("underpaid"), "underpaid", "20.00").await;
    settle(&shop, order("completed"), "underpaid", "20.00").await;
    settle(&shop, order("completed"), "paid", "37.50").await;
    refund(&shop, order("refunded"), "37.50").await;
    refund(&shop, order("part"), "7.50").await;
    // Of the surplus only.
    refund(&shop, order("overpaid"), "2.50").await;
    let p = json!({"source": "cardlink", "bill_id": order("chargeback").bill_id, "payment_id": "p1", "chargeback_id": "c1", "confirmed": true,
                   "raw_status": "SUCCESS", "headers": {}, "body": {}, "elapsed_ms": 1});
    shop.rpc(&shop.info.tokens["cardlink"], "settle_chargeback", p).await.expect(200);
    // Two units, whose codes expire before they are paid for: it waits.
    shop.add_codes("100.00", 2).await;
    let mut cart = shop.cart();
    (cart["nominal"], cart["quantity"]) = (json!(100), json!(2));
    let waiting = shop.place(&cart).await;
    let take = "update shop.gift_codes set expires_at = now() - interval '1 hour' where tenant_id = $1 and nominal = 100";
    shop.db.execute(take, &[&shop.tenant]).await.unwrap();
    shop.notice(&waiting.bill_id, "PAID", "150.00", "USD").await.expect(200);
    assert_eq!(shop.state(waiting.order_id).await.1, "waiting");
    orders.push(("waiting", waiting));
    (shop, orders)
}

#[tokio::test]
async fn sound_money_has_no_faults_and_each_fault_has_its_name() {
    let _turn = turn().await;
    let (mut shop, orders) = shop_of_all_states().await;
    let mut names: Vec<(String, &str)> = Vec::new();
    for (name, order) in &orders {
        names.push((order.order_id.to_string(), *name));
        names.push((order.bill_id.clone(), *name));
    }
    assert_eq!(problems(&shop.db, &shop, &names).await, Vec::<String>::new());

    let id = |name: &str| format!("'{}'", orders.iter().find(|(n, _)| *n == name).unwrap().1.order_id);
    let code_of = |name: &str| {
        format!(
            "(select g.id from shop.gift_codes g join shop.order_items i on i.id = g.order_item_id where i.order_id = {})",
            id(name)
        )
    };
    let free = "(select id from shop.gift_codes where tenant_id = $tenant and nominal = 50 and status = 'available' order by id limit 1)";
    let order = |name: &str, change: &str| format!("update shop.orders set {change} where id = {}", id(name));
    let payment = |name: &str, change: &str| format!("update shop.payments set {change} where order_id = {}", id(name));
    let fee = |name: &str, change: &str| format!("update shop.transaction_fees set {change} where order_id = {}", id(name));
    // 2.9 % of 37.50 + 0.30 = 1.3875 -> 1.39; 37.50 - 30.00 - 1.39 = 6.11.
    let cases: Vec<(String, Vec<&str>)> = vec![
        (
            payment("paid", "amount = 37.49, received_amount = 37.49"),
            vec!["bill:paid it asks for 37.49, its order comes to 37.50"],
        ),
        (
            payment("paid", "received_amount = 30"),
            vec![
                "bill:paid its fee is 1.39, 2.90 % + 0.30 of 30.00 is 1.17",
                "bill:paid its order was delivered for 30.00 USD of 37.50 USD, and nobody has decided so",
            ],
        ),
        (
            payment("paid", "received_currency = 'EUR'"),
            vec![
                "bill:paid a fee is booked on money in another currency",
                "bill:paid its order was delivered for 37.50 EUR of 37.50 USD, and nobody has decided so",
            ],
        ),
        (
            payment("paid", "status = 'pending', received_amount = null"),
            vec![
                "bill:paid a fee of 1.39 is booked, but no money came in",
                "order:paid it is paid, but no payment of it is",
            ],
        ),
        (
            payment(
                "pending",
                "status = 'paid', processed_at = now(), received_amount = 37.50, received_currency = 'USD', idempotency_key = bill_id || ':paid'",
            ),
            vec![
                "bill:pending no fee is booked",
                "order:pending a payment of it is paid, but the order is not",
                "order:pending it is pending, its payment paid",
            ],
        ),
        (
            payment("paid", "bill_id = 'other'"),
            vec!["bill:other its order names another bill"],
        ),
        (
            order("paid", "status = 'expired'"),
            vec!["order:paid it has a time of payment, but is expired"],
        ),
        (
            order("expired", "status = 'failed'"),
            vec!["order:expired it is failed, its payment expired"],
        ),
        (
            order("paid", "total_amount = 75, total_profit = 45, true_profit = 43.61"),
            vec![
                "bill:paid it asks for 37.50, its order comes to 75.00",
                "order:paid its total is 75.00, its items come to 37.50",
            ],
        ),
        (
            fee("paid", "fee_amount = 1.38"),
            vec![
                "bill:paid its fee is 1.38, 2.90 % + 0.30 of 37.50 is 1.39",
                "order:paid its fees come to 1.38, it says 1.39",
                "order:paid its true profit is 6.12, it says 6.11",
            ],
        ),
        (
            format!("delete from shop.transaction_fees where order_id = {}", id("paid")),
            vec![
                "bill:paid no fee is booked",
                "order:paid its fees come to 0, it says 1.39",
                "order:paid its true profit is 7.50, it says 6.11",
            ],
        ),
        (fee("paid", "currency = 'EUR'"), vec!["bill:paid its fee is in EUR"]),
        (
            order("paid", "true_profit = 6.10"),
            vec!["order:paid its true profit is 6.11, it says 6.10"],
        ),
        (
            order("paid", "total_cost = 29, total_profit = 8.50"),
            vec![
                "order:paid its items cost 30.00, it says 29.00",
                "order:paid its profit is 7.50, it says 8.50",
            ],
        ),
        (
            format!("update shop.order_items set cost_price = 29 where order_id = {}", id("paid")),
            vec![
                "order:paid an item says it cost 29.00, its codes cost 30.00",
                "order:paid an item says its profit is 7.50, it is 8.50",
                "order:paid its items cost 29.00, it says 30.00",
                "order:paid its profit is 8.50, it says 7.50",
                "order:paid its true profit is 7.11, it says 6.11",
            ],
        ),
        (
            format!(
                "update shop.gift_codes set status = 'available', order_item_id = null where id = {}",
                code_of("paid")
            ),
            vec![
                "order:paid an item says it cost 30.00, its codes cost nobody knows what",
                "order:paid it is delivered, but has 0 of 1 codes",
            ],
        ),
        (
            format!(
                "update shop.gift_codes set status = 'sold', sold_at = now(), order_item_id = (select id from shop.order_items where order_id = {}) where id = {free}",
                id("paid")
            ),
            vec![
                "code:free it is at order paid, which it was never sold to",
                "order:paid an item says it cost 30.00, its codes cost 60.00",
                "order:paid it has 2 codes for 1 units",
            ],
        ),
        (
            format!(
                "update shop.gift_codes set order_item_id = (select id from shop.order_items where order_id = {}) where id = {}",
                id("pending"),
                code_of("paid")
            ),
            vec![
                "code:paid it is at order pending, which it was never sold to",
                "order:paid an item says it cost 30.00, its codes cost nobody knows what",
                "order:paid it is delivered, but has 0 of 1 codes",
                "order:pending its codes are reserved, but 1 of them are sold",
            ],
        ),
        (
            format!(
                "select ops.append_ledger($tenant, {}, 'sold', {}::uuid, now())",
                code_of("paid"),
                id("completed")
            ),
            vec!["code:paid it was sold to 2 orders"],
        ),
        (
            format!("update shop.gift_codes set nominal = 25 where id = {}", code_of("paid")),
            vec!["code:paid it is not of the product, face value or shop of its item"],
        ),
        (
            format!(
                "update shop.gift_codes set status = 'reserved', order_item_id = (select id from shop.order_items where order_id = {}) where id = {free}",
                id("expired")
            ),
            vec!["order:expired its codes are none, but 1 of them are reserved"],
        ),
        (
            format!(
                "update shop.gift_codes set status = 'sold', sold_at = now() where id = {}",
                code_of("refunded")
            ),
            vec!["order:refunded its codes are revoked, but 1 of them are sold"],
        ),
        (
            order("paid", "fulfilment = 'none'"),
            vec![
                "order:paid it is paid, has no codes, and nobody has decided so",
                "order:paid its codes are none, but 1 of them are sold",
            ],
        ),
        (
            format!("delete from ops.system_notifications where subject = 'order:' || {}", id("waiting")),
            vec!["order:waiting it is under review (no_codes_available) without an alert"],
        ),
        (
            format!("delete from shop.refunds where order_id = {}", id("refunded")),
            vec![
                "bill:refunded it is refunded, but only 0 of 37.50 went back",
                "bill:refunded refunds of the price come to 0.00, the order says 37.50",
                "order:refunded it is refunded, but no refund is booked",
            ],
        ),
        (
            format!("update shop.refunds set refund_amount = 8.50 where order_id = {}", id("part")),
            vec!["bill:part refunds of the price come to 8.50, the order says 7.50"],
        ),
        (
            format!(
                "insert into shop.refunds (tenant_id, order_id, payment_id, refund_amount, status, processed_at) \
                  select tenant_id, order_id, id, 40, 'completed', now() from shop.payments where order_id = {}",
                id("paid")
            ),
            vec![
                "bill:paid 40.00 was given back of 37.50",
                "bill:paid refunds of the price come to 37.50, the order says 0.00",
            ],
        ),
        (
            order("part", "refund_amount = 50, true_profit = -43.89"),
            vec![
                "bill:part refunds of the price come to 7.50, the order says 50.00",
                "order:part it says that 50.00 of 37.50 was refunded",
            ],
        ),
        (
            format!("delete from shop.refunds where order_id = {}", id("chargeback")),
            vec![
                "bill:chargeback it is chargeback, but only 0 of 37.50 went back",
                "bill:chargeback refunds of the price come to 0.00, the order says 37.50",
                "order:chargeback it is charged back, but no chargeback is booked",
            ],
        ),
    ];
    let (tenant, paid_code): (String, uuid::Uuid) = (
        format!("'{}'", shop.tenant),
        shop.db.query_one(&format!("select {}", code_of("paid")), &[]).await.unwrap().get(0),
    );
    let free_code: uuid::Uuid = shop
        .db
        .query_one(&format!("select {}", free.replace("$tenant", &tenant)), &[])
        .await
        .unwrap()
        .get(0);
    names.push((paid_code.to_string(), "paid"));
    names.push((free_code.to_string(), "free"));
    let tenant_id = shop.tenant;
    let mut wrong = Vec::new();
    for (plant, expected) in cases {
        let plant = plant.replace("$tenant", &tenant);
        let mut db = tokio_postgres::connect(&shop.info.database_url, tokio_postgres::NoTls)
            .await
            .unwrap();
        let connection = tokio::spawn(db.1);
        let mut transaction = db.0.transaction().await.unwrap();
        // Append-only tables refuse: here the owner of the data is who tampers.
        transaction
            .batch_execute("set local session_replication_role = replica")
            .await
            .unwrap();
        plant_past_checks(&mut transaction, &plant).await;
        let found = problems(&transaction, &shop, &names).await;
        if found != expected {
            wrong.push(format!("{plant}\n  left:  {found:#?}\n  right: {expected:#?}"));
        }
        let all = "select count(*) from ops.verify_money(null, now() - interval '1 day', now() + interval '1 day')";
        let found: i64 = transaction.query_one(all, &[]).await.unwrap().get(0);
        assert!(found >= expected.len() as i64, "{plant}: of all shops in a span of time");
        transaction.rollback().await.unwrap();
        drop(db.0);
        connection.abort();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    shop.tenant = uuid::Uuid::new_v4();
    assert_eq!(
        problems(&shop.db, &shop, &names).await,
        Vec::<String>::new(),
        "another shop has none"
    );
    shop.tenant = tenant_id;
    assert_eq!(
        problems(&shop.db, &shop, &names).await,
        Vec::<String>::new(),
        "nothing of it stayed"
    );
}

/// The same for a table's own checks: whoever owns it can drop them.
async fn plant_past_checks(transaction: &mut tokio_postgres::Transaction<'_>, plant: &str) {
    for _ in 0..5 {
        let attempt = transaction.transaction().await.unwrap();
        let Err(error) = attempt.batch_execute(plant).await else {
            return attempt.commit().await.unwrap();
        };
        attempt.rollback().await.unwrap();
        let refused = error.as_db_error().and_then(|e| Some((e.schema()?, e.table()?, e.constraint()?)));
        let Some((schema, table, check)) = refused else {
            panic!("{plant}: {error:?}")
        };
        let drop = format!("alter table {schema}.{table} drop constraint {check}");
        transaction.batch_execute(&drop).await.unwrap_or_else(|e| panic!("{plant}: {e:?}"));
    }
    panic!("{plant} is refused again and again")
}
