//! `analytics.daily_metrics` and `get_daily_metrics`.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::reference::books::Takings;
use crate::reference::calendar::day_of;
use crate::reference::model::Channel;
use crate::reference::table::{percent, ratio};
use crate::reference::{Books, Cell, Period, Table};

#[derive(Default)]
struct Day {
    visits: usize,
    created: usize,
    takings: Takings,
}

/// Rows by day, source and campaign, null first. `shown`: as the function shows channels, not as the view stores them.
pub fn daily_metrics(books: &Books, period: Period, shown: bool) -> Table {
    let zone = books.history.zone;
    let mut days: BTreeMap<(NaiveDate, Channel), Day> = BTreeMap::new();
    for visit in books.visits_of(period) {
        days.entry((visit.day, visit.channel)).or_default().visits += 1;
    }
    for order in books.created_in(period) {
        days.entry((day_of(zone, order.created), order.channel)).or_default().created += 1;
    }
    for order in books.paid_in(period) {
        if let Some(day) = books.paid_day(order) {
            days.entry((day, order.channel)).or_default().takings.add(books.history, order);
        }
    }
    let cells = |((day, (source, campaign)), row): ((NaiveDate, Channel), Day)| {
        let Day { visits, created, takings } = row;
        let paid = Decimal::from(takings.orders);
        let margin = if takings.revenue.is_zero() {
            takings.profit().map(|_| Decimal::ZERO)
        } else {
            takings.profit().and_then(|profit| percent(profit, takings.revenue))
        };
        vec![
            Cell::text(&day.to_string()),
            Cell::maybe_text(source.or(shown.then_some("Direct"))),
            Cell::maybe_text(campaign.or(shown.then_some("N/A"))),
            Cell::count(visits),
            Cell::count(created),
            Cell::count(takings.orders),
            Cell::Number(takings.revenue),
            Cell::number(takings.cost),
            Cell::number(takings.profit()),
            Cell::cents(percent(paid, Decimal::from(visits)).filter(|_| takings.orders <= visits)),
            Cell::cents(ratio(takings.revenue, paid)),
            Cell::cents(margin),
        ]
    };
    let columns = &[
        "date",
        "utm_source",
        "utm_campaign",
        "sessions",
        "total_orders",
        "paid_orders",
        "revenue",
        "cost",
        "profit",
        "conversion_rate",
        "avg_order_value",
        "margin_percentage",
    ];
    Table::new(columns, days.into_iter().map(cells).collect())
}
