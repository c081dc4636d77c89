//! The documents' functions, and alerts.

use lonieve_tests::{Reply, Shop};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::figures::{cells, winter_shop};
use crate::{Sale, ask, set_time_zone, value};

/// The documents' functions under their own names and columns, over the same rows.
#[tokio::test]
async fn the_documents_functions_agree_with_the_copilot() {
    let shop = winter_shop().await;
    let call = async |function: &str, body: Value| {
        let url = format!("{}/rpc/{function}", shop.info.postgrest);
        let request = shop
            .http
            .post(url)
            .bearer_auth(&shop.viewer_token)
            .header("content-profile", "api")
            .json(&body);
        Reply::of(request).await
    };
    // Almaty's 15 January, and two moments within neighbouring days that stand for the same days.
    for (start, end) in [
        ("2026-01-14T19:00:00Z", "2026-01-15T19:00:00Z"),
        ("2026-01-15T12:00:00+05:00", "2026-01-16T12:00:00+05:00"),
    ] {
        let dates = json!({"start_date": start, "end_date": end});
        let economics = call("get_unit_economics", dates.clone()).await.expect(200);
        assert_eq!(economics.as_array().unwrap().len(), 12);
        assert_eq!(
            economics[7],
            json!({"metric_name": "True Profit", "metric_value": -37.92, "period_comparison": -657.65})
        );
        let channels = call("get_channel_stats_financial", dates).await.expect(200);
        let sources: Vec<_> = channels
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["utm_source"].as_str().unwrap())
            .collect();
        assert_eq!(sources, ["facebook", "Direct", "tiktok"]);
        assert_eq!(
            cells(&channels[0], &["sessions", "orders", "revenue", "mer"]),
            [json!(4), json!(1), json!(50.0), json!(5.0)]
        );
    }
    let own = json!({"start_date": "2026-01-15", "end_date": "2026-01-16", "filter_tenant_id": shop.tenant});
    assert_eq!(call("get_channel_stats_financial", own).await.status, 200);
    let foreign = call("get_channel_stats_financial", json!({"filter_tenant_id": Uuid::new_v4()})).await;
    assert_eq!(foreign.expect(403)["code"], "42501");

    // Two units of one order, paid now: the sum of prices alone would be half of it.
    let now: &'static str = Box::leak(shop.time("0").await.into_boxed_str());
    let sale = Sale {
        email: "zoe@example.com",
        paid_at: Some(now),
        amount: "150.00",
        cost: Some("100.00"),
        fee: "4.65",
        quantity: 2,
        ..Sale::of(shop.product)
    };
    sale.insert(&shop, now).await;
    assert_eq!(call("ai_get_revenue_last_n_days", json!({})).await.expect(200), json!(150.0));
    assert_eq!(call("ai_get_profit_last_n_days", json!({"days": 3})).await.expect(200), json!(50.0));
    let top = call("ai_get_top_products", json!({"limit_count": -5})).await.expect(200);
    assert_eq!(
        top,
        json!([{"product_name": "Nimbus Card", "brand": "Nimbus", "orders_count": 1, "revenue": 150.0}])
    );
    assert_eq!(value(&ask(&shop, "revenue").await), "150.00");
    assert_eq!(ask(&shop, "profit").await["evidence"]["rows"][0]["gross_profit"], "50.00");
}

#[tokio::test]
async fn alerts_are_the_open_ones_or_those_of_a_period() {
    let shop = Shop::new().await;
    set_time_zone(&shop, "Asia/Almaty").await;
    for (subject, severity, resolved, at) in [
        ("a", "warning", false, "2026-01-14T19:00:00Z"),
        ("b", "critical", false, "2026-01-15T19:00:00Z"),
        ("c", "info", true, "2026-01-15T10:00:00Z"),
    ] {
        let sql = "insert into ops.system_notifications (tenant_id, type, subject, severity, title, message, is_resolved, resolved_at, created_at, last_seen_at) \
                   values ($1, 'low_stock', $2, $3, 'Stock ' || $2, 'Import codes.', $4, case when $4 then $5::text::timestamptz end, \
                     $5::text::timestamptz, $5::text::timestamptz)";
        shop.db
            .execute(sql, &[&shop.tenant, &subject, &severity, &resolved, &at])
            .await
            .unwrap();
    }
    let titles = |answer: &Value| -> Vec<String> {
        answer["result"]["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["title"].as_str().unwrap().to_owned())
            .collect()
    };
    let open = ask(&shop, "are there any open alerts?").await;
    assert_eq!(
        (&open["result"]["type"], &open["result"]["value"], &open["result"]["period"]),
        (&json!("alerts"), &json!(2), &json!("Now"))
    );
    assert_eq!(titles(&open), ["Stock b", "Stock a"], "the gravest first");
    assert_eq!(open["plan"], json!({"intent": "alerts", "period": null}));
    let of_day = ask(&shop, "alerts on 2026-01-15").await;
    assert_eq!(titles(&of_day), ["Stock a", "Stock c"]);
    assert_eq!(ask(&Shop::new().await, "alerts").await["result"]["formatted"], "Open alerts: 0");
}

/// L-73 and L-80 of the documents: two channels with known spend, and 150 orders of 100.00 with a true profit of 1650.00.
#[tokio::test]
async fn the_documents_samples_come_out() {
    let shop = Shop::new().await;
    let orders = "insert into shop.orders (tenant_id, email, total_amount, total_cost, status, fulfilment, paid_at, delivered_at, expires_at, utm_source) \
                  select $1, 'c' || i || '@example.com', 100, 75, 'paid', 'delivered', at, at, at, 'google' \
                  from generate_series(1, 150) i, (values ('2026-01-10T12:00:00Z'::timestamptz)) v (at)";
    shop.db.execute(orders, &[&shop.tenant]).await.unwrap();
    let fees = "insert into shop.transaction_fees (tenant_id, order_id, fee_type, fee_amount) \
                select tenant_id, id, 'payment_gateway', 3 from shop.orders where tenant_id = $1";
    shop.db.execute(fees, &[&shop.tenant]).await.unwrap();
    let refund = "insert into shop.refunds (tenant_id, order_id, refund_amount, status, processed_at) \
                  select tenant_id, id, 150, 'completed', '2026-01-11T00:00:00Z' from shop.orders where tenant_id = $1 limit 1";
    shop.db.execute(refund, &[&shop.tenant]).await.unwrap();
    let spend = async |source: &str, spend: &str| {
        let sql = "insert into analytics.ad_spend (tenant_id, date, utm_source, spend) values ($1, '2026-01-10', $2, $3::text::numeric)";
        shop.db.execute(sql, &[&shop.tenant, &source, &spend]).await.unwrap();
    };
    spend("google", "1000.00").await;
    let channels = ask(&shop, "channels in January 2026").await["result"]["rows"].clone();
    assert_eq!(
        cells(&channels[0], &["revenue", "profit", "ad_spend", "roi_percentage", "mer"]),
        ["15000.00", "3750.00", "1000.00", "275.00", "15.00"]
    );
    spend("facebook", "500.00").await;
    let economics = ask(&shop, "unit economics in January 2026").await["result"]["rows"].clone();
    let values: Vec<_> = economics
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["metric_value"].as_str().unwrap())
        .collect();
    assert_eq!(
        values,
        [
            "150", "15000.00", "11250.00", "3750.00", "450.00", "150.00", "1500.00", "1650.00", "100.00", "100.00", "10.00", "10.00"
        ]
    );

    // The sample's second channel: half the orders for 800.00.
    let half = "update shop.orders set utm_source = 'tiktok' where id in (select id from shop.orders where tenant_id = $1 order by email limit 75)";
    shop.db.execute(half, &[&shop.tenant]).await.unwrap();
    spend("tiktok", "800.00").await;
    let channels = ask(&shop, "channels in January 2026").await["result"]["rows"].clone();
    let tiktok = channels
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["utm_source"] == "tiktok")
        .unwrap();
    assert_eq!(cells(tiktok, &["profit", "roi_percentage", "mer"]), ["1875.00", "134.38", "9.38"]);
}
