//! What surrounds every call to a stand-in: fault rules and the record.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::calls::{Call, recorded_body, recorded_headers};
use crate::faults::Rule;
use crate::server::drop_connection;
use crate::{Shared, clock, mail};

const MAX_REQUEST: usize = 2 << 20;

/// The rule in force for a call, handed to its handler, which waits [`Rule::pause`] at the point where the real provider would be
/// busy (the mail stand-in claims the idempotency key before it).
#[derive(Clone, Default)]
pub struct Pause(pub Rule);

/// No code panics while it holds a lock here; a poisoned one is still whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The caller's bearer token, if it sent one.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::trim)
}

pub async fn stand_in(State((app, route)): State<(Shared, &'static str)>, request: Request, next: Next) -> Response {
    // A task of its own: when the caller gives up waiting, the provider still does what it was asked to do.
    let handled = tokio::spawn(handle(app, route, request, next)).await;
    handled.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn handle(app: Shared, route: &'static str, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut call = Call {
        seq: 0,
        time: clock::text(clock::now()),
        direction: "in",
        route,
        method: if parts.method == http::Method::GET { "GET" } else { "POST" },
        path: parts.uri.to_string(),
        headers: recorded_headers(&parts.headers),
        body: recorded_body(&body),
        status: None,
        error: None,
        duration_ms: 0,
    };
    // A call without a body says what it is about in its address.
    let matched = if body.is_empty() {
        parts.uri.to_string().into_bytes()
    } else {
        body.to_vec()
    };
    let rule = app.faults.take(route, &matched).map(|hit| hit.rule).unwrap_or_default();
    let mut response = if rule.drop {
        rule.pause().await;
        drop_connection()
    } else if let Some(injected) = rule.answer(|status| default_body(route, status)) {
        rule.pause().await;
        injected
    } else {
        parts.extensions.insert(Pause(rule.clone()));
        next.run(Request::from_parts(parts, Body::from(body))).await
    };
    call.status = Some(response.status().as_u16());
    if rule.drop || rule.drop_after {
        call.status = None;
        let when = if rule.drop { "before" } else { "after" };
        call.error = Some(format!("connection closed {when} the call was handled, as a fault rule asked"));
        response = drop_connection();
    }
    call.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    lock(&app.calls).record(call);
    response
}

fn default_body(route: &str, status: u16) -> Value {
    match route {
        "mail.send" => mail::error_body(status, mail::name_of(status), "Injected by a fault rule of the sandbox."),
        _ => json!({ "message": "Injected by a fault rule of the sandbox." }),
    }
}

/// Cardlink's error answer.
pub fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
