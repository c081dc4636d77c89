//! Cohorts and RFM as the documents' own SQL got them wrong (LD-71, LD-88, LD-89, LD-96, LD-97).

use uuid::Uuid;

use crate::support::{NOW, SALE, Sale, Shop};

/// E-mail, score and segment of every customer.
async fn scores(shop: &Shop) -> Vec<String> {
    shop.sql(
        &format!("analytics.rfm_segments($1, '{NOW}')"),
        "customer_email, rfm_score, segment",
    )
    .await
}

async fn bought(shop: &Shop, email: &str, total: &str, days: &[&str]) {
    for paid_at in days {
        shop.sale(Sale {
            email,
            total,
            paid_at: Some(paid_at),
            ..SALE
        })
        .await;
    }
}

#[tokio::test]
async fn ld_71_the_door_answers_and_every_segment_has_its_advice() {
    let shop = Shop::new("UTC").await;
    bought(&shop, "ann@example.com", "10.00", &["2026-11-01 10:00Z"]).await;
    // The document's function fails when it is called: its columns have the names of its results.
    let columns = "customer_email, frequency, monetary, rfm_score, segment";
    assert_eq!(
        shop.api("get_rfm_segments()", columns).await,
        ["ann@example.com | 1 | 10.00 | 511 | Promising"]
    );
    let segments = [
        "VIP Champions",
        "At Risk",
        "Lost",
        "Loyal",
        "Big Spenders",
        "Promising",
        "Need Attention",
        "Regular",
    ];
    let list = segments.map(|segment| format!("'{segment}'")).join(", ");
    let advice = format!(
        "(select x.segment, analytics.rfm_advice(x.segment) as advice from unnest(array[{list}]) x (segment) where $1::uuid is not null)"
    );
    let advice = shop.sql(&advice, "advice").await;
    assert_eq!(advice.len(), 8);
    let mut different = advice.clone();
    different.sort();
    different.dedup();
    assert!(different.len() == 8 && !advice.contains(&"-".to_owned()), "{advice:?}");
}

#[tokio::test]
async fn ld_88_guest_and_signed_in_purchases_of_one_address_are_one_customer() {
    let shop = Shop::new("UTC").await;
    for (user, total, paid_at) in [
        (None, "100.00", "2026-05-05 10:00Z"),
        (Some(Uuid::new_v4()), "60.00", "2026-06-05 10:00Z"),
    ] {
        shop.sale(Sale {
            user,
            total,
            paid_at: Some(paid_at),
            ..SALE
        })
        .await;
    }
    // By address and user, joined by address: four orders worth 320 in two cohorts.
    let columns = "cohort_month, customers_count, total_ltv, avg_orders_per_customer";
    assert_eq!(
        shop.sql(&format!("analytics.ltv_by_cohort($1, 30, '{NOW}')"), columns).await,
        ["2026-05 | 1 | 160.00 | 2.00"]
    );
}

#[tokio::test]
async fn ld_89_retention_is_per_stretch_of_the_given_days_and_only_of_stretches_that_are_over() {
    let shop = Shop::new("America/New_York").await;
    // New York's 1 September, late: already the 2nd in UTC. Stretches of ten days: back on day 9 (none), 10 (first), 19 (first), 20 (second).
    bought(&shop, "nine@example.com", "10.00", &["2026-09-02 03:59Z", "2026-09-10 15:00Z"]).await;
    bought(
        &shop,
        "ten@example.com",
        "10.00",
        &["2026-09-02 03:59Z", "2026-09-11 15:00Z", "2026-09-12 15:00Z"],
    )
    .await;
    bought(&shop, "nineteen@example.com", "10.00", &["2026-09-02 03:59Z", "2026-09-21 03:59Z"]).await;
    bought(&shop, "twenty@example.com", "10.00", &["2026-09-02 03:59Z", "2026-09-21 04:00Z"]).await;
    // The cohort ends on 30 September. (k + 1) * 10 days after that: 20 October, 30 October, 9 November, and 19 November, which is not over.
    let rates = async |days: i32, now: &str| {
        shop.sql(
            &format!("analytics.ltv_by_cohort($1, {days}, '{now}')"),
            "cohort_month, customers_count, retention_rates",
        )
        .await
    };
    assert_eq!(rates(10, NOW).await, ["2026-09 | 4 | {50.00,25.00,0.00}"]);
    // 9 November in New York: the third is over on that day, and is not on the 8th.
    assert_eq!(rates(10, "2026-11-09 05:00Z").await, ["2026-09 | 4 | {50.00,25.00,0.00}"]);
    assert_eq!(rates(10, "2026-11-09 04:59Z").await, ["2026-09 | 4 | {50.00,25.00}"]);
    assert_eq!(rates(20, NOW).await, ["2026-09 | 4 | {25.00}"]);
    assert_eq!(rates(366, NOW).await, ["2026-09 | 4 | {}"]);
    let many = &rates(1, "2028-01-01 12:00Z").await[0];
    assert_eq!(many.matches(',').count(), 11, "twelve at most: {many}");
    for days in ["0", "367", "-1", "null"] {
        let refused = shop
            .as_person(shop.viewer, &format!("get_ltv_by_cohort({days})"), "cohort_month")
            .await
            .unwrap_err();
        assert_eq!(
            (refused.sqlstate.as_str(), refused.message.as_str()),
            ("22023", "invalid_argument"),
            "{days}"
        );
    }
}

#[tokio::test]
async fn ld_96_equal_customers_get_equal_scores() {
    let shop = Shop::new("UTC").await;
    for n in 0..10 {
        bought(&shop, &format!("c{n}@example.com"), "50.00", &["2026-11-01 10:00Z"]).await;
    }
    // NTILE deals the same ten out from 111 to 555, from Lost to VIP.
    let expected: Vec<String> = (0..10).map(|n| format!("c{n}@example.com | 511 | Promising")).collect();
    assert_eq!(scores(&shop).await, expected);
}

#[tokio::test]
async fn ld_96_three_customers_use_the_whole_scale() {
    let shop = Shop::new("UTC").await;
    bought(
        &shop,
        "best@example.com",
        "90.00",
        &["2026-11-08 10:00Z", "2026-11-09 10:00Z", "2026-11-10 10:00Z"],
    )
    .await;
    bought(&shop, "mid@example.com", "60.00", &["2026-10-01 10:00Z", "2026-10-02 10:00Z"]).await;
    bought(&shop, "low@example.com", "30.00", &["2026-01-01 10:00Z"]).await;
    // R: ceil(5 * 3/3, 5 * 2/3, 5 * 1/3); F and M: 1 + floor(5 * 2/2) at most 5, 1 + floor(5/2), 1. With NTILE the best of three is 333.
    assert_eq!(
        scores(&shop).await,
        [
            "best@example.com | 555 | VIP Champions",
            "mid@example.com | 433 | Regular",
            "low@example.com | 211 | Lost"
        ]
    );
}

#[tokio::test]
async fn ld_97_whoever_bought_often_and_has_been_silent_is_at_risk_and_not_loyal() {
    let shop = Shop::new("UTC").await;
    let long_ago = [
        "2026-01-01 10:00Z",
        "2026-01-02 10:00Z",
        "2026-01-03 10:00Z",
        "2026-01-04 10:00Z",
        "2026-01-05 10:00Z",
        "2026-01-06 10:00Z",
    ];
    bought(&shop, "silent@example.com", "50.00", &long_ago).await;
    for (n, day) in ["2026-11-01 10:00Z", "2026-11-02 10:00Z", "2026-11-03 10:00Z", "2026-11-04 10:00Z"]
        .iter()
        .enumerate()
    {
        bought(&shop, &format!("new{n}@example.com"), "50.00", &[day]).await;
    }
    // F 5, M 5 and R 1. In the document's order the test for Loyal comes first.
    assert_eq!(scores(&shop).await[0], "silent@example.com | 155 | At Risk");
}

#[tokio::test]
async fn every_segment_is_reached_by_the_scores_that_make_it() {
    let shop = Shop::new("UTC").await;
    // Nine customers on nine days; by number: days ago, orders, price of each. Scores by 5 * rank / 9 and 5 * rank / 8.
    for (name, last, count, total) in [
        ("a", "2026-11-09", 9, "100.00"), // 900, R5 F5 M5
        ("b", "2026-11-07", 8, "10.00"),  // 80, F5, M2
        ("c", "2026-11-05", 4, "20.00"),  // 80
        ("d", "2026-11-03", 1, "300.00"), // 300, M4
        ("e", "2026-11-01", 3, "40.00"),  // 120
        ("f", "2026-10-30", 1, "50.00"),
        ("g", "2026-10-28", 6, "30.00"), // 180
        ("h", "2026-10-26", 2, "50.00"),
        ("i", "2026-11-10", 1, "10.00"),
    ] {
        let days: Vec<String> = (0..count).map(|minute| format!("{last} 10:{minute:02}Z")).collect();
        let days: Vec<&str> = days.iter().map(String::as_str).collect();
        bought(&shop, &format!("{name}@example.com"), total, &days).await;
    }
    // Recency ranks (as long ago or longer): h 1, g 2, f 3, e 4, d 5, c 6, b 7, a 8, i 9: R = ceil(5k/9) = 1 2 2 3 3 4 4 5 5.
    // Fewer orders: d f i 0, h 3, e 4, c 5, g 6, b 7, a 8: F = 1 1 1 2 3 4 4 5 5. Less money: i 10 0, f 50 1, b c 80 2, h 100 4, e 120 5, g 180 6, d 300 7, a 8.
    // M = i 1, f 1, b c 2, h 3, e 4, g 4, d 5, a 5.
    assert_eq!(
        scores(&shop).await,
        [
            "a@example.com | 555 | VIP Champions",
            "d@example.com | 315 | Big Spenders",
            "g@example.com | 244 | At Risk",
            "e@example.com | 334 | Big Spenders",
            "h@example.com | 123 | Lost",
            "b@example.com | 452 | Loyal",
            "c@example.com | 442 | Loyal",
            "f@example.com | 211 | Lost",
            "i@example.com | 511 | Promising",
        ]
    );
}
