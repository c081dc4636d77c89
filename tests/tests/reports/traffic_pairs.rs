//! Figures of visits, sessions and events, and the visits, sessions and events they are made of.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::shop::{busy_shop, day, days};
use crate::{encoded, report, rows, table};

#[tokio::test]
async fn the_sessions_of_every_step_of_the_funnel_are_as_many_as_it_says() {
    let shop = busy_shop().await;
    for (first, last) in [(-30, 1), (-9, -3), (-1, 0)] {
        let asked = days(&shop, first, last).await;
        let steps = table(&shop, "get_funnel_stats", &asked).await;
        assert_eq!(steps.len(), 5);
        for (step, row) in (1..).zip(&steps) {
            let sessions = rows(&shop, "get_funnel_sessions", &format!("{asked}&step={step}")).await;
            assert_eq!(sessions["total"], row["unique_sessions"], "{row} of {asked}");
        }
        let went_on = rows(&shop, "get_funnel_sessions", &format!("{asked}&step=1")).await["sums"].clone();
        let expected = json!({
            "product_view": steps[1]["unique_sessions"], "add_to_cart": steps[2]["unique_sessions"],
            "checkout_start": steps[3]["unique_sessions"], "payment": steps[4]["unique_sessions"],
        });
        assert_eq!(went_on, expected);
        assert!(
            first > -30 || steps[4]["unique_sessions"].as_i64().unwrap() > 5,
            "the longest period has payments: {steps:?}"
        );
    }
}

#[tokio::test]
async fn the_visits_of_every_device_are_as_many_as_it_says() {
    let shop = busy_shop().await;
    let asked = days(&shop, -14, -2).await;
    let devices = table(&shop, "get_behavior_stats", &asked).await;
    assert_eq!(devices.len(), 4);
    for row in &devices {
        let visits = rows(
            &shop,
            "get_visits",
            &format!("{asked}&device_type={}", row["device_type"].as_str().unwrap()),
        )
        .await;
        assert_eq!(
            (&visits["total"], &visits["sums"]["page_views"]),
            (&row["sessions"], &row["page_views"]),
            "{row}"
        );
    }
}

#[tokio::test]
async fn the_rows_of_every_check_of_data_quality_are_as_many_as_failed() {
    let shop = busy_shop().await;
    let asked = days(&shop, -30, 1).await;
    let mut checked = 0;
    for row in table(&shop, "get_data_quality", &asked).await {
        let name = row["check_name"].as_str().unwrap();
        if ["sql_functions_health", "health_score"].contains(&name) {
            continue;
        }
        let found = rows(&shop, "get_data_quality_rows", &format!("{asked}&check_name={name}")).await;
        assert_eq!(found["total"], row["failed"], "{row}");
        assert!(found["total"].as_i64().unwrap() > 0, "the shop has one of each: {row}");
        checked += 1;
    }
    assert_eq!(checked, 5);
}

#[tokio::test]
async fn the_rows_of_every_day_and_channel_add_up_to_the_daily_figures() {
    let shop = busy_shop().await;
    // Another test's refresh may be under way; then it may have begun before this shop was filled.
    for _ in 0..50 {
        let refreshed = shop
            .rpc(&shop.info.tokens["jobs"], "refresh_daily_metrics", json!({}))
            .await
            .expect(200);
        if refreshed["outcome"] == "refreshed" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let daily = table(&shop, "get_daily_metrics", &days(&shop, -5, 1).await).await;
    assert!(daily.len() > 10, "{} rows", daily.len());
    for row in daily {
        let of = |name: &str| encoded(row[name].as_str().unwrap());
        let next: String = {
            let sql = "select ($1::text::date + 1)::text";
            shop.db.query_one(sql, &[&row["date"].as_str().unwrap()]).await.unwrap().get(0)
        };
        let query = format!(
            "start_date={}&end_date={next}&utm_source={}&utm_campaign={}",
            of("date"),
            of("utm_source"),
            of("utm_campaign")
        );
        let orders = rows(&shop, "get_paid_orders", &query).await;
        assert_eq!(orders["total"], row["paid_orders"], "{query}");
        assert_eq!(
            (&orders["sums"]["revenue"], &orders["sums"]["profit"]),
            (&row["revenue"], &row["profit"]),
            "{query}"
        );
        assert_eq!(rows(&shop, "get_visits", &query).await["total"], row["sessions"], "{query}");
    }
}

#[tokio::test]
async fn what_happens_now_is_the_rows_of_the_moment_it_names() {
    let shop = busy_shop().await;
    let now = report(&shop, "get_realtime", "").await["rows"][0].clone();
    assert_eq!(now["today"], day(&shop, 0).await);
    let today = format!("start_date={}&end_date={}", day(&shop, 0).await, day(&shop, 1).await);
    let orders = rows(&shop, "get_paid_orders", &today).await;
    assert_eq!((&orders["total"], &orders["sums"]["revenue"]), (&now["orders"], &now["revenue"]));
    assert_eq!(rows(&shop, "get_visits", &today).await["total"], now["visits"]);
    for (name, minutes) in [("active_5", "-5 minutes"), ("active_30", "-30 minutes")] {
        let sql = "select to_char($1::text::timestamptz at time zone 'UTC' + $2::text::interval, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
        let since: String = shop
            .db
            .query_one(sql, &[&now["now"].as_str().unwrap(), &minutes])
            .await
            .unwrap()
            .get(0);
        let active = rows(&shop, "get_visits", &format!("active_since={}", encoded(&since))).await;
        assert_eq!(active["total"], now[name], "{name}");
    }
    assert!(now["active_30"].as_i64().unwrap() > 0, "{now}");

    let mut types: BTreeMap<&str, i64> = BTreeMap::new();
    let events = now["events"].as_array().unwrap();
    for event in events {
        *types.entry(event["event_type"].as_str().unwrap()).or_default() += event["events"].as_i64().unwrap();
    }
    assert!(types.len() >= 3, "{types:?}");
    let window = |start: &Value, end: &Value| {
        format!(
            "start_time={}&end_time={}",
            encoded(start.as_str().unwrap()),
            encoded(end.as_str().unwrap())
        )
    };
    for (kind, count) in &types {
        let query = format!("{}&event_type={kind}", window(&now["from_time"], &now["now"]));
        assert_eq!(rows(&shop, "get_event_rows", &query).await["total"], *count, "{kind}");
    }
    let all = rows(&shop, "get_event_rows", &window(&now["from_time"], &now["now"])).await;
    assert_eq!(all["total"], types.values().sum::<i64>());
    assert!(
        all["rows"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row.get("ip_address").is_none() && row.get("user_agent").is_none())
    );

    let latest = now["latest_orders"].as_array().unwrap();
    assert_eq!(latest.len(), 20);
    assert!(latest.is_sorted_by(|a, b| a["created_at"].as_str() >= b["created_at"].as_str()));
}

#[tokio::test]
async fn more_rows_than_fit_are_counted_and_added_up_all_the_same() {
    let shop = busy_shop().await;
    let asked = days(&shop, -700, 1).await;
    let all = rows(&shop, "get_paid_orders", &asked).await;
    let few = report(&shop, "get_paid_orders", &format!("{asked}&limit=3")).await;
    assert_eq!((&few["total"], &few["sums"]), (&all["total"], &all["sums"]));
    assert_eq!(few["rows"].as_array().unwrap()[..], all["rows"].as_array().unwrap()[..3]);
    assert_eq!(
        report(&shop, "get_paid_orders", &asked).await["rows"].as_array().unwrap().len(),
        100
    );
}
