//! What `POST /api/events` refuses, and what each refusal writes: nothing, or the neighbours of the event at fault.

mod request;
mod verdicts;

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

pub const EVENTS: &str = "/api/events";
pub const JSON: Option<&str> = Some("application/json");
/// The row of one stored event.
pub const STORED: &[(&str, i64)] = &[("analytics.events", 1)];

pub fn event() -> Value {
    json!({"event_type": "page_view", "session_id": format!("s-{}", Uuid::new_v4())})
}

pub fn with(member: &str, value: Value) -> Value {
    let mut event = event();
    event[member] = value;
    event
}

pub async fn send(shop: &Shop, body: impl Into<reqwest::Body>) -> Reply {
    shop.send(Method::POST, "events", EVENTS, JSON, body).await
}

/// `{"events": [...]}` out of raw texts, so that an event may be one that no JSON library would write.
pub async fn send_batch(shop: &Shop, events: &[String]) -> Reply {
    send(shop, format!(r#"{{"events":[{}]}}"#, events.join(","))).await
}
