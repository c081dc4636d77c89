//! Another key for all codes, while people go on reading: the jobs Worker with the new key active, beside the stack's own Workers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::future::join_all;
use lonieve_tests::{OwnWorker, Placed, Reply, Shop};
use serde_json::{Value, json};
use shared::codes::{CodeKeys, CodeRef};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{assert_whole, pay, shown, texts};

/// A run of the job seals the codes of every shop anew.
pub static TURN: Mutex<()> = Mutex::const_new(());

async fn worker(shop: &Shop, function: &str, kids: &[&str], active: &str) -> OwnWorker {
    let keys: BTreeMap<&str, &String> = kids.iter().map(|kid| (*kid, &shop.info.code_keys[*kid])).collect();
    let (keys, cardlink) = (json!(keys).to_string(), format!("{}/cardlink/v2", shop.info.sandbox));
    let mail = format!("{}/mail", shop.info.sandbox);
    let bindings = [
        ("CODE_KEYS", keys.as_str()),
        ("CODE_ACTIVE_KID", active),
        ("ORDER_TOKEN_KEY", &shop.info.order_token_key),
        ("JOBS_SECRET", &shop.info.jobs_secret),
        ("CARDLINK_API", "v2"),
        ("CARDLINK_URL", &cardlink),
        ("CARDLINK_TOKEN", &shop.info.cardlink.token),
        ("MAIL_PROVIDER", "resend"),
        ("MAIL_URL", &mail),
        ("MAIL_API_KEY", "unused"),
        ("MAIL_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("MAIL_FROM", "Shop <orders@shop.example>"),
    ];
    OwnWorker::start(function, &bindings).await
}

async fn reseal(shop: &Shop, jobs: &OwnWorker) -> Value {
    let run = shop.http.post(format!("{}/api/jobs/run/reseal_codes", jobs.url));
    Reply::of(run.bearer_auth(&shop.info.jobs_secret)).await.expect(200)
}

/// How many of this shop's codes are sealed under each key.
async fn kids(shop: &Shop) -> BTreeMap<String, i64> {
    let sql = "select code_key_id, count(*) from shop.gift_codes where tenant_id = $1 group by 1";
    let rows = shop.db.query(sql, &[&shop.tenant]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Everything of this shop's codes but the seal and its key, and their ledger.
async fn rest(shop: &Shop) -> Value {
    let sql = "select jsonb_build_array((select jsonb_agg(to_jsonb(g) - 'code_sealed' - 'code_key_id' order by g.id) from shop.gift_codes g where g.tenant_id = $1), \
               (select jsonb_agg(to_jsonb(l) order by l.id) from shop.code_ledger l where l.tenant_id = $1))";
    shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0)
}

/// Every code of this shop, opened with these keys.
async fn opened(shop: &Shop, keys: &CodeKeys) -> Vec<String> {
    let sql = "select id, product_id, nominal::text, code_key_id, code_sealed from shop.gift_codes where tenant_id = $1";
    let rows = shop.db.query(sql, &[&shop.tenant]).await.unwrap();
    let mut texts: Vec<String> = rows
        .iter()
        .map(|row| {
            let code_ref = CodeRef {
                code_id: row.get(0),
                product_id: row.get(1),
                nominal: row.get::<_, &str>(2).parse().unwrap(),
            };
            keys.open(&code_ref, row.get(3), row.get(4)).unwrap()
        })
        .collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn all_codes_change_keys_while_people_read_and_buy_and_the_old_key_can_go() {
    let _turn = TURN.lock().await;
    let shop = Shop::new().await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    let mut texts_in = shop.add_codes("50.00", 240).await;
    // One of each state: sold and read, reserved, revoked, free.
    let (read, reserved) = (shop.place(&shop.cart()).await, shop.place(&shop.cart()).await);
    pay(&shop, &read).await;
    let code = shown(&shop, &read).await.remove(0);
    let free = "select id from shop.gift_codes where tenant_id = $1 and status = 'available' limit 1";
    let bad: Uuid = shop.db.query_one(free, &[&shop.tenant]).await.unwrap().get(0);
    let revoke = json!({"code_id": bad, "reason": "A misprint."});
    assert_eq!(
        shop.rpc(&shop.staff_token, "replace_code", revoke).await.expect(200)["outcome"],
        "ok"
    );
    assert_eq!(kids(&shop).await, [("k1".to_owned(), 240)].into());
    let before = rest(&shop).await;

    // Both keys are everywhere; the new one is active in a jobs Worker of its own.
    let jobs = worker(&shop, "jobs", &["k1", "k2"], "k2").await;
    let over = AtomicBool::new(false);
    let reads = AtomicU32::new(0);
    let reader = async |order: &Placed, code: &str| {
        while !over.load(Ordering::Relaxed) {
            assert_eq!(shown(&shop, order).await, [code]);
            reads.fetch_add(1, Ordering::Relaxed);
        }
    };
    let rotating = async {
        let mut runs = Vec::new();
        while kids(&shop).await.contains_key("k1") {
            runs.push(reseal(&shop, &jobs).await);
            assert!(runs.len() < 100, "{runs:?}");
        }
        over.store(true, Ordering::Relaxed);
        runs
    };
    let (runs, (), ()) = tokio::join!(rotating, reader(&read, &code), reader(&read, &code));
    println!("{} runs, {} reads", runs.len(), reads.load(Ordering::Relaxed));
    assert!(reads.load(Ordering::Relaxed) > 0);
    assert!(runs.iter().all(|run| run["kid"] == "k2"), "{runs:?}");
    assert_eq!(
        shop.count("select count(*) from ops.system_notifications where tenant_id = $1")
            .await,
        0
    );
    assert_eq!(
        rest(&shop).await,
        before,
        "nothing else of the rows changed, and the ledger did not grow"
    );
    let new_key = json!({"k2": shop.info.code_keys["k2"]}).to_string();
    let new_key = CodeKeys::parse(&new_key, None).unwrap();
    texts_in.sort();
    assert_eq!(opened(&shop, &new_key).await, texts_in);

    // The old key is gone: a Worker that has only the new one shows the code, and mails that of a sale made now.
    let orders = worker(&shop, "orders", &["k2"], "k2").await;
    let view = shop
        .http
        .get(format!("{}/api/orders/{}", orders.url, read.order_id))
        .bearer_auth(&read.token);
    assert_eq!(texts(&Reply::of(view).await.expect(200)), [code]);
    pay(&shop, &reserved).await;
    let mail = shop.mails(&reserved.email, 1).await.remove(0);
    assert!(mail["text"].as_str().unwrap().contains(&shown(&shop, &reserved).await[0]));
    // Another run finds nothing of this shop's to do.
    let before = rest(&shop).await;
    reseal(&shop, &jobs).await;
    assert_eq!((rest(&shop).await, kids(&shop).await), (before, [("k2".to_owned(), 240)].into()));
    assert_whole(&shop).await;
}

#[tokio::test]
async fn a_code_that_cannot_be_opened_is_one_alert_and_keeps_no_other_from_its_turn() {
    let _turn = TURN.lock().await;
    let shop = Shop::new().await;
    shop.add_codes("50.00", 6).await;
    // One text is another's, one key is nobody's.
    let sql = "with c as (select id, code_sealed, row_number() over (order by id) as n from shop.gift_codes where tenant_id = $1) \
               update shop.gift_codes g set code_sealed = case when c.n = 1 then (select x.code_sealed from c x where x.n = 3) else g.code_sealed end, \
               code_key_id = case when c.n = 2 then 'k0' else g.code_key_id end from c where c.id = g.id and c.n <= 2";
    assert_eq!(shop.db.execute(sql, &[&shop.tenant]).await.unwrap(), 2);
    let jobs = worker(&shop, "jobs", &["k1", "k2"], "k2").await;
    let mut unreadable = 0;
    for _ in 0..100 {
        unreadable += reseal(&shop, &jobs).await["unreadable"].as_i64().unwrap();
        if kids(&shop).await.get("k2") >= Some(&4) {
            break;
        }
    }
    for _ in 0..3 {
        let run = reseal(&shop, &jobs).await;
        unreadable += run["unreadable"].as_i64().unwrap();
        assert!(run["left"].as_i64().unwrap() >= 2, "{run}");
    }
    assert_eq!(unreadable, 2, "each was tried once");
    let left: BTreeMap<String, i64> = [("k0".to_owned(), 1), ("k1".to_owned(), 1), ("k2".to_owned(), 4)].into();
    assert_eq!(kids(&shop).await, left);
    let sql = "select subject, severity, occurrences, message from ops.system_notifications where tenant_id = $1 and type = 'unreadable_code' order by 1";
    let alerts = shop.db.query(sql, &[&shop.tenant]).await.unwrap();
    let alerts: Vec<(String, String, i32)> = alerts.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(
        alerts,
        [("key:k0".into(), "critical".into(), 1), ("key:k1".into(), "critical".into(), 1)]
    );
    // An hour later it is tried again, and counts up on the same alert.
    let sql = "update shop.gift_codes set reseal_after = now() where tenant_id = $1 and reseal_after is not null";
    assert_eq!(shop.db.execute(sql, &[&shop.tenant]).await.unwrap(), 2);
    assert_eq!(reseal(&shop, &jobs).await["unreadable"], 2);
    let open = "select count(*) from ops.system_notifications where tenant_id = $1 and occurrences = 2";
    assert_eq!(shop.count(open).await, 2);
}

#[tokio::test]
async fn what_changed_or_is_held_meanwhile_is_left_for_the_next_batch() {
    let shop = Shop::with_codes(3).await;
    let sql = "select id, code_sealed from shop.gift_codes where tenant_id = $1 order by id";
    let codes: Vec<(Uuid, String)> = shop
        .db
        .query(sql, &[&shop.tenant])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let row = |n: usize, was: &str| json!({"id": codes[n].0, "was": was, "sealed": "B".repeat(60)});
    let rows = json!([row(0, &codes[0].1), row(1, "A".repeat(60).as_str()), row(2, &codes[2].1)]);
    // The third is in the hands of a sale.
    shop.db.batch_execute("begin").await.unwrap();
    shop.db
        .execute("select from shop.gift_codes where id = $1 for update", &[&codes[2].0])
        .await
        .unwrap();
    let p = json!({"kid": "k9", "rows": rows});
    let runs = join_all((0..4).map(|_| shop.rpc(&shop.info.tokens["jobs"], "reseal_codes", p.clone()))).await;
    shop.db.batch_execute("rollback").await.unwrap();
    let stored: i64 = runs.iter().map(|run| run.expect(200)["resealed"].as_i64().unwrap()).sum();
    assert_eq!(stored, 1, "of four equal calls one stored the one code that could be");
    let now: Vec<(Uuid, String)> = shop
        .db
        .query(sql, &[&shop.tenant])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    assert_eq!(now[0].1, "B".repeat(60));
    assert_eq!(now[1..], codes[1..]);
}
