//! `get_ltv_by_cohort`.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;

use crate::reference::books::Customer;
use crate::reference::calendar::{month_after, month_of};
use crate::reference::table::{percent, ratio};
use crate::reference::{Books, Cell, Moment, Table};

pub fn ltv_by_cohort(books: &Books, days: u64, now: Moment) -> Table {
    let mut cohorts: BTreeMap<NaiveDate, Vec<(NaiveDate, &Customer)>> = BTreeMap::new();
    for customer in books.customers.values() {
        let first = customer.days[0];
        cohorts.entry(month_of(first)).or_default().push((first, customer));
    }
    let rows = cohorts.iter().rev().map(|(month, people)| {
        let count = Decimal::from(people.len());
        let total: Decimal = people.iter().map(|(_, customer)| customer.value).sum();
        let repeat = people.iter().filter(|(_, customer)| customer.orders.len() >= 2).count();
        let orders: usize = people.iter().map(|(_, customer)| customer.orders.len()).sum();
        let last_day = month_after(*month) - Days::new(1);
        let retention = (1..=12)
            .take_while(|k| last_day + Days::new((k + 1) * days) <= books.today(now))
            .map(|k| {
                let came_back = |(first, customer): &&(NaiveDate, &Customer)| {
                    let (from, to) = (*first + Days::new(k * days), *first + Days::new((k + 1) * days));
                    customer.days.iter().any(|day| from <= *day && *day < to)
                };
                let came = people.iter().filter(came_back).count();
                percent(Decimal::from(came), count).map(crate::reference::table::cents)
            });
        vec![
            Cell::text(&month.format("%Y-%m").to_string()),
            Cell::count(people.len()),
            Cell::Number(total),
            Cell::cents(ratio(total, count)),
            Cell::count(repeat),
            Cell::cents(percent(Decimal::from(repeat), count)),
            Cell::cents(ratio(Decimal::from(orders), count)),
            Cell::Numbers(retention.collect()),
        ]
    });
    let columns = &[
        "cohort_month",
        "customers_count",
        "total_ltv",
        "avg_ltv",
        "repeat_customers",
        "repeat_rate",
        "avg_orders_per_customer",
        "retention_rates",
    ];
    Table::new(columns, rows.collect())
}
