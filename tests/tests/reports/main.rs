//! `GET /api/admin/reports/{function}`: the figures of the staff pages, and that the rows behind each of them add up to it.
#![expect(clippy::unwrap_used, reason = "tests: a failed step is a failed test")]

mod demo;
mod money_pairs;
mod route;
mod shop;
mod traffic_pairs;

use lonieve_tests::Shop;
use serde_json::Value;

/// A report the shop's viewer must get; `query` is `name=value&...`.
async fn report(shop: &Shop, function: &str, query: &str) -> Value {
    let answer = shop
        .admin_get(&shop.viewer_token, &format!("reports/{function}?{query}"))
        .await
        .expect(200);
    assert_eq!(answer["function"], function);
    assert_eq!(answer["currency"], "USD");
    answer
}

/// The rows of a report.
async fn table(shop: &Shop, function: &str, query: &str) -> Vec<Value> {
    report(shop, function, query).await["rows"].as_array().unwrap().clone()
}

/// Whole cents of an amount; `None` where it is not known.
fn cents(amount: &Value) -> Option<i64> {
    let text = amount.as_str()?;
    let (whole, part) = text.split_once('.').unwrap_or_else(|| panic!("{text} has no cents"));
    assert_eq!(part.len(), 2, "{text}");
    let (sign, whole) = whole.strip_prefix('-').map_or((1, whole), |whole| (-1, whole));
    Some(sign * (whole.parse::<i64>().unwrap() * 100 + part.parse::<i64>().unwrap()))
}

/// The rows behind a number: all of them are there, and every sum that is also a column is what the rows come to.
async fn rows(shop: &Shop, function: &str, query: &str) -> Value {
    let answer = report(shop, function, &format!("{query}&limit=500")).await;
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(answer["total"], rows.len(), "{function}?{query}");
    for (name, sum) in answer["sums"].as_object().unwrap() {
        let Some(first) = rows.first().and_then(|row| row.get(name)) else {
            continue;
        };
        if first.is_number() {
            let total: i64 = rows.iter().map(|row| row[name].as_i64().unwrap_or_default()).sum();
            assert_eq!(sum, total, "{name} of {function}?{query}");
        } else {
            let total = rows.iter().map(|row| cents(&row[name])).sum::<Option<i64>>();
            assert_eq!(cents(sum), total, "{name} of {function}?{query}");
        }
    }
    answer
}

/// A value in a query string.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
