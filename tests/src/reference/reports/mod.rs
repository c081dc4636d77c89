//! One file per function of `docs/analytics.md` (or two that share a rule).

mod abandoned;
mod anomalies;
mod behaviour;
mod channels;
mod cohorts;
mod daily;
mod economics;
mod funnel;
mod health;
mod products;
mod quality;
mod rfm;
mod winback;

pub use abandoned::abandoned_checkouts;
pub use anomalies::anomalies;
pub use behaviour::behavior_stats;
pub use channels::channel_stats;
pub use cohorts::ltv_by_cohort;
pub use daily::daily_metrics;
pub use economics::unit_economics;
pub use funnel::funnel_stats;
pub use health::system_health;
pub use products::{profit, revenue, top_products};
pub use quality::data_quality;
pub use rfm::rfm_segments;
pub use winback::winback_candidates;
