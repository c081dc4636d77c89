//! Fault rules and the record of calls over HTTP.

use crate::support::{Sandbox, Shop};
use serde_json::json;

#[tokio::test]
async fn a_rule_answers_in_place_of_the_provider_and_then_is_used_up() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    sandbox
        .faults(
            json!({"rules":[{"route":"cardlink.create","status":429,"times":1,"body":{"message":"slow"},"headers":{"retry-after":"7"}}]}),
        )
        .await;
    let limited = sandbox.try_create(&shop).await.unwrap();
    assert_eq!((limited.status, limited.headers["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(limited.json(), json!({"message": "slow"}));
    assert_eq!(sandbox.try_create(&shop).await.unwrap().status, 200);
    let board = sandbox.get("/faults").await;
    assert_eq!((&board["rules"][0]["hits"], &board["retry_base_ms"]), (&json!(1), &json!(1000)));
}

#[tokio::test]
async fn a_dropped_connection_has_no_answer_and_no_effect() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    sandbox.faults(json!({"rules":[{"route":"cardlink.create","drop":true}]})).await;
    assert!(sandbox.try_create(&shop).await.is_none());
    assert_eq!(sandbox.get("/bills").await, json!([]));
    let calls = sandbox.get("/calls?route=cardlink.create").await;
    assert!(
        calls[0]["status"].is_null() && calls[0]["error"].as_str().unwrap().contains("closed before"),
        "{calls}"
    );
    sandbox.send("DELETE", "/faults", &[], "").await.unwrap();
    assert_eq!(sandbox.try_create(&shop).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_match_rule_touches_only_bodies_that_contain_its_text() {
    let sandbox = Sandbox::start().await;
    sandbox
        .faults(json!({"rules":[{"route":"mail.send","status":503,"match":"ann@example.com"}]}))
        .await;
    let refused = sandbox.mail("row-1", "ann@example.com").await.unwrap();
    assert_eq!(
        (refused.status, refused.json()["name"].as_str()),
        (503, Some("service_unavailable"))
    );
    assert_eq!(sandbox.mail("row-2", "bob@example.com").await.unwrap().status, 200);
}

#[tokio::test]
async fn held_webhooks_arrive_in_reverse() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    let bill = sandbox.create(&shop).await;
    sandbox
        .faults(json!({"rules":[{"route":"cardlink.webhook","reorder":true,"times":2}]}))
        .await;
    assert_eq!(sandbox.act(&bill, "fail").await["webhook"]["held"], true);
    assert_eq!(shop.statuses().len(), 0);
    sandbox.act(&bill, "pay").await;
    while shop.statuses().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(shop.statuses(), ["PAID", "FAILED"]);

    sandbox.faults(json!({"rules":[{"route":"cardlink.webhook","reorder":true}]})).await;
    sandbox.act(&bill, "pay").await;
    sandbox.send("DELETE", "/faults", &[], "").await.unwrap();
    while shop.statuses().len() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn webhooks_can_be_doubled_and_lost_on_the_way() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    let bill = sandbox.create(&shop).await;
    sandbox
        .faults(json!({"retry_base_ms": 0, "rules":[
            {"route":"cardlink.webhook","drop":true,"times":1}, {"route":"cardlink.webhook","duplicate":3,"times":1}]}))
        .await;
    let webhook = sandbox.act(&bill, "pay?wait=all").await["webhook"].clone();
    assert!(webhook["answers"][0]["error"].as_str().unwrap().contains("lost"));
    assert_eq!((webhook["answers"].as_array().unwrap().len(), shop.statuses().len()), (4, 3));
}

#[tokio::test]
async fn a_rule_that_cannot_work_is_refused_and_changes_nothing() {
    let sandbox = Sandbox::start().await;
    sandbox.faults(json!({"rules":[{"route":"mail.send","status":503}]})).await;
    let refused = sandbox
        .send("PUT", "/faults", &[], r#"{"rules":[{"route":"mail.sent","status":503}]}"#)
        .await
        .unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.json()["error"].as_str().unwrap().contains("mail.send"), "{}", refused.text);
    assert_eq!(sandbox.get("/faults").await["rules"][0]["route"], "mail.send");
}

#[tokio::test]
async fn calls_show_the_request_without_its_token() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    sandbox.create(&shop).await;
    sandbox.mail("row-1", "ann@example.com").await.unwrap();
    let calls = sandbox.get("/calls").await;
    assert_eq!(calls.as_array().unwrap().len(), 2);
    assert_eq!(calls[0]["headers"]["authorization"], "Bearer [redacted]");
    assert!(!calls.to_string().contains("72|card"));
    assert_eq!(calls[1]["headers"]["idempotency-key"], "row-1");
    let page = sandbox.send("GET", "/calls", &[("accept", "text/html")], "").await.unwrap();
    assert!(page.text.contains("mail.send"));
    assert_eq!(sandbox.send("DELETE", "/calls", &[], "").await.unwrap().status, 204);
    assert_eq!(sandbox.get("/calls").await, json!([]));
}
