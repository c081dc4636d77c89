//! The doors in `api`, called by a member of staff, at the time it is.

use chrono::Days;
use lonieve_tests::reference::{Books, Moment, Period, Table, day_begins, load, reports};
use tokio_postgres::Client;

use crate::calls::Call;
use crate::server::Report;

/// Opens a transaction as PostgREST would for this shop's viewer, asks, compares.
pub async fn compare(db: &Client, books: &Books<'_>, ticks: &[Moment], report: &mut Report) {
    let person = load::viewer(db, books.history.tenant).await;
    let begin = format!(
        "begin read only; select set_config('role', 'authenticated', true), \
         set_config('request.jwt.claims', '{{\"role\": \"authenticated\", \"sub\": \"{person}\"}}', true), set_config('request.headers', '{{}}', true)"
    );
    db.batch_execute(&begin).await.unwrap();
    let now: Moment = db.query_one("select now()", &[]).await.unwrap().get(0);
    for call in calls(books, ticks, now) {
        report.compare(db, books.history, &call).await;
    }
    db.batch_execute("rollback").await.unwrap();
}

fn calls(books: &Books, ticks: &[Moment], now: Moment) -> Vec<Call> {
    let zone = books.history.zone;
    let today = books.today(now);
    let last = books.today(books.history.ends);
    // Any moment of the first day, and any of the day that is excluded.
    let period = Period::new(last - Days::new(20), last);
    let during = format!(
        "start_date => '{}', end_date => '{}'",
        (day_begins(zone, period.from) + chrono::Duration::hours(22)).to_rfc3339(),
        (day_begins(zone, period.to) + chrono::Duration::hours(9)).to_rfc3339()
    );
    let by_default = |days| Period::last_days(days, today);
    let call = |function, arguments: &str, expected: Table| Call {
        function,
        from: format!("{function}({arguments})"),
        expected,
    };
    vec![
        call("api.get_funnel_stats", &during, reports::funnel_stats(books, period)),
        call("api.get_funnel_stats", "", reports::funnel_stats(books, by_default(7))),
        call("api.get_channel_stats_financial", &during, reports::channel_stats(books, period)),
        call("api.get_channel_stats_financial", "", reports::channel_stats(books, by_default(7))),
        call("api.get_unit_economics", &during, reports::unit_economics(books, period)),
        call("api.get_unit_economics", "", reports::unit_economics(books, by_default(30))),
        call("api.get_ltv_by_cohort", "", reports::ltv_by_cohort(books, 30, now)),
        call(
            "api.get_ltv_by_cohort",
            "cohort_period_days => 14",
            reports::ltv_by_cohort(books, 14, now),
        ),
        call("api.detect_anomalies", "", reports::anomalies(books, now)),
        call("api.get_rfm_segments", "", reports::rfm_segments(books, now)),
        call("api.get_abandoned_checkouts", "", reports::abandoned_checkouts(books, 360, now)),
        call("api.get_winback_candidates", "", reports::winback_candidates(books, 30, 2, now)),
        call("api.get_behavior_stats", &during, reports::behavior_stats(books, period)),
        call("api.get_behavior_stats", "", reports::behavior_stats(books, by_default(7))),
        call("api.get_system_health", "", reports::system_health(books, ticks, now)),
        call("api.get_daily_metrics", &during, reports::daily_metrics(books, period, true)),
        call("api.get_daily_metrics", "", reports::daily_metrics(books, by_default(30), true)),
        call("api.get_data_quality", &during, reports::data_quality(books, period)),
        call("api.get_data_quality", "", reports::data_quality(books, by_default(30))),
        call(
            "api.ai_get_revenue_last_n_days",
            "days => 3660",
            as_column("ai_get_revenue_last_n_days", reports::revenue(books, 3660, now)),
        ),
        call(
            "api.ai_get_profit_last_n_days",
            "days => 3660",
            as_column("ai_get_profit_last_n_days", reports::profit(books, 3660, now)),
        ),
        call("api.ai_get_top_products", "", reports::top_products(books, by_default(30), 10)),
    ]
}

/// A function that answers one value has a column of its own name.
fn as_column(name: &'static str, table: Table) -> Table {
    Table::new(Box::leak(Box::new([name])), table.rows)
}
