//! Many events from many sessions: a fifth of them twice, in disorder, a tenth of the requests failing before or after the work was done.
//!
//! A session's events fall into groups of at most twenty minutes, two hours apart. Whatever order they arrive in, each group must be one visit.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{self, StreamExt};
use lonieve_tests::Shop;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const BATCH: usize = 100;
const AT_ONCE: usize = 6;
const OF_A_SESSION: usize = 20;
const GROUPS: u32 = 3;
/// Events change places within so many.
const DISORDER: usize = 1000;
/// How far back the event that is sent again lies.
const REPEATED_WITHIN: usize = 5000;
const TYPES: [&str; 5] = ["page_view", "view_product", "add_to_cart", "checkout_start", "x_scroll"];

/// The user agents of requests that fail: they reach the database's door, where the fault rules look for them.
pub struct Agents {
    before: String,
    after: String,
}

impl Agents {
    pub fn of(shop: &Shop) -> Self {
        let name = |what: &str| format!("Mozilla/5.0 ({what} {})", shop.tenant.simple());
        Self {
            before: name("fails-before"),
            after: name("fails-after"),
        }
    }

    /// Half of the failing requests are refused, of the others only the answer is lost.
    pub fn rules(&self) -> Value {
        json!([
            {"rpc": "ingest_events", "match": self.before, "status": 503},
            {"rpc": "ingest_events", "match": self.after, "drop_after": true},
        ])
    }
}

pub struct Report {
    sent: usize,
    unique: usize,
    requests: u64,
    failed: u64,
    visits: i64,
    took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            unique,
            requests,
            failed,
            visits,
            took,
        } = self;
        let rate = *sent as f64 / took.as_secs_f64();
        write!(
            f,
            "{sent} events sent, {unique} stored, each with a verdict; {visits} visits; {requests} requests, {failed} of them failed; \
             {:.1} s, {rate:.0} events/s",
            took.as_secs_f64()
        )
    }
}

#[derive(Clone, Copy)]
struct Planned {
    id: Uuid,
    session: u32,
    group: u32,
    second: u32,
}

/// `sent` events, four fifths of them for the first time.
fn plan(sent: usize, rng: &mut StdRng) -> Vec<Planned> {
    let mut unique: Vec<Planned> = Vec::with_capacity(sent * 4 / 5);
    let mut plan = Vec::with_capacity(sent);
    for number in 0..sent * 4 / 5 {
        unique.push(Planned {
            id: uuid::Builder::from_random_bytes(rng.random()).into_uuid(),
            session: (number / OF_A_SESSION) as u32,
            group: rng.random_range(0..GROUPS),
            second: rng.random_range(0..20 * 60),
        });
        plan.push(unique[number]);
        if number % 4 == 3 {
            plan.push(unique[rng.random_range(number.saturating_sub(REPEATED_WITHIN)..=number)]);
        }
    }
    for window in plan.chunks_mut(DISORDER) {
        window.shuffle(rng);
    }
    plan
}

/// What was sent, and when the first group of every session begins.
pub struct Sent {
    plan: Vec<Planned>,
    begin: DateTime<Utc>,
}

/// Sends them all, each batch until it is answered.
pub async fn send(shop: &Shop, count: usize, seed: u64, agents: &Agents) -> (Sent, Report) {
    let mut rng = StdRng::seed_from_u64(seed);
    let plan = plan(count, &mut rng);
    let begin = Utc::now() - TimeDelta::hours(5);
    let batches: Vec<(&[Planned], Option<&str>)> = plan
        .chunks(BATCH)
        .map(|batch| {
            let fails = match rng.random_range(0..20) {
                0 => Some(agents.before.as_str()),
                1 => Some(agents.after.as_str()),
                _ => None,
            };
            (batch, fails)
        })
        .collect();
    let (requests, failed, begun) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    let mut stored: HashMap<Uuid, u32> = HashMap::new();
    let mut answers = stream::iter(batches)
        .map(|(batch, fails)| deliver(shop, batch, begin, fails, &requests, &failed))
        .buffer_unordered(AT_ONCE);
    while let Some(verdicts) = answers.next().await {
        for (id, is_stored) in verdicts {
            *stored.entry(id).or_default() += u32::from(is_stored);
        }
    }
    drop(answers);
    let report = Report {
        sent: count,
        unique: stored.len(),
        requests: requests.into_inner(),
        failed: failed.into_inner(),
        visits: 0,
        took: begun.elapsed(),
    };
    assert_eq!(stored.len(), count * 4 / 5, "every event has a verdict");
    assert!(stored.values().all(|times| *times <= 1), "none is called stored twice");
    (Sent { plan, begin }, report)
}

/// The verdict on each event of a batch: whether it was stored now.
async fn deliver(
    shop: &Shop,
    batch: &[Planned],
    begin: DateTime<Utc>,
    fails: Option<&str>,
    requests: &AtomicU64,
    failed: &AtomicU64,
) -> Vec<(Uuid, bool)> {
    let events: Vec<Value> = batch
        .iter()
        .map(|event| {
            json!({
                "event_id": event.id, "event_type": TYPES[event.second as usize % TYPES.len()], "session_id": format!("s-{}", event.session),
                "visitor_id": format!("v-{}", event.session / 2), "sent_at": at(event, begin), "url": format!("/product/{}?a=1", event.second),
                "utm_source": "Newsletter", "data": {"step": event.second},
            })
        })
        .collect();
    let body = json!({ "events": events }).to_string();
    let mut agent = fails;
    loop {
        requests.fetch_add(1, Ordering::Relaxed);
        let request = shop
            .request(Method::POST, "events", "/api/events")
            .header("content-type", "application/json")
            .header(
                "user-agent",
                agent.take().unwrap_or("Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0 Safari/537.36"),
            )
            .timeout(Duration::from_secs(40));
        let reply = match request.body(body.clone()).send().await {
            Ok(response) => (response.status().as_u16(), response.text().await.ok()),
            Err(_) => (503, None),
        };
        match reply {
            (200, Some(text)) => return verdicts(batch, &text),
            // Nothing else may ever be heard of a good event.
            (200 | 503, _) => failed.fetch_add(1, Ordering::Relaxed),
            (status, text) => panic!("HTTP {status}: {text:?}"),
        };
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn verdicts(batch: &[Planned], text: &str) -> Vec<(Uuid, bool)> {
    let answer: Value = serde_json::from_str(text).unwrap();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), batch.len());
    let of = |(event, result): (&Planned, &Value)| {
        assert_eq!(result["eventId"], json!(event.id), "in the order sent");
        match result["status"].as_str() {
            Some("stored") => (event.id, true),
            Some("duplicate") => (event.id, false),
            _ => panic!("{result}"),
        }
    };
    batch.iter().zip(results).map(of).collect()
}

fn at(event: &Planned, begin: DateTime<Utc>) -> DateTime<Utc> {
    begin + TimeDelta::hours(2 * i64::from(event.group)) + TimeDelta::seconds(i64::from(event.second))
}

/// What is stored is exactly what was sent, with one visit for each group of a session.
pub async fn look(shop: &Shop, sent: Sent, report: Report) -> Report {
    let Sent { plan, begin } = sent;
    let mut ids: Vec<Uuid> = plan.iter().map(|event| event.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let count = "select count(*) from analytics.events where tenant_id = $1";
    assert_eq!(shop.count(count).await, ids.len() as i64, "rows");
    for part in ids.chunks(50_000) {
        let known = "select count(*) from analytics.events where tenant_id = $1 and event_id = any($2)";
        let known: i64 = shop.db.query_one(known, &[&shop.tenant, &part]).await.unwrap().get(0);
        assert_eq!(known, part.len() as i64, "events that were sent");
    }
    let groups: std::collections::HashSet<(u32, u32)> = plan.iter().map(|event| (event.session, event.group)).collect();
    // Groups, visits, and pairs of both: equal when each group is one visit and each visit one group.
    let sql = "select count(distinct g), count(distinct visit_id), count(distinct (g, visit_id)), count(*) filter (where visit_id is null) from ( \
               select visit_id, session_id || ' ' || floor(extract(epoch from created_at - $2) / 7200) as g from analytics.events where tenant_id = $1) e";
    let row = shop.db.query_one(sql, &[&shop.tenant, &begin]).await.unwrap();
    let found: [i64; 4] = [row.get(0), row.get(1), row.get(2), row.get(3)];
    let expected = groups.len() as i64;
    assert_eq!(found, [expected, expected, expected, 0], "groups, visits, both, without a visit");
    Report {
        visits: expected,
        ..report
    }
}
