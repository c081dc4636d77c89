//! Tests of what an event may look like.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn around() -> Surroundings {
    Surroundings {
        clock: Clock::new("2026-01-15T12:00:00Z".parse().unwrap(), None),
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
    assert_eq!(event.created_at, around().clock.now);
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
fn click_ids_come_out_of_the_address() {
    let event = verdict(with("utm_source", json!(" go\u{8}ogle\t"))).unwrap();
    assert_eq!(event.utm_source.as_deref(), Some("google"));
    let event = verdict(with("url", json!("/product/1?gclid=abc&utm_source=google#t=secret"))).unwrap();
    assert_eq!(event.url.as_deref(), Some("/product/1?gclid=abc&utm_source=google"));
    assert_eq!(serde_json::to_value(&event).unwrap()["click_ids"], json!({"gclid": "abc"}));
    let none = serde_json::to_value(verdict(with("url", json!("/"))).unwrap()).unwrap();
    assert_eq!(none.get("click_ids"), None);
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
