//! The route itself: what is refused, what is read only, whose figures they are, and that no digit is lost on the way.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::{busy_shop, days};
use crate::{report, table};

/// Every function of the route with parameters that are right.
const FUNCTIONS: &[(&str, &str)] = &[
    ("get_funnel_stats", "start_date=2026-01-01&end_date=2026-02-01"),
    ("get_channel_stats_financial", ""),
    ("get_unit_economics", "start_date=2026-01-01T00:00:00%2B03:00"),
    ("get_ltv_by_cohort", "cohort_period_days=7"),
    ("detect_anomalies", ""),
    ("get_rfm_segments", ""),
    ("get_abandoned_checkouts", "minutes_ago=31"),
    ("get_winback_candidates", "days_since_last=0&min_previous_orders=1"),
    ("get_behavior_stats", ""),
    ("get_system_health", ""),
    ("get_daily_metrics", ""),
    ("get_data_quality", ""),
    ("ai_get_revenue_last_n_days", "days=3660"),
    ("ai_get_profit_last_n_days", ""),
    ("ai_get_top_products", "limit_count=100"),
    ("get_shop_settings", ""),
    ("get_realtime", ""),
    (
        "get_paid_orders",
        "utm_source=Direct&utm_campaign=N%2FA&email=a%40b.c&first_orders=false",
    ),
    ("get_fee_rows", ""),
    ("get_refund_rows", "email=a%40b.c"),
    ("get_ad_spend_rows", ""),
    ("get_visits", "device_type=unknown"),
    ("get_funnel_sessions", "step=5"),
    ("get_cohort_customers", "cohort_month=2026-01"),
    ("get_product_rows", "product_name=x"),
    ("get_rfm_summary", ""),
    ("get_rfm_customers", ""),
    ("get_event_rows", "start_time=2026-01-01T00:00:00Z&end_time=2026-01-02%2000:00:00Z"),
    ("get_data_quality_rows", "check_name=orphaned_events"),
];

#[tokio::test]
async fn every_function_answers_an_empty_shop_and_writes_nothing() {
    let shop = Shop::new().await;
    let before = shop.rows().await;
    for (function, query) in FUNCTIONS {
        let answer = report(&shop, function, query).await;
        assert!(answer["rows"].is_array(), "{answer}");
        if answer.get("total").is_some() {
            assert_eq!((&answer["total"], &answer["rows"]), (&json!(0), &json!([])), "{answer}");
        }
    }
    // Figures of nothing: counts are zero, and what has nothing to be divided by is not known.
    assert_eq!(table(&shop, "ai_get_revenue_last_n_days", "").await, [json!({"value": "0.00"})]);
    let economics = table(&shop, "get_unit_economics", "").await;
    assert_eq!(
        economics[0],
        json!({"metric_name": "Total Orders", "metric_value": "0", "period_comparison": null})
    );
    assert_eq!(
        economics[8],
        json!({"metric_name": "AOV", "metric_value": null, "period_comparison": null})
    );
    assert_eq!(shop.rows().await, before);
}

#[tokio::test]
async fn who_is_not_staff_sees_no_figure_and_an_unknown_function_is_not_found() {
    let shop = Shop::new().await;
    let get = async |token: &str, path: &str| shop.admin_get(token, &format!("reports/{path}")).await;
    for (function, query) in FUNCTIONS {
        let path = format!("{function}?{query}");
        get(&shop.info.customer_token, &path).await.refused(403, "forbidden");
        get(&shop.info.tokens["admin"], &path).await.refused(403, "forbidden");
        get("nonsense", &path).await.refused(401, "unauthorized");
    }
    for function in ["get_report", "staff_orders", "import_codes", "pg_sleep", "get_paid_orders%3Bselect"] {
        get(&shop.viewer_token, function).await.refused(404, "not_found");
        // Who may not ask does not learn which functions there are.
        get(&shop.info.customer_token, function).await.refused(403, "forbidden");
    }
    let wrong = get(&shop.viewer_token, "get_funnel_stats?start_date=soon&end_date=2026-02-30").await;
    let wrong = wrong.refused(400, "invalid_request");
    assert!(
        wrong["fields"]["start_date"].is_string() && wrong["fields"]["end_date"].is_string(),
        "{wrong}"
    );
    get(&shop.info.customer_token, "get_funnel_stats?start_date=soon")
        .await
        .refused(403, "forbidden");
    let posted = Reply::of(
        shop.admin(&shop.staff_token, Method::POST, "reports/get_rfm_segments")
            .json(&json!({})),
    )
    .await;
    posted.refused(405, "method_not_allowed");
    assert_eq!(posted.header("allow"), Some("GET"));
    // The one parameter that could name a shop can only name one's own.
    let other = Shop::new().await;
    let named = |tenant: uuid::Uuid| format!("get_channel_stats_financial?filter_tenant_id={tenant}");
    get(&shop.viewer_token, &named(shop.tenant)).await.expect(200);
    get(&shop.viewer_token, &named(other.tenant)).await.refused(403, "forbidden");
}

#[tokio::test]
async fn every_digit_of_an_amount_arrives_and_days_are_those_of_the_shop() {
    let shop = Shop::new().await;
    // In Auckland it is the 15th from 11:00 UTC of the 14th on; a moment of UTC that is the 15th everywhere does not exist.
    let zone = "update shop.tenants set time_zone = 'Pacific/Auckland' where id = $1";
    shop.db.execute(zone, &[&shop.tenant]).await.unwrap();
    // More than a binary float holds: 90071992547409.93 is not one.
    for (i, at) in [
        "2026-01-14T10:59:59.999Z",
        "2026-01-14T11:00:00Z",
        "2026-01-15T10:59:59.999Z",
        "2026-01-15T11:00:00Z",
    ]
    .iter()
    .enumerate()
    {
        let sql = "insert into shop.orders (tenant_id, email, total_amount, total_cost, status, fulfilment, paid_at, delivered_at, expires_at) \
                   select $1, 'c' || n || '@example.com', 9007199254.93 + $3::integer, 0.01, 'paid', 'delivered', $2::text::timestamptz, $2::text::timestamptz, $2::text::timestamptz \
                   from generate_series(1, 5001) n";
        let i = i32::try_from(i).unwrap();
        shop.db.execute(sql, &[&shop.tenant, at, &i]).await.unwrap();
    }
    let revenue = async |query: &str| table(&shop, "get_unit_economics", query).await[1]["metric_value"].clone();
    // The second and third hour of the four; 5001 * (2 * 9007199254.93 + 3).
    assert_eq!(revenue("start_date=2026-01-15&end_date=2026-01-16").await, "90090006962812.86");
    let moments = "start_date=2026-01-14T12:00:00Z&end_date=2026-01-15T12:00:00Z";
    assert_eq!(
        revenue(moments).await,
        "90090006962812.86",
        "moments stand for the day they lie in, which is the shop's"
    );
    let orders = report(&shop, "get_paid_orders", "start_date=2026-01-15&end_date=2026-01-16&limit=1").await;
    assert_eq!(
        (&orders["sums"]["revenue"], &orders["total"]),
        (&json!("90090006962812.86"), &json!(10_002))
    );
    let rows = table(&shop, "get_channel_stats_financial", "start_date=2026-01-15&end_date=2026-01-16").await;
    assert_eq!(
        (&rows[0]["profit"], &rows[0]["orders"]),
        (&json!("90090006962712.84"), &json!(10_002))
    );
}

#[tokio::test]
async fn the_functions_behind_the_route_are_for_staff_and_refuse_what_is_out_of_bounds() {
    let shop = Shop::new().await;
    for (function, p) in [
        ("get_report", json!({"function": "get_rfm_segments"})),
        ("get_paid_orders", json!({})),
        ("get_funnel_sessions", json!({"step": 1})),
        ("get_realtime", json!({})),
    ] {
        for token in [&shop.info.customer_token, &shop.info.tokens["admin"], &shop.info.tokens["copilot"]] {
            assert_eq!(shop.rpc(token, function, p.clone()).await.json()["code"], "42501", "{function}");
        }
    }
    for (function, p) in [
        ("get_report", json!({"function": "pg_sleep"})),
        ("get_report", json!({})),
        ("get_report", json!({"function": "get_funnel_stats", "start_date": "yesterday"})),
        ("get_report", json!({"function": "get_ltv_by_cohort", "cohort_period_days": 367})),
        ("get_paid_orders", json!({"end_date": "infinity"})),
        ("get_funnel_sessions", json!({"step": 6})),
        ("get_cohort_customers", json!({"cohort_month": "2026-1"})),
        ("get_data_quality_rows", json!({"check_name": "health_score"})),
    ] {
        let refused = shop.rpc(&shop.viewer_token, function, p.clone()).await.json();
        assert_eq!(refused["code"], "22023", "{function}({p}): {refused}");
    }
}

#[tokio::test]
async fn a_report_is_one_request_to_the_database() {
    let shop = busy_shop().await;
    let asked = days(&shop, -7, 1).await;
    for function in ["get_unit_economics", "get_paid_orders", "get_realtime"] {
        let calls = async || -> i64 {
            let counts: Value = shop
                .http
                .get(format!("{}/counts", shop.info.proxy))
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            let functions = counts["roles"]["authenticated"]["rpc"].as_object();
            functions
                .into_iter()
                .flat_map(|functions| functions.values())
                .filter_map(Value::as_i64)
                .sum()
        };
        let mut trips = Vec::new();
        // Other tests ask at the same time: the least of some tries is this one's own.
        for _ in 0..20 {
            let before = calls().await;
            report(&shop, function, &asked).await;
            trips.push(calls().await - before);
        }
        assert_eq!(trips.iter().min(), Some(&1), "{function}: {trips:?}");
    }
}
