//! `POST /api/events`
//!
//! 1. Any other path: 404 `not_found`; any other method: 405 with `Allow`.
//! 2. Over 64 KB: 413. Neither `application/json` nor `text/plain` (what `sendBeacon` sends without preflight): 415.
//! 3. Not UTF-8, not JSON, no object, an empty batch or more than 100 events: 400, nothing written.
//! 4. Each event gets a verdict of its own; the good ones are stored by one call of `api.ingest_events`.
//! 5. No shop for this host: 404 `unknown_tenant`. Database not reached: 503 with `Retry-After`; nothing was stored.
//! 6. A single event: 200 for stored and duplicate, 400 `event_rejected`. A batch: 200 with the verdicts in order.

use http::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::client_info::{self, Device};
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::event::{self, Event, Surroundings};
use crate::wire::{Batch, BatchAnswer, EventResult, SingleAnswer, Verdict};

pub const MAX_BODY: usize = 64 * 1024;
const MAX_EVENTS: usize = 100;
// A repeat stores nothing twice: the event id is the key.
const INGEST_EVENTS: Rpc = Rpc::idempotent("ingest_events");

#[derive(Serialize)]
struct Ingest<'a> {
    host: &'a str,
    origin_host: Option<String>,
    default_tenant: Option<Uuid>,
    context: Context,
    events: &'a [Event],
}

#[derive(Serialize)]
struct Context {
    ip: Option<String>,
    country: Option<String>,
    city: Option<String>,
    user_agent: Option<String>,
    device_type: Option<Device>,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Ingested {
    Ok { results: Vec<StoredResult> },
    UnknownTenant,
}

#[derive(Deserialize)]
struct StoredResult {
    event_id: Uuid,
    status: Verdict,
    reason: Option<String>,
}

pub async fn handle(config: Config, request: Incoming) -> Result<Response<String>, ApiError> {
    if request.path != "/api/events" {
        return Err(Code::NotFound.into());
    }
    if request.method != Method::POST {
        return Err(ApiError::method_not_allowed("POST"));
    }
    request.expect_content_type(&["application/json", "text/plain"])?;
    let text = std::str::from_utf8(&request.body).map_err(|_| Code::InvalidJson)?;
    let (raws, single) = split(text)?;
    let around = Surroundings {
        now: request.now,
        session_cookie: client_info::cookie(&request.headers, "lv_sess"),
        visitor_cookie: client_info::cookie(&request.headers, "lv_visitor"),
    };
    let mut results: Vec<Option<EventResult>> = Vec::with_capacity(raws.len());
    let mut events = Vec::new();
    for raw in raws {
        match event::read(raw.get(), &around, edge::random_uuid()) {
            Ok(event) => {
                events.push(event);
                results.push(None);
            }
            Err((id, reason)) => results.push(Some(EventResult::rejected(id, reason))),
        }
    }
    let mut stored = store(&config, &request, &events).await?.into_iter();
    let results: Vec<EventResult> = results
        .into_iter()
        .map(|verdict| verdict.or_else(|| stored.next()).ok_or(Code::InternalError))
        .collect::<Result<_, _>>()?;
    if single {
        answer_single(results)
    } else {
        edge::json(StatusCode::OK, &BatchAnswer { success: true, results })
    }
}

/// The events of a body as raw JSON, and whether it was a single one.
fn split(text: &str) -> Result<(Vec<&RawValue>, bool), ApiError> {
    let body: &RawValue = serde_json::from_str(text).map_err(|_| Code::InvalidJson)?;
    if !body.get().starts_with('{') {
        return Err(ApiError::new(Code::InvalidRequest).field("body", "must be an event or {\"events\": [...]}"));
    }
    // Where `events` is there but no list, this fails; where another member is broken, it does not matter here.
    match serde_json::from_str::<Batch>(text) {
        Ok(Batch { events: None }) => Ok((vec![body], true)),
        Ok(Batch { events: Some(events) }) if (1..=MAX_EVENTS).contains(&events.len()) => Ok((events, false)),
        _ => Err(ApiError::new(Code::InvalidRequest).field("events", format_args!("must be a list of 1 to {MAX_EVENTS} events"))),
    }
}

async fn store(config: &Config, request: &Incoming, events: &[Event]) -> Result<Vec<EventResult>, ApiError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let user_agent = client_info::header_text(&request.headers, "user-agent", 512);
    let p = Ingest {
        host: &request.host,
        origin_host: client_info::origin_host(&request.headers),
        default_tenant: config.default_tenant,
        context: Context {
            ip: client_info::client_ip(&request.headers, config.trusted_proxy.as_deref()),
            country: request.country.clone(),
            city: request.city.clone(),
            device_type: client_info::device_of(user_agent.as_deref()),
            user_agent,
        },
        events,
    };
    match config.db.call(INGEST_EVENTS, &p).await? {
        Ingested::UnknownTenant => Err(Code::UnknownTenant.into()),
        Ingested::Ok { results } if results.len() == events.len() => Ok(results
            .into_iter()
            .map(|r| EventResult {
                event_id: Some(r.event_id),
                status: r.status,
                reason: r.reason,
            })
            .collect()),
        Ingested::Ok { .. } => Err(ApiError::new(Code::InternalError).detail("ingest_events gave another number of verdicts")),
    }
}

fn answer_single(results: Vec<EventResult>) -> Result<Response<String>, ApiError> {
    match results.into_iter().next() {
        Some(EventResult {
            event_id: Some(event_id),
            status: Verdict::Stored | Verdict::Duplicate,
            ..
        }) => edge::json(StatusCode::OK, &SingleAnswer { success: true, event_id }),
        Some(EventResult { reason: Some(reason), .. }) => Err(ApiError::new(Code::EventRejected).field("event", reason)),
        _ => Err(Code::InternalError.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_split_into_events() {
        assert!(split(r#"{"event_type":"page_view"}"#).unwrap().1);
        assert!(split(r#"{"event_type":"page_view","events":null}"#).unwrap().1);
        let (events, single) = split(r#"{"events":[{"a":"\ud800"}, 5, "\u0000"]}"#).unwrap();
        assert_eq!((events.len(), single), (3, false));
        assert_eq!(split("{").unwrap_err().code, Code::InvalidJson);
        assert_eq!(split("").unwrap_err().code, Code::InvalidJson);
        for body in ["[]", "7", r#"{"events":[]}"#, r#"{"events":5}"#, r#"{"events":[],"events":[]}"#] {
            assert_eq!(split(body).unwrap_err().code, Code::InvalidRequest, "{body}");
        }
        let many = format!(r#"{{"events":[{}]}}"#, vec!["1"; 101].join(","));
        assert_eq!(split(&many).unwrap_err().code, Code::InvalidRequest);
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let deep = format!(r#"{{"events":[{}{}]}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(split(&deep).unwrap().0.len(), 1);
        let around = Surroundings::default();
        let raw = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(event::read(&raw, &around, Uuid::nil()).unwrap_err().1, "not_json");
    }
}
