//! From words to dates, at fixed moments in three time zones.

use lonieve_tests::Shop;
use serde_json::{Value, json};

use crate::{Sale, ask, set_time_zone};

/// First and last day of a period as seen at a moment.
async fn days(shop: &Shop, period: Value, now: &str) -> (String, String) {
    let report = shop
        .rpc(&shop.viewer_token, "ask_revenue", json!({"period": period, "now": now}))
        .await
        .expect(200);
    let day = |name: &str| report["period"][name].as_str().unwrap().to_owned();
    (day("from"), day("to"))
}

#[tokio::test]
async fn words_become_the_dates_of_the_shops_own_calendar() {
    let shop = Shop::new().await;
    // 20:00 UTC on Sunday 1 March 2026 is Monday 2 March, 01:00, in Almaty, and Sunday noon in Los Angeles.
    let now = "2026-03-01T20:00:00Z";
    for (zone, kind, from, to) in [
        ("Asia/Almaty", "today", "2026-03-02", "2026-03-02"),
        ("Asia/Almaty", "yesterday", "2026-03-01", "2026-03-01"),
        ("Asia/Almaty", "this_week", "2026-03-02", "2026-03-02"),
        ("Asia/Almaty", "last_week", "2026-02-23", "2026-03-01"),
        ("Asia/Almaty", "this_month", "2026-03-01", "2026-03-02"),
        ("Asia/Almaty", "last_month", "2026-02-01", "2026-02-28"),
        ("America/Los_Angeles", "today", "2026-03-01", "2026-03-01"),
        ("America/Los_Angeles", "yesterday", "2026-02-28", "2026-02-28"),
        ("America/Los_Angeles", "this_week", "2026-02-23", "2026-03-01"),
        ("America/Los_Angeles", "last_week", "2026-02-16", "2026-02-22"),
        ("America/Los_Angeles", "this_month", "2026-03-01", "2026-03-01"),
        ("UTC", "last_week", "2026-02-16", "2026-02-22"),
    ] {
        set_time_zone(&shop, zone).await;
        assert_eq!(
            days(&shop, json!({"kind": kind}), now).await,
            (from.into(), to.into()),
            "{zone} {kind}"
        );
    }
    for (kind, count, from) in [
        ("last_days", 1, "2026-03-01"),
        ("last_days", 7, "2026-02-23"),
        ("last_weeks", 2, "2026-02-16"),
        ("last_months", 1, "2026-02-02"),
        ("last_months", 12, "2025-03-02"),
    ] {
        assert_eq!(
            days(&shop, json!({"kind": kind, "count": count}), now).await,
            (from.into(), "2026-03-01".into()),
            "{kind} {count}"
        );
    }
    assert_eq!(
        days(&shop, json!({"kind": "last_months", "count": 1}), "2026-03-31T12:00:00Z")
            .await
            .0,
        "2026-03-01"
    );
    assert_eq!(
        days(&shop, json!({"kind": "last_month"}), "2026-01-31T12:00:00Z").await,
        ("2025-12-01".into(), "2025-12-31".into())
    );

    for period in [
        json!({"kind": "always"}),
        json!({"kind": "last_days", "count": 0}),
        json!({"kind": "day", "date": "infinity"}),
        json!("today"),
        Value::Null,
    ] {
        let reply = shop.rpc(&shop.viewer_token, "ask_revenue", json!({"period": period})).await;
        assert_eq!(reply.expect(400)["code"], "22023", "{period}");
    }
}

/// On 8 March 2026 New York's clocks go forward: that day has 23 hours, from 05:00 UTC to 04:00 UTC.
#[tokio::test]
async fn a_day_of_twenty_three_hours_has_its_own_edges() {
    let shop = Shop::new().await;
    set_time_zone(&shop, "America/New_York").await;
    for (paid_at, amount) in [
        ("2026-03-08T04:59:59Z", "1.00"),
        ("2026-03-08T05:00:00Z", "10.00"),
        ("2026-03-09T03:59:59Z", "100.00"),
        ("2026-03-09T04:00:00Z", "1000.00"),
    ] {
        let sale = Sale {
            paid_at: Some(paid_at),
            amount,
            cost: Some("0.00"),
            ..Sale::of(shop.product)
        };
        sale.insert(&shop, paid_at).await;
    }
    for (day, revenue) in [("2026-03-07", "1.00"), ("2026-03-08", "110.00"), ("2026-03-09", "1000.00")] {
        let answer = ask(&shop, &format!("revenue on {day}")).await;
        assert_eq!(answer["result"]["value"], revenue, "{day}");
        assert_eq!(
            (&answer["result"]["period"], &answer["result"]["timeZone"]),
            (&json!(day), &json!("America/New_York"))
        );
    }
}

#[tokio::test]
async fn the_answer_says_its_period() {
    let shop = Shop::new().await;
    let answer = ask(&shop, "revenue").await;
    let (from, to) = (answer["result"]["from"].as_str().unwrap(), answer["result"]["to"].as_str().unwrap());
    assert_eq!(answer["result"]["period"], format!("Last 7 days, {from} to {to}"));
    assert_eq!(answer["result"]["periodAssumed"], true);
    assert!(answer["result"]["notes"].to_string().contains("No period was named"), "{answer}");
    assert_eq!(ask(&shop, "revenue for the last 7 days").await["result"]["periodAssumed"], false);

    // What has not begun has no figure, not even zero; what is running says so.
    let future = ask(&shop, "revenue on 2099-12-31").await;
    assert_eq!(
        (&future["result"]["type"], &future["result"]["reason"]),
        (&json!("unknown"), &json!("period_in_future"))
    );
    assert_eq!((&future["result"]["value"], &future["evidence"]), (&Value::Null, &Value::Null));
    let ten_years = ask(&shop, "revenue from 2026-01-01 to 2035-12-31").await;
    assert!(ten_years["result"]["notes"].to_string().contains("not over yet"), "{ten_years}");
}
