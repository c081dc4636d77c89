//! The faults of `tests/tests/faults` for longer: more seeds, more kills.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

#[path = "faults/buyers.rs"]
mod buyers;
#[path = "faults/combinations.rs"]
mod combinations;
#[path = "faults/invariants.rs"]
mod invariants;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/late.rs"]
mod late;
#[path = "faults/sites.rs"]
mod sites;
#[path = "faults/stage.rs"]
mod stage;

use stack::CardlinkApi;

const BOTH: [CardlinkApi; 2] = [CardlinkApi::V1, CardlinkApi::V2];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hundred_seeds_of_several_faults() {
    for (index, cardlink) in BOTH.into_iter().enumerate() {
        let first = 1000 + 1000 * index as u64;
        combinations::run(cardlink, first..first + 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eighty_kills() {
    for (index, cardlink) in BOTH.into_iter().enumerate() {
        kills::run(cardlink, 10, 100 + index as u64).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_once_in_every_way() {
    for cardlink in BOTH {
        sites::run(cardlink).await;
        late::run(cardlink).await;
    }
}
