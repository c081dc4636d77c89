//! What an event may look like. Pure: the time and the cookies come in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::client_info::Device;
use shared::validate::label;
use uuid::Uuid;

use crate::click_ids::{self, ClickIds};
use crate::clock::Clock;

/// Largest `data`, in bytes of JSON text.
pub const MAX_DATA_BYTES: usize = 8 * 1024;
/// Deepest nesting of `data`.
pub const MAX_DATA_DEPTH: usize = 8;
const MAX_ID: usize = 128;
const MAX_URL: usize = 2048;
const MAX_UTM: usize = 255;
/// Longest duration, in seconds: the life of the session cookie.
const MAX_DURATION: i64 = 30 * 24 * 3600;

/// The standard types a browser may send (spec rows L-52 to L-54). Beside them any `x_...` of its own.
pub const BROWSER_TYPES: [&str; 13] = [
    "page_view",
    "view_catalog",
    "view_product",
    "configurator_open",
    "configurator_change",
    "add_to_cart",
    "checkout_start",
    "checkout_submit",
    "payment_return",
    "support_open",
    "support_request",
    "resend_email_request",
    "account_login",
];
/// Types only the server writes: a browser could claim a payment with them.
pub const SERVER_TYPES: [&str; 3] = ["payment_redirect", "payment_success", "code_sent"];

/// An event as sent. Unknown members are ignored; null equals absent.
#[derive(Debug, Deserialize)]
struct Sent {
    event_type: Option<String>,
    session_id: Option<String>,
    visitor_id: Option<String>,
    event_id: Option<String>,
    sent_at: Option<String>,
    url: Option<String>,
    referrer: Option<String>,
    utm_source: Option<String>,
    utm_medium: Option<String>,
    utm_campaign: Option<String>,
    utm_content: Option<String>,
    utm_term: Option<String>,
    data: Option<Value>,
    session_duration: Option<i64>,
    page_duration: Option<i64>,
    scroll_depth: Option<i64>,
    device_type: Option<Device>,
}

/// An event that may be stored, as `api.ingest_events` takes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    pub event_id: Uuid,
    pub event_type: String,
    pub session_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visitor_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_medium: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_campaign: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_term: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_duration: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_duration: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scroll_depth: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<Device>,
    #[serde(skip_serializing_if = "ClickIds::is_empty")]
    pub click_ids: ClickIds,
    pub created_at: DateTime<Utc>,
}

/// What the request around the event knows.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub clock: Clock,
    pub session_cookie: Option<String>,
    pub visitor_cookie: Option<String>,
}

/// Why an event is refused: the id it named, if it could be read, and a reason in snake_case.
pub type Refusal = (Option<Uuid>, String);

/// Reads and checks one event. `fresh_id` is used when the browser gave none.
pub fn read(raw: &str, around: &Surroundings, fresh_id: Uuid) -> Result<Event, Refusal> {
    let value: Value = serde_json::from_str(raw).map_err(|_| (None, "not_json".to_owned()))?;
    let named_id = value
        .get("event_id")
        .and_then(Value::as_str)
        .and_then(|id| Uuid::parse_str(id).ok());
    check(value, around, named_id, fresh_id).map_err(|reason| (named_id, reason))
}

fn check(value: Value, around: &Surroundings, named_id: Option<Uuid>, fresh_id: Uuid) -> Result<Event, String> {
    if !value.is_object() {
        return Err("not_an_object".into());
    }
    if holds_nul(&value) {
        return Err("nul_character".into());
    }
    if let Some(data) = value.get("data").filter(|data| !data.is_null()) {
        check_data(data)?;
    }
    let sent: Sent = serde_json::from_value(value.clone()).map_err(|_| wrong_type(&value))?;
    // Version 8 is kept for the server's own events: their ids follow from the order's, which a buyer knows.
    if sent.event_id.is_some() && named_id.is_none_or(|id| id.get_version_num() == 8) {
        return Err("invalid_event_id".into());
    }
    let event_type = sent.event_type.filter(|t| !t.is_empty()).ok_or("missing_event_type")?;
    check_type(&event_type)?;
    let session_id = text("session_id", sent.session_id.or_else(|| around.session_cookie.clone()), MAX_ID)?;
    let created_at = around.clock.occurred_at(sent.sent_at.as_deref())?;
    let url = address("url", sent.url)?;
    Ok(Event {
        event_id: named_id.unwrap_or(fresh_id),
        event_type,
        session_id: session_id.ok_or("missing_session_id")?,
        visitor_id: text("visitor_id", sent.visitor_id.or_else(|| around.visitor_cookie.clone()), MAX_ID)?,
        click_ids: url.as_deref().map(click_ids::of).unwrap_or_default(),
        url,
        referrer: text("referrer", sent.referrer, MAX_URL)?,
        utm_source: utm("utm_source", sent.utm_source)?,
        utm_medium: utm("utm_medium", sent.utm_medium)?,
        utm_campaign: utm("utm_campaign", sent.utm_campaign)?,
        utm_content: utm("utm_content", sent.utm_content)?,
        utm_term: utm("utm_term", sent.utm_term)?,
        data: sent.data,
        session_duration: range("session_duration", sent.session_duration, MAX_DURATION)?,
        page_duration: range("page_duration", sent.page_duration, MAX_DURATION)?,
        scroll_depth: range("scroll_depth", sent.scroll_depth, 100)?,
        device_type: sent.device_type,
        created_at,
    })
}

fn check_type(event_type: &str) -> Result<(), String> {
    if BROWSER_TYPES.contains(&event_type) {
        return Ok(());
    }
    if SERVER_TYPES.contains(&event_type) {
        return Err("server_only_type".into());
    }
    let custom = event_type.strip_prefix("x_").is_some_and(|rest| {
        (1..=40).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    });
    if custom { Ok(()) } else { Err("unknown_event_type".into()) }
}

fn text(field: &str, value: Option<String>, limit: usize) -> Result<Option<String>, String> {
    let value = value.filter(|v| !v.is_empty());
    match &value {
        Some(v) if v.chars().count() > limit => Err(format!("too_long_{field}")),
        _ => Ok(value),
    }
}

fn utm(field: &str, value: Option<String>) -> Result<Option<String>, String> {
    text(field, value.as_deref().and_then(label), MAX_UTM)
}

/// A path (`/product/1`) or an absolute http(s) address, without its fragment: fragments carry order tokens.
fn address(field: &str, value: Option<String>) -> Result<Option<String>, String> {
    let Some(value) = text(field, value, MAX_URL)? else {
        return Ok(None);
    };
    let web = ["/", "http://", "https://"].iter().any(|start| value.starts_with(start));
    if !web {
        return Err(format!("invalid_{field}"));
    }
    Ok(Some(value.split('#').next().unwrap_or_default().to_owned()))
}

fn range(field: &str, value: Option<i64>, max: i64) -> Result<Option<i64>, String> {
    match value {
        Some(v) if !(0..=max).contains(&v) => Err(format!("out_of_range_{field}")),
        _ => Ok(value),
    }
}

fn check_data(data: &Value) -> Result<(), String> {
    if !data.is_object() {
        return Err("data_not_an_object".into());
    }
    if data.to_string().len() > MAX_DATA_BYTES {
        return Err("data_too_large".into());
    }
    if depth(data) > MAX_DATA_DEPTH {
        return Err("data_too_deep".into());
    }
    Ok(())
}

/// Nesting of arrays and objects. serde_json reads at most 127 levels, so the recursion is bounded.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Postgres stores no U+0000, neither in text nor in jsonb.
pub fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(s) => s.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(key, item)| key.contains('\0') || holds_nul(item)),
        _ => false,
    }
}

/// Names the first member whose type is wrong.
fn wrong_type(value: &Value) -> String {
    let texts = [
        "event_type",
        "session_id",
        "visitor_id",
        "event_id",
        "sent_at",
        "url",
        "referrer",
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "utm_content",
        "utm_term",
    ];
    let integers = ["session_duration", "page_duration", "scroll_depth"];
    let member = |name: &str| value.get(name).filter(|v| !v.is_null());
    let wrong_text = texts.iter().find(|name| member(name).is_some_and(|v| !v.is_string()));
    let wrong_integer = integers.iter().find(|name| member(name).is_some_and(|v| !v.is_i64()));
    let name = wrong_text.or(wrong_integer).unwrap_or(&"device_type");
    format!("invalid_{name}")
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
