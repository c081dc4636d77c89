//! What `POST /api/jobs/run/{name}` refuses, and that nothing is done then.
//!
//! A run serves all shops, so these tests take turns: a run of one would do what another asserts is not done.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use lonieve_tests::{Reply, Shop};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

const EXPIRE: &str = "/api/jobs/run/expire_orders";
const LIMIT: usize = 4 * 1024;
/// What a reservation's end writes.
const RELEASED: &[(&str, i64)] = &[("shop.code_ledger", 1)];

/// A shop with an order whose time is over: a run that takes place ends it. No other test runs jobs while the turn is held.
async fn shop_with_due_order() -> (Shop, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    // Runs take 15 orders of all shops at a time. What other programs have left goes first.
    while shop.job("expire_orders", None).await.expect(200)["expired"] != 0 {}
    let order = shop.place(&shop.cart()).await;
    let over = "update shop.orders set expires_at = now() - interval '1 day' where id = $1";
    assert_eq!(shop.db.execute(over, &[&order.order_id]).await.unwrap(), 1);
    (shop, turn)
}

fn run(shop: &Shop, path: &str) -> RequestBuilder {
    shop.request(Method::POST, "jobs", path)
}

/// The due order ends: what was refused before was refused for its own reason.
async fn is_done(shop: &Shop) {
    let report = shop.adds(RELEASED, shop.job("expire_orders", None)).await.expect(200);
    assert!(report["expired"].as_u64().unwrap() >= 1, "{report}");
    assert_eq!(report["job"], "expire_orders");
}

#[tokio::test]
async fn a_run_without_the_secret_is_401_and_nothing_is_done() {
    let (shop, _turn) = shop_with_due_order().await;
    let secret = &shop.info.jobs_secret;
    for request in [
        run(&shop, EXPIRE),
        run(&shop, EXPIRE).bearer_auth(""),
        run(&shop, EXPIRE).bearer_auth("wrong"),
        run(&shop, EXPIRE).bearer_auth(format!("{secret}x")),
        run(&shop, EXPIRE).bearer_auth(&secret[..secret.len() - 1]),
        run(&shop, EXPIRE).bearer_auth(secret.to_uppercase()),
        run(&shop, EXPIRE).header("authorization", secret),
        run(&shop, EXPIRE).basic_auth("", Some(secret)),
        run(&shop, &format!("{EXPIRE}?secret={secret}&token={secret}")),
        run(&shop, EXPIRE).bearer_auth(&shop.info.tokens["jobs"]),
        run(&shop, EXPIRE).bearer_auth(&shop.info.admin_token),
        // Whether there is such a job is not for strangers.
        run(&shop, "/api/jobs/run/nothing"),
    ] {
        let reply = shop.adds_nothing(Reply::of(request)).await;
        reply.refused(401, "unauthorized");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        assert!(!reply.text.contains(secret), "{}", reply.text);
    }
    is_done(&shop).await;
}

#[tokio::test]
async fn a_job_of_no_name_we_know_is_404_and_nothing_is_done() {
    let (shop, _turn) = shop_with_due_order().await;
    for name in ["nothing", "", "TICK", "expire_orders/", "expire_orders/now", "expire%5Forders"] {
        let reply = shop.adds_nothing(shop.job(name, None)).await;
        reply.refused(404, "job_not_found");
    }
    is_done(&shop).await;
}

#[tokio::test]
async fn another_path_is_404_another_method_405_and_nothing_is_done() {
    let (shop, _turn) = shop_with_due_order().await;
    let secret = &shop.info.jobs_secret;
    for path in [
        "/",
        "/api/jobs",
        "/api/jobs/run",
        "/api/jobs/expire_orders",
        "/jobs/run/expire_orders",
    ] {
        shop.adds_nothing(Reply::of(run(&shop, path).bearer_auth(secret)))
            .await
            .refused(404, "not_found");
    }
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let reply = shop
            .adds_nothing(Reply::of(shop.request(method, "jobs", EXPIRE).bearer_auth(secret)))
            .await;
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    is_done(&shop).await;
}

#[tokio::test]
async fn a_body_over_4_kb_is_413_whether_its_length_is_declared_or_not_and_nothing_is_done() {
    let (shop, _turn) = shop_with_due_order().await;
    let secret = &shop.info.jobs_secret;
    let authorization = format!("authorization: Bearer {secret}");
    let body = |bytes| Shop::padded("{}".to_owned(), bytes);
    let streamed = async |bytes| shop.post_chunked("jobs", EXPIRE, &[&authorization], body(bytes).as_bytes()).await;
    shop.adds_nothing(Reply::of(run(&shop, EXPIRE).bearer_auth(secret).body(body(LIMIT + 1))))
        .await
        .refused(413, "body_too_large");
    shop.adds_nothing(streamed(LIMIT + 1)).await.refused(413, "body_too_large");
    shop.adds(RELEASED, Reply::of(run(&shop, EXPIRE).bearer_auth(secret).body(body(LIMIT))))
        .await
        .expect(200);
    shop.adds_nothing(streamed(LIMIT)).await.expect(200);
}

#[tokio::test]
async fn a_clock_that_is_no_time_is_400_and_nothing_is_done() {
    let (shop, _turn) = shop_with_due_order().await;
    for clock in [
        "yesterday",
        "2026-01-01",
        "2026-02-30T00:00:00Z",
        "2026-01-01T00:00:00",
        "1767225600",
        "now",
    ] {
        let reply = shop.adds_nothing(shop.job("expire_orders", Some(clock))).await;
        let fields = reply.refused(400, "invalid_request")["fields"].clone();
        assert_eq!(fields, json!({"X-Test-Clock": "must be an RFC 3339 time"}), "{clock}");
    }
    // Before the order's end, by that clock.
    let early = shop.time("-2 days").await;
    shop.adds_nothing(shop.job("expire_orders", Some(&early))).await.expect(200);
    let now = shop.time("0").await;
    shop.adds(RELEASED, shop.job("expire_orders", Some(&now))).await.expect(200);
}

#[tokio::test]
async fn a_run_without_a_database_is_503_and_the_next_one_does_the_work() {
    let (shop, _turn) = shop_with_due_order().await;
    // A tick does whatever is due; here that is the one job the test is about, each time.
    let only = "update ops.scheduled_jobs set enabled = $1 or job_name = 'expire_orders', next_run_at = null, failures = 0, lock_token = null, locked_until = null";
    // Each clock names the runs of this test to the proxy, whose rules see bodies only.
    for (job, rpc, status, code) in [
        ("tick", "claim_jobs", 503, "database_unavailable"),
        ("tick", "expirable_orders", 503, "database_unavailable"),
        ("expire_orders", "expirable_orders", 503, "database_unavailable"),
        ("fulfil_waiting", "fulfil_waiting", 503, "database_unavailable"),
        ("outbox", "claim_outbox", 503, "database_unavailable"),
        ("outbox", "claim_outbox", 403, "misconfigured"),
    ] {
        shop.db.execute(only, &[&false]).await.unwrap();
        let clock = shop.time("-2 days").await;
        let moment = clock.trim_end_matches('Z');
        let error = if status == 403 { "42501" } else { "PGRST000" };
        let rules = json!([{"rpc": rpc, "match": moment, "status": status, "body": {"code": error}}]);
        let reply = shop
            .adds_nothing(shop.under_faults(&shop.info.proxy, rules, shop.job(job, Some(&clock))))
            .await;
        reply.refused(if status == 403 { 500 } else { status }, code);
        shop.adds_nothing(shop.job(job, Some(&clock))).await.expect(200);
    }
    shop.db.execute(only, &[&true]).await.unwrap();
    is_done(&shop).await;
}

/// A bill nobody can be asked about may have been paid: its order keeps the code.
#[tokio::test]
async fn an_order_whose_bill_cannot_be_looked_at_is_kept_until_the_next_run() {
    let (shop, _turn) = shop_with_due_order().await;
    for effect in [
        json!({"drop": true}),
        json!({"status": 500}),
        json!({"status": 401}),
        json!({"status": 200, "body": {"status": "EXPIRED"}}),
    ] {
        // `bill/status` has no body to match, so for a moment nobody's bills can be looked at.
        let mut rule = json!({"route": "cardlink.status"});
        rule.as_object_mut().unwrap().extend(effect.as_object().unwrap().clone());
        let work = shop.adds_nothing(shop.job("expire_orders", None));
        let report = shop.under_faults(&shop.info.sandbox, json!([rule]), work).await.expect(200);
        assert!(report["not_polled"].as_u64().unwrap() >= 1, "{effect}: {report}");
        // It waits for its next turn; here the turn comes at once.
        let postponed = "select count(*) from shop.orders where tenant_id = $1 and next_poll_at > now() and poll_attempts > 0";
        assert_eq!(shop.count(postponed).await, 1, "{effect}");
        shop.adds_nothing(shop.job("expire_orders", None)).await.expect(200);
        let turn = "update shop.orders set next_poll_at = null where tenant_id = $1";
        shop.db.execute(turn, &[&shop.tenant]).await.unwrap();
    }
    is_done(&shop).await;
}
