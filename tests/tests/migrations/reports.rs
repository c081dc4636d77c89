//! What staff ask: the copilot's questions, the documents' functions, the rows behind their figures.

use serde_json::{Value, json};

use crate::sale::Caller;

pub async fn reports(caller: &Caller<'_>) {
    for function in [
        "ask_revenue",
        "ask_profit",
        "ask_orders",
        "ask_top_products",
        "ask_top_customers",
        "ask_channels",
        "ask_alerts",
        "ask_unit_economics",
        "log_ai_query",
    ] {
        let p = json!({"period": {"kind": "last_days", "count": 7}, "limit": 5, "query": "revenue", "intent": "revenue"});
        caller.call("authenticated", function, p).await;
    }
    assert_eq!(
        caller.call("edge_jobs", "refresh_daily_metrics", json!({})).await["outcome"],
        "refreshed"
    );
    for function in [
        "get_popular_intents",
        "get_unit_economics",
        "get_channel_stats_financial",
        "ai_get_revenue_last_n_days",
        "ai_get_profit_last_n_days",
        "ai_get_top_products",
        "get_funnel_stats",
        "get_behavior_stats",
        "get_ltv_by_cohort",
        "get_rfm_segments",
        "get_abandoned_checkouts",
        "get_winback_candidates",
        "get_daily_metrics",
        "get_system_health",
        "get_data_quality",
        "detect_anomalies",
    ] {
        caller.rows("authenticated", function).await;
    }
    for (function, p) in [
        ("get_report", json!({"function": "get_funnel_stats"})),
        ("get_shop_settings", json!({})),
        ("get_paid_orders", json!({})),
        ("get_fee_rows", json!({})),
        ("get_refund_rows", json!({})),
        ("get_ad_spend_rows", json!({})),
        ("get_cohort_customers", json!({"cohort_month": "2026-01", "retention_period": 1})),
        ("get_product_rows", json!({"product_name": "Card"})),
        ("get_rfm_summary", json!({})),
        ("get_rfm_customers", json!({})),
        ("get_visits", json!({})),
        ("get_funnel_sessions", json!({"step": 5})),
        ("get_event_rows", json!({})),
        ("get_data_quality_rows", json!({"check_name": "events_without_visit"})),
        ("get_realtime", json!({})),
    ] {
        let answer: Value = caller.call("authenticated", function, p).await;
        assert!(answer["rows"].is_array(), "{function}: {answer}");
    }
}
