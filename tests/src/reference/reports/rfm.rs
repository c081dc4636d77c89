//! `get_rfm_segments`.

use std::cmp::Reverse;

use rust_decimal::Decimal;

use crate::reference::{Books, Cell, Moment, Table};

struct Scored<'a> {
    email: &'a str,
    recency: i64,
    frequency: usize,
    monetary: Decimal,
}

pub fn rfm_segments(books: &Books, now: Moment) -> Table {
    let today = books.today(now);
    let mut people: Vec<Scored> = Vec::new();
    for customer in books.customers.values() {
        people.push(Scored {
            email: customer.email,
            recency: customer.days_since_last(today),
            frequency: customer.orders.len(),
            monetary: customer.value,
        });
    }
    people.sort_by_key(|person| (Reverse(person.monetary), person.email));
    let n = people.len();
    let mut recencies: Vec<i64> = people.iter().map(|person| person.recency).collect();
    let mut frequencies: Vec<usize> = people.iter().map(|person| person.frequency).collect();
    let mut monetaries: Vec<Decimal> = people.iter().map(|person| person.monetary).collect();
    recencies.sort_unstable();
    frequencies.sort_unstable();
    monetaries.sort_unstable();
    // From below: how many have less, in fifths of the others.
    let fifth = |smaller: usize| if n == 1 { 1 } else { (1 + 5 * smaller / (n - 1)).min(5) };
    let rows = people.iter().map(|person| {
        let as_long_ago = n - recencies.partition_point(|recency| *recency < person.recency);
        let r = (5 * as_long_ago).div_ceil(n);
        let f = fifth(frequencies.partition_point(|frequency| *frequency < person.frequency));
        let m = fifth(monetaries.partition_point(|monetary| *monetary < person.monetary));
        vec![
            Cell::text(person.email),
            Cell::Number(Decimal::from(person.recency)),
            Cell::count(person.frequency),
            Cell::Number(person.monetary),
            Cell::text(&format!("{r}{f}{m}")),
            Cell::text(segment(r, f, m)),
            Cell::Words,
        ]
    });
    let columns = &[
        "customer_email",
        "recency_days",
        "frequency",
        "monetary",
        "rfm_score",
        "segment",
        "segment_description",
    ];
    Table::new(columns, rows.collect())
}

fn segment(r: usize, f: usize, m: usize) -> &'static str {
    match (r, f, m) {
        (4.., 4.., 4..) => "VIP Champions",
        (..=2, 3.., _) => "At Risk",
        (..=2, ..=2, _) => "Lost",
        (_, 4.., _) => "Loyal",
        (_, _, 4..) => "Big Spenders",
        (4.., ..=2, _) => "Promising",
        (3, 3, _) => "Need Attention",
        _ => "Regular",
    }
}
