//! `get_system_health`.

use std::collections::BTreeSet;

use chrono::Duration;
use rust_decimal::Decimal;

use crate::reference::table::{percent, ratio};
use crate::reference::{Books, Cell, Moment, Table};

/// `ticks`: when the jobs Worker ticked; it belongs to no tenant.
pub fn system_health(books: &Books, ticks: &[Moment], now: Moment) -> Table {
    let mut rows = vec![
        durations(books, "webhook_latency", "webhook_avg_latency_ms", (1000, 3000), now),
        durations(books, "email_send_time", "email_avg_send_time_ms", (2000, 5000), now),
    ];
    let age = ticks.iter().max().map(|last| Decimal::new((now - *last).num_milliseconds(), 3));
    let age_status = status(age.map(|age| -age), (-120, -600));
    rows.push(vec![Cell::text("jobs_heartbeat_age_s"), Cell::cents(age), Cell::Null, age_status]);
    let uptime = uptime(ticks, now);
    let uptime_status = match uptime {
        None => "unknown",
        Some(percent) if percent >= Decimal::new(999, 1) => "healthy",
        Some(percent) if percent >= Decimal::from(99) => "warning",
        Some(_) => "critical",
    };
    rows.push(vec![
        Cell::text("uptime_percent"),
        Cell::cents(uptime),
        Cell::cents(uptime),
        Cell::text(uptime_status),
    ]);
    Table::new(&["metric_name", "current_value", "avg_24h", "status"], rows)
}

fn uptime(ticks: &[Moment], now: Moment) -> Option<Decimal> {
    let minute_of = |moment: Moment| moment.timestamp().div_euclid(60);
    let running = minute_of(now);
    let first = minute_of(*ticks.iter().min()?).max(running - 1440);
    let up: BTreeSet<i64> = ticks
        .iter()
        .map(|tick| minute_of(*tick))
        .filter(|minute| (first..running).contains(minute))
        .collect();
    percent(Decimal::from(up.len()), Decimal::from(running - first))
}

fn durations(books: &Books, kind: &str, name: &str, limits: (i64, i64), now: Moment) -> Vec<Cell> {
    let mean = |hours: i64| {
        let since = now - Duration::hours(hours);
        let samples = books.history.samples.iter().filter(|sample| sample.kind == kind);
        let values: Vec<Decimal> = samples
            .filter(|sample| sample.at >= since && sample.at <= now)
            .map(|sample| sample.value)
            .collect();
        ratio(values.iter().sum(), Decimal::from(values.len()))
    };
    let current = mean(1);
    let status = status(current.map(|value| -value), (-limits.0, -limits.1));
    vec![Cell::text(name), Cell::cents(current), Cell::cents(mean(24)), status]
}

/// Of a figure that is better the higher it is: healthy above the first limit, warning above the second.
fn status(value: Option<Decimal>, (healthy, warning): (i64, i64)) -> Cell {
    Cell::text(match value {
        None => "unknown",
        Some(value) if value > Decimal::from(healthy) => "healthy",
        Some(value) if value > Decimal::from(warning) => "warning",
        Some(_) => "critical",
    })
}
