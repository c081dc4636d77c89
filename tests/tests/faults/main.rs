//! Whatever fails between an order and its mail: no money that was taken is lost, no mail is missing after the recovery, none is sent twice,
//! no code is sold twice.
//!
//! - [`kills`]: PostgREST and Postgres are killed in the middle of a run of orders, notices and mails, and started again.
//! - [`sites`]: one call at a time fails, in every way, at every place of the path.
//! - [`late`]: answers that come after their caller has given up.
//! - [`combinations`]: several at once, by a seed. `tests/soak_faults.rs` tries more of them.
//!
//! Each starts a stack of its own, because what it does to the stack no other test would survive. What must hold in the end is one list,
//! [`invariants`].
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod buyers;
mod combinations;
mod invariants;
mod kills;
mod late;
mod sites;
mod stage;

use stack::CardlinkApi;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgrest_and_postgres_killed_in_the_middle_v2() {
    kills::run(CardlinkApi::V2, 1, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgrest_and_postgres_killed_in_the_middle_v1() {
    kills::run(CardlinkApi::V1, 1, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_fails_and_fifteen_seeds_of_several_v2() {
    sites::run(CardlinkApi::V2).await;
    combinations::run(CardlinkApi::V2, 0..15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_fails_and_fifteen_seeds_of_several_v1() {
    sites::run(CardlinkApi::V1).await;
    combinations::run(CardlinkApi::V1, 15..30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_come_too_late() {
    late::run(CardlinkApi::V1).await;
}
