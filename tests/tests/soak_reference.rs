//! Every function of `docs/analytics.md` against the second computation of it, as in `reference`, on a shop of 200,000 events and 20,000 orders.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

#[path = "reference/calls.rs"]
mod calls;
#[path = "reference/clocks.rs"]
mod clocks;
#[path = "reference/comparison.rs"]
mod comparison;
#[path = "reference/doors.rs"]
mod doors;
#[path = "reference/periods.rs"]
mod periods;
#[path = "reference/server.rs"]
mod server;

use lonieve_tests::interleaving::Ground;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_answers_what_the_reference_computes() {
    let ground = Ground::new().await;
    comparison::agree(&ground.admin, comparison::sizes(200_000, 20_000)).await;
    ground.stop().await;
}
