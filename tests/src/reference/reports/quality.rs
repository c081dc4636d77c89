//! `get_data_quality`.

use std::collections::HashSet;

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;
use uuid::Uuid;

use crate::reference::books::{is_servers, is_visitors};
use crate::reference::model::Event;
use crate::reference::table::percent;
use crate::reference::{Books, Cell, Order, Period, Table};

/// The other functions of the page; all of them answer.
const FUNCTIONS: usize = 14;

pub fn data_quality(books: &Books, period: Period) -> Table {
    let history = books.history;
    let span = period.moments(history.zone);
    let created: Vec<&Order> = books.created_in(period).collect();
    let without_session = created.iter().filter(|order| order.session.is_none()).count();
    let without_utm = created.iter().filter(|order| order.channel.0.is_none()).count();

    let events: Vec<&Event> = history
        .events
        .iter()
        .filter(|event| event.bot.is_none() && span.has(event.at))
        .collect();
    let known: HashSet<Uuid> = history.orders.iter().map(|order| order.id).collect();
    let named: Vec<Option<Uuid>> = events.iter().filter_map(|event| names_order(event)).collect();
    let orphaned = named.iter().filter(|id| id.is_none_or(|id| !known.contains(&id))).count();

    let with_session: Vec<&Order> = books.paid_in(period).filter(|order| order.session.is_some()).collect();
    let has_checkout = |order: &&&Order| {
        let events = order.session.as_deref().and_then(|session| books.sessions.get(session));
        let mut checkouts = events.into_iter().flatten().filter(|event| event.kind == "checkout_start");
        checkouts.any(|event| order.paid.is_some_and(|paid| event.at <= paid))
    };
    let broken = with_session.len() - with_session.iter().filter(has_checkout).count();

    let visitors: Vec<&&Event> = events.iter().filter(|event| is_visitors(event)).collect();
    let without_visit = visitors.iter().filter(|event| event.visit.is_none()).count();

    let mut rows = Vec::new();
    let mut scored = Vec::new();
    for (name, checked, failed) in [
        ("orders_without_session_id", created.len(), without_session),
        ("orders_without_utm", created.len(), without_utm),
        ("orphaned_events", named.len(), orphaned),
        ("funnel_integrity", with_session.len(), broken),
        ("events_without_visit", visitors.len(), without_visit),
        ("sql_functions_health", FUNCTIONS, 0),
    ] {
        let share = percent(Decimal::from(failed), Decimal::from(checked));
        let status = match share {
            _ if name == "orders_without_utm" => "info",
            None => "unknown",
            Some(share) if share.is_zero() => "ok",
            Some(share) if share < Decimal::from(5) => "warning",
            Some(_) => "critical",
        };
        if name != "orders_without_utm" {
            scored.extend(share);
        }
        rows.push(vec![
            Cell::text(name),
            Cell::count(checked),
            Cell::count(failed),
            Cell::cents(share),
            Cell::text(status),
            Cell::Words,
        ]);
    }
    let mean = scored.iter().sum::<Decimal>() / Decimal::from(scored.len());
    let score = (Decimal::ONE_HUNDRED - mean).round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
    let status = match score {
        score if score >= Decimal::from(95) => "ok",
        score if score >= Decimal::from(80) => "warning",
        _ => "critical",
    };
    rows.push(vec![
        Cell::text("health_score"),
        Cell::Number(score),
        Cell::Null,
        Cell::Null,
        Cell::text(status),
        Cell::Words,
    ]);
    let columns = &["check_name", "checked", "failed", "failed_percentage", "status", "description"];
    Table::new(columns, rows)
}

/// The order an event names: none where it is of a type that names none, `Some(None)` where what it names cannot be an order.
fn names_order(event: &Event) -> Option<Option<Uuid>> {
    let named = event.data.as_ref().and_then(|data| data.get("order_id"));
    let id = named.and_then(Value::as_str).and_then(|text| text.parse().ok());
    (is_servers(event) || (event.kind == "payment_return" && named.is_some())).then_some(id)
}
