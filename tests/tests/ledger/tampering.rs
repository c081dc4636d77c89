//! Somebody who owns the database changes the ledger, with the triggers switched off: each way of it is named.
//!
//! Every change is made in a transaction that is rolled back, so that the ledger stays whole for the other tests.

use lonieve_tests::Shop;
use serde_json::json;
use uuid::Uuid;

use crate::{TURN, close};

/// Two closed days of one code: imported and reserved, then sold and revealed; a row id in between that nobody has.
struct Scene {
    shop: Shop,
    code: Uuid,
    days: [String; 2],
}

async fn scene() -> Scene {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    // A transaction that was rolled back leaves such a gap.
    let gap = "select nextval('shop.code_ledger_id_seq')";
    shop.db.query_one(gap, &[]).await.unwrap();
    close(&shop).await;
    shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
    shop.order(order.order_id, &order.token).await.expect(200);
    shop.outbox_done().await;
    shop.db.query_one(gap, &[]).await.unwrap();
    shop.add_codes("50.00", 1).await;
    close(&shop).await;
    let sql = "select t.day::text from ops.ledger_day_tenants t where t.tenant_id = $1 order by t.day";
    let days: Vec<String> = shop
        .db
        .query(sql, &[&shop.tenant])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let sql = "select id from shop.gift_codes where tenant_id = $1 and status = 'sold'";
    let code = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0);
    Scene {
        shop,
        code,
        days: days.try_into().unwrap(),
    }
}

/// What ops.verify_ledger says after these statements: (code and row, or nothing, problem).
async fn after(scene: &Scene, statements: &str) -> Vec<String> {
    let db = &scene.shop.db;
    let statements = statements
        .replace("$code", &format!("'{}'", scene.code))
        .replace("$tenant", &format!("'{}'", scene.shop.tenant))
        .replace("$day1", &format!("'{}'", scene.days[0]))
        .replace("$day2", &format!("'{}'", scene.days[1]));
    db.batch_execute(&format!("begin; set local session_replication_role = replica; {statements}"))
        .await
        .unwrap();
    let found = db
        .query("select code_id, seq, problem from ops.verify_ledger() order by 1, 2, 3", &[])
        .await
        .unwrap();
    db.batch_execute("rollback").await.unwrap();
    let mut found: Vec<String> = found
        .iter()
        .map(|row| match (row.get::<_, Option<Uuid>>(0), row.get::<_, Option<i32>>(1)) {
            (None, None) => row.get::<_, String>(2),
            (Some(id), seq) if id == scene.code => {
                format!("{}: {}", seq.map_or("-".into(), |seq| seq.to_string()), row.get::<_, String>(2))
            }
            other => panic!("{other:?} {}", row.get::<_, String>(2)),
        })
        .collect();
    found.sort();
    found
}

/// Makes the hashes of the code's whole chain right again, as somebody would who knows the formula.
const REHASH: &str = "do $do$ declare l shop.code_ledger; v_prev text := ''; begin \
    for l in select * from shop.code_ledger where code_id = $code order by seq loop \
      l.prev_hash := v_prev; v_prev := ops.ledger_hash(l); \
      update shop.code_ledger set prev_hash = l.prev_hash, row_hash = v_prev where id = l.id; \
    end loop; end $do$;";
const FORGE: &str = "update shop.code_ledger set actor = 'user:somebody else' where code_id = $code and entry = 'reserved';";
/// Makes the first day's part of this shop fit its rows, whatever they are now.
const REDO_PART: &str = "update ops.ledger_day_tenants t set row_count = p.row_count, digest = p.digest \
    from ops.ledger_days d, ops.ledger_parts(d.after_id, d.through_id) p where d.day = $day1 and t.day = d.day and t.tenant_id = $tenant and p.tenant_id = t.tenant_id;";
/// Makes the first day's own digest fit its parts.
const REDO_DAY: &str = "update ops.ledger_days d set digest = ops.ledger_day_digest(d) where d.day = $day1;";

#[tokio::test]
async fn every_kind_of_tampering_is_named() {
    let _turn = TURN.lock().await;
    let scene = scene().await;
    let (one, two) = (format!("day {}", scene.days[0]), format!("day {}", scene.days[1]));
    let tenant = format!("tenant {}", scene.shop.tenant);
    let own = format!("{one}: the day's own digest was changed, or a part of it");
    let not_continued = format!("{two}: does not continue the day before: that was changed or removed");
    let rows = |day: &str, what: &str, closed: i64, there: i64| {
        format!("{day}, {tenant}: rows were {what}: {closed} were closed, {there} are there")
    };
    let changed = rows(&one, "changed", 2, 2);

    assert_eq!(after(&scene, "").await, Vec::<String>::new(), "untouched");
    let chain = |texts: &[&str]| {
        let mut texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        texts.sort();
        texts
    };
    // In the chain of the code.
    assert_eq!(after(&scene, FORGE).await, chain(&["2: content does not match its hash"]));
    let one_hash =
        format!("{FORGE} update shop.code_ledger l set row_hash = ops.ledger_hash(l) where code_id = $code and entry = 'reserved';");
    assert_eq!(
        after(&scene, &one_hash).await,
        chain(&["3: does not continue the previous row", &changed])
    );
    assert_eq!(
        after(&scene, "delete from shop.code_ledger where code_id = $code and entry = 'reserved';").await,
        chain(&[
            "3: a row is missing before this one",
            "3: does not continue the previous row",
            &rows(&one, "removed", 2, 1)
        ])
    );
    assert_eq!(
        after(
            &scene,
            "update shop.gift_codes set status = 'available', order_item_id = null where id = $code;"
        )
        .await,
        chain(&["3: code is available, ledger says sold"])
    );
    assert_eq!(
        after(&scene, "delete from shop.gift_codes where id = $code;").await,
        chain(&["3: the code itself is gone"])
    );
    // Chains made to fit: only the day knows.
    assert_eq!(
        after(&scene, &format!("{FORGE} {REHASH}")).await,
        chain(&[&changed, &rows(&two, "changed", 3, 3)])
    );
    let cut_off =
        "delete from shop.code_ledger where code_id = $code and seq > 2; update shop.gift_codes set status = 'reserved' where id = $code;";
    assert_eq!(after(&scene, cut_off).await, chain(&[&rows(&two, "removed", 3, 1)]));
    let slipped_in = "insert into shop.code_ledger (id, tenant_id, code_id, seq, entry, order_id, actor, details, created_at, prev_hash, row_hash) \
        overriding system value select (select max(id) + 1 from shop.code_ledger where code_id = $code), tenant_id, code_id, 5, 'released', order_id, actor, \
        '{}', created_at, row_hash, '' from shop.code_ledger where code_id = $code and seq = 4; \
        update shop.code_ledger l set row_hash = ops.ledger_hash(l) where code_id = $code and seq = 5; \
        update shop.gift_codes set status = 'available', order_item_id = null where id = $code;";
    assert_eq!(after(&scene, slipped_in).await, chain(&[&rows(&two, "added", 3, 4)]));
    let all_of_it = "delete from shop.code_ledger where tenant_id = $tenant and entry <> 'imported' and code_id = $code; \
        update shop.gift_codes set status = 'available', order_item_id = null where id = $code;";
    assert_eq!(
        after(&scene, all_of_it).await,
        chain(&[&rows(&one, "removed", 2, 1), &rows(&two, "removed", 3, 1)])
    );
    // The days' own rows made to fit as well.
    let forged = format!("{FORGE} {REHASH} {REDO_PART}");
    assert_eq!(after(&scene, &forged).await, chain(&[&rows(&two, "changed", 3, 3), &own]));
    assert_eq!(
        after(&scene, &format!("{forged} {REDO_DAY}")).await,
        chain(&[&rows(&two, "changed", 3, 3), &not_continued])
    );
    assert_eq!(
        after(&scene, "update ops.ledger_days set digest = repeat('0', 64) where day = $day1;").await,
        chain(&[&own, &not_continued])
    );
    assert_eq!(
        after(
            &scene,
            "delete from ops.ledger_day_tenants where day = $day1; delete from ops.ledger_days where day = $day1;"
        )
        .await,
        chain(&[&not_continued])
    );
    assert_eq!(
        after(&scene, "update ops.ledger_days set after_id = after_id - 1 where day = $day2;")
            .await
            .len(),
        3,
        "a range that was moved: rows, digest and continuation do not fit"
    );
    assert_eq!(
        after(
            &scene,
            "delete from ops.ledger_day_tenants where day = $day1 and tenant_id = $tenant;"
        )
        .await,
        chain(&[&rows(&one, "added", 0, 2), &own])
    );
    assert_eq!(after(&scene, "").await, Vec::<String>::new(), "and whole again");
}

/// The faults of one code alone, by its id.
#[tokio::test]
async fn one_codes_chain_can_be_checked_alone() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(3).await;
    let sql = "select id from shop.gift_codes where tenant_id = $1 order by id";
    let ids: Vec<Uuid> = shop
        .db
        .query(sql, &[&shop.tenant])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    shop.db
        .batch_execute("begin; set local session_replication_role = replica")
        .await
        .unwrap();
    shop.db
        .execute("update shop.code_ledger set actor = 'x' where code_id = $1", &[&ids[1]])
        .await
        .unwrap();
    let mut counts = Vec::new();
    for id in &ids {
        counts.push(shop.db.query("select from ops.verify_ledger($1)", &[id]).await.unwrap().len());
    }
    shop.db.batch_execute("rollback").await.unwrap();
    assert_eq!(counts, [0, 1, 0]);
}

#[tokio::test]
async fn the_job_opens_one_critical_alert_in_the_shop_it_is_about() {
    let _turn = TURN.lock().await;
    let (shop, other) = (Shop::with_codes(1).await, Shop::with_codes(1).await);
    close(&shop).await;
    let set = |actor: &'static str| {
        let sql = format!(
            "begin; set local session_replication_role = replica; update shop.code_ledger set actor = '{actor}' where tenant_id = '{}'; commit",
            shop.tenant
        );
        let db = &shop.db;
        async move { db.batch_execute(&sql).await.unwrap() }
    };
    let actor: String = shop
        .db
        .query_one("select distinct actor from shop.code_ledger where tenant_id = $1", &[&shop.tenant])
        .await
        .unwrap()
        .get(0);
    let actor: &'static str = actor.leak();
    set("somebody else").await;
    let (first, second) = (shop.job("ledger_digest", None).await, shop.job("ledger_digest", None).await);
    set(actor).await;
    let third = shop.job("ledger_digest", None).await;
    let faults = [first, second, third].map(|reply| reply.expect(200)["faults"].clone());
    assert_eq!(faults, [json!(1), json!(1), json!(0)]);
    let sql = "select tenant_id, severity, occurrences, message from ops.system_notifications where type = 'ledger_fault' and not is_resolved \
               and tenant_id in ($1, $2)";
    let alerts = shop.db.query(sql, &[&shop.tenant, &other.tenant]).await.unwrap();
    let alerts: Vec<(Uuid, String, i32)> = alerts.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(alerts, [(shop.tenant, "critical".into(), 2)]);
    let seen = shop.admin_get(&shop.viewer_token, "alerts").await.expect(200);
    let message = seen["alerts"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("1 found") && message.contains("content does not match its hash"),
        "{message}"
    );
}
