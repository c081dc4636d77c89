//! The figures per day (L-67 to L-69, L-124) and their refresh (LD-72 to LD-76).

use lonieve_tests::interleaving::ground::{JOBS, Who};
use serde_json::json;

use crate::support::{SALE, SEEN, Sale, Seen, Shop};

const DAYS: &str = "date, utm_source, sessions, paid_orders, conversion_rate";

#[tokio::test]
async fn ld_72_the_refresh_is_concurrent_and_readers_see_figures_meanwhile() {
    let shop = Shop::alone("UTC").await;
    shop.sale(Sale {
        paid_at: Some("2026-05-05 10:00Z"),
        ..SALE
    })
    .await;
    let days = "get_daily_metrics('2026-05-01', '2026-05-08')";
    assert!(shop.api(days, DAYS).await.is_empty(), "nothing before the first refresh");
    let before: i64 = shop
        .ground
        .count(
            "select extract(epoch from refreshed_at)::bigint from analytics.metric_refreshes where $1::uuid is not null",
            shop.tenant,
        )
        .await;

    // Held open: the refresh is done and not yet committed. Readers get the former figures at once, a second refresh does not queue up.
    let refreshing = shop.ground.line().await;
    refreshing.begin(JOBS).await.unwrap();
    let answer = refreshing.say("refresh_daily_metrics", &json!({})).await.unwrap();
    assert_eq!(answer["outcome"], "refreshed", "{answer}");
    assert!(answer["duration_ms"].is_u64(), "{answer}");
    assert!(shop.api(days, DAYS).await.is_empty());
    let busy = shop.line.call(JOBS, "refresh_daily_metrics", &json!({})).await.unwrap();
    assert_eq!(busy, json!({"outcome": "busy"}));
    refreshing.commit().await.unwrap();

    assert_eq!(shop.api(days, DAYS).await, ["2026-05-05 | Direct | 0 | 1 | -"]);
    let again = shop.line.call(JOBS, "refresh_daily_metrics", &json!({})).await.unwrap();
    assert_eq!(again["outcome"], "refreshed", "{again}");
    let after: i64 = shop
        .ground
        .count(
            "select extract(epoch from refreshed_at)::bigint from analytics.metric_refreshes where $1::uuid is not null",
            shop.tenant,
        )
        .await;
    assert!(after >= before);
    assert_ne!(shop.api(days, "refreshed_at").await, ["-"]);
}

#[tokio::test]
async fn ld_74_sessions_come_from_events_and_no_rate_exceeds_a_hundred() {
    let shop = Shop::alone("UTC").await;
    shop.crowd("v", 3, &["page_view"], "2026-05-05 09:00Z").await;
    shop.crowd("w", 1, &["page_view"], "2026-05-06 09:00Z").await;
    // One session buys three times on the 5th; two on the 6th, one of them of a session without events. The document: 300 and 100 percent.
    for (paid_at, session) in [
        ("2026-05-05 10:00Z", "v1"),
        ("2026-05-05 11:00Z", "v1"),
        ("2026-05-06 10:00Z", "w1"),
        ("2026-05-06 10:00Z", "ghost"),
    ] {
        shop.sale(Sale {
            paid_at: Some(paid_at),
            session: Some(session),
            ..SALE
        })
        .await;
    }
    shop.line.call(JOBS, "refresh_daily_metrics", &json!({})).await.unwrap();
    assert_eq!(
        shop.api("get_daily_metrics('2026-05-01', '2026-05-08')", DAYS).await,
        ["2026-05-05 | Direct | 3 | 2 | 66.67", "2026-05-06 | Direct | 1 | 2 | -"]
    );
}

#[tokio::test]
async fn ld_75_a_day_is_the_shops_whatever_the_session_that_refreshes() {
    let shop = Shop::alone("Asia/Almaty").await;
    // 01:00 on the 16th in Almaty.
    shop.sale(Sale {
        paid_at: Some("2026-01-15 20:00Z"),
        ..SALE
    })
    .await;
    shop.seen(Seen {
        at: "2026-01-15 20:00Z",
        ..SEEN
    })
    .await;
    for zone in ["UTC", "America/New_York", "Asia/Almaty"] {
        let refresh = format!("set timezone = '{zone}'; refresh materialized view concurrently analytics.daily_metrics; reset timezone");
        shop.ground.admin.batch_execute(&refresh).await.unwrap();
        assert_eq!(
            shop.api("get_daily_metrics('2026-01-15 12:00Z', '2026-01-17 12:00Z')", DAYS).await,
            ["2026-01-16 | Direct | 1 | 1 | 100.00"],
            "{zone}"
        );
    }
}

#[tokio::test]
async fn ld_76_the_view_is_read_by_nobody_but_its_owner() {
    let shop = Shop::alone("UTC").await;
    // With the schema open as well, so that it is the view itself that refuses.
    shop.ground
        .admin
        .batch_execute("grant usage on schema analytics to public")
        .await
        .unwrap();
    for role in [
        "anon",
        "authenticated",
        "edge_events",
        "edge_orders",
        "edge_cardlink",
        "edge_leads",
        "edge_copilot",
        "edge_jobs",
        "edge_admin",
    ] {
        for relation in ["analytics.daily_metrics", "analytics.metric_refreshes"] {
            let refused = shop
                .ground
                .admin
                .batch_execute(&format!("begin; set local role {role}; select * from {relation}"))
                .await
                .unwrap_err();
            shop.ground.admin.batch_execute("rollback").await.unwrap();
            assert_eq!(refused.code().unwrap().code(), "42501", "{role} reads {relation}");
        }
    }
    // Nor may anybody but the jobs Worker refresh it.
    for who in [Who::Person(shop.viewer), Who::Worker("edge_admin"), Who::Worker("edge_orders")] {
        let refused = shop.line.call(who, "refresh_daily_metrics", &json!({})).await.unwrap_err();
        assert_eq!(refused.sqlstate, "42501", "{who:?}");
    }
}

#[tokio::test]
async fn the_refresh_has_more_time_than_its_role() {
    let shop = Shop::new("UTC").await;
    // PostgREST applies a function's own statement_timeout before the call (seen with 12.0.2); the role's is made for calls that somebody waits for.
    let settings = shop
        .ground
        .text(
            "select array_to_string(array(select unnest(p.proconfig) order by 1), ' ') from pg_catalog.pg_proc p \
             where p.oid = 'api.refresh_daily_metrics(jsonb)'::regprocedure and $1::uuid is not null",
            shop.tenant,
        )
        .await;
    assert_eq!(settings, "search_path=\"\" statement_timeout=60s");
    let job = shop
        .ground
        .text(
            "select concat_ws(' ', schedule, enabled, lease_s) from ops.scheduled_jobs where job_name = 'refresh_daily_metrics' and $1::uuid is not null",
            shop.tenant,
        )
        .await;
    assert_eq!(job, "0 * * * * t 120", "a lease longer than that");
}
