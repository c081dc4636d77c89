//! The codes themselves: which one leaves the shelf, who sees it and when, what happens to a bad one, and how they change keys.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod model;
mod replace;
mod reveal;
mod rotation;
mod sealed;

use lonieve_tests::{Placed, Shop};
use serde_json::Value;
use uuid::Uuid;

/// Ids of an order's codes in this state, with their steps in the ledger.
async fn codes_of(shop: &Shop, order: Uuid, status: &str) -> Vec<(Uuid, String)> {
    let sql = "select g.id, (select string_agg(l.entry, ' ' order by l.seq) from shop.code_ledger l where l.code_id = g.id) \
               from shop.gift_codes g join shop.order_items it on it.id = g.order_item_id where it.order_id = $1 and g.status = $2 order by g.id";
    let rows = shop.db.query(sql, &[&order, &status]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// The steps of one code.
async fn steps(shop: &Shop, code: Uuid) -> String {
    let sql = "select string_agg(l.entry, ' ' order by l.seq) from shop.code_ledger l where l.code_id = $1";
    shop.db.query_one(sql, &[&code]).await.unwrap().get(0)
}

/// How many codes of this shop are in this state.
async fn counted(shop: &Shop, status: &str) -> i64 {
    shop.count(&format!(
        "select count(*) from shop.gift_codes where tenant_id = $1 and status = '{status}'"
    ))
    .await
}

async fn assert_whole(shop: &Shop) {
    let sql = "select v.problem from ops.verify_ledger() v join shop.gift_codes g on g.id = v.code_id where g.tenant_id = $1";
    let faults: Vec<String> = shop
        .db
        .query(sql, &[&shop.tenant])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(faults, Vec::<String>::new());
}

async fn pay(shop: &Shop, order: &Placed) {
    let paid = shop.notice(&order.bill_id, "PAID", &order.amount, "USD").await.expect(200);
    assert_eq!(paid["outcome"], "fulfilled");
}

/// The codes the holder of this token sees.
async fn shown(shop: &Shop, order: &Placed) -> Vec<String> {
    texts(&shop.order(order.order_id, &order.token).await.expect(200))
}

fn texts(view: &Value) -> Vec<String> {
    view["codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code["code"].as_str().unwrap().to_owned())
        .collect()
}
