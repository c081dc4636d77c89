//! The request as a whole: size, type, JSON, method, path, shop, database.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{EVENTS, JSON, STORED, event, send, send_batch};

const LIMIT: usize = 64 * 1024;

#[tokio::test]
async fn a_batch_holds_one_to_a_hundred_events() {
    let shop = Shop::new().await;
    let batch = |count: usize| vec![r#"{"event_type":"page_view","session_id":"s"}"#.to_owned(); count];
    for events in [batch(0), batch(101)] {
        let refused = shop.adds_nothing(send_batch(&shop, &events)).await.refused(400, "invalid_request");
        assert_eq!(
            refused["fields"],
            json!({"events": "must be a list of 1 to 100 events"}),
            "{}",
            events.len()
        );
    }
    for body in [
        r#"{"events":{}}"#,
        r#"{"events":5,"event_type":"page_view","session_id":"s"}"#,
        r#"{"events":[],"events":[]}"#,
    ] {
        let refused = shop.adds_nothing(send(&shop, body)).await.refused(400, "invalid_request");
        assert_eq!(refused["fields"], json!({"events": "must be a list of 1 to 100 events"}), "{body}");
    }
    let stored = shop
        .adds(&[("analytics.events", 100)], send_batch(&shop, &batch(100)))
        .await
        .expect(200);
    assert_eq!(stored["results"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn a_body_that_is_not_json_or_not_an_object_is_400_and_writes_nothing() {
    let shop = Shop::new().await;
    let good = event().to_string();
    let broken_utf8 = [good.replace("page_view", "x_a").as_bytes(), b"\xff"].concat();
    for body in [
        Vec::new(),
        b"{".to_vec(),
        good.as_bytes()[1..].to_vec(),
        format!("{good}{good}").into_bytes(),
        broken_utf8,
        b"\xef\xbb\xbf{}".to_vec(),
    ] {
        shop.adds_nothing(send(&shop, body)).await.refused(400, "invalid_json");
    }
    for body in [format!("[{good}]"), "7".to_owned(), "null".to_owned(), "\"page_view\"".to_owned()] {
        let refused = shop.adds_nothing(send(&shop, body)).await.refused(400, "invalid_request");
        assert_eq!(refused["fields"], json!({"body": "must be an event or {\"events\": [...]}"}));
    }
    shop.adds(STORED, send(&shop, good)).await.expect(200);
}

#[tokio::test]
async fn a_body_over_64_kb_is_413_whether_its_length_is_declared_or_not() {
    let shop = Shop::new().await;
    shop.adds_nothing(send(&shop, Shop::padded(event().to_string(), LIMIT + 1)))
        .await
        .refused(413, "body_too_large");
    shop.adds(STORED, send(&shop, Shop::padded(event().to_string(), LIMIT)))
        .await
        .expect(200);
    let headers = ["content-type: application/json"];
    let streamed = |bytes| Shop::padded(event().to_string(), bytes).into_bytes();
    shop.adds_nothing(shop.post_chunked("events", EVENTS, &headers, &streamed(LIMIT + 1)))
        .await
        .refused(413, "body_too_large");
    shop.adds(STORED, shop.post_chunked("events", EVENTS, &headers, &streamed(LIMIT)))
        .await
        .expect(200);
}

#[tokio::test]
async fn another_content_type_is_415_and_writes_nothing() {
    let shop = Shop::new().await;
    let send = |content_type| shop.send(Method::POST, "events", EVENTS, content_type, event().to_string());
    for content_type in [
        None,
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonx"),
        Some("text/html"),
        Some("multipart/form-data"),
    ] {
        shop.adds_nothing(send(content_type)).await.refused(415, "unsupported_media_type");
    }
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "text/plain;charset=UTF-8"] {
        shop.adds(STORED, send(Some(content_type))).await.expect(200);
    }
}

#[tokio::test]
async fn another_method_is_405_and_another_path_404() {
    let shop = Shop::new().await;
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let reply = shop
            .adds_nothing(shop.send(method, "events", EVENTS, JSON, event().to_string()))
            .await;
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("POST, OPTIONS"));
    }
    for path in ["/", "/api/event", "/api/events/", "/api/events/1", "/API/EVENTS"] {
        shop.adds_nothing(shop.send(Method::POST, "events", path, JSON, event().to_string()))
            .await
            .refused(404, "not_found");
    }
    shop.adds(STORED, send(&shop, event().to_string())).await.expect(200);
}

#[tokio::test]
async fn a_host_without_a_shop_is_404_unless_the_origin_has_one() {
    let shop = Shop::new().await;
    let nobody = format!("nobody-{}.test", Uuid::new_v4().simple());
    let send = |host: String, origin: Option<String>| {
        let request = shop
            .http
            .post(format!("{}{EVENTS}", shop.info.function("events")))
            .header("host", host)
            .json(&event());
        Reply::of(match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        })
    };
    shop.adds_nothing(send(nobody.clone(), None)).await.refused(404, "unknown_tenant");
    shop.adds_nothing(send(nobody.clone(), Some(format!("https://other-{nobody}"))))
        .await
        .refused(404, "unknown_tenant");
    shop.adds(STORED, send(nobody.clone(), Some(format!("https://{}:8443", shop.host))))
        .await
        .expect(200);
    shop.adds(STORED, send(shop.host.to_uppercase(), None)).await.expect(200);

    // A host taken out of service, and a shop that is.
    shop.db
        .execute("update shop.domains set status = 'inactive' where tenant_id = $1", &[&shop.tenant])
        .await
        .unwrap();
    shop.adds_nothing(send(shop.host.clone(), None))
        .await
        .refused(404, "unknown_tenant");
    shop.db
        .execute("update shop.domains set status = 'active' where tenant_id = $1", &[&shop.tenant])
        .await
        .unwrap();
    shop.db
        .execute("update shop.tenants set status = 'suspended' where id = $1", &[&shop.tenant])
        .await
        .unwrap();
    shop.adds_nothing(send(shop.host.clone(), None))
        .await
        .refused(404, "unknown_tenant");
    shop.db
        .execute("update shop.tenants set status = 'active' where id = $1", &[&shop.tenant])
        .await
        .unwrap();
    shop.adds(STORED, send(shop.host.clone(), None)).await.expect(200);
}

#[tokio::test]
async fn a_database_that_is_away_is_503_and_one_that_refuses_us_500() {
    let shop = Shop::new().await;
    let rule = |effect: Value| {
        let mut rule = json!({"rpc": "ingest_events", "match": shop.host});
        rule.as_object_mut().unwrap().extend(effect.as_object().unwrap().clone());
        rule
    };
    let secret = "Key (email)=(a@example.com) of shop.orders";
    let error = |status: u16, code: &str| json!({"status": status, "body": {"code": code, "message": secret, "details": secret}});
    for (effect, status, code) in [
        (json!({"drop": true}), 503, "database_unavailable"),
        (json!({"status": 503}), 503, "database_unavailable"),
        (json!({"status": 502, "body": "<html>"}), 503, "database_unavailable"),
        (error(504, "PGRST003"), 503, "database_unavailable"),
        (error(500, "57014"), 503, "database_unavailable"),
        (error(500, "53300"), 503, "database_unavailable"),
        (error(400, "55P03"), 503, "database_unavailable"),
        (error(403, "42501"), 500, "misconfigured"),
        (error(401, "PGRST301"), 500, "misconfigured"),
        (error(404, "PGRST202"), 500, "misconfigured"),
        (error(400, "P0001"), 500, "internal_error"),
        (json!({"status": 200, "body": {"outcome": "unheard_of"}}), 500, "internal_error"),
    ] {
        let work = shop.under_faults(&shop.info.proxy, json!([rule(effect.clone())]), send(&shop, event().to_string()));
        let reply = shop.adds_nothing(work).await;
        reply.refused(status, code);
        assert!(!reply.text.contains("example.com"), "{effect}: {}", reply.text);
    }
    // A lock not had in time is tried once more.
    let mut once = error(400, "55P03");
    once["times"] = json!(1);
    shop.adds(
        STORED,
        shop.under_faults(&shop.info.proxy, json!([rule(once)]), send(&shop, event().to_string())),
    )
    .await
    .expect(200);
}
