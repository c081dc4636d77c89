//! Every function of `docs/analytics.md` against a second computation of it that is not SQL (`tests/src/reference`), on generated shops:
//! one of 200,000 events and 20,000 orders in Berlin, a smaller one in New York that knows the same people, both up to November 2025, and a small
//! one in Havana, where a day of the year has two midnights and another has none, up to now.
//!
//! The database is one's own; functions that look at "now" are called with a clock, as owner, and the doors in `api` as staff.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod calls;
mod clocks;
mod doors;
mod faults;
mod periods;
mod rows;
mod server;

use std::time::Instant;

use chrono::Duration;
use chrono_tz::{America, Europe};
use lonieve_tests::interleaving::Ground;
use lonieve_tests::reference::{Books, History, Size, fixed_end, generate, load};

/// The large shop, and the others beside it.
fn sizes() -> [Size; 3] {
    let now = chrono::Utc::now();
    [
        Size {
            seed: 2025,
            zone: Europe::Berlin,
            events: 200_000,
            orders: 20_000,
            ends: fixed_end(),
        },
        Size {
            seed: 7,
            zone: America::New_York,
            events: 20_000,
            orders: 2_000,
            ends: fixed_end(),
        },
        Size {
            seed: 90,
            zone: America::Havana,
            events: 6_000,
            orders: 600,
            ends: now - Duration::minutes(45),
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_answers_what_the_reference_computes() {
    let begun = Instant::now();
    let histories: Vec<History> = sizes().into_iter().map(generate).collect();
    println!("generated in {:.1?}", begun.elapsed());
    let ground = Ground::new().await;
    let begun = Instant::now();
    for history in &histories {
        load::load(&ground.admin, history).await;
    }
    let ticks = clocks::ticks();
    load::load_ticks(&ground.admin, &ticks).await;
    server::settle(&ground.admin).await;
    println!("loaded in {:.1?}", begun.elapsed());

    let mut report = server::Report::default();
    for history in &histories {
        let begun = Instant::now();
        let books = Books::new(history);
        for call in periods::calls(&books).into_iter().chain(clocks::calls(&books, &ticks)) {
            report.compare(&ground.admin, history, &call).await;
        }
        doors::compare(&ground.admin, &books, &ticks, &mut report).await;
        println!("{} compared in {:.1?}", history.zone, begun.elapsed());
    }
    report.print();
    report.assert_agrees();
    faults::every_function_notices_a_change(&ground.admin, &histories[1], &ticks).await;
    ground.stop().await;
}
