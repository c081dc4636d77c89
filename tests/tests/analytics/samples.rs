//! The samples of the documents (L-71, L-73, L-80), as rows.

use crate::support::{SALE, Sale, Shop};

/// 10,000 sessions see a page, 5,000 a product, 1,000 fill a cart, 500 begin a checkout, 200 pay.
#[tokio::test]
async fn ten_thousand_sessions_come_down_the_funnel_to_two_hundred_payments() {
    let shop = Shop::new("UTC").await;
    let steps = ["page_view", "view_product", "add_to_cart", "checkout_start"];
    for (name, count, reached) in [("p", 5000, 1), ("v", 4000, 2), ("c", 500, 3), ("s", 500, 4)] {
        shop.crowd(name, count, &steps[..reached], "2026-05-04 10:00Z").await;
    }
    let sql = "insert into shop.orders (tenant_id, email, total_amount, status, fulfilment, session_id, created_at, paid_at, expires_at) \
               select $1, 'b' || n || '@example.com', 100, 'paid', 'none', 's' || n, t.at, t.at, t.at \
               from generate_series(1, 200) n, (select timestamptz '2026-05-04 11:00Z' as at) t";
    shop.execute(sql, &[]).await;
    assert_eq!(
        shop.api(
            "get_funnel_stats('2026-05-01', '2026-05-08')",
            "step_name, unique_sessions, conversion_from_previous, overall_conversion"
        )
        .await,
        [
            "Page View | 10000 | - | 100.00",
            "Product View | 5000 | 50.00 | 50.00",
            "Add to Cart | 1000 | 20.00 | 10.00",
            "Checkout Start | 500 | 50.00 | 5.00",
            "Payment | 200 | 40.00 | 2.00",
        ]
    );
}

/// Spend 1000 and profit 3750: ROI 275; revenue 15000: MER 15. Spend 800, profit 1875.00 and revenue 7500: 134.38 and 9.38.
#[tokio::test]
async fn a_channel_with_a_profit_of_3750_for_1000_of_ads_has_an_roi_of_275() {
    let shop = Shop::new("UTC").await;
    for (source, campaign, total, cost, spend) in [
        ("google", "brand", "15000.00", "11250.00", "1000.00"),
        ("facebook", "winter", "7500.00", "5625.00", "800.00"),
    ] {
        let sale = Sale {
            paid_at: Some("2026-05-04 10:00Z"),
            total,
            cost: Some(cost),
            source: Some(source),
            campaign: Some(campaign),
            ..SALE
        };
        shop.sale(sale).await;
        shop.spend("2026-05-04", Some(source), Some(campaign), spend).await;
    }
    assert_eq!(
        shop.api(
            "get_channel_stats_financial('2026-05-01', '2026-05-08')",
            "utm_source, profit, ad_spend, roi_percentage, mer"
        )
        .await,
        [
            "google | 3750.00 | 1000.00 | 275.00 | 15.00",
            "facebook | 1875.00 | 800.00 | 134.38 | 9.38"
        ]
    );
}

/// 150 orders of 100.00 by 150 customers, all new: revenue 15000, cost 11250, fees 450, refunds 150, ads 1500. True profit is what is left after
/// the ads, 1650; the document's own formula forgot them and says 3150 (LD-78).
#[tokio::test]
async fn the_true_profit_of_the_sample_is_1650_and_not_3150() {
    let shop = Shop::new("UTC").await;
    let sql = "with sold as ( \
                 insert into shop.orders (tenant_id, email, total_amount, total_cost, status, fulfilment, created_at, paid_at, delivered_at, expires_at) \
                 select $1, 'b' || n || '@example.com', 100, 75, 'paid', 'delivered', t.at, t.at, t.at, t.at \
                 from generate_series(1, 150) n, (select timestamptz '2026-05-04 11:00Z' as at) t returning id, email), \
               refunded as ( \
                 insert into shop.refunds (tenant_id, order_id, refund_amount, status, requested_at, processed_at) \
                 select $1, s.id, 75, 'completed', '2026-05-05 10:00Z', '2026-05-05 10:00Z' from sold s where s.email in ('b1@example.com', 'b2@example.com') returning 1) \
               insert into shop.transaction_fees (tenant_id, order_id, fee_type, fee_amount) select $1, s.id, 'payment_gateway', 3 from sold s";
    shop.execute(sql, &[]).await;
    shop.spend("2026-05-04", Some("google"), None, "1500.00").await;
    assert_eq!(
        shop.api("get_unit_economics('2026-05-01', '2026-05-08')", "metric_name, metric_value")
            .await,
        [
            "Total Orders | 150",
            "Revenue | 15000.00",
            "Cost | 11250.00",
            "Gross Profit | 3750.00",
            "Transaction Fees | 450.00",
            "Refunds | 150.00",
            "Ad Spend | 1500.00",
            "True Profit | 1650.00",
            "AOV | 100.00",
            "LTV | 100.00",
            "CAC | 10.00",
            "LTV/CAC Ratio | 10.00",
        ]
    );
}
