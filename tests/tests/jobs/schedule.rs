//! What is due runs once, in its order, within its requests; what died runs again.

use std::collections::BTreeMap;

use futures::future::join_all;
use lonieve_tests::{Placed, Shop};
use serde_json::{Value, json};

use crate::support::{due, faults, minute, press, requests, state, turn};

const ALL: [&str; 13] = [
    "fulfil_waiting",
    "outbox",
    "poll_bills",
    "expire_orders",
    "pending_payments",
    "low_stock",
    "refresh_metrics",
    "reconcile",
    "ledger_digest",
    "reseal_codes",
    "purge",
    "refresh_daily_metrics",
    "replay_events",
];

/// Runs of each job that began at this time, with how they ended.
async fn runs(shop: &Shop, clock: &str) -> BTreeMap<String, Vec<String>> {
    let sql = "select job_name, array_agg(status order by completed_at) from ops.job_logs where started_at = $1::text::timestamptz and logs is null group by 1";
    let rows = shop.db.query(sql, &[&clock]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn claim(shop: &Shop, clock: &str, budget: u32, limit: u32) -> Vec<Value> {
    let p = json!({"now": clock, "budget": budget, "limit": limit});
    let claimed = shop.rpc(&shop.info.tokens["jobs"], "claim_jobs", p).await.expect(200);
    claimed["jobs"].as_array().unwrap().clone()
}

async fn finish(shop: &Shop, p: Value) -> Value {
    shop.rpc(&shop.info.tokens["jobs"], "finish_job", p).await.expect(200)
}

fn names(jobs: &[Value]) -> Vec<&str> {
    jobs.iter().map(|job| job["name"].as_str().unwrap()).collect()
}

/// One text of a job's row.
async fn row(shop: &Shop, job: &str, column: &str) -> String {
    let sql = format!("select coalesce({column}::text, 'null') from ops.scheduled_jobs where job_name = $1");
    shop.db.query_one(&sql, &[&job]).await.unwrap().get(0)
}

#[tokio::test]
async fn the_next_minute_of_a_cron_expression_is_the_right_one() {
    let shop = Shop::new().await;
    // By hand, with a calendar: 20 November 2026 is a Friday; 2028 is the next leap year.
    for (schedule, from, next) in [
        ("* * * * *", "2026-11-20 10:00:00", "2026-11-20 10:01:00"),
        ("* * * * *", "2026-11-20 10:00:59.9", "2026-11-20 10:01:00"),
        ("*/5 * * * *", "2026-11-20 10:58:00", "2026-11-20 11:00:00"),
        ("7-59/20 * * * *", "2026-11-20 10:08:00", "2026-11-20 10:27:00"),
        ("0 1 * * *", "2026-11-20 01:00:00", "2026-11-21 01:00:00"),
        ("30 2 31 * *", "2026-11-20 00:00:00", "2026-12-31 02:30:00"),
        ("0 0 29 2 *", "2026-11-20 00:00:00", "2028-02-29 00:00:00"),
        ("0 9 * * 1-5", "2026-11-20 09:00:00", "2026-11-23 09:00:00"),
        ("0 9 * * 7", "2026-11-20 09:00:00", "2026-11-22 09:00:00"),
        ("15,45 8 * * *", "2026-11-20 08:15:00", "2026-11-20 08:45:00"),
        // Either of the two day fields will do.
        ("0 0 1 * 1", "2026-11-20 00:00:00", "2026-11-23 00:00:00"),
        ("59 23 31 12 *", "2026-12-31 23:59:00", "2027-12-31 23:59:00"),
    ] {
        let sql = "select to_char(ops.next_cron($1, ($2::text || 'Z')::timestamptz) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')";
        let found: Option<String> = shop.db.query_one(sql, &[&schedule, &from]).await.unwrap().get(0);
        assert_eq!(found.as_deref(), Some(next), "{schedule} after {from}");
    }
    for wrong in [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "0 0 31 2 *",
        "1,,2 * * * *",
    ] {
        let sql = "select ops.next_cron($1, now()) is null";
        assert!(shop.db.query_one(sql, &[&wrong]).await.unwrap().get::<_, bool>(0), "{wrong}");
    }
    let refused = shop
        .db
        .execute("update ops.scheduled_jobs set schedule = 'never' where job_name = 'purge'", &[])
        .await
        .unwrap_err();
    assert_eq!(refused.as_db_error().unwrap().constraint(), Some("scheduled_jobs_schedule_is_cron"));
}

#[tokio::test]
async fn what_shoppers_wait_for_is_handed_out_first_and_each_job_once() {
    let _turn = turn().await;
    let shop = Shop::new().await;
    let clock = minute(&shop, "1 day").await;
    due(&shop, &ALL, &clock).await;
    let early = minute(&shop, "23 hours 59 minutes").await;
    assert_eq!(claim(&shop, &early, 38, 10).await.len(), 0, "nothing is due yet");
    // 2 + 1 (its finish) + 13 + 1 + 9 + 1 + 10: the 37 requests of what runs each minute; then nothing that needs more than one fits.
    assert_eq!(
        names(&claim(&shop, &clock, 38, 10).await),
        ["fulfil_waiting", "outbox", "poll_bills", "expire_orders"]
    );
    // One that finds a row taken goes past it: what is left then is for those who come later.
    let mut claimed = join_all((0..8).map(|_| claim(&shop, &clock, 38, 2))).await;
    while let Some(later) = Some(claim(&shop, &clock, 38, 10).await).filter(|jobs| !jobs.is_empty()) {
        claimed.push(later);
    }
    let mut rest: Vec<&str> = claimed.iter().flat_map(|jobs| names(jobs)).collect();
    rest.sort_unstable();
    let mut expected = ALL[4..].to_vec();
    expected.sort_unstable();
    assert_eq!(rest, expected, "eight at once share the rest, and whoever comes later");
}

#[tokio::test]
async fn a_job_that_does_not_fit_moves_up_until_it_comes_first() {
    let _turn = turn().await;
    let shop = Shop::new().await;
    let clock = minute(&shop, "1 day").await;
    due(&shop, &["outbox", "purge", "pending_payments"], &clock).await;
    // One request left: `pending_payments` fits, the others do not.
    for passed in 1..=16 {
        let jobs = claim(&shop, &clock, 1, 1).await;
        assert_eq!(names(&jobs), if passed == 1 { vec!["pending_payments"] } else { vec![] });
    }
    assert_eq!(
        (row(&shop, "purge", "passed_over").await, row(&shop, "outbox", "passed_over").await),
        ("15".into(), "16".into())
    );
    shop.db
        .execute("update ops.scheduled_jobs set passed_over = 0 where job_name = 'outbox'", &[])
        .await
        .unwrap();
    assert_eq!(names(&claim(&shop, &clock, 38, 1).await), ["purge"], "16 - 15 is before 2");
    assert_eq!(row(&shop, "purge", "passed_over").await, "0");
}

#[tokio::test]
async fn two_ticks_at_once_do_the_work_once() {
    let _turn = turn().await;
    let shop = Shop::with_codes(3).await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(shop.place(&shop.cart()).await);
    }
    for order in &orders {
        press(&shop, order, "pay", true).await;
    }
    let clock = minute(&shop, "10 minutes").await;
    // Tests of the rotation leave the codes of the whole stack under another key: more than one run's work.
    while shop.job("reseal_codes", Some(&clock)).await.expect(200)["more"] == true {}
    due(&shop, &ALL, &clock).await;
    for reply in join_all((0..4).map(|_| shop.job("tick", Some(&clock)))).await {
        let report = reply.expect(200);
        assert!(report["calls"].as_u64().unwrap() <= 40, "{report}");
    }
    // What four ticks could not fit in, others do.
    shop.repeat_job("tick", &clock, 3).await;
    let runs = runs(&shop, &clock).await;
    let ours: Vec<&str> = runs.keys().map(String::as_str).collect();
    let mut all = ALL.to_vec();
    all.sort_unstable();
    assert_eq!(ours, all);
    for (job, statuses) in &runs {
        // The reconciliation of all shops, and the check of the whole ledger, may need several runs.
        if job != "reconcile" && job != "ledger_digest" {
            assert_eq!(statuses.len(), 1, "{job}: {statuses:?}");
        }
    }
    for order in &orders {
        assert_eq!(shop.mails(&order.email, 1).await.len(), 1, "one mail");
    }
}

#[tokio::test]
async fn a_run_whose_worker_dies_is_repeated_after_its_lease_and_its_own_end_comes_too_late() {
    let _turn = turn().await;
    let shop = Shop::new().await;
    let start = minute(&shop, "1 day").await;
    due(&shop, &["low_stock"], &start).await;
    let dead = claim(&shop, &start, 38, 1).await;
    assert_eq!(names(&dead), ["low_stock"]);
    // Its lease is 120 s.
    let within = minute(&shop, "1 day 1 minute").await;
    assert_eq!(shop.job("tick", Some(&within)).await.expect(200)["jobs"], json!([]));
    let over = minute(&shop, "1 day 2 minutes").await;
    let claimed = claim(&shop, &over, 38, 1).await;
    assert_eq!(names(&claimed), ["low_stock"]);
    assert_ne!(claimed[0]["token"], dead[0]["token"]);

    let stale = finish(
        &shop,
        json!({"now": over, "token": dead[0]["token"], "status": "success", "result": {"low": 1}}),
    )
    .await;
    assert_eq!(
        (stale["outcome"].as_str(), row(&shop, "low_stock", "last_run_status").await.as_str()),
        (Some("stale"), "running")
    );
    assert_eq!(row(&shop, "low_stock", "lock_token").await, claimed[0]["token"].as_str().unwrap());
    let log = "select status || ': ' || error_message from ops.job_logs where id = $1";
    let token: uuid::Uuid = dead[0]["token"].as_str().unwrap().parse().unwrap();
    let said: String = shop.db.query_one(log, &[&token]).await.unwrap().get(0);
    assert_eq!(said, "failed: the lease ended before the run did");

    let done = json!({"now": over, "token": claimed[0]["token"], "status": "success", "result": {"low": 2}, "duration_ms": 7});
    assert_eq!(finish(&shop, done.clone()).await["outcome"], "finished");
    assert_eq!(finish(&shop, done).await["outcome"], "stale", "a second time is nothing");
    let sql = "select to_char(next_run_at at time zone 'UTC', 'MI') ~ '[05]$' and next_run_at > $1::text::timestamptz \
               and next_run_at <= $1::text::timestamptz + interval '5 minutes' and lock_token is null and last_run_duration_ms = 7 \
               from ops.scheduled_jobs where job_name = 'low_stock'";
    assert!(
        shop.db.query_one(sql, &[&over]).await.unwrap().get::<_, bool>(0),
        "due at the next fifth minute"
    );
}

#[tokio::test]
async fn a_job_that_fails_keeps_no_other_from_running_and_is_tried_again_soon() {
    let _turn = turn().await;
    let shop = Shop::new().await;
    // A daily job, so that its own next time is far.
    let clock = minute(&shop, "1 day").await;
    due(&shop, &["purge", "low_stock", "reseal_codes"], &clock).await;
    faults(
        &shop.info.proxy,
        json!([{"rpc": "purge", "times": 1, "status": 503, "body": {"code": "PGRST000"}}]),
    )
    .await;
    shop.job("tick", Some(&clock)).await.refused(503, "database_unavailable");
    let first = runs(&shop, &clock).await;
    assert_eq!(
        (first["purge"].as_slice(), first["low_stock"].as_slice()),
        (&["failed".to_owned()][..], &["success".to_owned()][..])
    );
    let error = "select error_message from ops.job_logs where job_name = 'purge' and started_at = $1::text::timestamptz";
    let error: String = shop.db.query_one(error, &[&clock]).await.unwrap().get(0);
    assert_eq!(error, "database_unavailable: purge: HTTP 503, code PGRST000");
    assert_eq!(row(&shop, "purge", "failures").await, "1");
    let again = minute(&shop, "1 day 1 minute").await;
    shop.job("tick", Some(&again)).await.expect(200);
    assert_eq!(runs(&shop, &again).await["purge"], ["success"]);
    assert_eq!(row(&shop, "purge", "failures").await, "0");
    let next = minute(&shop, "1 day 2 minutes").await;
    shop.job("tick", Some(&next)).await.expect(200);
    assert!(!runs(&shop, &next).await.contains_key("purge"), "then at its own time");
}

#[tokio::test]
async fn a_job_that_fails_five_times_is_an_alert_until_it_succeeds() {
    let _turn = turn().await;
    let shop = Shop::new().await;
    let open = async || {
        let sql = "select coalesce(string_agg(severity || ' ' || occurrences || ' ' || message, '|'), '') from ops.system_notifications \
                   where tenant_id = $1 and type = 'job_failing' and subject = 'job:low_stock' and not is_resolved";
        shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get::<_, String>(0)
    };
    let run = async |after: &str, status: Option<&str>| {
        let clock = minute(&shop, after).await;
        due(&shop, &["low_stock"], &clock).await;
        let claimed = claim(&shop, &clock, 38, 1).await;
        assert_eq!(names(&claimed), ["low_stock"]);
        if let Some(status) = status {
            let p =
                json!({"now": clock, "token": claimed[0]["token"], "status": status, "error": "database_unavailable", "duration_ms": 1});
            assert_eq!(finish(&shop, p).await["outcome"], "finished");
        }
    };
    for day in 1..5 {
        run(&format!("{day} days"), Some("failed")).await;
        assert_eq!(open().await, "", "{day} failures");
    }
    run("5 days", Some("failed")).await;
    assert_eq!(
        open().await,
        "critical 1 The job low_stock has failed 5 times in a row: database_unavailable"
    );
    // A run that vanishes has failed too; it shows when the next one begins.
    run("6 days", None).await;
    run("7 days", None).await;
    assert_eq!(
        open().await,
        "critical 2 The job low_stock has failed 6 times in a row: the lease ended before the run did"
    );
    run("8 days", Some("success")).await;
    assert_eq!(
        (open().await.as_str(), row(&shop, "low_stock", "failures").await.as_str()),
        ("", "0")
    );
}

#[tokio::test]
async fn a_job_run_by_hand_runs_though_it_is_not_due_and_is_logged() {
    let _turn = turn().await;
    let shop = Shop::new().await;
    let clock = minute(&shop, "3 hours").await;
    // The names of the contract that need no other part, and those beside it.
    for name in [
        "outbox",
        "expire_orders",
        "poll_bills",
        "fulfil_waiting",
        "low_stock",
        "reconcile",
        "pending_payments",
        "purge",
        "refresh_daily_metrics",
        "replay_events",
    ] {
        let before = row(&shop, name, "(next_run_at, last_run_at, lock_token)").await;
        let report = shop.job(name, Some(&clock)).await.expect(200);
        assert_eq!(report["job"], name);
        let log = "select status || ' ' || logs || ' ' || (result is not null) from ops.job_logs \
                   where job_name = $1 and completed_at = $2::text::timestamptz";
        let rows = shop.db.query(log, &[&name, &clock]).await.unwrap();
        let logged: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(logged, ["success run by hand true"], "{name}");
        assert_eq!(
            row(&shop, name, "(next_run_at, last_run_at, lock_token)").await,
            before,
            "{name}: its schedule stays"
        );
    }
}

/// Many due things of every kind, under the contract that needs most requests.
async fn shop_with_everything_due() -> (Shop, Vec<Placed>, Vec<Placed>) {
    let shop = Shop::v1(60).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    let (mut mailed, mut polled) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let order = shop.place(&shop.cart()).await;
        press(&shop, &order, "pay", true).await;
        mailed.push(order);
    }
    // Overpaid bills need the list of their payments too. Half of them are over, half still open.
    for n in 0..24 {
        let order = shop.place(&shop.cart()).await;
        press(&shop, &order, "overpay?amount=40.00", false).await;
        if n % 2 == 0 {
            let over = "update shop.orders set expires_at = now() - interval '1 hour' where id = $1";
            shop.db.execute(over, &[&order.order_id]).await.unwrap();
        }
        polled.push(order);
    }
    (shop, mailed, polled)
}

#[tokio::test]
async fn a_tick_makes_at_most_forty_requests_and_ticks_get_everything_done() {
    let _turn = turn().await;
    let (shop, mailed, polled) = shop_with_everything_due().await;
    // Mails the kick of the webhook has sent are no work any more: all are due again.
    let again = "update ops.outbox set status = 'pending', next_attempt_at = now(), locked_until = null where tenant_id = $1 and kind like 'mail.%'";
    shop.db.execute(again, &[&shop.tenant]).await.unwrap();
    let clock = minute(&shop, "1 day 3 hours").await;
    due(&shop, &ALL, &clock).await;
    requests(&shop).await;
    let mut most = 0;
    let mut ran = BTreeMap::new();
    for tick in 0..25 {
        let clock = minute(&shop, &format!("1 day 3 hours {tick} minutes")).await;
        let report = shop.job("tick", Some(&clock)).await.expect(200);
        let counted = requests(&shop).await;
        assert_eq!(report["calls"].as_u64().unwrap(), counted, "the Worker's own count: {report}");
        assert!(counted <= 40, "tick {tick}: {counted} requests: {report}");
        most = most.max(counted);
        for job in report["jobs"].as_array().unwrap() {
            ran.entry(job["job"].as_str().unwrap().to_owned()).or_insert(tick);
        }
    }
    assert!(most >= 35, "the limit was not even near: {most}");
    assert_eq!(ran.len(), ALL.len(), "every job had its turn: {ran:?}");
    assert!(ran.values().all(|tick| *tick <= 12), "and soon: {ran:?}");
    assert_eq!((ran["fulfil_waiting"], ran["outbox"]), (0, 0));
    for order in mailed.iter().chain(&polled) {
        assert_eq!(state(&shop, order).await, "paid delivered");
    }
    assert_eq!(
        shop.count("select count(*) from ops.outbox where tenant_id = $1 and status <> 'done'")
            .await,
        0
    );
}
