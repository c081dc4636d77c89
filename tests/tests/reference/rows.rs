//! The generated shops hold what they were made for. A rule that no row meets would be compared with nothing.

use std::collections::{HashMap, HashSet};

use chrono::{Days, Duration};
use lonieve_tests::reference::{Books, History, Period, day_begins, day_of, generate, reports};

use crate::sizes;

fn assert_many(what: &str, count: usize, least: usize) {
    println!("{count:>7} {what}");
    assert!(count >= least, "{count} {what}, not {least}");
}

#[test]
fn the_same_seed_is_the_same_history() {
    let size = sizes()[1];
    let (one, other) = (generate(size), generate(size));
    assert_eq!(format!("{:?}", one.orders), format!("{:?}", other.orders));
    assert_eq!(format!("{:?}", one.events), format!("{:?}", other.events));
}

#[test]
fn the_largest_shop_meets_every_rule() {
    let [large, small, _] = sizes().map(generate);
    assert_eq!((large.events.len(), large.orders.len()), (80_000, 8_000));
    let books = Books::new(&large);
    events(&large, &books);
    orders(&large);
    let emails: HashSet<&str> = small.orders.iter().map(|order| order.email.as_str()).collect();
    assert_many(
        "customers of both shops",
        books.customers.keys().filter(|email| emails.contains(*email)).count(),
        60,
    );
    let insights: Vec<String> = large
        .begins
        .iter_days()
        .take(426)
        .step_by(4)
        .map(|day| {
            format!(
                "{:?}",
                reports::anomalies(&books, day_begins(large.zone, day) + Duration::hours(1)).rows
            )
        })
        .collect();
    for insight in ["conversion_drop", "revenue_spike", "revenue_drop", "best_channel"] {
        assert_many(insight, insights.iter().filter(|found| found.contains(insight)).count(), 5);
    }
    let all = Period::new(large.begins, day_of(large.zone, large.ends) + Days::new(1));
    println!("{:?}", reports::funnel_stats(&books, all).rows);
}

fn events(history: &History, books: &Books) {
    let midnight = |at| day_begins(history.zone, day_of(history.zone, at)) == at;
    let count = |test: &dyn Fn(&&lonieve_tests::reference::Event) -> bool| history.events.iter().filter(test).count();
    assert_many("events of programs", count(&|event| event.bot.is_some()), 400);
    assert_many("events without a visit", count(&|event| event.visit.is_none()), 40);
    assert_many("events exactly at midnight", count(&|event| midnight(event.at)), 4);
    assert_many("events of the server", count(&|event| event.kind == "payment_success"), 1_000);
    let mut times: HashMap<_, usize> = HashMap::new();
    history
        .events
        .iter()
        .for_each(|event| *times.entry((&event.session, event.at)).or_default() += 1);
    assert_many(
        "events of a session at one moment",
        times.values().filter(|count| **count > 1).count(),
        100,
    );
    assert_many("visits", books.visits.len(), 4_000);
    let over_midnight = |visit: &&lonieve_tests::reference::Visit| day_of(history.zone, visit.last) > visit.day;
    assert_many("visits over midnight", books.visits.iter().filter(over_midnight).count(), 20);
    let endless = books.visits.iter().filter(|visit| visit.last - visit.first > Duration::hours(24));
    assert_many("visits of more than a day", endless.count(), 5);
    assert_many("bounces", books.visits.iter().filter(|visit| visit.is_bounce).count(), 400);
}

fn orders(history: &History) {
    let midnight = |at| day_begins(history.zone, day_of(history.zone, at)) == at;
    let count = |test: &dyn Fn(&&lonieve_tests::reference::Order) -> bool| history.orders.iter().filter(test).count();
    for status in [
        "pending",
        "paid",
        "manual_review",
        "failed",
        "expired",
        "partially_refunded",
        "refunded",
        "chargeback",
    ] {
        assert_many(status, count(&|order| order.status == status), 2);
    }
    assert_many("orders without a session", count(&|order| order.session.is_none()), 100);
    assert_many(
        "orders paid exactly at midnight",
        count(&|order| order.paid.is_some_and(midnight)),
        20,
    );
    assert_many(
        "orders of which no cost is known",
        count(&|order| order.paid.is_some() && order.cost.is_none() && order.delivered.is_some()),
        2,
    );
    assert_many(
        "orders that ended before they were delivered",
        count(&|order| order.status == "refunded" && order.delivered.is_none()),
        10,
    );
    assert_many(
        "orders without a settled payment",
        count(&|order| order.paid.is_some() && order.payments.is_empty()),
        10,
    );
    let unreadable = |payment: &lonieve_tests::reference::Payment| payment.status == "paid" && payment.received.is_none();
    assert_many("unreadable payments", count(&|order| order.payments.iter().any(unreadable)), 4);
    assert_many("orders with several refunds", count(&|order| order.refunds.len() > 1), 10);
    assert_many("orders with a fee that came back", count(&|order| order.fees.len() > 1), 10);
}
