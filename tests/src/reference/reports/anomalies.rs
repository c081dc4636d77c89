//! `detect_anomalies`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::Days;
use rust_decimal::Decimal;

use crate::reference::books::Takings;
use crate::reference::model::Channel;
use crate::reference::table::percent;
use crate::reference::{Books, Cell, Moment, Period, Table};

pub fn anomalies(books: &Books, now: Moment) -> Table {
    let yesterday = books.today(now) - Days::new(1);
    let day = Period::day(yesterday);
    let week = Period::new(yesterday - Days::new(7), yesterday);
    let former = Period::day(yesterday - Days::new(1));
    let history = books.history;
    let takings = |period| Takings::of(history, books.paid_in(period));
    let mut rows = Vec::new();

    let (visits, orders) = (books.visits_of(day).count(), takings(day).orders);
    let (week_visits, week_orders) = (books.visits_of(week).count(), takings(week).orders);
    // orders / visits < 0.85 * week_orders / week_visits, without a division.
    if visits >= 30 && week_visits >= 100 && 100 * orders * week_visits < 85 * week_orders * visits {
        let rate = |orders: usize, visits: usize| percent(Decimal::from(orders), Decimal::from(visits));
        let (rate, week_rate) = (rate(orders, visits), rate(week_orders, week_visits));
        rows.push(row("conversion_drop", "critical", rate, week_rate, change(rate, week_rate)));
    }

    let (today, before) = (takings(day), takings(former));
    let pair = (Some(today.revenue), Some(before.revenue));
    if before.orders >= 3 && today.revenue > before.revenue * Decimal::new(15, 1) {
        rows.push(row("revenue_spike", "info", pair.0, pair.1, change(pair.0, pair.1)));
    }
    if before.orders >= 3 && today.revenue < before.revenue * Decimal::new(7, 1) {
        rows.push(row("revenue_drop", "warning", pair.0, pair.1, change(pair.0, pair.1)));
    }

    let mut channels: BTreeMap<Channel, Takings> = BTreeMap::new();
    for order in books.paid_in(day) {
        channels.entry(order.channel).or_default().add(history, order);
    }
    let known: Vec<(Channel, Decimal, Decimal)> = channels
        .into_iter()
        .filter_map(|(channel, takings)| takings.profit().map(|profit| (channel, profit, takings.revenue)))
        .collect();
    let all: Decimal = known.iter().map(|(_, profit, _)| *profit).sum();
    let best = known
        .iter()
        .min_by_key(|(channel, profit, revenue)| (Reverse((*profit, *revenue)), *channel));
    if let Some((_, profit, _)) = best.filter(|(_, profit, _)| *profit > Decimal::ZERO) {
        // Where others lost more than it earned, it has no share.
        let share = percent(*profit, all).filter(|_| all >= *profit);
        rows.push(row("best_channel", "info", Some(*profit), Some(all), share));
    }
    let columns = &[
        "insight_type",
        "severity",
        "title",
        "description",
        "metric_value",
        "baseline_value",
        "change_percentage",
        "recommendation",
    ];
    Table::new(columns, rows)
}

fn change(metric: Option<Decimal>, baseline: Option<Decimal>) -> Option<Decimal> {
    metric
        .zip(baseline)
        .and_then(|(metric, baseline)| percent(metric - baseline, baseline))
}

fn row(insight: &str, severity: &str, metric: Option<Decimal>, baseline: Option<Decimal>, change: Option<Decimal>) -> Vec<Cell> {
    vec![
        Cell::text(insight),
        Cell::text(severity),
        Cell::Words,
        Cell::Words,
        Cell::cents(metric),
        Cell::cents(baseline),
        Cell::cents(change),
        Cell::Words,
    ]
}
