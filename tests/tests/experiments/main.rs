//! Experiments from the draft to the results: who is assigned to what, what staff may change, what is counted.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod assignment;
mod refusals;
mod results;
mod staff;

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The bucket as docs/experiments.md defines it, written down a second time.
pub fn bucket(experiment: &str, visitor: &str) -> u64 {
    let hash = Sha256::digest(format!("{experiment}:{visitor}"));
    u64::from_be_bytes(hash[..8].try_into().unwrap()) % 100
}

/// So many fresh visitors whose bucket in this experiment is in the range.
pub fn visitors(experiment: &str, buckets: std::ops::Range<u64>, count: usize) -> Vec<String> {
    let fresh = std::iter::repeat_with(|| uuid::Uuid::new_v4().to_string());
    fresh
        .filter(|visitor| buckets.contains(&bucket(experiment, visitor)))
        .take(count)
        .collect()
}

/// What staff send for a new experiment.
pub fn draft(key: &str, shares: &[(&str, u8)]) -> Value {
    let allocation: serde_json::Map<String, Value> = shares.iter().map(|(name, share)| ((*name).to_owned(), json!(share))).collect();
    json!({"key": key, "name": "A test", "variants": shares.iter().map(|(name, _)| name).collect::<Vec<_>>(), "trafficAllocation": allocation})
}

/// A draft of this shop; its id.
pub async fn drafted(shop: &Shop, key: &str, shares: &[(&str, u8)]) -> String {
    let made = shop
        .admin_post(&shop.staff_token, "experiments", &draft(key, shares))
        .await
        .expect(200);
    made["id"].as_str().unwrap().to_owned()
}

pub async fn patch(shop: &Shop, id: &str, change: Value) -> Reply {
    let request = shop.admin(&shop.staff_token, Method::PATCH, &format!("experiments/{id}"));
    Reply::of(request.json(&change)).await
}

/// An experiment that runs; its id.
pub async fn running(shop: &Shop, key: &str, shares: &[(&str, u8)]) -> String {
    let id = drafted(shop, key, shares).await;
    patch(shop, &id, json!({"status": "running"})).await.expect(200);
    id
}

pub async fn ask(shop: &Shop, visitor: &str) -> Reply {
    let request = shop.request(Method::GET, "events", "/api/experiments");
    Reply::of(request.query(&[("visitor_id", visitor)])).await
}

pub async fn assignments(shop: &Shop, visitor: &str) -> Value {
    ask(shop, visitor).await.expect(200)["assignments"].clone()
}

pub async fn stored(shop: &Shop) -> i64 {
    shop.count("select count(*) from analytics.experiment_assignments where tenant_id = $1")
        .await
}
