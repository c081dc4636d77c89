//! `POST /api/events`
//!
//! 1. Over 64 KB: 413. Neither `application/json` nor `text/plain` (what `sendBeacon` sends without preflight): 415.
//! 2. Not UTF-8, not JSON, no object, an empty batch or more than 100 events: 400, nothing written.
//! 3. Each event gets a verdict of its own; those at fault are `rejected` with a reason, and the others go on.
//! 4. With a queue bound: they are handed to it, and `accepted`. Whether the host has a shop is then found out later (see
//!    [`crate::consumer`]): asking the database is what the queue is there to save.
//! 5. Without a queue, or when it refuses: `api.ingest_events` stores them in one call: `stored` or `duplicate`, seldom `rejected`. No
//!    shop for this host: 404 `unknown_tenant`. Database not reached: 503 with `Retry-After`, and an event is neither stored nor
//!    queued, or is one of those the queue did take before it refused; sending all of them again is right in both cases.
//! 6. A single event: 200 for stored and duplicate, 202 for accepted, 400 `event_rejected`. A batch: 200 with the verdicts in order.

use http::{Response, StatusCode};
use serde_json::value::RawValue;
use shared::client_info;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};

use crate::Config;
use crate::clock::Clock;
use crate::event::{self, Surroundings};
use crate::store;
use crate::wire::{self, Batch, BatchAnswer, EventResult, SingleAnswer, Verdict};

const MAX_EVENTS: usize = 100;

pub async fn collect(config: &Config, request: &Incoming) -> Result<Response<String>, ApiError> {
    request.expect_content_type(&["application/json", "text/plain"])?;
    let text = std::str::from_utf8(&request.body).map_err(|_| Code::InvalidJson)?;
    let (raws, single) = split(text)?;
    // A single event's `sent_at` is when it happened; only a batch tells when it was sent.
    let sent_at = if single { None } else { wire::sent_at(text) };
    let around = Surroundings {
        clock: Clock::new(request.now, sent_at.as_deref()),
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
    let mut stored = store::store(config, request, &events).await?.into_iter();
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

fn answer_single(results: Vec<EventResult>) -> Result<Response<String>, ApiError> {
    let Some(result) = results.into_iter().next() else {
        return Err(Code::InternalError.into());
    };
    let status = match (result.status, result.reason) {
        (Verdict::Stored | Verdict::Duplicate, _) => StatusCode::OK,
        (Verdict::Accepted, _) => StatusCode::ACCEPTED,
        (Verdict::Rejected, reason) => {
            return Err(ApiError::new(Code::EventRejected).field("event", reason.unwrap_or_default()));
        }
    };
    let event_id = result.event_id.ok_or(Code::InternalError)?;
    edge::json(status, &SingleAnswer { success: true, event_id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

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

    #[test]
    fn a_single_verdict_becomes_a_status() {
        let result = |status| EventResult {
            event_id: Some(Uuid::nil()),
            status,
            reason: None,
        };
        for (verdict, status) in [(Verdict::Stored, 200), (Verdict::Duplicate, 200), (Verdict::Accepted, 202)] {
            assert_eq!(answer_single(vec![result(verdict)]).unwrap().status(), status, "{verdict:?}");
        }
        let refused = answer_single(vec![EventResult::rejected(None, "too_old")]).unwrap_err();
        assert_eq!(refused.code, Code::EventRejected);
    }
}
