//! What `POST /api/events` keeps of an event, whose pages may read its answers, visits, messages of a queue, and many events at once.
//! What it refuses is in `refusals_events`; the queue itself in `events_queue.rs`.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod cors;
mod flood;
mod kept;
mod messages;
mod refusing_queue;
mod visits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_events_with_duplicates_in_disorder_and_failing_requests_are_stored_once_each() {
    let shop = lonieve_tests::Shop::new().await;
    let agent = flood::Agents::of(&shop);
    let work = flood::send(&shop, 50_000, 1, &agent);
    let (sent, seen) = shop.under_faults(&shop.info.proxy, agent.rules(), work).await;
    println!("{}", flood::look(&shop, sent, seen).await);
}
