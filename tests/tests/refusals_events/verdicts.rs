//! Single events: each gets its verdict, and none fails another.

use lonieve_tests::Shop;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{STORED, event, send, send_batch, with};

/// Every event that is refused, as raw text, with the verdict's reason.
async fn refused_events(shop: &Shop) -> Vec<(String, &'static str)> {
    let deep = (0..9).fold(json!({}), |inner, _| json!({"a": inner}));
    let mut cases = vec![
        ("[1]".to_owned(), "not_an_object"),
        (
            r#"{"event_type":"page_view","session_id":"s","url":"/\ud800"}"#.to_owned(),
            "not_json",
        ),
        (
            r#"{"event_type":"page_view","session_id":"s","data":{"a":1e400}}"#.to_owned(),
            "not_json",
        ),
        (
            format!(
                r#"{{"event_type":"page_view","session_id":"s","data":{}{}}}"#,
                "[".repeat(500),
                "]".repeat(500)
            ),
            "not_json",
        ),
        (
            r#"{"event_type":"page_view","session_id":"s","data":{"a":["\u0000"]}}"#.to_owned(),
            "nul_character",
        ),
        (r#"{"event_type":"page_view","session_id":"s\u0000"}"#.to_owned(), "nul_character"),
        (
            r#"{"event_type":"page_view","session_id":"s","\u0000":1}"#.to_owned(),
            "nul_character",
        ),
        (r#"{"event_type":"page_view"}"#.to_owned(), "missing_session_id"),
    ];
    let too_long = |length: usize| json!("x".repeat(length + 1));
    for (member, value, reason) in [
        ("event_type", json!(null), "missing_event_type"),
        ("event_type", json!(""), "missing_event_type"),
        ("event_type", json!(7), "invalid_event_type"),
        ("event_type", json!("purchase"), "unknown_event_type"),
        ("event_type", json!("x_Upper"), "unknown_event_type"),
        ("event_type", json!("x_"), "unknown_event_type"),
        ("event_type", json!(format!("x_{}", "a".repeat(41))), "unknown_event_type"),
        ("event_type", json!("payment_redirect"), "server_only_type"),
        ("event_type", json!("payment_success"), "server_only_type"),
        ("event_type", json!("code_sent"), "server_only_type"),
        ("session_id", json!(null), "missing_session_id"),
        ("session_id", json!({}), "invalid_session_id"),
        ("session_id", too_long(128), "too_long_session_id"),
        ("visitor_id", json!(1), "invalid_visitor_id"),
        ("visitor_id", too_long(128), "too_long_visitor_id"),
        ("event_id", json!("nope"), "invalid_event_id"),
        ("event_id", json!(5), "invalid_event_id"),
        // Version 8 is the server's own.
        ("event_id", json!("0190f3a1-0000-8000-a000-000000000001"), "invalid_event_id"),
        ("sent_at", json!("yesterday"), "invalid_sent_at"),
        ("sent_at", json!(1_700_000_000), "invalid_sent_at"),
        ("sent_at", json!(shop.time("-7 days -1 minute").await), "too_old"),
        ("url", json!("javascript:alert(1)"), "invalid_url"),
        ("url", json!(format!("/{}", "a".repeat(2048))), "too_long_url"),
        ("referrer", too_long(2048), "too_long_referrer"),
        ("referrer", json!([]), "invalid_referrer"),
        ("utm_source", too_long(255), "too_long_utm_source"),
        ("utm_medium", too_long(255), "too_long_utm_medium"),
        ("utm_campaign", too_long(255), "too_long_utm_campaign"),
        ("utm_content", too_long(255), "too_long_utm_content"),
        ("utm_term", json!(true), "invalid_utm_term"),
        ("session_duration", json!(1.5), "invalid_session_duration"),
        ("session_duration", json!(-1), "out_of_range_session_duration"),
        ("page_duration", json!("12"), "invalid_page_duration"),
        ("page_duration", json!(30 * 24 * 3600 + 1), "out_of_range_page_duration"),
        ("scroll_depth", json!(101), "out_of_range_scroll_depth"),
        ("scroll_depth", json!(i64::MAX), "out_of_range_scroll_depth"),
        ("device_type", json!("fridge"), "invalid_device_type"),
        ("data", json!([1]), "data_not_an_object"),
        ("data", json!("{}"), "data_not_an_object"),
        // `{"a":"..."}` is eight bytes longer than its text.
        ("data", json!({"a": "x".repeat(8 * 1024 - 7)}), "data_too_large"),
        ("data", deep, "data_too_deep"),
        // Small as sent, 100 KB as jsonb prints it: only the table's own CHECK sees that.
        ("data", json!({"a": vec![1e300; 350]}), "invalid_event"),
    ] {
        cases.push((with(member, value).to_string(), reason));
    }
    cases
}

#[tokio::test]
async fn a_single_event_that_is_refused_is_400_with_its_reason_and_writes_nothing() {
    let shop = Shop::new().await;
    for (raw, reason) in refused_events(&shop).await {
        // Alone, a list is no event at all.
        let (code, fields) = match reason {
            "not_an_object" => ("invalid_request", json!({"body": "must be an event or {\"events\": [...]}"})),
            _ => ("event_rejected", json!({"event": reason})),
        };
        let reply = shop.adds_nothing(send(&shop, raw.clone())).await;
        assert_eq!(reply.refused(400, code)["fields"], fields, "{raw}");
    }
    let stored = shop.adds(STORED, send(&shop, event().to_string())).await.expect(200);
    assert_eq!(stored["success"], true);
}

#[tokio::test]
async fn no_event_of_a_batch_fails_its_neighbours_whatever_is_wrong_with_it() {
    let shop = Shop::new().await;
    let cases = refused_events(&shop).await;
    for part in cases.chunks(24) {
        let mut events = vec![event().to_string()];
        let mut expected = vec![("stored", Value::Null)];
        for (raw, reason) in part {
            events.extend([raw.clone(), event().to_string()]);
            expected.extend([("rejected", json!(reason)), ("stored", Value::Null)]);
        }
        let rows = [("analytics.events", part.len() as i64 + 1)];
        let answer = shop.adds(&rows, send_batch(&shop, &events)).await.expect(200);
        assert_eq!(answer["success"], true);
        let verdicts: Vec<(&str, Value)> = answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| (r["status"].as_str().unwrap(), r["reason"].clone()))
            .collect();
        assert_eq!(verdicts, expected);
    }
}

#[tokio::test]
async fn values_at_their_limits_are_stored() {
    let shop = Shop::new().await;
    let long = |length: usize| json!("x".repeat(length));
    let deep = (0..7).fold(json!({}), |inner, _| json!({"a": inner}));
    for (member, value) in [
        ("event_type", json!(format!("x_{}", "a".repeat(40)))),
        ("session_id", long(128)),
        ("visitor_id", long(128)),
        ("event_id", json!(Uuid::new_v4())),
        ("sent_at", json!(shop.time("-7 days +1 minute").await)),
        ("url", json!(format!("/{}", "a".repeat(2047)))),
        ("url", json!("https://shop.example/p/1?q=2")),
        ("referrer", long(2048)),
        ("utm_source", long(255)),
        ("session_duration", json!(30 * 24 * 3600)),
        ("page_duration", json!(0)),
        ("scroll_depth", json!(100)),
        ("device_type", json!("tablet")),
        ("data", json!({"a": "x".repeat(8 * 1024 - 8)})),
        ("data", deep),
    ] {
        shop.adds(STORED, send(&shop, with(member, value.clone()).to_string()))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn null_is_absent_and_unknown_members_are_ignored() {
    let shop = Shop::new().await;
    let mut sent = event();
    for member in [
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
        "data",
        "session_duration",
        "page_duration",
        "scroll_depth",
        "device_type",
        "events",
    ] {
        sent[member] = Value::Null;
    }
    sent["unheard_of"] = json!({"tenant_id": Uuid::new_v4(), "created_at": "1999-01-01T00:00:00Z"});
    let stored = shop.adds(STORED, send(&shop, sent.to_string())).await.expect(200);
    let id: Uuid = stored["eventId"].as_str().unwrap().parse().unwrap();
    let sql = "select count(*) from analytics.events where tenant_id = $1 and data is null and url is null and created_at > now() - interval '1 minute'";
    assert_eq!(shop.count(&format!("{sql} and event_id = '{id}'")).await, 1);
}

#[tokio::test]
async fn a_clock_that_runs_ahead_is_taken_as_now() {
    let shop = Shop::new().await;
    let stored = shop
        .adds(STORED, send(&shop, with("sent_at", json!("2999-01-01T00:00:00Z")).to_string()))
        .await
        .expect(200);
    let id = stored["eventId"].as_str().unwrap();
    let sql = format!("select count(*) from analytics.events where tenant_id = $1 and event_id = '{id}' and created_at <= received_at");
    assert_eq!(shop.count(&sql).await, 1);
}

#[tokio::test]
async fn an_event_sent_twice_is_stored_once() {
    let shop = Shop::new().await;
    let sent = with("event_id", json!(Uuid::new_v4())).to_string();
    let first = shop.adds(STORED, send(&shop, sent.clone())).await.expect(200);
    let second = shop.adds_nothing(send(&shop, sent.clone())).await.expect(200);
    assert_eq!(first, second);
    let twin = with("event_id", json!(Uuid::new_v4())).to_string();
    let batch = shop.adds(STORED, send_batch(&shop, &[sent, twin.clone(), twin])).await.expect(200);
    let verdicts: Vec<&Value> = batch["results"].as_array().unwrap().iter().map(|r| &r["status"]).collect();
    assert_eq!(verdicts, ["duplicate", "stored", "duplicate"]);
}
