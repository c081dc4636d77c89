//! One test at a time, and a schedule of its own.

use lonieve_tests::{Placed, Reply, Shop, stack, stack_v1};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// Held while a test runs jobs. Which ones are due is up to it: all are switched off at first.
pub struct Turn(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

pub async fn turn() -> Turn {
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    for info in [stack(), stack_v1()] {
        let (db, connection) = tokio_postgres::connect(&info.database_url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        // Bills and mails of tests before would use up this one's runs.
        db.batch_execute(
            "update ops.scheduled_jobs set enabled = false, next_run_at = null, lock_token = null, locked_until = null, passed_over = 0, failures = 0; \
             delete from ops.job_logs; \
             update shop.payments set next_look_at = null; \
             update ops.outbox set status = 'cancelled', finished_at = now() where status = 'pending'; \
             update shop.orders set status = case status when 'pending' then 'expired' else status end, fulfilment = 'none' where fulfilment = 'reserved' and paid_at is null; \
             update ops.webhook_logs set processed = true, outcome = 'ignored' where outcome = 'parked'; \
             update ops.reconciliation_runs set step = 'done', finished_at = now() where step <> 'done'",
        )
        .await
        .unwrap();
        for board in [&info.sandbox, &info.proxy] {
            faults(board, json!([])).await;
        }
    }
    Turn(turn)
}

/// Fault rules of the sandbox or the proxy; the provider repeats no notice by itself.
pub async fn faults(board: &str, rules: Value) {
    let body = json!({"rules": rules, "retry_base_ms": 60_480_000});
    Reply::of(reqwest::Client::new().put(format!("{board}/faults")).json(&body))
        .await
        .expect(200);
}

/// Switches these jobs on; they are due from `clock` on.
pub async fn due(shop: &Shop, jobs: &[&str], clock: &str) {
    let sql = "update ops.scheduled_jobs set enabled = true, next_run_at = $2::text::timestamptz where job_name = any($1)";
    let jobs: Vec<String> = jobs.iter().map(|job| (*job).to_owned()).collect();
    assert_eq!(shop.db.execute(sql, &[&jobs, &clock]).await.unwrap(), jobs.len() as u64);
}

/// A whole minute this far from now: `5 minutes`, `-1 day`. RFC 3339.
pub async fn minute(shop: &Shop, offset: &str) -> String {
    let sql = "select to_char(date_trunc('minute', now() + $1::text::interval) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    shop.db.query_one(sql, &[&offset]).await.unwrap().get(0)
}

/// The time an order was placed, to the next millisecond, moved by an interval.
pub async fn after(shop: &Shop, order: &Placed, offset: &str) -> String {
    let sql = "select to_char((created_at + interval '1 ms' + $2::text::interval) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') from shop.orders where id = $1";
    shop.db.query_one(sql, &[&order.order_id, &offset]).await.unwrap().get(0)
}

/// A button of the hosted page. `heard`: the shop is told of it.
pub async fn press(shop: &Shop, order: &Placed, button: &str, heard: bool) {
    if !heard {
        faults(&shop.info.sandbox, json!([{"route": "cardlink.webhook", "drop": true}])).await;
    }
    let url = format!("{}/pay/{}/{button}", shop.info.sandbox, order.bill_id);
    Reply::of(shop.http.post(url).header("accept", "application/json"))
        .await
        .expect(200);
    faults(&shop.info.sandbox, json!([])).await;
}

/// status and fulfilment.
pub async fn state(shop: &Shop, order: &Placed) -> String {
    let (status, fulfilment, _) = shop.state(order.order_id).await;
    format!("{status} {fulfilment}")
}

/// Requests of jobs since the last call of this: to the database (without its own retries) and to the outside.
pub async fn requests(shop: &Shop) -> u64 {
    let proxy = format!("{}/counts", shop.info.proxy);
    let counts = Reply::of(shop.http.get(&proxy)).await.expect(200);
    Reply::of(shop.http.delete(&proxy)).await;
    let calls_url = format!("{}/calls", shop.info.sandbox);
    let calls = Reply::of(shop.http.get(&calls_url)).await.expect(200);
    Reply::of(shop.http.delete(&calls_url)).await;
    let incoming = calls.as_array().unwrap().iter().filter(|call| call["direction"] == "in").count() as u64;
    counts["roles"]["edge_jobs"]["total"].as_u64().unwrap_or(0) + incoming
}

/// Open alerts of the shop: type, severity, title, message.
pub async fn alerts(shop: &Shop) -> Vec<String> {
    let sql = "select concat_ws(' | ', type, severity, title, message, occurrences) from ops.system_notifications \
               where tenant_id = $1 and not is_resolved order by 1";
    let rows = shop.db.query(sql, &[&shop.tenant]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
