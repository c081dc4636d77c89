//! Every function over the shop of twenty orders, against numbers worked out in the comments.

use crate::support::NOW;
use crate::twenty::twenty;

const DST_DAY: &str = "'2026-10-25 00:00+02', '2026-10-26 00:00+01'";
const FUNNEL: &str = "step_name, unique_sessions, conversion_from_previous, overall_conversion";
const CHANNELS: &str = "utm_source, utm_campaign, sessions, orders, revenue, cost, profit, ad_spend, roi_percentage, mer, conversion_rate";
const BEHAVIOR: &str =
    "device_type, sessions, page_views, pages_per_session, bounce_rate, avg_session_seconds, avg_page_seconds, avg_scroll_depth";
const DAYS: &str = "date, utm_source, utm_campaign, sessions, total_orders, paid_orders, revenue, cost, profit, conversion_rate, avg_order_value, margin_percentage";

#[tokio::test]
async fn the_day_of_twenty_five_hours() {
    let twenty = twenty().await;
    let shop = &twenty.shop;
    // Page views of A, C, D, F and G; F's product came before its page, B's page before the day. Order 7 was paid after A's checkout,
    // order 8 before G's.
    assert_eq!(
        shop.api(&format!("get_funnel_stats({DST_DAY})"), FUNNEL).await,
        [
            "Page View | 5 | - | 100.00",
            "Product View | 2 | 40.00 | 40.00",
            "Add to Cart | 2 | 100.00 | 40.00",
            "Checkout Start | 2 | 100.00 | 40.00",
            "Payment | 1 | 50.00 | 20.00",
        ]
    );
    // facebook/fall: orders 6, 7, 9: 110.00, cost 25 + 45 + 6; visits A and D. Direct: order 8; visits C and G.
    // ROI (34 - 15) / 15, MER 110 / 15; three orders of two visits have no rate.
    assert_eq!(
        shop.api(&format!("get_channel_stats_financial({DST_DAY})"), CHANNELS).await,
        [
            "facebook | fall | 2 | 3 | 110.00 | 76.00 | 34.00 | 15.00 | 126.67 | 7.33 | -",
            "Direct | N/A | 2 | 1 | 80.00 | 55.00 | 25.00 | 0 | - | - | 50.00",
            "mail | N/A | 0 | 0 | 0 | 0 | 0 | 5.00 | -100.00 | 0.00 | -",
        ]
    );
    // Orders 6 to 9: 40 + 60 + 80 + 10 = 190, cost 131, fees 6.71, the refund of order 5, ads 20: 190 - 131 - 6.71 - 20 - 20 = 12.29. Four customers,
    // of whom eve is new. The day before: order 5 alone, 20 - 15 - 0.88 = 4.12.
    assert_eq!(
        shop.api(
            &format!("get_unit_economics({DST_DAY})"),
            "metric_name, metric_value, period_comparison"
        )
        .await,
        [
            "Total Orders | 4 | 300.00",
            "Revenue | 190.00 | 850.00",
            "Cost | 131.00 | 773.33",
            "Gross Profit | 59.00 | 1080.00",
            "Transaction Fees | 6.71 | 662.50",
            "Refunds | 20.00 | -",
            "Ad Spend | 20.00 | -",
            "True Profit | 12.29 | 198.30",
            "AOV | 47.50 | 137.50",
            "LTV | 47.50 | 137.50",
            "CAC | 20.00 | -",
            "LTV/CAC Ratio | 2.38 | -",
        ]
    );
    // A 180 s and G 120 s; page durations 30 and none, scrolls 80 and 25. C: 60 s, one page and its end. D: two pages, 600 s.
    assert_eq!(
        shop.api(&format!("get_behavior_stats({DST_DAY})"), BEHAVIOR).await,
        [
            "mobile | 2 | 2 | 1.00 | 0.00 | 150.00 | 30.00 | 52.50",
            "desktop | 1 | 1 | 1.00 | 100.00 | 60.00 | 60.00 | 50.00",
            "unknown | 1 | 2 | 2.00 | 0.00 | 600.00 | - | -",
        ]
    );
}

#[tokio::test]
async fn the_days_of_daily_metrics() {
    let twenty = twenty().await;
    let shop = &twenty.shop;
    shop.ground
        .admin
        .execute("refresh materialized view concurrently analytics.daily_metrics", &[])
        .await
        .unwrap();
    // On the 24th order 5 was paid, orders 5 and 6 were created, visit B began. On the 25th 7, 8, 9 and 10 were created, 6 to 9 paid:
    // 110 / 3 = 36.67, 34 / 110 = 30.91 %, 25 / 80 = 31.25 %.
    assert_eq!(
        shop.api("get_daily_metrics('2026-10-24 12:00+02', '2026-10-26 12:00+01')", DAYS)
            .await,
        [
            "2026-10-24 | Direct | N/A | 0 | 1 | 1 | 20.00 | 15.00 | 5.00 | - | 20.00 | 25.00",
            "2026-10-24 | facebook | N/A | 1 | 0 | 0 | 0 | 0 | 0 | 0.00 | - | 0",
            "2026-10-24 | facebook | fall | 0 | 1 | 0 | 0 | 0 | 0 | - | - | 0",
            "2026-10-25 | Direct | N/A | 2 | 2 | 1 | 80.00 | 55.00 | 25.00 | 50.00 | 80.00 | 31.25",
            "2026-10-25 | facebook | fall | 2 | 2 | 3 | 110.00 | 76.00 | 34.00 | - | 36.67 | 30.91",
        ]
    );
    // 2 November: euros that cannot be added, and a known cost: revenue 0, profit -60, margin 0. 3 November: the cost is not known.
    assert_eq!(
        shop.api("get_daily_metrics('2026-11-02 12:00+01', '2026-11-04 12:00+01')", DAYS)
            .await,
        [
            "2026-11-02 | google | nov | 0 | 1 | 1 | 0 | 60.00 | -60.00 | - | 0.00 | 0",
            "2026-11-03 | tiktok | N/A | 0 | 1 | 1 | 50.00 | - | - | - | 50.00 | -",
        ]
    );
}

#[tokio::test]
async fn the_day_of_twenty_three_hours_and_its_edges() {
    let twenty = twenty().await;
    let shop = &twenty.shop;
    let revenue = async |from: &str, to: &str| {
        let rows = shop
            .api(&format!("get_unit_economics('{from}', '{to}')"), "metric_name, metric_value")
            .await;
        (rows[0].clone(), rows[1].clone())
    };
    let expected = |orders: &str, revenue: &str| (format!("Total Orders | {orders}"), format!("Revenue | {revenue}"));
    assert_eq!(revenue("2026-03-28 12:00+01", "2026-03-29 12:00+02").await, expected("1", "100.00"));
    assert_eq!(revenue("2026-03-29 12:00+02", "2026-03-30 12:00+02").await, expected("2", "80.00"));
    assert_eq!(revenue("2026-03-30 12:00+02", "2026-03-31 12:00+02").await, expected("1", "75.00"));
    assert_eq!(revenue("2026-03-28 12:00+01", "2026-03-31 12:00+02").await, expected("4", "255.00"));
}

#[tokio::test]
async fn the_first_nine_days_of_november() {
    let twenty = twenty().await;
    let shop = &twenty.shop;
    // Eight orders, of which 12 is not clear: 150 + 0 + 50 + 60 + 120 + 45 + 55 + 65 = 545, over seven 77.86. Order 13's cost is not known. Refunds 60 + 20; that
    // of the 10th is not in. Customers fay, gil, ann, hal, bob: 109.00 each; fay, gil and hal are new: 100 / 3.
    let november = "'2026-11-01 00:00+01', '2026-11-10 00:00+01'";
    assert_eq!(
        shop.api(&format!("get_unit_economics({november})"), "metric_name, metric_value")
            .await,
        [
            "Total Orders | 8",
            "Revenue | 545.00",
            "Cost | -",
            "Gross Profit | -",
            "Transaction Fees | 22.57",
            "Refunds | 80.00",
            "Ad Spend | 100.00",
            "True Profit | -",
            "AOV | 77.86",
            "LTV | 109.00",
            "CAC | 33.33",
            "LTV/CAC Ratio | 3.27",
        ]
    );
    // facebook/fall 100 - 65; Direct 120 - 80; google/nov 150 + 0 + 65 - 220, spend 100: ROI (-5 - 100) / 100; tiktok's profit is not known.
    assert_eq!(
        shop.api(&format!("get_channel_stats_financial({november})"), CHANNELS).await,
        [
            "Direct | N/A | 0 | 1 | 120.00 | 80.00 | 40.00 | 0 | - | - | -",
            "facebook | fall | 0 | 2 | 100.00 | 65.00 | 35.00 | 0 | - | - | -",
            "google | nov | 0 | 3 | 215.00 | 220.00 | -5.00 | 100.00 | -105.00 | 2.15 | -",
            "tiktok | N/A | 0 | 2 | 110.00 | - | - | 0 | - | - | -",
        ]
    );
}

#[tokio::test]
async fn the_customers() {
    let twenty = twenty().await;
    let shop = &twenty.shop;
    // Values: ann 100 + 30 + 40 + 120 - 20, bob 50 + 10 + 65, cat 75, dan 20 - 20 + 60, eve 80 + 90, fay 150 + 0, gil 50 + 60 - 60, hal 45 + 55 - 45.
    // R: of 8 customers, as long ago or longer: cat 1, dan 2, eve 3, fay 4, gil 5, ann 6, bob and hal 8. F: cat has 0 with fewer orders, those with
    // two 1, bob 6, ann 7. M: gil 0, hal 1, dan 2, cat 3, bob 4, fay 5, eve 6, ann 7; each times 5 / 7.
    assert_eq!(
        shop.sql(
            &format!("analytics.rfm_segments($1, '{NOW}')"),
            "customer_email, recency_days, frequency, monetary, rfm_score, segment"
        )
        .await,
        [
            "ann@example.com | 5 | 4 | 270.00 | 455 | VIP Champions",
            "eve@example.com | 15 | 2 | 170.00 | 215 | Lost",
            "fay@example.com | 8 | 2 | 150.00 | 314 | Big Spenders",
            "bob@example.com | 1 | 3 | 125.00 | 553 | Loyal",
            "cat@example.com | 225 | 1 | 75.00 | 113 | Lost",
            "dan@example.com | 16 | 2 | 60.00 | 212 | Lost",
            "hal@example.com | 1 | 2 | 55.00 | 511 | Promising",
            "gil@example.com | 6 | 2 | 50.00 | 411 | Promising",
        ]
    );
    let cohorts =
        "cohort_month, customers_count, total_ltv, avg_ltv, repeat_customers, repeat_rate, avg_orders_per_customer, retention_rates";
    // 224 days lie between the end of March and today. In stretches of 106 days the first is over (2 * 106 <= 224): ann came back on day 211 and 222,
    // bob on 210 and 225: two of three. In stretches of 105 the first ends on day 209.
    for (days, march) in [
        (106, "{66.67}"),
        (105, "{0.00}"),
        (113, "{}"),
        (30, "{0.00,0.00,0.00,0.00,0.00,0.00}"),
    ] {
        assert_eq!(
            shop.sql(&format!("analytics.ltv_by_cohort($1, {days}, '{NOW}')"), cohorts).await,
            [
                "2026-11 | 3 | 255.00 | 85.00 | 3 | 100.00 | 2.00 | {}".to_owned(),
                "2026-10 | 2 | 230.00 | 115.00 | 2 | 100.00 | 2.00 | {}".to_owned(),
                format!("2026-03 | 3 | 470.00 | 156.67 | 2 | 66.67 | 2.67 | {march}"),
            ]
        );
    }
    let winback = "email, last_order_date at time zone 'UTC', days_since_last_order, total_orders, total_spent, avg_order_value, favorite_brand, last_utm_source, last_utm_campaign";
    let winback = winback.replace("last_order_date at time zone 'UTC'", "days_since_last_order");
    // Eve has one unit of each brand, Nimbus the later. Fifteen days are not more than fifteen.
    assert_eq!(
        shop.sql(&format!("analytics.winback_candidates($1, 14, 2, '{NOW}')"), &winback)
            .await,
        [
            "eve@example.com | 15 | 15 | 2 | 170.00 | 85.00 | Nimbus | - | -",
            "dan@example.com | 16 | 16 | 2 | 60.00 | 30.00 | Astra | facebook | fall",
        ]
    );
    assert_eq!(
        shop.sql(&format!("analytics.winback_candidates($1, 15, 1, '{NOW}')"), "email, total_orders")
            .await,
        ["cat@example.com | 1", "dan@example.com | 2"]
    );
    assert!(
        shop.sql(&format!("analytics.winback_candidates($1, 30, 2, '{NOW}')"), "email")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn data_quality_of_november() {
    let twenty = twenty().await;
    let shop = &twenty.shop;
    let known = format!("{{\"order_id\": \"{}\"}}", twenty.order(11));
    let foreign = "{\"order_id\": \"11111111-1111-4111-8111-111111111111\"}";
    for (session, kind, at, data, bot, visit) in [
        ("n11", "checkout_start", "2026-11-01 08:00Z", None, None, Some("n11")),
        ("n12", "checkout_start", "2026-10-31 08:00Z", None, None, Some("n12")),
        ("n14", "checkout_start", "2026-11-04 09:00:01Z", None, None, None),
        ("n15", "checkout_start", "2026-11-05 09:00Z", None, None, None),
        ("n16", "checkout_start", "2026-11-09 08:00Z", None, None, Some("n16")),
        ("n18", "checkout_start", "2026-11-09 08:00Z", None, Some("Googlebot"), Some("n18")),
        ("n11", "code_sent", "2026-11-01 09:01Z", Some(known.as_str()), None, Some("n11")),
        ("n11", "payment_success", "2026-11-01 09:01Z", Some(foreign), None, Some("n11")),
        (
            "n11",
            "payment_return",
            "2026-11-01 09:01Z",
            Some("{\"order_id\": \"abc\"}"),
            None,
            Some("n11"),
        ),
        ("n11", "payment_return", "2026-11-01 09:01Z", None, None, Some("n11")),
        (
            "n11",
            "payment_return",
            "2026-11-01 09:01Z",
            Some(foreign),
            Some("Googlebot"),
            Some("n11"),
        ),
    ] {
        let seen = crate::support::Seen {
            session,
            kind,
            at,
            data,
            bot,
            visit,
            ..crate::support::SEEN
        };
        shop.seen(seen).await;
    }
    // Created from the 1st to the 9th: 11 to 20, of which 13 and 19 have no session, and 15, 19, 20 no source. Of the paid ones with a session,
    // 14 began its checkout too late, 17 none, 18 is a program's. Visitors' events: 4 checkouts (12's lies before) and 2 returns, of which two
    // have no visit. (20 + 66.67 + 42.86 + 33.33 + 0) / 5 = 32.57.
    let checks = "check_name, checked, failed, failed_percentage, status";
    assert_eq!(
        shop.api("get_data_quality('2026-11-01 00:00+01', '2026-11-10 00:00+01')", checks)
            .await,
        [
            "orders_without_session_id | 10 | 2 | 20.00 | critical",
            "orders_without_utm | 10 | 3 | 30.00 | info",
            "orphaned_events | 3 | 2 | 66.67 | critical",
            "funnel_integrity | 7 | 3 | 42.86 | critical",
            "events_without_visit | 6 | 2 | 33.33 | critical",
            "sql_functions_health | 14 | 0 | 0.00 | ok",
            "health_score | 67 | - | - | critical",
        ]
    );
}

#[tokio::test]
async fn an_empty_period_has_empty_figures() {
    let twenty = twenty().await;
    let shop = &twenty.shop;
    let empty = "'2026-06-01', '2026-06-08'";
    for (name, columns) in [
        ("get_channel_stats_financial", CHANNELS),
        ("get_behavior_stats", BEHAVIOR),
        ("get_daily_metrics", DAYS),
    ] {
        assert_eq!(shop.api(&format!("{name}({empty})"), columns).await, Vec::<String>::new(), "{name}");
    }
    assert_eq!(
        shop.api(&format!("get_funnel_stats({empty})"), FUNNEL).await,
        [
            "Page View | 0 | - | -",
            "Product View | 0 | - | -",
            "Add to Cart | 0 | - | -",
            "Checkout Start | 0 | - | -",
            "Payment | 0 | - | -",
        ]
    );
    let economics = shop
        .api(&format!("get_unit_economics({empty})"), "metric_value, period_comparison")
        .await;
    assert_eq!(
        economics,
        [
            "0 | -", "0 | -", "0 | -", "0 | -", "0 | -", "0 | -", "0 | -", "0 | -", "- | -", "- | -", "- | -", "- | -"
        ]
    );
    let quality = shop.api(&format!("get_data_quality({empty})"), "check_name, checked, status").await;
    assert_eq!(
        quality,
        [
            "orders_without_session_id | 0 | unknown",
            "orders_without_utm | 0 | info",
            "orphaned_events | 0 | unknown",
            "funnel_integrity | 0 | unknown",
            "events_without_visit | 0 | unknown",
            "sql_functions_health | 14 | ok",
            "health_score | 100 | ok",
        ]
    );
    // From the end to the start is no period either.
    assert_eq!(
        shop.api("get_channel_stats_financial('2026-10-26', '2026-10-25')", "orders").await,
        Vec::<String>::new()
    );
}
