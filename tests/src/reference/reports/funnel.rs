//! `get_funnel_stats`.

use rust_decimal::Decimal;

use crate::reference::table::percent;
use crate::reference::{Books, Cell, Event, Moment, Period, Table};

const STEPS: [(&str, &str); 4] = [
    ("Page View", "page_view"),
    ("Product View", "view_product"),
    ("Add to Cart", "add_to_cart"),
    ("Checkout Start", "checkout_start"),
];

pub fn funnel_stats(books: &Books, period: Period) -> Table {
    let span = period.moments(books.history.zone);
    let mut reached = [0; 5];
    let overlaps = |events: &&Vec<&Event>| events[0].at < span.ends && events[events.len() - 1].at >= span.begins;
    for (session, events) in books.sessions.iter().filter(|(_, events)| overlaps(events)) {
        let mut since = Some(span.begins);
        for (index, (_, kind)) in STEPS.iter().enumerate() {
            since = since.and_then(|since| {
                let mut times = events.iter().filter(|event| event.kind == *kind).map(|event| event.at);
                times.find(|at| span.has(*at) && *at >= since)
            });
            reached[index] += usize::from(since.is_some());
        }
        let has_paid = |since: Moment| {
            let orders = books.orders_of_session.get(session).into_iter().flatten();
            orders.filter_map(|order| order.paid).any(|paid| span.has(paid) && paid >= since)
        };
        reached[4] += usize::from(since.is_some_and(has_paid));
    }
    let names = STEPS.iter().map(|(name, _)| *name).chain(["Payment"]);
    let rows = names.enumerate().map(|(index, name)| {
        let share = |of: usize| Cell::cents(percent(Decimal::from(reached[index]), Decimal::from(of)));
        let from_previous = if index == 0 { Cell::Null } else { share(reached[index - 1]) };
        vec![Cell::text(name), Cell::count(reached[index]), from_previous, share(reached[0])]
    });
    let columns = &["step_name", "unique_sessions", "conversion_from_previous", "overall_conversion"];
    Table::new(columns, rows.collect())
}
