//! What a queue delivers: messages of accepted events, and on the queue of dead letters those it gave up.
//!
//! 1. All messages delivered together are stored by one call of `api.ingest_event_batches`. It answers for each: stored (with how many events
//!    were stored, duplicates, rejected), or parked because no shop belongs to its host or it cannot be read. Both are done: acknowledged.
//! 2. Database not reached: each is delivered again after as long as it has existed, from 2 s up to 15 minutes, so that the waits double.
//! 3. The call failed for another reason: each message is tried by itself, so that one at fault does not hold up its neighbours; that one
//!    is delivered again as in 2.
//! 4. A message that the queue has delivered as often as it may goes to the queue of dead letters. From there `api.park_events` takes it into
//!    the table `ops.parked_events`, where the job `replay_events` finds it; as in 2 when the database is not reached.
//!
//! Delivered twice is stored once: the event id is the key. One log line for each delivery, with counts and no content.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::error::ApiError;
use shared::postgrest::{Db, DbError, Rpc};

use crate::event;

/// Ends the name of a queue of dead letters.
pub const DEAD: &str = "-dead";
const INGEST_EVENT_BATCHES: Rpc = Rpc::idempotent("ingest_event_batches");
// The message's id is the key.
const PARK_EVENTS: Rpc = Rpc::idempotent("park_events");
const SHORTEST_WAIT_S: i64 = 2;
const LONGEST_WAIT_S: i64 = 15 * 60;

/// A message as delivered.
pub struct Delivery {
    pub id: String,
    pub body: Option<String>,
    pub sent_at: DateTime<Utc>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Done,
    Again { after_s: u32 },
}

/// What a delivery came to, for the log.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub messages: u32,
    pub stored: u32,
    pub duplicate: u32,
    pub rejected: u32,
    /// Messages.
    pub parked: u32,
    /// Messages.
    pub again: u32,
}

#[derive(Serialize)]
struct Message {
    id: String,
    body: Value,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Stored>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Stored {
    Stored { stored: u32, duplicate: u32, rejected: u32 },
    Parked {},
}

/// The fate of each message, in order, what was done, and the error if there was one.
pub async fn consume(db: &Db, queue: &str, deliveries: &[Delivery], now: DateTime<Utc>) -> (Vec<Fate>, Counts, Option<ApiError>) {
    let messages: Vec<Message> = deliveries.iter().map(Message::of).collect();
    let mut counts = Counts {
        messages: messages.len() as u32,
        ..Counts::default()
    };
    let mut error = None;
    let again = |index: usize| Fate::Again {
        after_s: wait(now, deliveries[index].sent_at),
    };
    let mut fates: Vec<Fate> = (0..messages.len()).map(again).collect();
    if queue.ends_with(DEAD) {
        match db.call::<_, Value>(PARK_EVENTS, &json!({"messages": messages})).await {
            Ok(_) => {
                fates.fill(Fate::Done);
                counts.parked = counts.messages;
            }
            Err(refused) => error = Some(refused),
        }
    } else {
        match store(db, &messages, &mut counts).await {
            Ok(()) => fates.fill(Fate::Done),
            Err(DbError::Failed(_)) if messages.len() > 1 => {
                for (index, message) in messages.iter().enumerate() {
                    match store(db, std::slice::from_ref(message), &mut counts).await {
                        Ok(()) => fates[index] = Fate::Done,
                        Err(refused) => error = Some(refused),
                    }
                }
            }
            Err(refused) => error = Some(refused),
        }
    }
    counts.again = fates.iter().filter(|fate| **fate != Fate::Done).count() as u32;
    (fates, counts, error.map(ApiError::from))
}

async fn store(db: &Db, messages: &[Message], counts: &mut Counts) -> Result<(), DbError> {
    let answer: Answer = db.call(INGEST_EVENT_BATCHES, &json!({"messages": messages})).await?;
    if answer.results.len() != messages.len() {
        return Err(DbError::Failed("ingest_event_batches gave another number of answers".into()));
    }
    for result in answer.results {
        match result {
            Stored::Stored {
                stored,
                duplicate,
                rejected,
            } => {
                counts.stored += stored;
                counts.duplicate += duplicate;
                counts.rejected += rejected;
            }
            Stored::Parked {} => counts.parked += 1,
        }
    }
    Ok(())
}

/// As long as the message has existed: waits that double.
fn wait(now: DateTime<Utc>, sent_at: DateTime<Utc>) -> u32 {
    (now - sent_at).num_seconds().clamp(SHORTEST_WAIT_S, LONGEST_WAIT_S) as u32
}

impl Message {
    /// What the database could not take as JSON is kept in base64: it must be possible to park it.
    fn of(delivery: &Delivery) -> Self {
        let text = delivery.body.as_deref().unwrap_or_default();
        let body = serde_json::from_str::<Value>(text).ok().filter(|value| !event::holds_nul(value));
        Self {
            id: delivery.id.clone(),
            body: body.unwrap_or_else(|| json!({"base64": STANDARD.encode(text)})),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn waits_double_between_two_seconds_and_fifteen_minutes() {
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..12 {
            let next = wait(at(now), at(0));
            waits.push(next);
            now += i64::from(next);
        }
        assert_eq!(waits, [2, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(wait(at(0), at(5)), 2, "a queue whose clock is ahead");
    }

    #[test]
    fn what_the_database_could_not_take_is_kept_in_base64() {
        let body = |text: &str| {
            Message::of(&Delivery {
                id: "m".into(),
                body: Some(text.into()),
                sent_at: at(0),
            })
            .body
        };
        assert_eq!(body(r#"{"events":[]}"#), json!({"events": []}));
        for text in ["{", r#""\ud800""#, r#"["\u0000"]"#, "[1e400]", &"[".repeat(500)] {
            assert_eq!(body(text), json!({"base64": STANDARD.encode(text)}), "{text}");
        }
    }

    #[test]
    fn the_databases_answers_are_understood() {
        let answer = r#"{"outcome":"ok","results":[{"outcome":"stored","stored":2,"duplicate":1,"rejected":0},{"outcome":"parked","reason":"unreadable"}]}"#;
        let answer: Answer = serde_json::from_str(answer).unwrap();
        assert!(matches!(
            answer.results[..],
            [
                Stored::Stored {
                    stored: 2,
                    duplicate: 1,
                    rejected: 0
                },
                Stored::Parked {}
            ]
        ));
    }
}
