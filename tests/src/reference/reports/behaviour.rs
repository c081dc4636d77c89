//! `get_behavior_stats`.

use chrono::Duration;
use rust_decimal::Decimal;

use crate::reference::books::Visit;
use crate::reference::table::{percent, ratio};
use crate::reference::{Books, Cell, Period, Table};

pub fn behavior_stats(books: &Books, period: Period) -> Table {
    let columns = &[
        "device_type",
        "sessions",
        "page_views",
        "pages_per_session",
        "bounce_rate",
        "avg_session_seconds",
        "avg_page_seconds",
        "avg_scroll_depth",
    ];
    let all: Vec<&Visit> = books.visits_of(period).collect();
    let mut rows = Vec::new();
    for device in ["mobile", "tablet", "desktop", "unknown"] {
        let visits: Vec<&&Visit> = all.iter().filter(|visit| visit.device == device).collect();
        if visits.is_empty() {
            continue;
        }
        let count = Decimal::from(visits.len());
        let page_views: usize = visits.iter().map(|visit| visit.page_views).sum();
        let bounces = visits.iter().filter(|visit| visit.is_bounce).count();
        let length: Duration = visits.iter().map(|visit| visit.last - visit.first).sum();
        let seconds = Decimal::new(length.num_milliseconds(), 3);
        rows.push(vec![
            Cell::text(device),
            Cell::count(visits.len()),
            Cell::count(page_views),
            Cell::cents(ratio(Decimal::from(page_views), count)),
            Cell::cents(percent(Decimal::from(bounces), count)),
            Cell::cents(ratio(seconds, count)),
            mean(visits.iter().flat_map(|visit| &visit.page_seconds)),
            mean(visits.iter().flat_map(|visit| &visit.scrolls)),
        ]);
    }
    Table::new(columns, rows)
}

fn mean<'a>(values: impl Iterator<Item = &'a i32>) -> Cell {
    let (mut sum, mut count) = (Decimal::ZERO, Decimal::ZERO);
    for value in values {
        sum += Decimal::from(*value);
        count += Decimal::ONE;
    }
    Cell::cents(ratio(sum, count))
}
