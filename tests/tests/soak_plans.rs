//! How the functions of `docs/analytics.md` read a shop of 10^4, 10^5 and 10^6 events, orders a tenth of that: the plans of everything
//! they run, by `auto_explain`, and how long they take. A function that is asked about a week of fourteen months must not read all events.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono_tz::Europe;
use futures::StreamExt;
use futures::stream::poll_fn;
use lonieve_tests::interleaving::Ground;
use lonieve_tests::reference::{Size, fixed_end, generate, load};
use serde_json::Value;
use tokio_postgres::{AsyncMessage, Client, NoTls};

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

/// What is called, and whether it looks at a stretch of the events only. `{t}` is the tenant, `{p}` a week in the middle, `{n}` the end.
const CALLS: [(&str, &str, bool); 16] = [
    ("get_funnel_stats", "analytics.funnel_stats({t}, {p})", true),
    ("get_channel_stats_financial", "analytics.channel_stats({t}, {p})", true),
    ("get_unit_economics", "analytics.unit_economics({t}, {p}, {n})", true),
    ("get_behavior_stats", "analytics.behavior_stats({t}, {p})", true),
    ("get_data_quality", "analytics.data_quality({t}, {p}, {n})", true),
    ("get_daily_metrics", "analytics.daily_metrics_of({t}, {p})", true),
    ("detect_anomalies", "analytics.anomalies({t}, {n})", true),
    ("get_abandoned_checkouts", "analytics.abandoned_checkouts({t}, 360, {n})", true),
    ("ai_get_revenue, ai_get_profit", "analytics.sales_summary({t}, {p})", true),
    ("ai_get_top_products", "analytics.top_products({t}, {p}, 10)", true),
    ("get_ltv_by_cohort", "analytics.ltv_by_cohort({t}, 30, {n})", false),
    ("get_rfm_segments", "analytics.rfm_segments({t}, {n})", false),
    ("get_winback_candidates", "analytics.winback_candidates({t}, 30, 2, {n})", false),
    ("get_system_health", "analytics.system_health({t}, {n})", false),
    (
        "all events: get_funnel_stats",
        "analytics.funnel_stats({t}, analytics.all_time())",
        false,
    ),
    (
        "all events: get_channel_stats",
        "analytics.channel_stats({t}, analytics.all_time())",
        false,
    ),
];

/// A connection whose server reports the plan of each statement, also of those inside functions.
struct Watched {
    db: Client,
    plans: Arc<Mutex<Vec<Value>>>,
}

impl Watched {
    async fn open(url: &str) -> Self {
        let (db, mut connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let plans = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&plans);
        tokio::spawn(async move {
            let mut messages = poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notice(notice) = message
                    && let Some((_, plan)) = notice.message().split_once("plan:\n")
                {
                    heard.lock().unwrap().push(serde_json::from_str(plan).unwrap());
                }
            }
        });
        db.batch_execute(
            "load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on; \
             set auto_explain.log_buffers = on; set auto_explain.log_timing = off; set auto_explain.log_format = json; set auto_explain.log_level = notice",
        )
        .await
        .unwrap();
        Self { db, plans }
    }

    /// The nodes of all plans of a call.
    async fn nodes(&self, call: &str) -> Vec<Value> {
        self.plans.lock().unwrap().clear();
        self.db.query(&format!("select count(*) from {call}"), &[]).await.unwrap();
        let mut nodes = Vec::new();
        for plan in self.plans.lock().unwrap().iter() {
            collect(&plan["Plan"], &mut nodes);
        }
        assert!(nodes.len() > 1, "auto_explain has said nothing about {call}");
        nodes
    }
}

fn collect(node: &Value, nodes: &mut Vec<Value>) {
    nodes.push(node.clone());
    for child in node["Plans"].as_array().into_iter().flatten() {
        collect(child, nodes);
    }
}

/// How one call did at one size.
struct Measured {
    took: Duration,
    /// Tables that were read from end to end.
    scanned: Vec<String>,
    /// Blocks of 8 KB that the greatest of its plans has touched.
    buffers: i64,
}

async fn measure(plain: &Client, watched: &Watched, call: &str) -> Measured {
    let sql = format!("select count(*) from {call}");
    let mut took = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        plain.query(&sql, &[]).await.unwrap();
        took = took.min(begun.elapsed());
    }
    let nodes = watched.nodes(call).await;
    let is_scan = |node: &&Value| node["Node Type"] == "Seq Scan" && node["Actual Loops"] != 0;
    let mut scanned: Vec<String> = nodes
        .iter()
        .filter(is_scan)
        .filter_map(|node| node["Relation Name"].as_str())
        .map(str::to_owned)
        .collect();
    scanned.sort();
    scanned.dedup();
    let blocks = |node: &Value| {
        ["Shared Hit Blocks", "Shared Read Blocks"]
            .map(|kind| node[kind].as_i64().unwrap_or(0))
            .iter()
            .sum()
    };
    Measured {
        took,
        scanned,
        buffers: nodes.iter().map(blocks).max().unwrap_or(0),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_is_read_without_reading_all_events() {
    let mut table: Vec<Vec<Measured>> = Vec::new();
    for events in SIZES {
        let begun = Instant::now();
        let history = generate(Size {
            seed: 5,
            zone: Europe::Berlin,
            events,
            orders: events / 10,
            ends: fixed_end(),
        });
        let ground = Ground::new().await;
        load::load(&ground.admin, &history).await;
        load::load_ticks(&ground.admin, &[fixed_end()]).await;
        ground.admin.batch_execute("vacuum analyze").await.unwrap();
        let loaded = begun.elapsed();
        let begun = Instant::now();
        ground
            .admin
            .batch_execute("refresh materialized view analytics.daily_metrics; analyze analytics.daily_metrics")
            .await
            .unwrap();
        let filled = begun.elapsed();
        let begun = Instant::now();
        ground
            .admin
            .batch_execute("refresh materialized view concurrently analytics.daily_metrics")
            .await
            .unwrap();
        println!(
            "{events} events: loaded in {loaded:.1?}, daily_metrics filled in {filled:.2?}, refreshed in {:.2?}",
            begun.elapsed()
        );
        let watched = Watched::open(ground.url()).await;
        let (t, n) = (format!("'{}'", history.tenant), format!("'{}'", fixed_end().to_rfc3339()));
        let p = format!("analytics.make_period({t}, '2025-06-02', '2025-06-09', {n})");
        let mut column = Vec::new();
        for (_, call, _) in CALLS {
            let call = call.replace("{t}", &t).replace("{p}", &p).replace("{n}", &n);
            column.push(measure(&ground.admin, &watched, &call).await);
        }
        table.push(column);
        drop(watched);
        ground.stop().await;
    }
    let ms = |measured: &Measured| measured.took.as_secs_f64() * 1000.0;
    println!(
        "{:<32} {:>24} {:>24} {:>24} {:>6} {:>6}  read whole at 10^6",
        "ms, blocks", "10^4", "10^5", "10^6", "x10", "x10"
    );
    let mut faults = Vec::new();
    for (row, (name, _, is_range)) in CALLS.iter().enumerate() {
        let [small, medium, large] = [0, 1, 2].map(|column| &table[column][row]);
        let cell = |measured: &Measured| format!("{:.1} {:>8}", ms(measured), measured.buffers);
        println!(
            "{name:<32} {:>24} {:>24} {:>24} {:>6.1} {:>6.1}  {}",
            cell(small),
            cell(medium),
            cell(large),
            ms(medium) / ms(small),
            ms(large) / ms(medium),
            large.scanned.join(" ")
        );
        if *is_range {
            // A table of few pages is read whole for good reasons.
            for measured in [medium, large] {
                faults.extend(measured.scanned.iter().filter(|table| *table == "events").map(|_| *name));
            }
        }
    }
    // Who asks about all events reads all: so the reading would have been seen.
    let reads_all = |(_, large): &(&str, &Measured)| large.scanned.iter().any(|table| table == "events");
    let asks_for_all = CALLS.iter().zip(&table[2]).filter(|((_, call, _), _)| call.contains("all_time"));
    assert!(
        asks_for_all
            .map(|((name, _, _), large)| (*name, large))
            .all(|pair| reads_all(&pair))
    );
    assert!(faults.is_empty(), "these read all events: {faults:?}");
}
