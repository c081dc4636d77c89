//! What `purge` deletes and what it keeps: of each table a row that is a second over its time and one that has a second left.

use lonieve_tests::Shop;
use serde_json::json;
use uuid::Uuid;

use crate::support::turn;

/// (table, how long its rows are kept, the row: `$at` is its time, `$mark` names this test, `$tenant` its shop)
const KEPT: [(&str, &str, &str); 8] = [
    (
        "ops.webhook_rejections",
        "30 days",
        "insert into ops.webhook_rejections (source, minute, last_reason) values ('$mark', $at, 'x')",
    ),
    (
        "ops.job_logs",
        "14 days",
        "insert into ops.job_logs (job_name, started_at, status) values ('$mark', $at, 'success')",
    ),
    (
        "ops.integration_logs",
        "90 days",
        "insert into ops.integration_logs (tenant_id, service_name, action, status, created_at) values ('$tenant', '$mark', 'x', 'success', $at)",
    ),
    (
        "ops.mail_events",
        "90 days",
        "insert into ops.mail_events (provider, event_id, fingerprint, type, outcome, received_at) \
         values ('resend', '$mark' || $at, '$mark', 'x', 'ignored', $at)",
    ),
    (
        "ops.system_health_metrics",
        "90 days",
        "insert into ops.system_health_metrics (tenant_id, metric_type, metric_value, details, recorded_at) \
         values ('$tenant', 'latency', 1, '{\"mark\": \"$mark\"}', $at)",
    ),
    (
        "analytics.events",
        "14 months",
        "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id) \
         values (gen_random_uuid(), '$tenant', $at, 'page_view', '$mark')",
    ),
    (
        "ops.parked_events",
        "30 days",
        "insert into ops.parked_events (message_id, reason, payload, parked_at) values (gen_random_uuid()::text, 'unreadable', '\"$mark\"', $at)",
    ),
    (
        "ops.idempotency",
        "0 days",
        "insert into ops.idempotency (tenant_id, route, key, body_sha256, attempt_id, locked_until, expires_at) \
         values ('$tenant', '$mark', gen_random_uuid()::text, repeat('0', 64), gen_random_uuid(), $at, $at)",
    ),
];

#[tokio::test]
async fn what_has_been_kept_long_enough_goes_and_nothing_before_its_time() {
    let _turn = turn().await;
    let shop = Shop::new().await;
    let (now, mark) = (shop.time("0 seconds").await, Uuid::new_v4().simple().to_string());
    for (_, kept, insert) in KEPT {
        for second in ["- interval '1 second'", "+ interval '1 second'"] {
            let at = format!("(timestamptz '{now}' - interval '{kept}' {second})");
            let sql = insert
                .replace("$at", &at)
                .replace("$mark", &mark)
                .replace("$tenant", &shop.tenant.to_string());
            shop.db.batch_execute(&sql).await.unwrap();
        }
    }
    let left = async || {
        let mut left = Vec::new();
        for (table, ..) in KEPT {
            let sql = format!("select count(*) from {table} r where to_jsonb(r)::text like '%{mark}%'");
            left.push((table, shop.db.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0)));
        }
        left
    };
    assert_eq!(left().await, KEPT.map(|(table, ..)| (table, 2)));
    // Others' old rows may fill the first runs.
    for _ in 0..20 {
        if shop.job("purge", Some(&now)).await.expect(200)["more"] != json!(true) {
            break;
        }
    }
    assert_eq!(left().await, KEPT.map(|(table, ..)| (table, 1)));
}
