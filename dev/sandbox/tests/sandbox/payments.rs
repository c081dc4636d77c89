//! The Cardlink stand-in over HTTP.

use crate::support::{SECRET, Sandbox, Shop};
use serde_json::json;
use sha2::{Digest, Sha256};

#[tokio::test]
async fn a_paid_bill_sends_one_webhook_signed_over_its_sorted_fields() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    let bill = sandbox.create(&shop).await;
    assert_eq!(sandbox.bill_status(&bill).await["status"], "PENDING");

    let result = sandbox.act(&bill, "pay").await;
    assert_eq!(result["webhook"]["answers"][0]["body"]["outcome"], "fulfilled");
    assert_eq!(
        (&result["webhook"]["delivered"], &result["bill"]["status"]),
        (&json!(true), &json!("PAID"))
    );

    let signed = format!("amount=75.00&bill_id={bill}&currency=USD&status=PAID{SECRET}");
    let digest: String = Sha256::digest(signed).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = format!(r#"{{"bill_id":"{bill}","status":"PAID","amount":75.00,"currency":"USD","signature":"{digest}"}}"#);
    assert_eq!(*shop.bodies.lock().unwrap(), [expected]);
    let status = sandbox.bill_status(&bill).await;
    assert!(status["paid_at"].is_string() && status["status"] == "PAID", "{status}");
}

#[tokio::test]
async fn every_answer_prints_the_amount_with_two_decimals() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    let bill = sandbox.create(&shop).await;
    let json = [("accept", "application/json"), ("authorization", "Bearer 72|card")];
    for (method, path) in [
        ("GET", format!("/cardlink/v2/bill/status?bill_id={bill}")),
        ("GET", "/bills".to_owned()),
        ("POST", format!("/pay/{bill}/pay")),
    ] {
        let text = sandbox.send(method, &path, &json, "").await.unwrap().text;
        assert!(text.contains(r#""amount":75.00,"#), "{path}: {text}");
    }
}

#[tokio::test]
async fn the_page_shows_the_bill_and_its_button_sends_the_shopper_back() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    let bill = sandbox.create(&shop).await;
    let page = sandbox
        .send("GET", &format!("/pay/{bill}"), &[("accept", "text/html")], "")
        .await
        .unwrap();
    for words in ["75.00", "USD", "ord_1001", "127.0.0.1:8787", "no money moves", ">Fail<", ">Expire<"] {
        assert!(page.text.contains(words), "the page lacks {words}");
    }
    let back = sandbox
        .send("POST", &format!("/pay/{bill}/pay"), &[("accept", "text/html")], "")
        .await
        .unwrap();
    assert_eq!(
        (back.status, back.headers["location"].to_str().unwrap()),
        (303, "http://127.0.0.1:8787/pay/return/success")
    );
    while shop.statuses().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(shop.statuses(), ["PAID"]);
    let unknown = sandbox.send("GET", "/pay/nothing", &[("accept", "text/html")], "").await.unwrap();
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_failed_or_expired_bill_can_be_paid_and_a_paid_one_stays_paid() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    let bill = sandbox.create(&shop).await;
    for (action, status) in [
        ("fail", "FAILED"),
        ("expire", "EXPIRED"),
        ("pending", "EXPIRED"),
        ("pay", "PAID"),
        ("fail", "PAID"),
        ("pay", "PAID"),
    ] {
        assert_eq!(sandbox.act(&bill, action).await["bill"]["status"], status, "after {action}");
    }
    assert_eq!(shop.statuses(), ["FAILED", "EXPIRED", "PENDING", "PAID", "FAILED", "PAID"]);
}

#[tokio::test]
async fn one_webhook_can_be_posted_twenty_times_at_once() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    let bill = sandbox.create(&shop).await;
    let result = sandbox.act(&bill, "pay?times=20").await;
    assert_eq!(result["webhook"]["answers"].as_array().unwrap().len(), 20);
    let bodies = shop.bodies.lock().unwrap();
    assert!(bodies.len() == 20 && bodies.iter().all(|body| body == &bodies[0]));
}

#[tokio::test]
async fn the_webhook_is_repeated_until_the_shop_says_200() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[503, 404]).await);
    sandbox.faults(json!({"retry_base_ms": 2})).await;
    let bill = sandbox.create(&shop).await;
    let started = tokio::time::Instant::now();
    let webhook = sandbox.act(&bill, "pay?wait=all").await["webhook"].clone();
    let seen: Vec<_> = webhook["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["attempt"].as_u64(), a["status"].as_u64()))
        .collect();
    assert_eq!(seen, [(Some(1), Some(503)), (Some(2), Some(404)), (Some(3), Some(200))]);
    // 10 x 2 ms before the second attempt, 100 x 2 ms before the third.
    assert!(started.elapsed().as_millis() >= 220);
    let bodies = shop.bodies.lock().unwrap().clone();
    assert!(bodies.iter().all(|body| body == &bodies[0]), "a repeat has the same bytes");
}

#[tokio::test]
async fn the_provider_gives_up_after_five_attempts_and_the_calls_show_them() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[500; 9]).await);
    sandbox.faults(json!({"retry_base_ms": 0})).await;
    let bill = sandbox.create(&shop).await;
    let webhook = sandbox.act(&bill, "pay?wait=all").await["webhook"].clone();
    assert_eq!((webhook["delivered"].as_bool(), shop.statuses().len()), (Some(false), 5));
    let calls = sandbox.get("/calls?route=cardlink.webhook").await;
    let statuses: Vec<_> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [500; 5]);
}

#[tokio::test]
async fn a_webhook_to_a_shop_that_is_down_says_why_and_when_the_next_one_comes() {
    let sandbox = Sandbox::start().await;
    let nobody = Shop {
        url: "http://127.0.0.1:1/hook".to_owned(),
        ..Shop::default()
    };
    let bill = sandbox.create(&nobody).await;
    let webhook = sandbox.act(&bill, "pay").await["webhook"].clone();
    assert_eq!(webhook["next_attempt_in_ms"], 10_000);
    assert!(webhook["answers"][0]["error"].as_str().unwrap().contains("refused"), "{webhook}");
}

#[tokio::test]
async fn another_amount_can_be_paid_than_was_asked_for() {
    let (sandbox, shop) = (Sandbox::start().await, Shop::start(&[]).await);
    let bill = sandbox.create(&shop).await;
    sandbox.act(&bill, "pay?amount=7.5&currency=EUR").await;
    assert!(shop.bodies.lock().unwrap()[0].contains(r#""amount":7.50,"currency":"EUR""#));
    let status = sandbox.bill_status(&bill).await;
    assert_eq!((status["amount"].as_f64(), status["currency"].as_str()), (Some(7.5), Some("EUR")));
    let refused = sandbox.send("POST", &format!("/pay/{bill}/pay?amount=abc"), &[], "").await.unwrap();
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn cardlink_refuses_a_wrong_token_a_bad_request_and_an_unknown_bill() {
    let sandbox = Sandbox::start().await;
    let auth = ("authorization", "Bearer 72|card");
    let create = "/cardlink/v2/bill/create";
    let wrong = sandbox.send("POST", create, &[("authorization", "Bearer 72")], "{}").await.unwrap();
    assert_eq!((wrong.status, wrong.text.as_str()), (401, r#"{"message":"Unauthenticated."}"#));
    let invalid = sandbox.send("POST", create, &[auth], r#"{"currency":"USD"}"#).await.unwrap();
    assert_eq!(invalid.status, 422);
    assert!(invalid.json()["errors"]["amount"][0].is_string() && invalid.json()["errors"]["currency"].is_null());
    let unknown = sandbox
        .send("GET", "/cardlink/v2/bill/status?bill_id=x", &[auth], "")
        .await
        .unwrap();
    assert_eq!(unknown.status, 404);
    assert_eq!(sandbox.get("/bills").await, json!([]));
}
