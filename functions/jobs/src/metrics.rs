//! Counters of purchases and of partners' links follow what was written since the last run. Running it twice changes nothing.

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
