//! The mail stand-in and its mailbox over HTTP.

use std::time::Duration;

use crate::support::Sandbox;
use serde_json::json;

#[tokio::test]
async fn one_key_sends_one_mail_and_another_body_is_a_conflict() {
    let sandbox = Sandbox::start().await;
    let first = sandbox.mail("row-1", "ann@example.com").await.unwrap();
    let again = sandbox.mail("row-1", "ann@example.com").await.unwrap();
    assert_eq!((first.status, &first.text), (200, &again.text));
    let other = sandbox.mail("row-1", "bob@example.com").await.unwrap();
    assert_eq!(
        (other.status, other.json()["name"].as_str()),
        (409, Some("invalid_idempotent_request"))
    );
    let mails = sandbox.get("/mailbox").await;
    assert_eq!(mails.as_array().unwrap().len(), 1);
    assert_eq!(
        (&mails[0]["id"], &mails[0]["idempotency_key"]),
        (&first.json()["id"], &json!("row-1"))
    );
}

#[tokio::test]
async fn a_second_request_under_a_key_at_work_is_told_to_wait() {
    let sandbox = Sandbox::start().await;
    sandbox
        .faults(json!({"rules":[{"route":"mail.send","delay_ms":300,"times":1}]}))
        .await;
    let slow = tokio::spawn({
        let sandbox = sandbox.clone();
        async move { sandbox.mail("row-2", "ann@example.com").await.unwrap().status }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = sandbox.mail("row-2", "ann@example.com").await.unwrap();
    assert_eq!(
        (second.status, second.json()["name"].as_str()),
        (409, Some("concurrent_idempotent_requests"))
    );
    assert_eq!(slow.await.unwrap(), 200);
}

#[tokio::test]
async fn a_lost_answer_does_not_lose_the_mail_and_the_retry_does_not_double_it() {
    let sandbox = Sandbox::start().await;
    sandbox
        .faults(json!({"rules":[{"route":"mail.send","drop_after":true,"times":1}]}))
        .await;
    assert!(sandbox.mail("row-3", "ann@example.com").await.is_none());
    let retry = sandbox.mail("row-3", "ann@example.com").await.unwrap();
    let mails = sandbox.get("/mailbox?to=ANN@example.com").await;
    assert_eq!(mails.as_array().unwrap().len(), 1);
    assert_eq!(mails[0]["id"], retry.json()["id"]);
}

#[tokio::test]
async fn a_caller_that_gives_up_waiting_does_not_stop_the_provider() {
    let sandbox = Sandbox::start().await;
    sandbox.faults(json!({"rules":[{"route":"mail.send","delay_ms":200}]})).await;
    let impatient = tokio::time::timeout(Duration::from_millis(50), sandbox.mail("row-4", "ann@example.com")).await;
    assert!(impatient.is_err());
    assert_eq!(sandbox.get("/mailbox").await, json!([]));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(sandbox.get("/mailbox").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_mailbox_finds_by_recipient_and_frames_the_mail_for_a_browser() {
    let sandbox = Sandbox::start().await;
    sandbox.mail("row-5", "Ann <ann@example.com>").await.unwrap();
    sandbox.mail("row-6", "bob@example.com").await.unwrap();
    let found = sandbox.get("/mailbox?to=ann@example.com").await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["html"], r#"<p>"A" & B</p>"#);
    let page = sandbox
        .send("GET", "/mailbox?to=bob@example.com", &[("accept", "text/html,*/*")], "")
        .await
        .unwrap();
    assert!(page.text.contains("bob@example.com") && !page.text.contains("ann@example.com"));
    assert!(
        page.text.contains("srcdoc=\"") && !page.text.contains(r#"<p>"A""#),
        "the mail's HTML is escaped into the frame"
    );
}
