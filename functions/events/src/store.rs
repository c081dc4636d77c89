//! Where events go: into the queue where one is bound, else, or when it refuses, straight into the database.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::client_info::{self, Device};
use shared::edge::{self, Incoming, LogLine};
use shared::error::{ApiError, Code, Level};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::event::Event;
use crate::wire::{EventResult, Verdict};
use crate::{Config, programs};

/// Most bytes of a message: the platform takes 128,000.
const MAX_MESSAGE: usize = 120_000;
// A repeat stores nothing twice: the event id is the key.
const INGEST_EVENTS: Rpc = Rpc::idempotent("ingest_events");

/// What the server adds: whose the events are, and where they came from.
#[derive(Debug, Serialize)]
struct Sender {
    host: String,
    origin_host: Option<String>,
    default_tenant: Option<Uuid>,
    context: Context,
}

#[derive(Debug, Serialize)]
struct Context {
    ip: Option<String>,
    country: Option<String>,
    city: Option<String>,
    user_agent: Option<String>,
    device_type: Option<Device>,
    bot: Option<&'static str>,
}

/// The argument of `api.ingest_events`, and with its time a message of the queue.
#[derive(Serialize)]
struct Parcel<'a> {
    #[serde(flatten)]
    sender: &'a Sender,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<DateTime<Utc>>,
    events: &'a [Event],
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Ingested {
    Ok { results: Vec<StoredResult> },
    UnknownTenant,
}

#[derive(Deserialize)]
struct StoredResult {
    event_id: Option<Uuid>,
    status: Verdict,
    reason: Option<String>,
}

/// A verdict for each event, in order.
pub async fn store(config: &Config, request: &Incoming, events: &[Event]) -> Result<Vec<EventResult>, ApiError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let sender = Sender::of(config, request);
    if let Some(queue) = &config.queue {
        match enqueue(queue, &sender, request.now, events).await {
            Ok(()) => return Ok(events.iter().map(|event| EventResult::accepted(event.event_id)).collect()),
            Err(reason) => log_refusal(&request.request_id, &reason),
        }
    }
    insert(config, &sender, events).await
}

async fn enqueue(queue: &crate::queue::Queue, sender: &Sender, now: DateTime<Utc>, events: &[Event]) -> Result<(), String> {
    for message in messages(sender, now, events, MAX_MESSAGE)? {
        queue.send(&message).await?;
    }
    Ok(())
}

/// The events as messages of at most `limit` bytes: one, or as many halves as it takes.
fn messages(sender: &Sender, now: DateTime<Utc>, events: &[Event], limit: usize) -> Result<Vec<String>, String> {
    let parcel = Parcel {
        sender,
        accepted_at: Some(now),
        events,
    };
    let text = serde_json::to_string(&parcel).map_err(|error| error.to_string())?;
    if text.len() <= limit || events.len() == 1 {
        return Ok(vec![text]);
    }
    let (first, second) = events.split_at(events.len() / 2);
    Ok([messages(sender, now, first, limit)?, messages(sender, now, second, limit)?].concat())
}

async fn insert(config: &Config, sender: &Sender, events: &[Event]) -> Result<Vec<EventResult>, ApiError> {
    let parcel = Parcel {
        sender,
        accepted_at: None,
        events,
    };
    match config.db.call(INGEST_EVENTS, &parcel).await? {
        Ingested::UnknownTenant => Err(Code::UnknownTenant.into()),
        Ingested::Ok { results } if results.len() == events.len() => Ok(results
            .into_iter()
            .map(|r| EventResult {
                event_id: r.event_id,
                status: r.status,
                reason: r.reason,
            })
            .collect()),
        Ingested::Ok { .. } => Err(ApiError::new(Code::InternalError).detail("ingest_events gave another number of verdicts")),
    }
}

/// The events are not lost: the database gets them. But somebody should look at the queue.
fn log_refusal(request_id: &str, reason: &str) {
    edge::log(&LogLine {
        level: Level::Warn,
        function: "events",
        request_id,
        method: "QUEUE",
        route: "send",
        status: 503,
        code: None,
        detail: Some(reason),
        ms: 0,
    });
}

impl Sender {
    fn of(config: &Config, request: &Incoming) -> Self {
        let user_agent = client_info::header_text(&request.headers, "user-agent", 512);
        Self {
            host: request.host.clone(),
            origin_host: client_info::origin_host(&request.headers),
            default_tenant: config.default_tenant,
            context: Context {
                ip: client_info::client_ip(&request.headers, config.trusted_proxy.as_deref()),
                country: request.country.clone(),
                city: request.city.clone(),
                device_type: client_info::device_of(user_agent.as_deref()),
                bot: programs::name_of(user_agent.as_deref()),
                user_agent,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{self, Surroundings};
    use serde_json::{Value, json};

    fn sender() -> Sender {
        Sender {
            host: "shop.example".into(),
            origin_host: None,
            default_tenant: None,
            context: Context {
                ip: Some("203.0.113.7".into()),
                country: None,
                city: None,
                user_agent: None,
                device_type: None,
                bot: Some("no_user_agent"),
            },
        }
    }

    fn event(number: u128, data: &str) -> Event {
        let raw = json!({"event_type": "page_view", "session_id": "s", "data": {"a": data}}).to_string();
        event::read(&raw, &Surroundings::default(), Uuid::from_u128(number)).unwrap()
    }

    #[test]
    fn events_are_split_into_messages_that_the_queue_takes_and_none_is_lost() {
        let events: Vec<Event> = (0..100).map(|number| event(number, &"x".repeat(3000))).collect();
        let messages = messages(&sender(), DateTime::UNIX_EPOCH, &events, MAX_MESSAGE).unwrap();
        assert!(messages.len() > 1 && messages.iter().all(|message| message.len() <= MAX_MESSAGE));
        let parsed: Vec<Value> = messages.iter().map(|message| serde_json::from_str(message).unwrap()).collect();
        let ids: Vec<&Value> = parsed
            .iter()
            .flat_map(|message| message["events"].as_array().unwrap())
            .map(|event| &event["event_id"])
            .collect();
        assert_eq!(
            ids,
            events
                .iter()
                .map(|event| json!(event.event_id))
                .collect::<Vec<_>>()
                .iter()
                .collect::<Vec<_>>()
        );
        for message in &parsed {
            assert_eq!(
                (&message["host"], &message["context"]["ip"], &message["accepted_at"]),
                (&json!("shop.example"), &json!("203.0.113.7"), &json!("1970-01-01T00:00:00Z"))
            );
        }
    }

    #[test]
    fn one_event_is_one_message_and_a_direct_call_names_no_time() {
        let events = [event(1, "x")];
        assert_eq!(messages(&sender(), DateTime::UNIX_EPOCH, &events, 10).unwrap().len(), 1);
        let direct = Parcel {
            sender: &sender(),
            accepted_at: None,
            events: &events,
        };
        assert_eq!(serde_json::to_value(&direct).unwrap().get("accepted_at"), None);
    }
}
