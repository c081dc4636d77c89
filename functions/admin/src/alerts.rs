//! What staff must see.
//!
//! `GET /api/admin/alerts?resolved=&limit=`: 200 `{open, alerts}`: how many are open, and alerts, open ones first, then by severity, newest first;
//! 100 or `limit` (at most 500).
//! `POST /api/admin/alerts/{id}/resolve` (no body): 200 with the alert, also where somebody was quicker; another shop's, or no UUID: 404
//! `alert_not_found`. What the alert is about stays as it is.

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::read::Query;
use crate::staff::Staff;
use crate::wire::Alert;

const STAFF_ALERTS: Rpc = Rpc::idempotent("staff_alerts");
const RESOLVE_ALERT: Rpc = Rpc::idempotent("resolve_alert");

#[derive(Serialize, Deserialize)]
struct Alerts {
    open: u64,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Resolved {
    Ok { alert: Box<Alert> },
    AlertNotFound,
}

pub async fn list(request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    let mut query = Query::of(request);
    let resolved = query.word("resolved", &["true", "false"]);
    let limit = query.limit(500);
    query.problems.check()?;
    let alerts: Alerts = staff.call(STAFF_ALERTS, &json!({"resolved": resolved, "limit": limit})).await?;
    edge::json(StatusCode::OK, &alerts)
}

pub async fn resolve(staff: &Staff, id: &str) -> Result<Response<String>, ApiError> {
    let id: Uuid = id.parse().map_err(|_| Code::AlertNotFound)?;
    match staff.call(RESOLVE_ALERT, &json!({"alert_id": id})).await? {
        Resolved::Ok { alert } => edge::json(StatusCode::OK, &alert),
        Resolved::AlertNotFound => Err(Code::AlertNotFound.into()),
    }
}
