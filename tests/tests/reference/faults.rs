//! Faults planted into the histories: after each, the reference must differ from what the server has answered. A comparison that could
//! not fail would be none.

use chrono::{Days, Duration};
use lonieve_tests::reference::{Books, History, Moment, Period, day_of};
use rust_decimal::Decimal;
use tokio_postgres::Client;

use crate::calls::{self, Call};
use crate::server;

type Fault = fn(&mut History);

/// One small change each, and the functions that count what it changes.
const FAULTS: [(&str, Fault, &[&str]); 10] = [
    (
        "a session is a program's",
        |history| {
            let mut events = history.events.iter().rev();
            let event = events
                .find(|event| event.kind == "page_view" && event.bot.is_none() && event.visit.is_some())
                .unwrap();
            let session = event.session.clone();
            for event in history.events.iter_mut().filter(|event| event.session == session) {
                event.bot = Some("Googlebot");
            }
        },
        &["funnel_stats", "channel_stats", "behavior_stats", "data_quality", "daily_metrics"],
    ),
    (
        "nobody has put anything into a cart at the end",
        |history| {
            let events = history.events.iter_mut().rev().filter(|event| event.kind == "add_to_cart");
            events.take(30).for_each(|event| event.kind = "view_catalog");
        },
        &["funnel_stats"],
    ),
    (
        "a payment brings a cent less",
        |history| {
            let currency = history.currency;
            let payments = history
                .orders
                .iter_mut()
                .filter(|order| order.paid.is_some())
                .flat_map(|order| &mut order.payments);
            let mut clear =
                payments.filter(|payment| payment.received == Some(payment.amount) && payment.received_currency == Some(currency));
            let payment = clear.next().unwrap();
            payment.received = Some(payment.amount - Decimal::new(1, 2));
        },
        &[
            "channel_stats",
            "unit_economics",
            "ltv_by_cohort",
            "rfm_segments",
            "winback_candidates",
            "daily_metrics",
        ],
    ),
    (
        "an order costs a cent more",
        |history| {
            let order = history
                .orders
                .iter_mut()
                .find(|order| order.paid.is_some() && order.status == "paid" && order.cost.is_some());
            *order.unwrap().cost.as_mut().unwrap() += Decimal::new(1, 2);
        },
        &["daily_metrics"],
    ),
    (
        "some orders are paid by somebody else",
        |history| {
            let orders = history.orders.iter_mut().filter(|order| order.paid.is_some());
            orders.take(20).for_each(|order| order.email = "nobody@example.com".to_owned());
        },
        &["ltv_by_cohort", "rfm_segments", "winback_candidates"],
    ),
    (
        "some items cost a cent more",
        |history| {
            let orders = history.orders.iter_mut().filter(|order| order.paid.is_some());
            orders.take(30).for_each(|order| order.items[0].price += Decimal::new(1, 2));
        },
        &["top_products"],
    ),
    (
        "nobody has unsubscribed",
        |history| {
            for lead in &mut history.leads {
                lead.unsubscribed = None;
            }
        },
        &["winback_candidates"],
    ),
    (
        "everybody who came lately has paid",
        |history| {
            let ends = history.ends;
            for order in history.orders.iter_mut().filter(|order| order.created > ends - Duration::days(7)) {
                order.paid = Some(ends);
            }
        },
        &["abandoned_checkouts"],
    ),
    (
        "measurements are others",
        |history| history.samples.iter_mut().for_each(|sample| sample.value += Decimal::ONE),
        &["system_health"],
    ),
    (
        "what was paid yesterday was paid tomorrow",
        |history| {
            let yesterday = day_of(history.zone, history.ends) - Days::new(1);
            for order in &mut history.orders {
                if order.paid.is_some_and(|paid| day_of(history.zone, paid) == yesterday) {
                    order.paid = order.paid.map(|paid| paid + Duration::days(2));
                }
            }
        },
        &["anomalies", "unit_economics"],
    ),
];

fn all_calls(history: &History, ticks: &[Moment]) -> Vec<Call> {
    let books = Books::new(history);
    let period = Period::new(history.begins, day_of(history.zone, history.ends) + Days::new(1));
    let mut calls = calls::of_period(&books, period);
    calls.push(calls::data_quality(&books, period));
    calls.extend(calls::of_now(&books, ticks, history.ends));
    calls.push(calls::anomalies(&books, history.ends));
    calls
}

pub async fn every_function_notices_a_change(db: &Client, history: &History, ticks: &[Moment]) {
    let mut answers = Vec::new();
    for call in all_calls(history, ticks) {
        answers.push(server::rows(db, &call).await);
    }
    let mut never_noticed: Vec<&str> = all_calls(history, ticks).iter().map(|call| call.function).collect();
    for (name, plant, functions) in FAULTS {
        let mut wrong = history.clone();
        plant(&mut wrong);
        let calls = all_calls(&wrong, ticks);
        let noticed: Vec<&str> = calls
            .iter()
            .zip(&answers)
            .filter(|(call, rows)| call.expected.difference(rows).is_some())
            .map(|(call, _)| call.function)
            .collect();
        for function in functions {
            assert!(noticed.contains(function), "{function} does not notice that {name}: {noticed:?}");
        }
        never_noticed.retain(|function| !functions.contains(function));
    }
    assert!(never_noticed.is_empty(), "{never_noticed:?}");
}
