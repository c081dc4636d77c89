//! System health (L-88, LD-103), and the checks of data quality (L-152) one by one.

use crate::support::{NOW, SALE, SEEN, Sale, Seen, Shop};

const HEALTH: &str = "metric_name, current_value, avg_24h, status";
const CHECKS: &str = "check_name, checked, failed, failed_percentage, status";

/// Samples of the tenant's, or, for `uptime`, of nobody's.
async fn sample(shop: &Shop, kind: &str, value: &str, at: &str) {
    let sql = "insert into ops.system_health_metrics (tenant_id, metric_type, metric_value, recorded_at) \
               values (case when $2::text <> 'uptime' then $1::uuid end, $2, $3::text::numeric, $4::text::timestamptz)";
    shop.execute(sql, &[Some(kind), Some(value), Some(at)]).await;
}

async fn health(shop: &Shop, now: &str) -> Vec<String> {
    shop.sql(&format!("analytics.system_health($1, '{now}')"), HEALTH).await
}

async fn quality(shop: &Shop) -> Vec<String> {
    shop.sql(
        &format!("analytics.data_quality($1, analytics.period_between($1, '2026-11-01', '2026-11-11', 30, '{NOW}'), '{NOW}')"),
        CHECKS,
    )
    .await
}

#[tokio::test]
async fn ld_103_without_samples_nothing_is_healthy_and_old_ones_are_not_now() {
    let shop = Shop::new("UTC").await;
    let other = Shop::on(shop.ground.clone(), "UTC").await;
    // The other shop's webhooks are fast. Ours took 9000 ms two hours ago; the document calls that healthy.
    sample(&other, "webhook_latency", "10", "2026-11-10 10:59Z").await;
    assert_eq!(
        health(&shop, NOW).await[..2],
        [
            "webhook_avg_latency_ms | - | - | unknown",
            "email_avg_send_time_ms | - | - | unknown"
        ]
    );
    sample(&shop, "webhook_latency", "9000", "2026-11-10 09:00Z").await;
    assert_eq!(health(&shop, NOW).await[0], "webhook_avg_latency_ms | - | 9000.00 | unknown");
    // An hour ago is in, a moment before that only in the day; what lies after now is in neither.
    sample(&shop, "webhook_latency", "1", "2026-11-10 09:59:59.999Z").await;
    sample(&shop, "webhook_latency", "1000", "2026-11-10 10:00Z").await;
    sample(&shop, "webhook_latency", "7777", "2026-11-10 11:00:00.001Z").await;
    assert_eq!(health(&shop, NOW).await[0], "webhook_avg_latency_ms | 1000.00 | 3333.67 | warning");
    assert_eq!(health(&other, NOW).await[0], "webhook_avg_latency_ms | 10.00 | 10.00 | healthy");
}

#[tokio::test]
async fn the_limits_of_the_latencies_stand_where_the_document_puts_them() {
    for (kind, row, limits) in [("webhook_latency", 0, [1000, 3000]), ("email_send_time", 1, [2000, 5000])] {
        for (value, status) in [
            (format!("{}.999", limits[0] - 1), "healthy"),
            (limits[0].to_string(), "warning"),
            (format!("{}.5", limits[1] - 1), "warning"),
            (limits[1].to_string(), "critical"),
        ] {
            let shop = Shop::new("UTC").await;
            sample(&shop, kind, &value, "2026-11-10 10:59Z").await;
            let found = health(&shop, NOW).await[row].clone();
            assert!(found.ends_with(status), "{kind} {value}: {found}");
        }
    }
}

#[tokio::test]
async fn uptime_is_the_share_of_whole_minutes_with_a_heartbeat() {
    // Heartbeats are everybody's: a database to itself.
    let shop = Shop::alone("UTC").await;
    assert_eq!(
        health(&shop, NOW).await[2..],
        ["jobs_heartbeat_age_s | - | - | unknown", "uptime_percent | - | - | unknown"]
    );
    // The first one, ten seconds ago, in the minute that is not over.
    sample(&shop, "uptime", "1", "2026-11-10 11:00:05Z").await;
    assert_eq!(
        health(&shop, "2026-11-10 11:00:15Z").await[2..],
        ["jobs_heartbeat_age_s | 10.00 | - | healthy", "uptime_percent | - | - | unknown"]
    );
    // 11:00 to 11:03, of which 11:02 has none and 11:01 two: three of four.
    for at in ["2026-11-10 11:01:00Z", "2026-11-10 11:01:59.999Z", "2026-11-10 11:03:30Z"] {
        sample(&shop, "uptime", "1", at).await;
    }
    assert_eq!(
        health(&shop, "2026-11-10 11:04:30Z").await[2..],
        [
            "jobs_heartbeat_age_s | 60.00 | - | healthy",
            "uptime_percent | 75.00 | 75.00 | critical"
        ]
    );
    // A beat of the minute that is not over is no whole minute's.
    assert_eq!(
        health(&shop, "2026-11-10 11:03:45Z").await[2..],
        [
            "jobs_heartbeat_age_s | 15.00 | - | healthy",
            "uptime_percent | 66.67 | 66.67 | critical"
        ]
    );
    for (now, status) in [
        ("2026-11-10 11:05:29Z", "119.00 | - | healthy"),
        ("2026-11-10 11:05:30Z", "120.00 | - | warning"),
        ("2026-11-10 11:13:29Z", "599.00 | - | warning"),
        ("2026-11-10 11:13:30Z", "600.00 | - | critical"),
    ] {
        assert_eq!(health(&shop, now).await[2], format!("jobs_heartbeat_age_s | {status}"), "{now}");
    }
    // A whole day with a beat each minute but two: 1438 of 1440 is 99.86 %. What lies before the day does not count.
    let sql = "insert into ops.system_health_metrics (metric_type, metric_value, recorded_at) \
               select 'uptime', 1, timestamptz '2026-11-12 00:00:10Z' + make_interval(mins => m) from generate_series(0, 1439) m where m not in (7, 700) and $1::uuid is not null";
    shop.execute(sql, &[]).await;
    assert_eq!(
        health(&shop, "2026-11-13 00:00:30Z").await[3],
        "uptime_percent | 99.86 | 99.86 | warning"
    );
    sample(&shop, "uptime", "1", "2026-11-12 00:07:00Z").await;
    assert_eq!(
        health(&shop, "2026-11-13 00:00:30Z").await[3],
        "uptime_percent | 99.93 | 99.93 | healthy"
    );
}

#[tokio::test]
async fn a_report_that_fails_is_counted_and_named() {
    let shop = Shop::alone("UTC").await;
    assert_eq!(
        quality(&shop).await[5..],
        ["sql_functions_health | 14 | 0 | 0.00 | ok", "health_score | 100 | - | - | ok"]
    );
    let right = shop
        .ground
        .plant("analytics.rfm_segments", "  return query\n", "  perform 1 / 0;\n  return query\n")
        .await;
    // One of fourteen is 7.14 percent; it is the only check with something to look at, so the score is 93.
    assert_eq!(
        quality(&shop).await[5..],
        [
            "sql_functions_health | 14 | 1 | 7.14 | critical",
            "health_score | 93 | - | - | warning"
        ]
    );
    let said = shop
        .sql(
            &format!("analytics.data_quality($1, analytics.period_between($1, null, null, 30, '{NOW}'), '{NOW}')"),
            "description",
        )
        .await;
    assert_eq!(said[5], "Reports that fail when they are called: get_rfm_segments.");
    shop.ground.restore(&right).await;
    assert_eq!(quality(&shop).await[5], "sql_functions_health | 14 | 0 | 0.00 | ok");
}

#[tokio::test]
async fn a_check_is_a_warning_below_five_percent_and_critical_from_there() {
    for (orders, expected) in [(21, "21 | 1 | 4.76 | warning"), (20, "20 | 1 | 5.00 | critical")] {
        let shop = Shop::new("UTC").await;
        let sql = "insert into shop.orders (tenant_id, email, total_amount, status, fulfilment, session_id, created_at, expires_at) \
                   select $1, 'a@example.com', 10, 'pending', 'reserved', case when n > 1 then 's' || n end, '2026-11-05 10:00Z', '2026-11-05 11:00Z' \
                   from generate_series(1, $2::text::integer) n";
        shop.execute(sql, &[Some(&orders.to_string())]).await;
        assert_eq!(quality(&shop).await[0], format!("orders_without_session_id | {expected}"));
    }
}

#[tokio::test]
async fn an_order_of_another_shop_is_no_order_of_this_one() {
    let shop = Shop::new("UTC").await;
    let other = Shop::on(shop.ground.clone(), "UTC").await;
    let own = shop
        .sale(Sale {
            paid_at: Some("2026-11-05 10:00Z"),
            session: Some("s"),
            ..SALE
        })
        .await;
    let foreign = other
        .sale(Sale {
            paid_at: Some("2026-11-05 10:00Z"),
            ..SALE
        })
        .await;
    for order in [own, foreign] {
        let data = format!("{{\"order_id\": \"{order}\"}}");
        shop.seen(Seen {
            kind: "payment_success",
            at: "2026-11-05 10:00Z",
            data: Some(&data),
            ..SEEN
        })
        .await;
    }
    // The checkout of a session of the same name in the other shop is not this one's.
    other
        .seen(Seen {
            kind: "checkout_start",
            at: "2026-11-05 09:00Z",
            ..SEEN
        })
        .await;
    let rows = quality(&shop).await;
    assert_eq!(
        rows[2..4],
        [
            "orphaned_events | 2 | 1 | 50.00 | critical",
            "funnel_integrity | 1 | 1 | 100.00 | critical"
        ]
    );
}
