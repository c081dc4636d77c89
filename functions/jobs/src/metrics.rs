//! Figures kept ready: counters of purchases and of partners' links follow what was written since the last run (`refresh_metrics`), and the
//! figures per day and channel are counted anew (`refresh_daily_metrics`). Running either twice changes nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::calls::Allowance;
use shared::error::ApiError;
use shared::postgrest::Rpc;

use crate::Config;
use crate::handler::Now;

/// Calls of `fold_counters` in one run.
const ROUNDS: u32 = 4;
const FOLD_COUNTERS: Rpc = Rpc::idempotent("fold_counters");
/// The function may take a minute by its own `statement_timeout`.
const REFRESH_DAILY_METRICS: Rpc = Rpc::once("refresh_daily_metrics").waiting(Duration::from_secs(65));

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Rows of `purchase_stats` that changed.
    #[serde(rename(serialize = "counted_products"))]
    pub purchase_rows: u32,
    /// Links whose figures changed.
    #[serde(rename(serialize = "counted_links"))]
    pub links: u32,
    /// Marks that are left for the next run.
    #[serde(rename(serialize = "counters_left"))]
    pub left: u32,
}

pub async fn run(config: &Config, now: Now, allowance: &Allowance) -> Result<Report, ApiError> {
    let mut total = Report::default();
    for _ in 0..ROUNDS.min(allowance.left()) {
        let round: Report = config.db.call(FOLD_COUNTERS, &json!({"now": now})).await?;
        total.purchase_rows += round.purchase_rows;
        total.links += round.links;
        total.left = round.left;
        if round.left == 0 {
            break;
        }
    }
    Ok(total)
}

/// What became of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Refreshed,
    /// Another run is at it.
    Busy,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Refresh {
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
}

pub async fn refresh_daily(config: &Config) -> Result<Refresh, ApiError> {
    Ok(config.db.call(REFRESH_DAILY_METRICS, &json!({})).await?)
}
