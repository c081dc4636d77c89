//! `get_abandoned_checkouts`.

use std::collections::HashMap;

use chrono::Duration;
use rust_decimal::Decimal;

use crate::reference::model::Event;
use crate::reference::{Books, Cell, Moment, Table};

pub fn abandoned_checkouts(books: &Books, minutes_ago: i64, now: Moment) -> Table {
    let mut last_payment: HashMap<&str, Moment> = HashMap::new();
    for order in &books.history.orders {
        if let Some(paid) = order.paid {
            let last = last_payment.entry(&order.email).or_insert(paid);
            *last = paid.max(*last);
        }
    }
    let mut found: Vec<(&Event, Vec<Cell>)> = Vec::new();
    for (session, events) in &books.sessions {
        let Some(checkout) = events.iter().rev().find(|event| event.kind == "checkout_start") else {
            continue;
        };
        if checkout.at < now - Duration::minutes(minutes_ago) || checkout.at > now - Duration::minutes(30) {
            continue;
        }
        let orders = books.orders_of_session.get(session).map_or(&[][..], Vec::as_slice);
        let later = orders.iter().filter(|order| order.created >= checkout.at);
        let Some(order) = later.max_by_key(|order| (order.created, order.id)) else {
            continue;
        };
        let session_paid = orders.iter().filter_map(|order| order.paid).any(|paid| paid >= checkout.at);
        let person_paid = last_payment.get(order.email.as_str()).is_some_and(|paid| *paid >= checkout.at);
        if session_paid || person_paid || books.has_unsubscribed(&order.email) {
            continue;
        }
        let row = vec![
            Cell::text(session),
            order.user.map_or(Cell::Null, |user| Cell::text(&user.to_string())),
            Cell::text(&order.email),
            checkout.data.clone().map_or(Cell::Null, Cell::Json),
            Cell::Time(checkout.at),
            Cell::Number(Decimal::from((now - checkout.at).num_minutes())),
            Cell::maybe_text(checkout.channel.0),
            Cell::maybe_text(checkout.channel.1),
        ];
        found.push((checkout, row));
    }
    found.sort_by_key(|(checkout, _)| (checkout.at, checkout.session.as_str()));
    let columns = &[
        "session_id",
        "user_id",
        "email",
        "product_data",
        "checkout_started_at",
        "minutes_since",
        "utm_source",
        "utm_campaign",
    ];
    Table::new(columns, found.into_iter().map(|(_, row)| row).collect())
}
