//! Who may do what: every role against every table and every function, tokens, staff rights, and two shops in one database.
//!
//! In scope: what a leaked token or a wrong host could reach. The roles, tables and functions come from the catalogue, so that a new one
//! is covered the day it is added; what they may do comes from the lists here, which say the same as docs/security.md.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod catalogue;
mod http;
mod staff;
mod tenants;
mod tokens;

use lonieve_tests::{Reply, stack};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio_postgres::Client;

/// Every schema of ours but the door, `api`.
pub const CLOSED_SCHEMAS: [&str; 5] = ["shop", "analytics", "crm", "ai", "ops"];

/// The roles a token can name.
pub const ROLES: [&str; 9] = [
    "anon",
    "authenticated",
    "edge_events",
    "edge_orders",
    "edge_cardlink",
    "edge_leads",
    "edge_copilot",
    "edge_jobs",
    "edge_admin",
];

const WORKERS: &[&str] = &[
    "edge_events",
    "edge_orders",
    "edge_cardlink",
    "edge_leads",
    "edge_copilot",
    "edge_jobs",
    "edge_admin",
];

/// Every function of `api` and the roles that may execute it. `anon` may execute nothing.
pub const GRANTS: &[(&str, &[&str])] = &[
    ("health", WORKERS),
    ("ingest_events", &["edge_events"]),
    ("ingest_event_batches", &["edge_events"]),
    ("park_events", &["edge_events"]),
    ("replay_events", &["edge_jobs"]),
    ("list_products", &["edge_orders"]),
    ("get_product", &["edge_orders"]),
    ("create_order", &["edge_orders"]),
    ("attach_bill", &["edge_orders"]),
    ("fail_order", &["edge_orders"]),
    ("get_order", &["edge_orders"]),
    ("purge_idempotency", &["edge_jobs"]),
    ("settle_payment", &["edge_cardlink", "edge_jobs"]),
    ("record_rejected_webhook", &["edge_cardlink", "edge_jobs"]),
    ("log_webhook_failure", &["edge_cardlink"]),
    ("claim_outbox", &["edge_jobs"]),
    ("begin_outbox", &["edge_jobs"]),
    ("finish_outbox", &["edge_jobs"]),
    ("record_mail_event", &["edge_jobs"]),
    ("expirable_orders", &["edge_jobs"]),
    ("expire_orders", &["edge_jobs"]),
    ("fulfil_waiting", &["edge_admin", "edge_jobs"]),
    ("import_codes", &["authenticated"]),
    ("find_bill", &["edge_cardlink"]),
    ("settle_refund", &["edge_cardlink"]),
    ("settle_chargeback", &["edge_cardlink"]),
    ("due_bills", &["edge_jobs"]),
    ("finish_looks", &["edge_jobs"]),
    ("claim_jobs", &["edge_jobs"]),
    ("finish_job", &["edge_jobs"]),
    ("check_pending_payments", &["edge_jobs"]),
    ("check_stock", &["edge_jobs"]),
    ("begin_reconciliation", &["edge_jobs"]),
    ("continue_reconciliation", &["edge_jobs"]),
    ("purge", &["edge_jobs"]),
    ("staff_jobs", &["authenticated"]),
    ("capture_lead", &["edge_leads"]),
    ("check_origin", &["edge_events", "edge_leads"]),
    ("follow_link", &["edge_leads"]),
    ("unsubscribe", &["edge_leads"]),
    ("ask_revenue", &["authenticated"]),
    ("ask_profit", &["authenticated"]),
    ("ask_orders", &["authenticated"]),
    ("ask_top_products", &["authenticated"]),
    ("ask_top_customers", &["authenticated"]),
    ("ask_channels", &["authenticated"]),
    ("ask_alerts", &["authenticated"]),
    ("ask_unit_economics", &["authenticated"]),
    ("log_ai_query", &["authenticated"]),
    ("get_popular_intents", &["authenticated"]),
    ("get_unit_economics", &["authenticated"]),
    ("get_channel_stats_financial", &["authenticated"]),
    ("ai_get_revenue_last_n_days", &["authenticated"]),
    ("ai_get_profit_last_n_days", &["authenticated"]),
    ("ai_get_top_products", &["authenticated"]),
    ("get_funnel_stats", &["authenticated"]),
    ("get_behavior_stats", &["authenticated"]),
    ("get_ltv_by_cohort", &["authenticated"]),
    ("get_rfm_segments", &["authenticated"]),
    ("get_abandoned_checkouts", &["authenticated"]),
    ("get_winback_candidates", &["authenticated"]),
    ("get_daily_metrics", &["authenticated"]),
    ("detect_anomalies", &["authenticated"]),
    ("get_system_health", &["authenticated"]),
    ("get_data_quality", &["authenticated"]),
    ("check_staff", &["authenticated"]),
    ("staff_products", &["authenticated"]),
    ("staff_stock", &["authenticated"]),
    ("staff_orders", &["authenticated"]),
    ("staff_alerts", &["authenticated"]),
    ("create_product", &["authenticated"]),
    ("update_product", &["authenticated"]),
    ("resend_order", &["authenticated"]),
    ("resolve_order", &["authenticated"]),
    ("resolve_alert", &["authenticated"]),
    ("refund_order", &["authenticated"]),
    ("claim_refunds", &["edge_jobs"]),
    ("begin_refund", &["edge_jobs"]),
    ("finish_refund", &["edge_jobs"]),
    ("fold_counters", &["edge_jobs"]),
    ("refresh_daily_metrics", &["edge_jobs"]),
    ("replace_code", &["authenticated"]),
    ("codes_to_reseal", &["edge_jobs"]),
    ("reseal_codes", &["edge_jobs"]),
    ("close_ledger_days", &["edge_jobs"]),
    ("check_ledger", &["edge_jobs"]),
    ("staff_outbox", &["authenticated"]),
    ("replay_outbox", &["authenticated"]),
    ("assign_experiments", &["edge_events"]),
    ("staff_experiments", &["authenticated"]),
    ("create_experiment", &["authenticated"]),
    ("update_experiment", &["authenticated"]),
    ("experiment_results", &["authenticated"]),
    ("import_ad_spend", &["authenticated"]),
    ("get_report", &["authenticated"]),
    ("get_shop_settings", &["authenticated"]),
    ("get_paid_orders", &["authenticated"]),
    ("get_fee_rows", &["authenticated"]),
    ("get_refund_rows", &["authenticated"]),
    ("get_ad_spend_rows", &["authenticated"]),
    ("get_cohort_customers", &["authenticated"]),
    ("get_product_rows", &["authenticated"]),
    ("get_rfm_summary", &["authenticated"]),
    ("get_rfm_customers", &["authenticated"]),
    ("get_visits", &["authenticated"]),
    ("get_funnel_sessions", &["authenticated"]),
    ("get_event_rows", &["authenticated"]),
    ("get_data_quality_rows", &["authenticated"]),
    ("get_realtime", &["authenticated"]),
];

/// Functions with the named parameters of the source documents, or none; all others take one `p jsonb`.
pub const NAMED_PARAMETERS: &[&str] = &[
    "health",
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
    "detect_anomalies",
    "get_system_health",
    "get_data_quality",
];

/// A token of the role; for `authenticated` that of an admin of the demo shop, who passes every check of a function's own.
pub fn token_of(role: &str) -> &'static str {
    match role {
        "authenticated" => &stack().admin_token,
        _ => &stack().tokens[role.trim_start_matches("edge_")],
    }
}

/// The superuser's session.
pub async fn superuser() -> Client {
    ::stack::database::connect(&stack().database_url).await.unwrap()
}

/// A request to PostgREST itself.
pub fn postgrest(http: &reqwest::Client, method: reqwest::Method, path: &str, token: Option<&str>) -> RequestBuilder {
    let request = http.request(method, format!("{}{path}", stack().postgrest));
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// Calls a function of `api`. `health` has no argument, all others have one.
pub async fn call(http: &reqwest::Client, function: &str, token: Option<&str>, p: Value) -> Reply {
    let body = if NAMED_PARAMETERS.contains(&function) {
        json!({})
    } else {
        json!({ "p": p })
    };
    let request = postgrest(http, reqwest::Method::POST, &format!("/rpc/{function}"), token).header("content-profile", "api");
    Reply::of(request.json(&body)).await
}

/// SQLSTATE or PGRST code, and message, of an error of PostgREST.
#[track_caller]
pub fn error_of(reply: &Reply) -> (String, String) {
    let body = reply.json();
    let text = |name: &str| {
        body[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in HTTP {} {body}", reply.status))
            .to_owned()
    };
    (text("code"), text("message"))
}

/// A gift code nobody has.
pub fn new_code() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..16].to_uppercase()
}
