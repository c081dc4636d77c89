//! What a closed day holds.

use lonieve_tests::Shop;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{TURN, close, day_after_the_last, digest_at};

struct Day {
    day: String,
    after: i64,
    through: i64,
    rows: i64,
    prev: String,
    digest: String,
}

async fn days(shop: &Shop) -> Vec<Day> {
    let sql = "select day::text, after_id, through_id, row_count, prev_digest, digest from ops.ledger_days order by day";
    let rows = shop.db.query(sql, &[]).await.unwrap();
    let day = |row: &tokio_postgres::Row| Day {
        day: row.get(0),
        after: row.get(1),
        through: row.get(2),
        rows: row.get(3),
        prev: row.get(4),
        digest: row.get(5),
    };
    rows.iter().map(day).collect()
}

/// The digest of a day by its definition, computed here from the rows.
async fn by_hand(shop: &Shop, day: &Day) -> String {
    let sql = "select tenant_id::text, id, row_hash from shop.code_ledger where id > $1 and id <= $2 order by tenant_id, id";
    let mut parts: Vec<(String, i64, String)> = Vec::new();
    for row in shop.db.query(sql, &[&day.after, &day.through]).await.unwrap() {
        let (tenant, id, hash): (String, i64, String) = (row.get(0), row.get(1), row.get(2));
        match parts.last_mut().filter(|(last, ..)| *last == tenant) {
            Some((_, count, text)) => {
                *count += 1;
                *text += &format!(",{id}:{hash}");
            }
            None => parts.push((tenant, 1, format!("{id}:{hash}"))),
        }
    }
    let total: i64 = parts.iter().map(|(_, count, _)| count).sum();
    let parts: Vec<String> = parts
        .iter()
        .map(|(tenant, count, text)| format!(r#"["{tenant}", {count}, "{}"]"#, hex::encode(Sha256::digest(text))))
        .collect();
    let text = format!(
        r#"["lonieve.ledger_day.v1", "{}", "{}", {}, {}, {total}, [{}]]"#,
        day.prev,
        day.day,
        day.after,
        day.through,
        parts.join(", ")
    );
    hex::encode(Sha256::digest(text))
}

#[tokio::test]
async fn a_day_is_closed_once_over_all_its_rows_and_continues_the_one_before() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(2).await;
    close(&shop).await;
    shop.place(&shop.cart()).await;
    let before = days(&shop).await.len();
    let report = close(&shop).await;
    assert_eq!(report["faults"], 0, "{report}");
    let all = days(&shop).await;
    assert_eq!(all.len(), before + 1);
    let last = &all[all.len() - 1];
    assert_eq!(
        (&report["days_closed"], &report["rows_closed"], &report["head"]),
        (&json!(1), &json!(last.rows), &json!(last.digest))
    );
    let (mut digest, mut through) = (String::new(), 0);
    for day in &all {
        assert_eq!((&day.prev, day.after), (&digest, through), "{}", day.day);
        assert_eq!(by_hand(&shop, day).await, day.digest, "{}", day.day);
        (digest, through) = (day.digest.clone(), day.through);
    }
    // This shop's part: the reservation, and nothing else.
    let sql = "select row_count from ops.ledger_day_tenants where day = $1::text::date and tenant_id = $2";
    let rows: i64 = shop.db.query_one(sql, &[&last.day, &shop.tenant]).await.unwrap().get(0);
    assert_eq!(rows, 1);

    // The same moment again: nothing is due, nothing is written.
    let day = day_after_the_last(&shop, 1).await;
    let again = digest_at(&shop, &format!("{day}T00:15:00Z")).await;
    assert_eq!((&again["days_closed"], &again["faults"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(days(&shop).await.len(), all.len());
    for change in [
        "update ops.ledger_days set row_count = 0",
        "delete from ops.ledger_day_tenants",
        "truncate ops.ledger_day_tenants",
    ] {
        let error = shop.db.execute(change, &[]).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "55000", "{change}");
    }
}

#[tokio::test]
async fn a_day_that_is_not_over_stays_open() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    close(&shop).await;
    let day = day_after_the_last(&shop, 1).await;
    let imported = json!({"rows": [shop.sealed_row(1, "50.00", &lonieve_tests::fresh_code())], "now": format!("{day}T23:59:59Z")});
    shop.rpc(&shop.staff_token, "import_codes", imported).await.expect(200);
    let next = day_after_the_last(&shop, 2).await;
    for (clock, closed) in [
        (format!("{day}T23:59:59Z"), 0),
        // Ten minutes for what was begun before midnight.
        (format!("{next}T00:09:59Z"), 0),
        (format!("{next}T00:10:00Z"), 1),
    ] {
        assert_eq!(digest_at(&shop, &clock).await["days_closed"], closed, "{clock}");
    }
    assert_eq!(days(&shop).await.last().unwrap().day, day);
}

#[tokio::test]
async fn missed_days_are_closed_one_by_one_and_a_late_time_goes_with_the_next() {
    let _turn = TURN.lock().await;
    let shop = Shop::new().await;
    close(&shop).await;
    let (mut names, mut codes) = (Vec::new(), Vec::new());
    for offset in [1, 2, 5] {
        names.push(day_after_the_last(&shop, offset).await);
    }
    // In this order: the second row of the first day is written after one of the third.
    for (day, hour) in [(0, 1), (2, 1), (0, 2), (1, 1), (2, 2)] {
        let row = shop.sealed_row(1, "50.00", &lonieve_tests::fresh_code());
        codes.push(row["id"].as_str().unwrap().parse::<Uuid>().unwrap());
        let p = json!({"rows": [row], "now": format!("{}T{hour:02}:00:00Z", names[day])});
        assert_eq!(shop.rpc(&shop.staff_token, "import_codes", p).await.expect(200)["imported"], 1);
    }
    let end = day_after_the_last(&shop, 6).await;
    let report = digest_at(&shop, &format!("{end}T12:00:00Z")).await;
    assert_eq!((&report["days_closed"], &report["rows_closed"]), (&json!(3), &json!(5)), "{report}");
    let all = days(&shop).await;
    let last = &all[all.len() - 3..];
    assert_eq!(
        last.iter().map(|day| &day.day).collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    // The first day reaches to its last row, so the row of the third that was written in between is closed with it.
    assert_eq!(last.iter().map(|day| day.rows).collect::<Vec<_>>(), [3, 1, 1]);
    // A row that carries a time of a closed day falls into the next.
    let p = json!({"rows": [shop.sealed_row(1, "50.00", &lonieve_tests::fresh_code())], "now": format!("{}T03:00:00Z", names[0])});
    shop.rpc(&shop.staff_token, "import_codes", p).await.expect(200);
    let report = close(&shop).await;
    assert_eq!((&report["days_closed"], &report["faults"]), (&json!(1), &json!(0)), "{report}");
    let all = days(&shop).await;
    assert_eq!(
        (all.last().unwrap().rows, by_hand(&shop, all.last().unwrap()).await),
        (1, all.last().unwrap().digest.clone())
    );
}

#[tokio::test]
async fn a_row_committed_late_is_waited_for() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(2).await;
    close(&shop).await;
    let clock = format!("{}T00:15:00Z", day_after_the_last(&shop, 2).await);
    let sql = "select id from shop.gift_codes where tenant_id = $1 order by id";
    let ids: Vec<Uuid> = shop
        .db
        .query(sql, &[&shop.tenant])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let revoke = "with moved as (update shop.gift_codes set status = 'revoked' where id = $1 returning tenant_id, id) \
                  select ops.append_ledger(tenant_id, id, 'revoked', null, now())::text from moved";
    // One session has its row, with a lower id, and does not commit; another writes and commits.
    shop.db.batch_execute("begin").await.unwrap();
    shop.db.query_one(revoke, &[&ids[0]]).await.unwrap();
    let other = Shop::new().await;
    other.db.query_one(revoke, &[&ids[1]]).await.unwrap();
    let report = shop.job("ledger_digest", Some(&clock)).await.expect(200);
    assert_eq!((&report["settling"], &report["days_closed"]), (&json!(true), &json!(0)), "{report}");
    shop.db.batch_execute("commit").await.unwrap();
    let report = digest_at(&shop, &clock).await;
    assert_eq!(
        (&report["days_closed"], &report["rows_closed"], &report["faults"]),
        (&json!(1), &json!(2), &json!(0)),
        "{report}"
    );
    let faults = shop
        .db
        .query("select problem from ops.verify_ledger() where code_id is null", &[])
        .await
        .unwrap();
    assert!(faults.is_empty());
}
