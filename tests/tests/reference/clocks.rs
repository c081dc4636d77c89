//! Which moments are taken for now.

use chrono::{Days, Duration};
use lonieve_tests::reference::{Books, Moment, day_begins, fixed_end};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::calls::{self, Call};
use crate::periods;

/// The jobs Worker ticked each minute of two days, less some, to the end of the histories; twice in some minutes.
pub fn ticks() -> Vec<Moment> {
    let mut rng = StdRng::seed_from_u64(11);
    let mut ticks = Vec::new();
    for minute in 0..2880 {
        if !rng.random_bool(0.004) {
            let times = if rng.random_bool(0.05) { 2 } else { 1 };
            ticks.extend((0..times).map(|_| fixed_end() - Duration::minutes(minute) - Duration::milliseconds(rng.random_range(0..60_000))));
        }
    }
    ticks
}

pub fn calls(books: &Books, ticks: &[Moment]) -> Vec<Call> {
    let zone = books.history.zone;
    let end = books.history.ends;
    let mut calls = Vec::new();
    // Just before the next midnight, at it, and weeks after.
    let midnight = day_begins(zone, books.today(end) + Days::new(1));
    let just_before = midnight - Duration::milliseconds(1);
    for now in [just_before, midnight, end + Duration::days(47)] {
        calls.extend(calls::of_now(books, ticks, now));
    }
    for day in books.history.begins.iter_days().step_by(9).take(50) {
        calls.push(calls::anomalies(books, day_begins(zone, day) + Duration::hours(13)));
    }
    for day in periods::days_with_another_length(books) {
        // On it, at the first moment after it, and a week later.
        for days in [0, 1, 2, 8] {
            calls.push(calls::anomalies(books, day_begins(zone, day + Days::new(days))));
        }
    }
    calls
}
