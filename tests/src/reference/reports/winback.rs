//! `get_winback_candidates`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::reference::books::Customer;
use crate::reference::table::ratio;
use crate::reference::{Books, Cell, Moment, Table};

pub fn winback_candidates(books: &Books, days_since_last: i64, min_orders: usize, now: Moment) -> Table {
    let today = books.today(now);
    let mut found: Vec<(&Customer, i64)> = Vec::new();
    for customer in books.customers.values() {
        let days = customer.days_since_last(today);
        if customer.orders.len() >= min_orders && days > days_since_last && !books.has_unsubscribed(customer.email) {
            found.push((customer, days));
        }
    }
    found.sort_by_key(|(customer, _)| (Reverse(customer.value), customer.email));
    let rows = found.into_iter().map(|(customer, days)| {
        let last = customer.orders[customer.orders.len() - 1];
        vec![
            Cell::text(customer.email),
            last.user.map_or(Cell::Null, |user| Cell::text(&user.to_string())),
            last.paid.map_or(Cell::Null, Cell::Time),
            Cell::Number(Decimal::from(days)),
            Cell::count(customer.orders.len()),
            Cell::Number(customer.value),
            Cell::cents(ratio(customer.value, Decimal::from(customer.orders.len()))),
            Cell::maybe_text(favorite_brand(customer)),
            Cell::maybe_text(last.channel.0),
            Cell::maybe_text(last.channel.1),
        ]
    });
    let columns = &[
        "email",
        "user_id",
        "last_order_date",
        "days_since_last_order",
        "total_orders",
        "total_spent",
        "avg_order_value",
        "favorite_brand",
        "last_utm_source",
        "last_utm_campaign",
    ];
    Table::new(columns, rows.collect())
}

/// Most units over all paid orders.
fn favorite_brand<'a>(customer: &Customer<'a>) -> Option<&'a str> {
    let mut brands: BTreeMap<&str, (i32, Option<Moment>)> = BTreeMap::new();
    for order in &customer.orders {
        for item in &order.items {
            if let Some(brand) = item.brand {
                let (units, last) = brands.entry(brand).or_default();
                *units += item.quantity;
                *last = order.paid.max(*last);
            }
        }
    }
    let best = brands.into_iter().min_by_key(|(brand, bought)| (Reverse(*bought), *brand));
    best.map(|(brand, _)| brand)
}
