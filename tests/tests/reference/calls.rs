//! Calls of the functions in `analytics`, with what they must answer.

use lonieve_tests::reference::{Books, Period, Table, reports};

/// One call.
pub struct Call {
    pub function: &'static str,
    /// What stands behind `from`.
    pub from: String,
    pub expected: Table,
}

fn period_of(books: &Books, period: Period) -> String {
    // The moment a period is asked for decides nothing but its `today`.
    format!(
        "analytics.make_period('{}', '{}', '{}', '2025-12-01 12:00+00')",
        books.history.tenant, period.from, period.to
    )
}

pub fn channel_stats(books: &Books, period: Period) -> Call {
    Call {
        function: "channel_stats",
        from: format!("analytics.channel_stats('{}', {})", books.history.tenant, period_of(books, period)),
        expected: reports::channel_stats(books, period),
    }
}
