//! `get_unit_economics`.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use crate::reference::books::{Takings, is_clear};
use crate::reference::table::{cents, percent, ratio};
use crate::reference::{Books, Cell, Order, Period, Table};

/// The figures of a period as they are shown.
fn figures(books: &Books, period: Period) -> [(&'static str, Option<Decimal>); 12] {
    let history = books.history;
    let orders: Vec<&Order> = books.paid_in(period).collect();
    let takings = Takings::of(history, orders.iter().copied());
    let clear = orders.iter().filter(|order| is_clear(history, order)).count();
    let fees: Decimal = orders
        .iter()
        .flat_map(|order| &order.fees)
        .filter(|fee| fee.currency == history.currency)
        .map(|fee| fee.amount)
        .sum();
    let span = period.moments(history.zone);
    let refunds: Decimal = history
        .orders
        .iter()
        .flat_map(|order| &order.refunds)
        .filter(|refund| refund.status == "completed" && refund.processed.is_some_and(|processed| span.has(processed)))
        .map(|refund| refund.amount)
        .sum();
    let days_spend = history.spend.iter().filter(|spend| period.has_day(spend.day));
    let spend: Decimal = days_spend.map(|spend| spend.amount).sum();
    let customers: BTreeSet<&str> = orders.iter().map(|order| order.email.as_str()).collect();
    let is_new = |email: &&&str| books.customers[**email].orders[0].paid.is_some_and(|paid| span.has(paid));
    let new_customers = customers.iter().filter(is_new).count();
    let true_profit = takings.profit().map(|gross| gross - fees - refunds - spend);
    let ltv = ratio(takings.revenue, Decimal::from(customers.len())).map(cents);
    let cac = if spend.is_zero() {
        None
    } else {
        ratio(spend, Decimal::from(new_customers)).map(cents)
    };
    [
        ("Total Orders", Some(Decimal::from(takings.orders))),
        ("Revenue", Some(takings.revenue)),
        ("Cost", takings.cost),
        ("Gross Profit", takings.profit()),
        ("Transaction Fees", Some(fees)),
        ("Refunds", Some(refunds)),
        ("Ad Spend", Some(spend)),
        ("True Profit", true_profit),
        ("AOV", ratio(takings.revenue, Decimal::from(clear)).map(cents)),
        ("LTV", ltv),
        ("CAC", cac),
        ("LTV/CAC Ratio", ltv.zip(cac).and_then(|(ltv, cac)| ratio(ltv, cac)).map(cents)),
    ]
}

pub fn unit_economics(books: &Books, period: Period) -> Table {
    let former = figures(books, period.before());
    let rows = figures(books, period).into_iter().zip(former).map(|((name, now), (_, before))| {
        let change = now.zip(before).and_then(|(now, before)| percent(now - before, before.abs()));
        vec![Cell::text(name), Cell::number(now), Cell::cents(change)]
    });
    Table::new(&["metric_name", "metric_value", "period_comparison"], rows.collect())
}
