//! What was asked of the stand-ins and what they asked of us, newest last.

use std::collections::{BTreeMap, VecDeque};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::{Shared, pages};

const MAX_CALLS: usize = 50_000;
/// The sum of the recorded bodies; older calls make room.
const MAX_BODIES: usize = 64 << 20;
/// Longer bodies are cut in the record (the mailbox keeps the whole mail).
const MAX_BODY: usize = 64 << 10;
/// Headers worth a record. `authorization` is kept as "it was there", never with its token.
const HEADERS: [&str; 7] = [
    "authorization",
    "content-type",
    "idempotency-key",
    "user-agent",
    "accept",
    "retry-after",
    "x-request-id",
];

#[derive(Clone, Serialize)]
pub struct Call {
    pub seq: u64,
    pub time: String,
    /// `in`: a call to a stand-in; `out`: a webhook from one.
    pub direction: &'static str,
    pub route: &'static str,
    pub method: &'static str,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// Null when no answer was given or received; `error` then says why.
    pub status: Option<u16>,
    pub error: Option<String>,
    pub duration_ms: u64,
}

#[derive(Default)]
pub struct Calls {
    calls: VecDeque<Call>,
    bodies: usize,
    next: u64,
}

impl Calls {
    pub fn record(&mut self, mut call: Call) {
        self.next += 1;
        call.seq = self.next;
        self.bodies += call.body.len();
        self.calls.push_back(call);
        while self.calls.len() > MAX_CALLS || self.bodies > MAX_BODIES {
            let Some(oldest) = self.calls.pop_front() else { break };
            self.bodies -= oldest.body.len();
        }
    }

    pub fn len(&self) -> usize {
        self.calls.len()
    }

    fn find(&self, query: &Search) -> Vec<Call> {
        let fits = |call: &&Call| query.route.as_deref().is_none_or(|route| call.route == route) && call.seq > query.after;
        self.calls.iter().filter(fits).cloned().collect()
    }
}

pub fn recorded_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let shown = |name: &'static str| {
        let value = text(name)?;
        if name == header::AUTHORIZATION.as_str() {
            let scheme = value.split_once(' ').map_or("", |(scheme, _)| scheme);
            return Some((name.to_owned(), format!("{scheme} [redacted]")));
        }
        Some((name.to_owned(), value))
    };
    HEADERS.into_iter().filter_map(shown).collect()
}

pub fn recorded_body(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.char_indices().nth(MAX_BODY) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], body.len()),
        None => text.into_owned(),
    }
}

#[derive(Deserialize)]
pub struct Search {
    route: Option<String>,
    /// Only calls recorded after this `seq`.
    #[serde(default)]
    after: u64,
}

/// `GET /calls?route=&after=`: a JSON array, oldest first; a page for browsers.
pub async fn list(State(app): State<Shared>, Query(query): Query<Search>, headers: HeaderMap) -> Response {
    let calls = crate::provider::lock(&app.calls).find(&query);
    if pages::wants_html(&headers) {
        pages::calls(&calls)
    } else {
        Json(calls).into_response()
    }
}

/// `DELETE /calls`: forgets them; `seq` goes on counting.
pub async fn clear(State(app): State<Shared>) -> StatusCode {
    let mut calls = crate::provider::lock(&app.calls);
    calls.calls.clear();
    calls.bodies = 0;
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(route: &'static str, body: &str) -> Call {
        Call {
            seq: 0,
            time: String::new(),
            direction: "in",
            route,
            method: "POST",
            path: "/".to_owned(),
            headers: BTreeMap::new(),
            body: body.to_owned(),
            status: Some(200),
            error: None,
            duration_ms: 0,
        }
    }

    #[test]
    fn old_calls_make_room_by_number_and_by_size() {
        let mut calls = Calls::default();
        for _ in 0..MAX_CALLS + 3 {
            calls.record(call("mail.send", ""));
        }
        assert_eq!(calls.len(), MAX_CALLS);
        assert_eq!(calls.calls[0].seq, 4);
        let large = "x".repeat(MAX_BODIES / 2 + 1);
        calls.record(call("mail.send", &large));
        calls.record(call("mail.send", &large));
        assert_eq!(calls.len(), 1);
    }

    #[test]
    fn a_bearer_token_is_never_recorded() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer top-secret".parse().unwrap());
        headers.insert(header::COOKIE, "session=1".parse().unwrap());
        let recorded = recorded_headers(&headers);
        assert_eq!(
            recorded,
            BTreeMap::from([("authorization".to_owned(), "Bearer [redacted]".to_owned())])
        );
    }

    #[test]
    fn calls_are_found_by_route_and_after_a_number() {
        let mut calls = Calls::default();
        for route in ["mail.send", "cardlink.create", "mail.send"] {
            calls.record(call(route, ""));
        }
        let search = |route: Option<&str>, after| {
            calls
                .find(&Search {
                    route: route.map(str::to_owned),
                    after,
                })
                .len()
        };
        assert_eq!(
            (search(None, 0), search(Some("mail.send"), 0), search(Some("mail.send"), 1)),
            (3, 2, 1)
        );
    }
}
