//! What must hold in the end, whatever failed on the way.

use std::collections::{BTreeMap, BTreeSet};

use lonieve_tests::Reply;
use serde_json::Value;
use uuid::Uuid;

use crate::buyers::Purchase;
use crate::stage::Stage;

#[derive(Debug)]
struct Order {
    status: String,
    fulfilment: String,
    paid: bool,
    units: i64,
    codes: i64,
    fees: i64,
    outbox: String,
    events: i64,
    alerts: i64,
}

/// One row for each order of the shop.
async fn orders(stage: &Stage) -> BTreeMap<Uuid, Order> {
    let sql = "select o.id, o.status, o.fulfilment, o.paid_at is not null, \
                 (select sum(quantity) from shop.order_items i where i.order_id = o.id), \
                 (select count(*) from shop.gift_codes g join shop.order_items i on g.order_item_id = i.id where i.order_id = o.id), \
                 (select count(*) from shop.transaction_fees f where f.order_id = o.id and f.fee_type = 'payment_gateway'), \
                 (select coalesce(string_agg(x.kind || ' ' || x.status, ', ' order by x.seq), '') from ops.outbox x where x.aggregate_id = o.id), \
                 (select count(*) from analytics.events e where e.tenant_id = o.tenant_id and e.data ->> 'order_id' = o.id::text \
                   and e.event_type in ('payment_success', 'code_sent')), \
                 (select count(*) from ops.system_notifications n where n.subject = 'order:' || o.id and not n.is_resolved) \
               from shop.orders o where o.tenant_id = $1";
    let rows = stage.shop.db.query(sql, &[&stage.shop.tenant]).await.unwrap();
    rows.iter()
        .map(|row| {
            let order = Order {
                status: row.get(1),
                fulfilment: row.get(2),
                paid: row.get(3),
                units: row.get(4),
                codes: row.get(5),
                fees: row.get(6),
                outbox: row.get(7),
                events: row.get(8),
                alerts: row.get(9),
            };
            (row.get(0), order)
        })
        .collect()
}

/// What the shop has told somebody it must still know after a crash, before any job has run: each order whose buyer got an answer, and
/// each payment whose notice was answered "fulfilled".
pub async fn what_was_answered_is_kept(stage: &Stage, purchases: &[Purchase]) {
    let orders = orders(stage).await;
    for purchase in purchases {
        let order = orders.get(&purchase.order.order_id);
        let order = order.unwrap_or_else(|| panic!("the order {} is gone", purchase.order.order_id));
        if purchase.is_acknowledged() {
            assert_eq!(
                (order.status.as_str(), order.fulfilment.as_str()),
                ("paid", "delivered"),
                "{order:?}"
            );
        }
    }
}

pub async fn hold(stage: &Stage, purchases: &[Purchase]) {
    let shop = &stage.shop;
    let orders = orders(stage).await;
    let bills = Reply::of(
        shop.http
            .get(format!("{}/bills", shop.info.sandbox))
            .header("accept", "application/json"),
    )
    .await
    .expect(200);
    let paid_bills: BTreeSet<Uuid> = bills
        .as_array()
        .unwrap()
        .iter()
        .filter(|bill| ["PAID", "SUCCESS"].contains(&bill["status"].as_str().unwrap()))
        .map(|bill| bill["order_id"].as_str().unwrap().parse().unwrap())
        .collect();
    let meant: BTreeSet<Uuid> = purchases.iter().filter(|p| p.paid).map(|p| p.order.order_id).collect();
    assert_eq!(paid_bills, meant, "the provider took money of exactly those who paid");

    for (id, order) in &orders {
        if paid_bills.contains(id) {
            // There were codes for all: none has to wait.
            let expected = (
                "paid",
                "delivered",
                true,
                order.units,
                1,
                "order.paid done, order.delivered done, mail.codes done",
                2,
                0,
            );
            let found = (
                order.status.as_str(),
                order.fulfilment.as_str(),
                order.paid,
                order.codes,
                order.fees,
                order.outbox.as_str(),
                order.events,
                order.alerts,
            );
            assert_eq!(found, expected, "an order that was paid: {id}");
        } else {
            assert!(["failed", "expired"].contains(&order.status.as_str()), "{id} {order:?}");
            let nothing = (
                order.fulfilment.as_str(),
                order.paid,
                order.codes,
                order.fees,
                order.outbox.as_str(),
                order.events,
            );
            assert_eq!(nothing, ("none", false, 0, 0, "", 0), "an order nobody paid: {id}");
        }
    }
    assert!(
        paid_bills.iter().all(|id| orders.contains_key(id)),
        "money for an order we do not have"
    );
    mails_are_sent_once(stage, purchases).await;
    codes_are_sold_once(stage, purchases).await;
}

/// One mail for each order that was paid, under one key, and in it that order's codes and no others.
async fn mails_are_sent_once(stage: &Stage, purchases: &[Purchase]) {
    let shop = &stage.shop;
    let mailbox = Reply::of(
        shop.http
            .get(format!("{}/mailbox", shop.info.sandbox))
            .header("accept", "application/json"),
    )
    .await
    .expect(200);
    let mails = mailbox.as_array().unwrap();
    let sent = "select id::text from ops.outbox where tenant_id = $1 and kind = 'mail.codes'";
    let rows = shop.db.query(sent, &[&shop.tenant]).await.unwrap();
    let mut rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut keys: Vec<String> = mails
        .iter()
        .map(|mail| mail["idempotency_key"].as_str().unwrap().to_owned())
        .collect();
    rows.sort();
    keys.sort();
    assert_eq!(keys, rows, "each row's key once, and no other mail");

    let mut shown = BTreeSet::new();
    for purchase in purchases {
        let theirs: Vec<&Value> = mails
            .iter()
            .filter(|mail| mail["to"] == serde_json::json!([purchase.order.email]))
            .collect();
        let paid = purchase.paid;
        assert_eq!(theirs.len(), usize::from(paid), "mails to {}", purchase.order.email);
        let view = shop.order(purchase.order.order_id, &purchase.order.token).await.expect(200);
        let codes: BTreeSet<&str> = view["codes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|code| code["code"].as_str().unwrap())
            .collect();
        assert_eq!(codes.len() as u64, if paid { purchase.units } else { 0 });
        for mail in theirs {
            let text = mail["text"].as_str().unwrap();
            let mailed: BTreeSet<&str> = stage.codes.iter().map(String::as_str).filter(|code| text.contains(code)).collect();
            assert_eq!(mailed, codes, "the mail and the page show the same");
        }
        for code in codes {
            assert!(shown.insert(code.to_owned()), "a code was sold twice");
        }
    }
    // A repeat under one key was the same to the byte: the provider refuses another with 409.
    let sends = Reply::of(shop.http.get(format!("{}/calls?route=mail.send", shop.info.sandbox)))
        .await
        .expect(200);
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    for call in sends.as_array().unwrap() {
        let (key, body) = (call["headers"]["idempotency-key"].as_str().unwrap(), call["body"].as_str().unwrap());
        assert_eq!(*bodies.entry(key).or_insert(body), body, "two bodies under one key");
    }
}

async fn codes_are_sold_once(stage: &Stage, purchases: &[Purchase]) {
    let shop = &stage.shop;
    let units: u64 = purchases.iter().filter(|p| p.paid).map(|p| p.units).sum();
    for (status, expected) in [
        ("sold", units as i64),
        ("reserved", 0),
        ("available", stage.codes.len() as i64 - units as i64),
    ] {
        let sql = format!("select count(*) from shop.gift_codes where tenant_id = $1 and status = '{status}'");
        assert_eq!(shop.count(&sql).await, expected, "{status} codes");
    }
    for (what, sql) in [
        (
            "sold twice by the ledger",
            "select count(*) from (select l.code_id from shop.code_ledger l join shop.gift_codes g on g.id = l.code_id \
             where g.tenant_id = $1 and l.entry = 'sold' group by l.code_id having count(*) > 1) twice",
        ),
        (
            "broken in the ledger",
            "select count(*) from ops.verify_ledger() v join shop.gift_codes g on g.id = v.code_id where g.tenant_id = $1",
        ),
        (
            "payments that do not say what their order says",
            "select count(*) from shop.payments y join shop.orders o on o.id = y.order_id \
             where o.tenant_id = $1 and (y.status = 'paid') <> (o.paid_at is not null)",
        ),
    ] {
        assert_eq!(shop.count(sql).await, 0, "{what}");
    }
}
