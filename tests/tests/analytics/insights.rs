//! Anomalies (L-75 to L-78) and how the documents' own got them wrong (LD-90 to LD-95). D is 9 November 2026.

use crate::support::{NOW, SALE, Sale, Shop};

const COLUMNS: &str = "insight_type, severity, metric_value, baseline_value, change_percentage";

async fn insights(shop: &Shop) -> Vec<String> {
    shop.sql(&format!("analytics.anomalies($1, '{NOW}')"), COLUMNS).await
}

/// Paid orders on this day, of no known cost, so that they make no best channel.
async fn sold(shop: &Shop, day: &str, count: usize, total: &str) {
    for n in 0..count {
        let paid_at = format!("{day} 1{n}:00Z");
        shop.sale(Sale {
            paid_at: Some(&paid_at),
            total,
            cost: None,
            ..SALE
        })
        .await;
    }
}

#[tokio::test]
async fn a_conversion_of_less_than_85_percent_of_the_weeks_is_critical() {
    let shop = Shop::new("UTC").await;
    // The week: 100 visits, 10 orders, 10.00 %. D: 40 visits, 3 orders, 7.50 %; with 4 it would be 10.00 %.
    shop.crowd("w", 100, &["page_view"], "2026-11-03 09:00Z").await;
    sold(&shop, "2026-11-02", 5, "10.00").await;
    sold(&shop, "2026-11-07", 5, "10.00").await;
    shop.crowd("d", 40, &["page_view"], "2026-11-09 09:00Z").await;
    sold(&shop, "2026-11-09", 3, "10.00").await;
    assert_eq!(insights(&shop).await, ["conversion_drop | critical | 7.50 | 10.00 | -25.00"]);
    let text = shop
        .sql(&format!("analytics.anomalies($1, '{NOW}')"), "title, description, recommendation")
        .await;
    assert!(
        text[0].contains("25.00% less") && text[0].contains("2026-11-09"),
        "the real percentage, not a fixed one: {text:?}"
    );
    // One more visit of the week that began on the 1st is not in it; one order more lifts D to 10.00 %.
    sold(&shop, "2026-11-01", 9, "10.00").await;
    assert_eq!(insights(&shop).await, ["conversion_drop | critical | 7.50 | 10.00 | -25.00"]);
    sold(&shop, "2026-11-09", 1, "10.00").await;
    assert!(insights(&shop).await.is_empty());
}

#[tokio::test]
async fn ld_95_nothing_is_said_about_too_few_visits() {
    let shop = Shop::new("UTC").await;
    shop.crowd("w", 99, &["page_view"], "2026-11-03 09:00Z").await;
    shop.crowd("d", 29, &["page_view"], "2026-11-09 09:00Z").await;
    sold(&shop, "2026-11-02", 9, "10.00").await;
    assert!(insights(&shop).await.is_empty());
    shop.crowd("x", 1, &["page_view"], "2026-11-09 09:00Z").await;
    assert!(insights(&shop).await.is_empty(), "the week is still too small");
    shop.crowd("y", 1, &["page_view"], "2026-11-02 00:00Z").await;
    // LD-92: D has no order at all, which is a row of zeros and not no row.
    assert_eq!(insights(&shop).await, ["conversion_drop | critical | 0.00 | 9.00 | -100.00"]);
}

#[tokio::test]
async fn exactly_at_a_threshold_nothing_is_unusual() {
    let shop = Shop::new("UTC").await;
    // 8.5 against 10 is 85 %; 150 against 100 is 1.5 times; 70 against 100 is 0.7 times.
    shop.crowd("w", 200, &["page_view"], "2026-11-03 09:00Z").await;
    shop.crowd("d", 60, &["page_view"], "2026-11-09 09:00Z").await;
    sold(&shop, "2026-11-04", 9, "10.00").await;
    sold(&shop, "2026-11-08", 8, "12.50").await;
    sold(&shop, "2026-11-05", 3, "10.00").await;
    // 20 orders of 200 visits; D needs 5.1 of 60: with 6 it is 10 %.
    sold(&shop, "2026-11-09", 6, "25.00").await;
    assert!(insights(&shop).await.is_empty(), "150.00 after 100.00");
    sold(&shop, "2026-11-09", 1, "0.01").await;
    assert_eq!(insights(&shop).await, ["revenue_spike | info | 150.01 | 100.00 | 50.01"]);
}

#[tokio::test]
async fn ld_90_days_are_compared_and_not_their_best_channels() {
    let shop = Shop::new("UTC").await;
    // The day before: ten channels of 100.00. D: one of 200.00, in two orders. By the best rows that is a spike of 100 percent.
    for n in 0..10 {
        let source = format!("s{n}");
        let sale = Sale {
            paid_at: Some("2026-11-08 10:00Z"),
            cost: None,
            source: Some(&source),
            ..SALE
        };
        shop.sale(sale).await;
    }
    sold(&shop, "2026-11-09", 2, "100.00").await;
    assert_eq!(insights(&shop).await, ["revenue_drop | warning | 200.00 | 1000.00 | -80.00"]);
}

#[tokio::test]
async fn ld_91_and_92_the_running_day_is_not_judged_and_a_day_without_orders_is() {
    let shop = Shop::new("UTC").await;
    sold(&shop, "2026-11-08", 3, "100.00").await;
    sold(&shop, "2026-11-09", 3, "100.00").await;
    // Half an hour into the 10th the document's own says that 100 percent of the revenue are gone.
    for now in ["2026-11-10 00:30Z", "2026-11-10 23:59Z"] {
        assert!(
            shop.sql(&format!("analytics.anomalies($1, '{now}')"), COLUMNS).await.is_empty(),
            "{now}"
        );
    }
    assert_eq!(
        shop.sql("analytics.anomalies($1, '2026-11-11 00:30Z')", COLUMNS).await,
        ["revenue_drop | warning | 0 | 300.00 | -100.00"]
    );
    assert!(
        shop.sql("analytics.anomalies($1, '2026-11-12 00:30Z')", COLUMNS).await.is_empty(),
        "nothing after nothing"
    );
}

#[tokio::test]
async fn ld_93_a_day_before_without_revenue_divides_nothing() {
    let shop = Shop::new("UTC").await;
    for n in 0..3 {
        let paid_at = format!("2026-11-08 1{n}:00Z");
        let sale = Sale {
            paid_at: Some(&paid_at),
            cost: None,
            received: Some(("100.00", "EUR")),
            ..SALE
        };
        shop.sale(sale).await;
    }
    assert!(insights(&shop).await.is_empty(), "0 is not less than 0");
    sold(&shop, "2026-11-09", 1, "50.00").await;
    assert_eq!(insights(&shop).await, ["revenue_spike | info | 50.00 | 0 | -"]);
    let other = Shop::new("UTC").await;
    sold(&other, "2026-11-08", 2, "100.00").await;
    assert!(
        insights(&other).await.is_empty(),
        "two orders on the day before are too few to say that a day went down"
    );
}

#[tokio::test]
async fn ld_94_a_profit_that_is_not_known_is_not_the_best_and_a_direct_visitor_has_a_name() {
    let shop = Shop::new("UTC").await;
    let sale = |source: Option<&'static str>, total: &'static str, cost: Option<&'static str>| Sale {
        paid_at: Some("2026-11-09 10:00Z"),
        source,
        total,
        cost,
        ..SALE
    };
    shop.sale(sale(Some("tiktok"), "900.00", None)).await;
    shop.sale(sale(Some("loss"), "10.00", Some("60.00"))).await;
    assert!(insights(&shop).await.is_empty(), "no channel has earned anything");
    shop.sale(sale(None, "500.00", Some("300.00"))).await;
    shop.sale(sale(Some("google"), "400.00", Some("200.00"))).await;
    shop.sale(sale(Some("mail"), "400.00", Some("200.00"))).await;
    shop.spend("2026-11-09", Some("ads"), None, "5.00").await;
    // 200.00 three times: the highest revenue first. Together 200 * 3 - 50 = 550.
    assert_eq!(insights(&shop).await, ["best_channel | info | 200.00 | 550.00 | 36.36"]);
    let text = shop.sql(&format!("analytics.anomalies($1, '{NOW}')"), "description").await;
    assert!(
        text[0].starts_with("Direct / N/A earned 200.00 USD on 2026-11-09: 36.36%"),
        "{text:?}"
    );
    shop.sale(sale(Some("google"), "100.00", Some("99.00"))).await;
    let text = shop.sql(&format!("analytics.anomalies($1, '{NOW}')"), "description").await;
    assert!(text[0].starts_with("google / N/A earned 201.00 USD"), "{text:?}");
}

#[tokio::test]
async fn the_last_complete_day_is_the_shops() {
    let shop = Shop::new("Asia/Almaty").await;
    // 19:00 UTC on the 9th: the 10th begins in Almaty, so D is the 9th from 19:00 UTC on the 8th.
    for (paid_at, total) in [
        ("2026-11-08 18:59:59Z", "10.00"),
        ("2026-11-08 19:00Z", "70.00"),
        ("2026-11-09 18:59:59Z", "80.00"),
    ] {
        shop.sale(Sale {
            paid_at: Some(paid_at),
            total,
            cost: Some("0.00"),
            ..SALE
        })
        .await;
    }
    let at = async |now: &str| shop.sql(&format!("analytics.anomalies($1, '{now}')"), COLUMNS).await;
    assert_eq!(at("2026-11-09 18:59Z").await, ["best_channel | info | 10.00 | 10.00 | 100.00"]);
    assert_eq!(at("2026-11-09 19:00Z").await, ["best_channel | info | 150.00 | 150.00 | 100.00"]);
}
