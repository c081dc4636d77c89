//! Every function of `docs/analytics.md` against a second computation of it that is not SQL (`tests/src/reference`), on generated shops:
//! one in Berlin, a smaller one in New York that knows the same people, both up to November 2025, and a small one in Havana, where a day of the
//! year has two midnights and another has none, up to now. `soak_reference.rs` does the same with 200,000 events and 20,000 orders.
//!
//! The database is one's own; functions that look at "now" are called with a clock, as owner, and the doors in `api` as staff.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod calls;
mod clocks;
mod comparison;
mod doors;
mod faults;
mod periods;
mod rows;
mod server;

use lonieve_tests::interleaving::Ground;
use lonieve_tests::reference::Size;

fn sizes() -> [Size; 3] {
    comparison::sizes(80_000, 8_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_answers_what_the_reference_computes() {
    let ground = Ground::new().await;
    let (histories, ticks) = comparison::agree(&ground.admin, sizes()).await;
    faults::every_function_notices_a_change(&ground.admin, &histories[1], &ticks).await;
    ground.stop().await;
}
