//! Calls of the functions in `analytics`, with what they must answer.

use lonieve_tests::reference::{Books, Moment, Period, Table, reports};

/// One call.
pub struct Call {
    pub function: &'static str,
    /// What stands behind `from`.
    pub from: String,
    pub expected: Table,
}

/// The functions that look at a period.
pub fn of_period(books: &Books, period: Period) -> Vec<Call> {
    let tenant = books.history.tenant;
    let Period { from, to } = period;
    // The moment a period is made at decides nothing but its `today`.
    let during = format!("'{tenant}', analytics.make_period('{tenant}', '{from}', '{to}', '2026-01-01 12:00+00')");
    let call = |function, from, expected| Call { function, from, expected };
    vec![
        call(
            "funnel_stats",
            format!("analytics.funnel_stats({during})"),
            reports::funnel_stats(books, period),
        ),
        call(
            "channel_stats",
            format!("analytics.channel_stats({during})"),
            reports::channel_stats(books, period),
        ),
        call(
            "unit_economics",
            format!("analytics.unit_economics({during}, '2026-01-01 12:00+00')"),
            reports::unit_economics(books, period),
        ),
        call(
            "behavior_stats",
            format!("analytics.behavior_stats({during})"),
            reports::behavior_stats(books, period),
        ),
        call(
            "top_products",
            format!("analytics.top_products({during}, 10)"),
            reports::top_products(books, period, 10),
        ),
        call(
            "daily_metrics",
            format!(
                "(select * from analytics.daily_metrics where tenant_id = '{tenant}' and date >= '{from}' and date < '{to}' \
                 order by date, utm_source nulls first, utm_campaign nulls first) d"
            ),
            reports::daily_metrics(books, period, false),
        ),
    ]
}

/// `get_data_quality`, which calls all the others: too slow to be asked about every period.
pub fn data_quality(books: &Books, period: Period) -> Call {
    let tenant = books.history.tenant;
    let Period { from, to } = period;
    let now = "'2026-01-01 12:00+00'";
    Call {
        function: "data_quality",
        from: format!("analytics.data_quality('{tenant}', analytics.make_period('{tenant}', '{from}', '{to}', {now}), {now})"),
        expected: reports::data_quality(books, period),
    }
}

/// The functions that look at all there is, as of a moment after its end.
pub fn of_now(books: &Books, ticks: &[Moment], now: Moment) -> Vec<Call> {
    let tenant = books.history.tenant;
    let at = now.to_rfc3339();
    let mut calls = Vec::new();
    let mut call = |function, from, expected| calls.push(Call { function, from, expected });
    for days in [7, 30, 366] {
        let from = format!("analytics.ltv_by_cohort('{tenant}', {days}, '{at}')");
        call("ltv_by_cohort", from, reports::ltv_by_cohort(books, days, now));
    }
    call(
        "rfm_segments",
        format!("analytics.rfm_segments('{tenant}', '{at}')"),
        reports::rfm_segments(books, now),
    );
    for minutes in [31, 360, 1440, 10_080] {
        let from = format!("analytics.abandoned_checkouts('{tenant}', {minutes}, '{at}')");
        call("abandoned_checkouts", from, reports::abandoned_checkouts(books, minutes, now));
    }
    for (days, orders) in [(30, 2), (0, 1)] {
        let from = format!("analytics.winback_candidates('{tenant}', {days}, {orders}, '{at}')");
        call(
            "winback_candidates",
            from,
            reports::winback_candidates(books, days, orders as usize, now),
        );
    }
    call(
        "system_health",
        format!("analytics.system_health('{tenant}', '{at}')"),
        reports::system_health(books, ticks, now),
    );
    calls
}

/// `detect_anomalies`, which looks at the days before a moment only.
pub fn anomalies(books: &Books, now: Moment) -> Call {
    Call {
        function: "anomalies",
        from: format!("analytics.anomalies('{}', '{}')", books.history.tenant, now.to_rfc3339()),
        expected: reports::anomalies(books, now),
    }
}
