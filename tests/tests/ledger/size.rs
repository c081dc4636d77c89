//! How long a large ledger takes to check.

use std::time::{Duration, Instant};

use lonieve_tests::Shop;
use serde_json::Value;

use crate::TURN;

#[tokio::test]
async fn tens_of_thousands_of_rows_are_verified_in_seconds_and_checked_in_slices() {
    let _turn = TURN.lock().await;
    let shop = Shop::new().await;
    let db = &shop.db;
    db.batch_execute("begin").await.unwrap();
    let codes = "insert into shop.gift_codes (tenant_id, product_id, code_sealed, code_key_id, code_fingerprint, code_last4, nominal) \
                 select $1, $2, repeat('A', 60), 'k1', encode(sha256(n::text::bytea), 'hex'), 'last', 50 from generate_series(1, 7000) n";
    db.execute(codes, &[&shop.tenant, &shop.product]).await.unwrap();
    for entry in ["imported", "reserved", "released"] {
        let rows = "select count(ops.append_ledger(tenant_id, id, $2, null, now())::text) from shop.gift_codes where tenant_id = $1";
        db.query_one(rows, &[&shop.tenant, &entry]).await.unwrap();
    }
    db.batch_execute("analyze shop.code_ledger; analyze shop.gift_codes").await.unwrap();
    let begun = Instant::now();
    let faults = db.query("select * from ops.verify_ledger()", &[]).await.unwrap();
    let verified = begun.elapsed();
    assert!(faults.is_empty());
    let begun = Instant::now();
    let closing =
        "select (ops.close_ledger_day((now() at time zone 'UTC')::date + 3650, (select max(id) from shop.code_ledger))).row_count";
    let closed: i64 = db.query_one(closing, &[]).await.unwrap().get(0);
    let closed_in = begun.elapsed();

    // The check's slices, from wherever it stands to its end and once around.
    let mut calls = Vec::new();
    let mut around = false;
    loop {
        let begun = Instant::now();
        let answer: Value = db.query_one("select api.check_ledger('{}')", &[]).await.unwrap().get(0);
        assert_eq!(answer["faults"], 0, "{answer}");
        if around {
            calls.push((answer["codes"].as_i64().unwrap(), begun.elapsed()));
        }
        if answer["done"] == true {
            if around {
                break;
            }
            around = true;
        }
    }
    let all: i64 = db.query_one("select count(*) from shop.gift_codes", &[]).await.unwrap().get(0);
    db.batch_execute("rollback").await.unwrap();
    eprintln!("verified in {verified:?}, closed in {closed_in:?}, checked in {calls:?}");
    assert!(closed >= 20_000);
    assert_eq!(calls.iter().map(|(codes, _)| codes).sum::<i64>(), all);
    assert!(calls.iter().all(|(codes, took)| *codes <= 4000 && *took < Duration::from_secs(8)));
    // A minute would be wrong; how many seconds depends on the machine.
    assert!(verified < Duration::from_secs(10), "{verified:?}");
}
