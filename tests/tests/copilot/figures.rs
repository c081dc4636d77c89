//! Every intent against numbers worked out by hand, on a shop in Almaty (UTC+5) with orders a second from its midnights.

use lonieve_tests::Shop;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Sale, ask, refund, set_time_zone, value};

/// A shop whose 15 January 2026 lasts from 19:00 UTC on the 14th to 19:00 UTC on the 15th:
///
/// | order | when, in Almaty | customer | amount | cost | fee | channel | item |
/// |---|---|---|---|---|---|---|---|
/// | 0 | 20 December 2025 | ann | 10.00 | 5.00 | 0.59 | - | 1 Nimbus |
/// | 1 | 14 January 23:59:59 | ann | 100.00 | 70.00 | 3.20 | facebook, winter | 1 Nimbus |
/// | 2 | 15 January 00:00:00 | bob | 50.00 | 40.00 | 1.75 | facebook, winter | 2 Astra |
/// | 3 | 15 January 23:59:59.999 | ann | 30.00 | 20.00 | 1.17 | - | 1 Nimbus |
/// | 4 | 16 January 00:00:00 | cat | 75.00 | 60.00 | 2.48 | google | 1 Nimbus |
/// | 5 | created 15 January, never paid | dan | 999.00 | | | | 1 Nimbus |
///
/// On the 15th 40.00 of order 1 went back. Ads: 14th 20.00 and 15th 10.00 facebook/winter, 15th 5.00 tiktok, 16th 7.00 google.
/// Visits that began on the 15th: four from facebook/winter, one direct; one more began ten minutes before it.
pub async fn winter_shop() -> Shop {
    let shop = Shop::new().await;
    set_time_zone(&shop, "Asia/Almaty").await;
    let astra = Uuid::new_v4();
    let sql = "insert into shop.products (id, tenant_id, name, brand, region, nominals, base_price) values ($1, $2, 'Astra Card', 'Astra', 'EUR', '[25]', 100)";
    shop.db.execute(sql, &[&astra, &shop.tenant]).await.unwrap();
    let nimbus = shop.product;
    let winter = (Some("facebook"), Some("winter"));
    let mut ids = Vec::new();
    for (email, paid_at, amount, cost, fee, (source, campaign), product, quantity) in [
        (
            "ann@example.com",
            "2025-12-20T10:00:00Z",
            "10.00",
            "5.00",
            "0.59",
            (None, None),
            nimbus,
            1,
        ),
        (
            "ann@example.com",
            "2026-01-14T18:59:59Z",
            "100.00",
            "70.00",
            "3.20",
            winter,
            nimbus,
            1,
        ),
        (
            "bob@example.com",
            "2026-01-14T19:00:00Z",
            "50.00",
            "40.00",
            "1.75",
            winter,
            astra,
            2,
        ),
        (
            "ann@example.com",
            "2026-01-15T18:59:59.999Z",
            "30.00",
            "20.00",
            "1.17",
            (None, None),
            nimbus,
            1,
        ),
        (
            "cat@example.com",
            "2026-01-15T19:00:00Z",
            "75.00",
            "60.00",
            "2.48",
            (Some("google"), None),
            nimbus,
            1,
        ),
    ] {
        let sale = Sale {
            email,
            paid_at: Some(paid_at),
            amount,
            cost: Some(cost),
            fee,
            source,
            campaign,
            quantity,
            ..Sale::of(product)
        };
        ids.push(sale.insert(&shop, paid_at).await);
    }
    let unpaid = Sale {
        email: "dan@example.com",
        amount: "999.00",
        ..Sale::of(nimbus)
    };
    unpaid.insert(&shop, "2026-01-15T10:00:00Z").await;
    refund(&shop, ids[1], "40.00", "completed", "2026-01-15T06:00:00Z").await;
    refund(&shop, ids[2], "50.00", "approved", "2026-01-15T06:00:00Z").await;
    for (date, source, campaign, spend) in [
        ("2026-01-14", "facebook", Some("winter"), "20.00"),
        ("2026-01-15", "facebook", Some("winter"), "10.00"),
        ("2026-01-15", "tiktok", None, "5.00"),
        ("2026-01-16", "google", None, "7.00"),
    ] {
        let sql = "insert into analytics.ad_spend (tenant_id, date, utm_source, utm_campaign, spend) values ($1, $2::text::date, $3, $4, $5::text::numeric)";
        shop.db
            .execute(sql, &[&shop.tenant, &date, &source, &campaign, &spend])
            .await
            .unwrap();
    }
    for (session, at, source) in [
        ("s1", "2026-01-14T19:00:00Z", Some("facebook")),
        ("s2", "2026-01-15T08:00:00Z", Some("facebook")),
        ("s2", "2026-01-15T08:05:00Z", Some("facebook")),
        ("s3", "2026-01-15T09:00:00Z", None),
        ("s4", "2026-01-15T10:00:00Z", Some("facebook")),
        ("s5", "2026-01-15T18:59:00Z", Some("facebook")),
        ("s5", "2026-01-15T19:01:00Z", Some("facebook")),
        ("s6", "2026-01-14T18:50:00Z", Some("facebook")),
        ("s6", "2026-01-14T19:10:00Z", Some("facebook")),
    ] {
        let sql = "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id, utm_source, utm_campaign) \
                   values (gen_random_uuid(), $1::uuid, $2::text::timestamptz, 'page_view', $3, md5($1::uuid::text || $3::text)::uuid, $4::text, case when $4::text is not null then 'winter' end)";
        shop.db.execute(sql, &[&shop.tenant, &at, &session, &source]).await.unwrap();
    }
    shop
}

pub fn cells(row: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| row[*name].clone()).collect()
}

#[tokio::test]
async fn every_intent_gives_the_numbers_worked_out_by_hand() {
    let shop = winter_shop().await;
    // A second shop, in UTC, with sales at the same moments: what it sold must show up nowhere.
    let noise = Shop::new().await;
    for paid_at in ["2026-01-14T19:00:00Z", "2026-01-15T10:00:00Z", "2026-01-15T23:59:59Z"] {
        let sale = Sale {
            email: "eve@example.com",
            paid_at: Some(paid_at),
            amount: "7.00",
            cost: Some("1.00"),
            fee: "0.50",
            source: Some("facebook"),
            campaign: Some("winter"),
            ..Sale::of(noise.product)
        };
        let order = sale.insert(&noise, paid_at).await;
        refund(&noise, order, "1.00", "completed", "2026-01-15T06:00:00Z").await;
    }
    let spend = "insert into analytics.ad_spend (tenant_id, date, utm_source, utm_campaign, spend) values ($1, '2026-01-15', 'facebook', 'winter', 3)";
    noise.db.execute(spend, &[&noise.tenant]).await.unwrap();
    let visit = "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id, utm_source, utm_campaign) \
                 values (gen_random_uuid(), $1, '2026-01-15T10:00:00Z', 'page_view', 's1', gen_random_uuid(), 'facebook', 'winter')";
    noise.db.execute(visit, &[&noise.tenant]).await.unwrap();
    assert_eq!(value(&ask(&noise, "revenue on 2026-01-15").await), "14.00");

    // Days are half-open and Almaty's: three neighbours add up to the range, nothing is counted twice.
    for (question, revenue) in [
        ("revenue on 2026-01-14", "100.00"),
        ("revenue on 2026-01-15", "80.00"),
        ("выручка за 16 января 2026", "75.00"),
        ("revenue from 2026-01-14 to 2026-01-16", "255.00"),
        ("revenue in January 2026", "255.00"),
        ("revenue on 2026-01-13", "0.00"),
        ("revenue in December 2025", "10.00"),
    ] {
        assert_eq!(value(&ask(&shop, question).await), revenue, "{question}");
    }

    let profit = ask(&shop, "profit on 15 January 2026").await;
    assert_eq!(
        profit["evidence"]["rows"],
        json!([{
            "revenue": "80.00", "cost": "60.00", "gross_profit": "20.00", "fees": "2.92", "refunds": "40.00", "contribution": "-22.92",
            "ad_spend": "15.00", "true_profit": "-37.92", "orders": 2, "unknown_cost_orders": 0, "unclear_orders": 0,
        }])
    );
    assert_eq!((value(&profit), &profit["result"]["formatted"]), ("-37.92", &json!("-$37.92")));
    // The refund counts on the day it was made, not on the day of its order.
    assert_eq!(
        ask(&shop, "profit on 2026-01-14").await["evidence"]["rows"][0]["true_profit"],
        "6.80"
    );

    let orders = ask(&shop, "orders on 2026-01-15").await;
    assert_eq!(
        orders["evidence"]["rows"][0],
        json!({"orders": 2, "placed": 3, "revenue": "80.00", "average_order": "40.00", "unclear_orders": 0})
    );

    let products = ask(&shop, "top 10 products from 2026-01-14 to 2026-01-16").await;
    assert_eq!(products["result"]["type"], "table");
    assert_eq!(
        products["result"]["rows"],
        json!([
            {"product_name": "Nimbus Card", "brand": "Nimbus", "orders_count": 3, "units": 3, "revenue": "205.00"},
            {"product_name": "Astra Card", "brand": "Astra", "orders_count": 1, "units": 2, "revenue": "50.00"},
        ])
    );
    assert_eq!(
        ask(&shop, "top one product from 2026-01-14 to 2026-01-16").await["result"]["rows"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let customers = ask(&shop, "лучшие клиенты с 14 января 2026 по 16 января 2026").await;
    let names = ["email", "orders_count", "revenue", "refunded", "net"];
    let rows: Vec<_> = customers["result"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| cells(row, &names))
        .collect();
    assert_eq!(
        json!(rows),
        json!([
            ["ann@example.com", 2, "130.00", "40.00", "90.00"],
            ["cat@example.com", 1, "75.00", "0.00", "75.00"],
            ["bob@example.com", 1, "50.00", "0.00", "50.00"],
        ])
    );
    assert_eq!(customers["result"]["columns"][0]["label"], "Эл. почта");

    let channels = ask(&shop, "channels on 2026-01-15").await["result"]["rows"].clone();
    let channel = |source: &str, campaign: &str, figures: [Value; 9]| {
        let [
            sessions,
            orders,
            revenue,
            cost,
            profit,
            ad_spend,
            roi_percentage,
            mer,
            conversion_rate,
        ] = figures;
        json!({
            "utm_source": source, "utm_campaign": campaign, "sessions": sessions, "orders": orders, "revenue": revenue, "cost": cost, "profit": profit,
            "ad_spend": ad_spend, "roi_percentage": roi_percentage, "mer": mer, "conversion_rate": conversion_rate,
        })
    };
    let text = |text: &str| json!(text);
    assert_eq!(
        channels,
        json!([
            channel(
                "facebook",
                "winter",
                [
                    json!(4),
                    json!(1),
                    text("50.00"),
                    text("40.00"),
                    text("10.00"),
                    text("10.00"),
                    text("0.00"),
                    text("5.00"),
                    text("25.00")
                ]
            ),
            channel(
                "Direct",
                "N/A",
                [
                    json!(1),
                    json!(1),
                    text("30.00"),
                    text("20.00"),
                    text("10.00"),
                    text("0.00"),
                    Value::Null,
                    Value::Null,
                    text("100.00")
                ]
            ),
            channel(
                "tiktok",
                "N/A",
                [
                    json!(0),
                    json!(0),
                    text("0.00"),
                    text("0.00"),
                    text("0.00"),
                    text("5.00"),
                    text("-100.00"),
                    text("0.00"),
                    Value::Null
                ]
            ),
        ])
    );
    // The visit that began before midnight belongs to the 14th.
    assert_eq!(ask(&shop, "channels on 2026-01-14").await["result"]["rows"][0]["sessions"], 1);
    // An order without any visit has no conversion rate rather than an infinite one.
    assert_eq!(
        ask(&shop, "channels on 2026-01-16").await["result"]["rows"][0]["conversion_rate"],
        Value::Null
    );
}

#[tokio::test]
async fn unit_economics_by_hand_and_against_the_day_before() {
    let shop = winter_shop().await;
    let answer = ask(&shop, "unit economics on 2026-01-15").await;
    let rows = answer["result"]["rows"].as_array().unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| cells(row, &["metric_name", "unit", "metric_value", "period_comparison"]))
        .collect();
    // The 14th: 1 order, 100.00, cost 70.00, fees 3.20, no refund, ads 20.00, true profit 6.80; ann had bought before, so no new customer.
    assert_eq!(
        json!(rows),
        json!([
            ["Total Orders", "count", "2", "100.00"],
            ["Revenue", "money", "80.00", "-20.00"],
            ["Cost", "money", "60.00", "-14.29"],
            ["Gross Profit", "money", "20.00", "-33.33"],
            ["Transaction Fees", "money", "2.92", "-8.75"],
            ["Refunds", "money", "40.00", null],
            ["Ad Spend", "money", "15.00", "-25.00"],
            ["True Profit", "money", "-37.92", "-657.65"],
            ["AOV", "money", "40.00", "-60.00"],
            ["LTV", "money", "40.00", "-60.00"],
            ["CAC", "money", "15.00", null],
            ["LTV/CAC Ratio", "ratio", "2.67", null],
        ])
    );
}
