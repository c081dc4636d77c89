//! What an event may look like. Pure: the time and the cookies come in.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::client_info::Device;
use uuid::Uuid;

/// Largest `data`, in bytes of JSON text.
pub const MAX_DATA_BYTES: usize = 8 * 1024;
/// Deepest nesting of `data`.
pub const MAX_DATA_DEPTH: usize = 8;
/// Events that happened longer ago are refused as `too_old`.
pub const MAX_AGE: TimeDelta = TimeDelta::days(7);
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
    pub visitor_id: Option<String>,
    pub url: Option<String>,
    pub referrer: Option<String>,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_content: Option<String>,
    pub utm_term: Option<String>,
    pub data: Option<Value>,
    pub session_duration: Option<i64>,
    pub page_duration: Option<i64>,
    pub scroll_depth: Option<i64>,
    pub device_type: Option<Device>,
    pub created_at: DateTime<Utc>,
}

/// What the request around the event knows.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub now: DateTime<Utc>,
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
    if sent.event_id.is_some() && named_id.is_none() {
        return Err("invalid_event_id".into());
    }
    let event_type = sent.event_type.filter(|t| !t.is_empty()).ok_or("missing_event_type")?;
    check_type(&event_type)?;
    let session_id = text("session_id", sent.session_id.or_else(|| around.session_cookie.clone()), MAX_ID)?;
    let created_at = occurred_at(sent.sent_at.as_deref(), around.now)?;
    Ok(Event {
        event_id: named_id.unwrap_or(fresh_id),
        event_type,
        session_id: session_id.ok_or("missing_session_id")?,
        visitor_id: text("visitor_id", sent.visitor_id.or_else(|| around.visitor_cookie.clone()), MAX_ID)?,
        url: address("url", sent.url)?,
        referrer: text("referrer", sent.referrer, MAX_URL)?,
        utm_source: text("utm_source", sent.utm_source, MAX_UTM)?,
        utm_medium: text("utm_medium", sent.utm_medium, MAX_UTM)?,
        utm_campaign: text("utm_campaign", sent.utm_campaign, MAX_UTM)?,
        utm_content: text("utm_content", sent.utm_content, MAX_UTM)?,
        utm_term: text("utm_term", sent.utm_term, MAX_UTM)?,
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

/// `sent_at` where it is believable; a clock that runs ahead is taken as now.
fn occurred_at(sent_at: Option<&str>, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let Some(text) = sent_at else { return Ok(now) };
    let sent = DateTime::parse_from_rfc3339(text)
        .map_err(|_| "invalid_sent_at")?
        .with_timezone(&Utc);
    if now.signed_duration_since(sent) > MAX_AGE {
        return Err("too_old".into());
    }
    Ok(sent.min(now))
}

fn text(field: &str, value: Option<String>, limit: usize) -> Result<Option<String>, String> {
    let value = value.filter(|v| !v.is_empty());
    match &value {
        Some(v) if v.chars().count() > limit => Err(format!("too_long_{field}")),
        _ => Ok(value),
    }
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
fn holds_nul(value: &Value) -> bool {
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn around() -> Surroundings {
        Surroundings {
            now: "2026-01-15T12:00:00Z".parse().unwrap(),
            session_cookie: None,
            visitor_cookie: None,
        }
    }

    fn verdict(value: Value) -> Result<Event, String> {
        read(&value.to_string(), &around(), Uuid::from_u128(9)).map_err(|(_, reason)| reason)
    }

    fn with(member: &str, value: Value) -> Value {
        let mut event = json!({"event_type": "page_view", "session_id": "s-1"});
        event[member] = value;
        event
    }

    #[test]
    fn a_minimal_event_is_accepted() {
        let event = verdict(json!({"event_type": "page_view", "session_id": "s-1", "unknown": [1], "url": null})).unwrap();
        assert_eq!(event.event_id, Uuid::from_u128(9));
        assert_eq!(event.created_at, around().now);
        assert_eq!(event.url, None);
    }

    #[test]
    fn every_type_is_placed() {
        for name in BROWSER_TYPES
            .iter()
            .chain(&["x_a", "x_gift_opened_2", &format!("x_{}", "a".repeat(40))])
        {
            assert!(verdict(with("event_type", json!(name))).is_ok(), "{name}");
        }
        for name in SERVER_TYPES {
            assert_eq!(verdict(with("event_type", json!(name))).unwrap_err(), "server_only_type");
        }
        for name in ["x_", "x_A", "X_a", "page-view", "purchase", &format!("x_{}", "a".repeat(41))] {
            assert_eq!(
                verdict(with("event_type", json!(name))).unwrap_err(),
                "unknown_event_type",
                "{name}"
            );
        }
        assert_eq!(BROWSER_TYPES.len() + SERVER_TYPES.len(), 16);
    }

    #[test]
    fn each_wrong_member_has_its_reason() {
        let deep = (0..MAX_DATA_DEPTH).fold(json!({}), |inner, _| json!({"a": inner}));
        for (member, value, reason) in [
            ("event_type", json!(null), "missing_event_type"),
            ("event_type", json!(7), "invalid_event_type"),
            ("session_id", json!(""), "missing_session_id"),
            ("session_id", json!("s".repeat(129)), "too_long_session_id"),
            ("event_id", json!("nope"), "invalid_event_id"),
            ("event_id", json!(5), "invalid_event_id"),
            ("sent_at", json!("yesterday"), "invalid_sent_at"),
            ("sent_at", json!("2026-01-08T11:59:59Z"), "too_old"),
            ("url", json!("javascript:alert(1)"), "invalid_url"),
            ("url", json!(format!("/{}", "a".repeat(2048))), "too_long_url"),
            ("session_duration", json!(12.5), "invalid_session_duration"),
            ("page_duration", json!("12"), "invalid_page_duration"),
            ("page_duration", json!(-1), "out_of_range_page_duration"),
            ("scroll_depth", json!(101), "out_of_range_scroll_depth"),
            ("device_type", json!("fridge"), "invalid_device_type"),
            ("data", json!([1]), "data_not_an_object"),
            ("data", json!({"a": "x".repeat(MAX_DATA_BYTES)}), "data_too_large"),
            ("data", deep, "data_too_deep"),
            ("data", json!({"a": ["\u{0}"]}), "nul_character"),
        ] {
            assert_eq!(verdict(with(member, value.clone())).unwrap_err(), reason, "{member}: {value}");
        }
        assert_eq!(verdict(json!([1])).unwrap_err(), "not_an_object");
    }

    #[test]
    fn the_time_is_believed_within_a_week_and_never_in_the_future() {
        let at = |text: &str| verdict(with("sent_at", json!(text))).unwrap().created_at;
        assert_eq!(
            at("2026-01-15T13:00:00+02:00"),
            "2026-01-15T11:00:00Z".parse::<DateTime<Utc>>().unwrap()
        );
        assert_eq!(at("2026-01-08T12:00:00Z"), "2026-01-08T12:00:00Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(at("2027-01-01T00:00:00Z"), around().now);
    }

    #[test]
    fn cookies_fill_in_and_body_values_win() {
        let around = Surroundings {
            session_cookie: Some("c".into()),
            visitor_cookie: Some("v".into()),
            ..around()
        };
        let event = read(r#"{"event_type":"page_view"}"#, &around, Uuid::nil()).unwrap();
        assert_eq!((event.session_id.as_str(), event.visitor_id.as_deref()), ("c", Some("v")));
        let event = read(r#"{"event_type":"page_view","session_id":"b"}"#, &around, Uuid::nil()).unwrap();
        assert_eq!(event.session_id, "b");
    }

    #[test]
    fn fragments_are_dropped_from_addresses() {
        let event = verdict(with("url", json!("https://shop.example/success?orderId=1#t=secret"))).unwrap();
        assert_eq!(event.url.as_deref(), Some("https://shop.example/success?orderId=1"));
    }

    #[test]
    fn a_broken_event_keeps_the_id_it_named() {
        let id = Uuid::from_u128(5);
        let raw = json!({"event_id": id, "event_type": "nope", "session_id": "s"}).to_string();
        assert_eq!(read(&raw, &around(), Uuid::nil()), Err((Some(id), "unknown_event_type".into())));
        assert_eq!(
            read(r#"{"event_type":"\ud800"}"#, &around(), Uuid::nil()),
            Err((None, "not_json".into()))
        );
    }

    proptest! {
        #[test]
        fn any_text_gets_a_verdict(raw in ".{0,200}") {
            let _ = read(&raw, &around(), Uuid::nil());
        }
    }
}
