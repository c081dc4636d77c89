//! Figures of money and customers, and the orders, fees, refunds, advertising days and customers they are made of.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::shop::{busy_shop, day, days};
use crate::{cents, encoded, rows, table};

#[tokio::test]
async fn the_rows_of_every_unit_economic_add_up_to_it() {
    let shop = busy_shop().await;
    let mut unknown = 0;
    // The last one has unknown costs in it, so profit and cost are not known.
    for (first, last) in [(-60, -20), (-20, -13), (-200, -199), (-6, 1)] {
        let asked = days(&shop, first, last).await;
        let found = table(&shop, "get_unit_economics", &asked).await;
        let metrics: BTreeMap<&str, &Value> = found
            .iter()
            .map(|row| (row["metric_name"].as_str().unwrap(), &row["metric_value"]))
            .collect();
        let orders = rows(&shop, "get_paid_orders", &asked).await;
        let (sums, total) = (&orders["sums"], orders["total"].as_i64().unwrap());
        let fees = cents(&rows(&shop, "get_fee_rows", &asked).await["sums"]["fee_amount"]).unwrap();
        let refunds = cents(&rows(&shop, "get_refund_rows", &asked).await["sums"]["refund_amount"]).unwrap();
        let spend = cents(&rows(&shop, "get_ad_spend_rows", &asked).await["sums"]["spend"]).unwrap();
        let first_orders = rows(&shop, "get_paid_orders", &format!("{asked}&first_orders=true")).await["total"]
            .as_i64()
            .unwrap();
        let revenue = cents(&sums["revenue"]).unwrap();

        assert_eq!(metrics["Total Orders"], &total.to_string());
        assert_eq!(cents(metrics["Revenue"]), Some(revenue));
        assert_eq!(cents(metrics["Cost"]), cents(&sums["cost"]), "{asked}");
        assert_eq!(cents(metrics["Gross Profit"]), cents(&sums["profit"]));
        assert_eq!(cents(metrics["Transaction Fees"]), Some(fees));
        assert_eq!(cents(&sums["fees"]), Some(fees), "the orders' own fees are the same");
        assert_eq!(cents(metrics["Refunds"]), Some(refunds));
        assert_eq!(cents(metrics["Ad Spend"]), Some(spend));
        let profit = cents(&sums["profit"]).map(|gross| gross - fees - refunds - spend);
        assert_eq!(cents(metrics["True Profit"]), profit);
        let per = |total: i64, parts: i64| (parts > 0).then(|| (total * 2 + parts) / (parts * 2));
        let clear = total - sums["unclear_orders"].as_i64().unwrap();
        assert_eq!(cents(metrics["AOV"]), per(revenue, clear));
        assert_eq!(cents(metrics["LTV"]), per(revenue, sums["customers"].as_i64().unwrap()));
        assert_eq!(cents(metrics["CAC"]), if spend > 0 { per(spend, first_orders) } else { None });
        unknown += i32::from(profit.is_none());
    }
    assert_eq!(unknown, 1, "one of the periods has an unknown cost");
}

#[tokio::test]
async fn the_rows_of_every_channel_add_up_to_its_figures() {
    let shop = busy_shop().await;
    let asked = days(&shop, -20, 1).await;
    let channels = table(&shop, "get_channel_stats_financial", &asked).await;
    let names: Vec<&str> = channels.iter().map(|row| row["utm_source"].as_str().unwrap()).collect();
    for name in ["google", "facebook", "Direct", "tiktok"] {
        assert!(names.contains(&name), "{name} is among {names:?}");
    }
    for row in &channels {
        let of = |name: &str| encoded(row[name].as_str().unwrap());
        let query = format!("{asked}&utm_source={}&utm_campaign={}", of("utm_source"), of("utm_campaign"));
        let orders = rows(&shop, "get_paid_orders", &query).await;
        assert_eq!(orders["total"], row["orders"], "{query}");
        for name in ["revenue", "cost", "profit"] {
            assert_eq!(orders["sums"][name], row[name], "{name} of {query}");
        }
        assert_eq!(
            rows(&shop, "get_ad_spend_rows", &query).await["sums"]["spend"],
            row["ad_spend"],
            "{query}"
        );
        assert_eq!(rows(&shop, "get_visits", &query).await["total"], row["sessions"], "{query}");
    }
}

#[tokio::test]
async fn the_customers_of_every_cohort_add_up_to_its_figures_and_its_retention() {
    let shop = busy_shop().await;
    let (mut seen, mut retained) = (0, 0);
    for length in [30, 20] {
        let cohorts = table(&shop, "get_ltv_by_cohort", &format!("cohort_period_days={length}")).await;
        for row in &cohorts {
            let month = format!("cohort_month={}&cohort_period_days={length}", row["cohort_month"].as_str().unwrap());
            let customers = rows(&shop, "get_cohort_customers", &month).await;
            assert_eq!(customers["total"], row["customers_count"], "{month}");
            assert_eq!(customers["sums"]["value"], row["total_ltv"], "{month}");
            let repeat = rows(&shop, "get_cohort_customers", &format!("{month}&repeat_only=true")).await;
            assert_eq!(repeat["total"], row["repeat_customers"], "{month}");
            let count = customers["total"].as_i64().unwrap();
            for (k, rate) in (1..).zip(row["retention_rates"].as_array().unwrap()) {
                let back = rows(&shop, "get_cohort_customers", &format!("{month}&retention_period={k}")).await["total"]
                    .as_i64()
                    .unwrap();
                assert_eq!(cents(rate), Some((back * 20_000 + count) / (count * 2)), "{month}, period {k}");
                retained += back;
            }
            seen += 1;
        }
    }
    assert!(seen >= 4 && retained > 0, "{seen} cohorts, {retained} came back");
}

#[tokio::test]
async fn the_orders_of_every_customer_add_up_to_the_rfm_figures() {
    let shop = busy_shop().await;
    let today = day(&shop, 1).await;
    let customers = table(&shop, "get_rfm_segments", "").await;
    assert_eq!(
        customers.len(),
        17,
        "the squares modulo 23, four who came once and one who came twice"
    );
    let mut segments: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for row in &customers {
        let email = row["customer_email"].as_str().unwrap();
        let orders = rows(
            &shop,
            "get_paid_orders",
            &format!("email={}&start_date=2000-01-01&end_date={today}", encoded(email)),
        )
        .await;
        assert_eq!(orders["total"], row["frequency"], "{email}");
        let sum = |name: &str| cents(&orders["sums"][name]).unwrap();
        assert_eq!(cents(&row["monetary"]), Some(sum("revenue") - sum("refunded")), "{email}");
        let segment = segments.entry(row["segment"].as_str().unwrap()).or_default();
        *segment = (segment.0 + 1, segment.1 + cents(&row["monetary"]).unwrap());
    }
    let summary = table(&shop, "get_rfm_summary", "").await;
    assert_eq!(summary.len(), segments.len());
    for row in &summary {
        let name = row["segment"].as_str().unwrap();
        let found = rows(&shop, "get_rfm_customers", &format!("segment={}", encoded(name))).await;
        let (count, monetary) = segments[name];
        assert_eq!((&found["total"], &row["customers"]), (&count.into(), &count.into()), "{name}");
        assert_eq!(
            (cents(&found["sums"]["monetary"]), cents(&row["monetary"])),
            (Some(monetary), Some(monetary)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_items_of_every_product_add_up_to_its_revenue() {
    let shop = busy_shop().await;
    let asked = days(&shop, -29, 1).await;
    let products = table(&shop, "ai_get_top_products", "").await;
    assert_eq!(products.len(), 2);
    for row in &products {
        let of = |name: &str| encoded(row[name].as_str().unwrap());
        let items = rows(
            &shop,
            "get_product_rows",
            &format!("{asked}&product_name={}&brand={}", of("product_name"), of("brand")),
        )
        .await;
        assert_eq!(items["sums"]["revenue"], row["revenue"], "{row}");
        assert_eq!(items["sums"]["orders"], row["orders_count"], "{row}");
    }
}
