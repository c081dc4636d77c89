//! `ai_get_revenue_last_n_days`, `ai_get_profit_last_n_days`, `ai_get_top_products`.

use std::cmp::Reverse;
use std::collections::HashMap;

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::reference::books::Takings;
use crate::reference::table::{cents, ratio};
use crate::reference::{Books, Cell, Moment, Period, Table};

pub fn revenue(books: &Books, days: u64, now: Moment) -> Table {
    let takings = last_days(books, days, now);
    Table::new(&["revenue"], vec![vec![Cell::Number(takings.revenue)]])
}

pub fn profit(books: &Books, days: u64, now: Moment) -> Table {
    let takings = last_days(books, days, now);
    Table::new(&["profit"], vec![vec![Cell::number(takings.profit())]])
}

fn last_days(books: &Books, days: u64, now: Moment) -> Takings {
    Takings::of(books.history, books.paid_in(Period::last_days(days, books.today(now))))
}

struct Sold<'a> {
    placed: Moment,
    name: &'a str,
    brand: Option<&'a str>,
    orders: usize,
    units: i32,
    revenue: Decimal,
}

/// Of what was paid in the period. An order that brought another amount than its total spreads it over its items by their price.
pub fn top_products(books: &Books, period: Period, limit: usize) -> Table {
    let mut products: HashMap<Uuid, Sold> = HashMap::new();
    for order in books.paid_in(period) {
        let brought = books.revenue(order);
        let mut seen = Vec::new();
        for item in &order.items {
            let sold = products.entry(item.product).or_insert(Sold {
                placed: order.created,
                name: &item.name,
                brand: item.brand,
                orders: 0,
                units: 0,
                revenue: Decimal::ZERO,
            });
            if order.created > sold.placed {
                (sold.placed, sold.name, sold.brand) = (order.created, &item.name, item.brand);
            }
            let price = item.price * Decimal::from(item.quantity);
            sold.revenue += if brought == order.total {
                price
            } else {
                ratio(brought * price, order.total).map_or(Decimal::ZERO, cents)
            };
            sold.units += item.quantity;
            if !seen.contains(&item.product) {
                seen.push(item.product);
                sold.orders += 1;
            }
        }
    }
    let mut sold: Vec<Sold> = products.into_values().collect();
    sold.sort_by_key(|sold| (Reverse((sold.revenue, sold.units)), sold.name));
    let cells = |sold: Sold| {
        vec![
            Cell::text(sold.name),
            Cell::maybe_text(sold.brand),
            Cell::count(sold.orders),
            Cell::Number(sold.revenue),
        ]
    };
    let columns = &["product_name", "brand", "orders_count", "revenue"];
    Table::new(columns, sold.into_iter().take(limit).map(cells).collect())
}
