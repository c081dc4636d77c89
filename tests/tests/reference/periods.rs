//! Which periods are asked for.

use chrono::{Datelike, Days, Months, NaiveDate};
use lonieve_tests::reference::{Books, Period, day_begins, day_of};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::calls::{self, Call};

pub fn calls(books: &Books) -> Vec<Call> {
    let periods = periods(books);
    let mut calls: Vec<Call> = periods.iter().flat_map(|period| calls::of_period(books, *period)).collect();
    calls.extend(periods.iter().step_by(14).map(|period| calls::data_quality(books, *period)));
    calls
}

fn periods(books: &Books) -> Vec<Period> {
    let zone = books.history.zone;
    let (first, last) = (books.history.begins, day_of(zone, books.history.ends));
    let closed = first + Days::new(150);
    let month = (first + Months::new(5)).with_day(1).unwrap();
    let mut periods = vec![
        // All, and nothing in several ways.
        Period::new(first, last + Days::new(1)),
        Period::new(first - Days::new(40), first),
        Period::new(closed, closed + Days::new(8)),
        Period::new(month, month),
        Period::new(last + Days::new(1), last + Days::new(30)),
        // The first day, the last one that is not over, what is asked for by default.
        Period::day(first),
        Period::day(last),
        Period::last_days(7, last),
        Period::last_days(30, last),
        // Months, and a week over the edge of one.
        Period::new(month, month + Months::new(1)),
        Period::new(month - Days::new(3), month + Days::new(4)),
        Period::new(first, first + Months::new(3)),
    ];
    for day in days_with_another_length(books) {
        periods.extend([
            Period::day(day),
            Period::day(day + Days::new(1)),
            Period::new(day - Days::new(3), day + Days::new(1)),
        ]);
    }
    let mut rng = StdRng::seed_from_u64(books.history.events.len() as u64);
    for _ in 0..6 {
        let from = first + Days::new(rng.random_range(0..420));
        periods.push(Period::new(from, from + Days::new(rng.random_range(1..60))));
    }
    periods
}

/// Days on which the clocks of the shop change.
pub fn days_with_another_length(books: &Books) -> Vec<NaiveDate> {
    let zone = books.history.zone;
    let days = books.history.begins.iter_days().take(425);
    let changed: Vec<NaiveDate> = days
        .filter(|day| (day_begins(zone, *day + Days::new(1)) - day_begins(zone, *day)).num_hours() != 24)
        .collect();
    assert!(changed.len() >= 2, "{changed:?}");
    changed
}
