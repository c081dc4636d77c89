//! Generated shops, loaded and compared.

use std::time::Instant;

use chrono::Duration;
use chrono_tz::{America, Europe};
use lonieve_tests::reference::{Books, History, Moment, Size, fixed_end, generate, load};
use tokio_postgres::Client;

use crate::{clocks, doors, periods, server};

/// The shop in Berlin, of this size, and the others beside it.
pub fn sizes(events: usize, orders: usize) -> [Size; 3] {
    let now = chrono::Utc::now();
    [
        Size {
            seed: 2025,
            zone: Europe::Berlin,
            events,
            orders,
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

/// Every function answers for each of the shops what the reference computes. Returns the shops, and the ticks of the clock among their rows.
pub async fn agree(db: &Client, sizes: [Size; 3]) -> (Vec<History>, Vec<Moment>) {
    let begun = Instant::now();
    let histories: Vec<History> = sizes.into_iter().map(generate).collect();
    println!("generated in {:.1?}", begun.elapsed());
    let begun = Instant::now();
    for history in &histories {
        load::load(db, history).await;
    }
    let ticks = clocks::ticks();
    load::load_ticks(db, &ticks).await;
    server::settle(db).await;
    println!("loaded in {:.1?}", begun.elapsed());

    let mut report = server::Report::default();
    for history in &histories {
        let begun = Instant::now();
        let books = Books::new(history);
        for call in periods::calls(&books).into_iter().chain(clocks::calls(&books, &ticks)) {
            report.compare(db, history, &call).await;
        }
        doors::compare(db, &books, &ticks, &mut report).await;
        println!("{} compared in {:.1?}", history.zone, begun.elapsed());
    }
    report.print();
    report.assert_agrees();
    (histories, ticks)
}
