//! Asks the server and compares.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lonieve_tests::reference::History;
use tokio_postgres::Client;

use crate::calls::Call;

/// Figures for the planner, and a session in a zone of its own with half an hour of summer time: no answer may depend on it.
pub async fn settle(db: &Client) {
    db.batch_execute("analyze; refresh materialized view analytics.daily_metrics; analyze analytics.daily_metrics; set timezone to 'Australia/Lord_Howe'").await.unwrap();
}

/// The rows of a call, as text.
pub async fn rows(db: &Client, call: &Call) -> Vec<Vec<Option<String>>> {
    let columns: Vec<String> = call.expected.columns.iter().map(|column| format!("{column}::text")).collect();
    let sql = format!("select {} from {}", columns.join(", "), call.from);
    let rows = db.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let texts = |row: &tokio_postgres::Row| (0..call.expected.columns.len()).map(|index| row.get(index)).collect();
    rows.iter().map(texts).collect()
}

#[derive(Default)]
struct Outcome {
    calls: usize,
    rows: usize,
    took: Duration,
    differences: Vec<String>,
}

/// What the comparisons of each function came to.
#[derive(Default)]
pub struct Report {
    functions: BTreeMap<&'static str, Outcome>,
}

impl Report {
    pub async fn compare(&mut self, db: &Client, history: &History, call: &Call) {
        let begun = Instant::now();
        let rows = rows(db, call).await;
        let outcome = self.functions.entry(call.function).or_default();
        outcome.took += begun.elapsed();
        outcome.calls += 1;
        outcome.rows += rows.len();
        if let Some(difference) = call.expected.difference(&rows) {
            outcome.differences.push(format!("{} in {}: {difference}", call.from, history.zone));
        }
    }

    pub fn print(&self) {
        println!("{:<32} {:>6} {:>8} {:>9} {:>6}", "function", "calls", "rows", "ms", "differ");
        for (function, outcome) in &self.functions {
            let Outcome {
                calls,
                rows,
                took,
                differences,
            } = outcome;
            println!(
                "{function:<32} {calls:>6} {rows:>8} {:>9} {:>6}",
                took.as_millis(),
                differences.len()
            );
        }
    }

    /// Every function agrees, and had something to say. Not every door has: to some of them the shops' last day was long ago.
    pub fn assert_agrees(&self) {
        let mut text = String::new();
        for (function, outcome) in &self.functions {
            if outcome.rows == 0 && !function.starts_with("api.") {
                text.push_str(&format!("{function} never had a row\n"));
            }
            for difference in outcome.differences.iter().take(3) {
                text.push_str(&format!("{function}, {} differ:\n{difference}\n", outcome.differences.len()));
            }
        }
        assert!(text.is_empty(), "\n{text}");
    }
}
