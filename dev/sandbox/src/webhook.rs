//! Posts signed webhooks the way the provider does: until the shop answers 200, at most [`MAX_ATTEMPTS`] times, and before attempt
//! n + 1 it waits 10^n times the retry base (1 s unless `PUT /faults` says otherwise).

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::calls::{Call, recorded_body};
use crate::cardlink::WEBHOOK;
use crate::faults::Rule;
use crate::provider::lock;
use crate::{Shared, clock};

pub const MAX_ATTEMPTS: u32 = 5;
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 1 << 20;

#[derive(Clone, Debug)]
pub struct Delivery {
    pub url: String,
    pub body: String,
    pub content_type: &'static str,
    /// How many times the first attempt posts it, all at once.
    pub copies: u32,
}

/// What became of one post.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    pub attempt: u32,
    pub copy: u32,
    pub status: Option<u16>,
    /// The shop's answer: JSON where it is JSON, else text.
    pub body: Option<Value>,
    pub error: Option<String>,
    pub elapsed_ms: u64,
}

/// What became of a delivery so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub url: String,
    pub body: String,
    /// At least one post was answered 200.
    pub delivered: bool,
    /// A `reorder` rule keeps it back; nothing was posted yet.
    pub held: bool,
    /// When the next attempt starts; null when there is none.
    pub next_attempt_in_ms: Option<u64>,
    pub answers: Vec<Answer>,
}

/// Makes the first attempt. What follows it runs in the background, or is waited for with `wait_for_retries`.
pub async fn deliver(app: Shared, delivery: Delivery, wait_for_retries: bool) -> Report {
    let hit = app.faults.take(WEBHOOK, delivery.body.as_bytes());
    if let Some(hit) = hit.as_ref().filter(|hit| hit.rule.reorder) {
        let report = Report {
            url: delivery.url.clone(),
            body: delivery.body.clone(),
            held: true,
            ..Report::default()
        };
        lock(&app.held).push(delivery);
        if hit.last {
            tokio::spawn(release(app));
        }
        return report;
    }
    send(app, delivery, hit.map(|hit| hit.rule).unwrap_or_default(), wait_for_retries).await
}

/// Sends what `reorder` rules held whenever the rules are replaced or removed.
pub async fn release_when_rules_change(app: Shared) {
    let mut changes: watch::Receiver<u64> = app.faults.changes();
    while changes.changed().await.is_ok() {
        tokio::spawn(release(app.clone()));
    }
}

/// The last one held goes first; each waits for the answer to the one before it.
async fn release(app: Shared) {
    let held = std::mem::take(&mut *lock(&app.held));
    for delivery in held.into_iter().rev() {
        send(app.clone(), delivery, Rule::default(), false).await;
    }
}

async fn send(app: Shared, delivery: Delivery, rule: Rule, wait_for_retries: bool) -> Report {
    let copies = delivery.copies.max(rule.duplicate.unwrap_or(1));
    let answers = attempt(&app, &delivery, &rule, 1, copies).await;
    let delivered = answers.iter().any(|answer| answer.status == Some(200));
    let mut report = Report {
        url: delivery.url.clone(),
        body: delivery.body.clone(),
        delivered,
        answers,
        ..Report::default()
    };
    if delivered {
        return report;
    }
    if wait_for_retries {
        report.answers.extend(retry(app, delivery).await);
        report.delivered = report.answers.iter().any(|answer| answer.status == Some(200));
    } else {
        report.next_attempt_in_ms = u64::try_from(wait_before(&app, 2).as_millis()).ok();
        tokio::spawn(retry(app, delivery));
    }
    report
}

fn wait_before(app: &Shared, attempt: u32) -> Duration {
    app.faults.retry_base().saturating_mul(10u32.saturating_pow(attempt - 1))
}

async fn retry(app: Shared, delivery: Delivery) -> Vec<Answer> {
    let mut answers = Vec::new();
    for number in 2..=MAX_ATTEMPTS {
        sleep(wait_before(&app, number)).await;
        let rule = app
            .faults
            .take(WEBHOOK, delivery.body.as_bytes())
            .map(|hit| hit.rule)
            .unwrap_or_default();
        answers.extend(attempt(&app, &delivery, &rule, number, rule.duplicate.unwrap_or(1)).await);
        if answers.iter().any(|answer| answer.status == Some(200)) {
            break;
        }
    }
    answers
}

async fn attempt(app: &Shared, delivery: &Delivery, rule: &Rule, attempt: u32, copies: u32) -> Vec<Answer> {
    rule.pause().await;
    let mut posts = JoinSet::new();
    for copy in 1..=copies {
        posts.spawn(post(app.clone(), delivery.clone(), rule.clone(), attempt, copy));
    }
    let mut answers = posts.join_all().await;
    answers.sort_by_key(|answer| answer.copy);
    answers
}

/// One post and its record. A rule that drops or answers stands for the network between the provider and the shop: with `drop`
/// or `status` the shop never sees the webhook, with `drop_after` it does but its answer is lost.
async fn post(app: Shared, delivery: Delivery, rule: Rule, attempt: u32, copy: u32) -> Answer {
    let started = Instant::now();
    let time = clock::text(clock::now());
    let result = match rule.status {
        _ if rule.drop => Err("lost on the way, as a fault rule asked".to_owned()),
        Some(status) => Ok((status, rule.body.clone())),
        None => match timeout(ANSWER_DEADLINE, request(&app, &delivery)).await {
            _ if rule.drop_after => Err("the answer was lost, as a fault rule asked".to_owned()),
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} s", ANSWER_DEADLINE.as_secs())),
        },
    };
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, body, error) = match result {
        Ok((status, body)) => (Some(status), body, None),
        Err(error) => (None, None, Some(error)),
    };
    lock(&app.calls).record(Call {
        seq: 0,
        time,
        direction: "out",
        route: WEBHOOK,
        method: "POST",
        path: delivery.url.clone(),
        headers: [("content-type".to_owned(), delivery.content_type.to_owned())].into(),
        body: recorded_body(delivery.body.as_bytes()),
        status,
        error: error.clone(),
        duration_ms: elapsed_ms,
    });
    Answer {
        attempt,
        copy,
        status,
        body,
        error,
        elapsed_ms,
    }
}

async fn request(app: &Shared, delivery: &Delivery) -> Result<(u16, Option<Value>), String> {
    let request = Request::post(&delivery.url)
        .header(header::CONTENT_TYPE, delivery.content_type)
        .header(header::USER_AGENT, "cardlink-sandbox")
        .body(Body::from(delivery.body.clone()))
        .map_err(|error| error.to_string())?;
    let response = app.client.request(request).await.map_err(|error| with_causes(&error))?;
    let status = response.status().as_u16();
    let bytes = to_bytes(Body::new(response.into_body()), MAX_ANSWER)
        .await
        .map_err(|error| with_causes(&error))?;
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    Ok((
        status,
        (!bytes.is_empty()).then(|| serde_json::from_slice(&bytes).unwrap_or_else(|_| text())),
    ))
}

/// hyper's own message says only "client error"; the reason stands in its sources.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
