//! Runs over each other, and runs the provider slows down.

use lonieve_tests::{Shop, fresh_code};
use serde_json::{Value, json};

use crate::{TURN, address, calls, email_status, last_mail, mail_again, sold};

#[tokio::test]
async fn overlapping_runs_send_each_mail_once() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(6).await;
    let word = fresh_code().to_lowercase();
    let mut orders = Vec::new();
    for _ in 0..6 {
        let email = address(&word);
        orders.push((sold(&shop, &email).await, email));
    }
    for (order, _) in &orders {
        mail_again(&shop, order).await;
    }
    let before = calls(&shop, "mail.send", &word).await.len();
    let slow = json!([{"route": "mail.send", "match": word, "delay_ms": 150}]);
    let run = || async { shop.job("outbox", None).await.expect(200) };
    let work = async { tokio::join!(run(), run(), run()) };
    let (one, two, three) = shop.under_faults(&shop.info.sandbox, slow, work).await;
    let sent: i64 = [&one, &two, &three].map(|report| report["sent"].as_i64().unwrap()).iter().sum();
    assert_eq!(sent, 6, "{one} {two} {three}");
    // Not only one mail each under its key: one request each.
    let all = calls(&shop, "mail.send", &word).await;
    for (order, email) in &orders {
        assert_eq!(
            all[before..]
                .iter()
                .filter(|call| call["body"].as_str().unwrap().contains(email))
                .count(),
            1
        );
        assert_eq!(shop.mailbox(email).await.len(), 2, "the sale's and the further one");
        assert_eq!(email_status(&shop, order.order_id).await, ("sent".into(), 0));
    }
    assert_eq!(all.len() - before, 6);
}

#[tokio::test]
async fn a_run_slower_than_its_lease_changes_nothing_and_its_mail_is_still_known_as_sent() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let email = address("slow");
    let order = sold(&shop, &email).await;
    mail_again(&shop, &order).await;
    let slow = json!([{"route": "mail.send", "match": email, "delay_ms": 5000, "times": 1}]);
    let (first, second, between) = shop
        .under_faults(&shop.info.sandbox, slow, async {
            let second = async {
                tokio::time::sleep(std::time::Duration::from_millis(800)).await;
                // Ten minutes later by its clock: the first one's lease is long over.
                let report = shop.job("outbox", Some(&shop.time("10 minutes").await)).await.expect(200);
                (report, last_mail(&shop, order.order_id).await)
            };
            let (first, (second, between)) = tokio::join!(async { shop.job("outbox", None).await.expect(200) }, second);
            (first, second, between)
        })
        .await;
    // The key is at work when the second one comes: it is told to wait, and puts the row off.
    assert_eq!((&second["retried"], &second["sent"]), (&json!(1), &json!(0)), "{second}");
    assert_eq!(
        (&between["status"], &between["attempts"]),
        (&json!("pending"), &json!(2)),
        "the vanished one and its own: {between}"
    );
    // The first one's verdict comes too late to be applied. That the mail is out is a fact, and nobody holds the row: it is closed.
    assert_eq!((&first["stale"], &first["sent"]), (&json!(1), &json!(0)), "{first}");
    let row = last_mail(&shop, order.order_id).await;
    assert_eq!(
        (&row["status"], &row["lease_id"], &row["locked_until"]),
        (&json!("done"), &Value::Null, &Value::Null),
        "{row}"
    );
    let mailbox = shop.mailbox(&email).await;
    assert_eq!(mailbox.len(), 2);
    assert_eq!(row["provider_id"], mailbox[1]["id"]);
    assert_eq!(email_status(&shop, order.order_id).await, ("sent".into(), 2));
    // Nothing is left to send, ever.
    let later = shop.time("3 hours").await;
    shop.repeat_job("outbox", &later, 2).await;
    assert_eq!(shop.mailbox(&email).await.len(), 2);
}

#[tokio::test]
async fn a_worker_killed_after_the_provider_took_the_mail_repeats_the_same_bytes_under_the_same_key() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let email = address("killed");
    let order = sold(&shop, &email).await;
    mail_again(&shop, &order).await;
    // Its verdict never reaches the database.
    let row = last_mail(&shop, order.order_id).await["id"].as_str().unwrap().to_owned();
    let lost = json!([{"rpc": "finish_outbox", "match": row, "drop": true}]);
    shop.under_faults(&shop.info.proxy, lost, async {
        shop.job("outbox", None).await.refused(503, "database_unavailable");
    })
    .await;
    assert_eq!(
        (shop.mailbox(&email).await.len(), email_status(&shop, order.order_id).await.0),
        (2, "pending".into())
    );
    // Within the lease nobody touches it; after it, it is sent again.
    shop.job("outbox", Some(&shop.time("2 minutes").await)).await.expect(200);
    assert_eq!(calls(&shop, "mail.send", &row).await.len(), 1);
    let report = shop.job("outbox", Some(&shop.time("4 minutes").await)).await.expect(200);
    assert_eq!(report["sent"], 1, "{report}");
    let sent = calls(&shop, "mail.send", &row).await;
    assert_eq!(sent.len(), 2);
    assert_eq!(
        (&sent[0]["body"], &sent[0]["headers"]["idempotency-key"]),
        (&sent[1]["body"], &json!(row))
    );
    assert_eq!(sent[1]["headers"]["idempotency-key"], json!(row));
    assert_eq!(shop.mailbox(&email).await.len(), 2, "the provider knows the key");
    assert_eq!(email_status(&shop, order.order_id).await.0, "sent");
}

#[tokio::test]
async fn too_many_requests_puts_the_mail_off_as_long_as_asked_and_hands_the_rest_back_untried() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(2).await;
    let word = fresh_code().to_lowercase();
    let (one, two) = (address(&word), address(&word));
    let (first, second) = (sold(&shop, &one).await, sold(&shop, &two).await);
    mail_again(&shop, &first).await;
    mail_again(&shop, &second).await;
    let before = calls(&shop, "mail.send", &word).await.len();
    let busy = json!([{"route": "mail.send", "match": one, "status": 429, "headers": {"retry-after": "900"}}]);
    let report = shop
        .under_faults(&shop.info.sandbox, busy, shop.job("outbox", None))
        .await
        .expect(200);
    assert_eq!((&report["retried"], &report["sent"]), (&json!(1), &json!(0)), "{report}");
    assert_eq!(
        calls(&shop, "mail.send", &word).await.len() - before,
        1,
        "the second one was not tried"
    );
    let (tried, untried) = (last_mail(&shop, first.order_id).await, last_mail(&shop, second.order_id).await);
    assert_eq!((&tried["attempts"], &untried["attempts"]), (&json!(1), &json!(0)));
    assert_eq!((&untried["lease_id"], &untried["last_error"]), (&Value::Null, &Value::Null));
    for minutes in ["14 minutes", "16 minutes"] {
        shop.job("outbox", Some(&shop.time(minutes).await)).await.expect(200);
        let expected = if minutes == "14 minutes" { 1 } else { 2 };
        assert_eq!(
            (shop.mailbox(&one).await.len(), shop.mailbox(&two).await.len()),
            (expected, expected),
            "{minutes}"
        );
    }
}

#[tokio::test]
async fn a_used_up_quota_is_a_dead_letter_with_an_alert_at_once() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let email = address("quota");
    let order = sold(&shop, &email).await;
    mail_again(&shop, &order).await;
    let used_up =
        json!([{"route": "mail.send", "match": email, "status": 429, "body": {"name": "daily_quota_exceeded", "message": email}}]);
    let work = shop.adds(
        &[("ops.integration_logs", 1), ("ops.system_notifications", 1)],
        shop.job("outbox", None),
    );
    let report = shop.under_faults(&shop.info.sandbox, used_up, work).await.expect(200);
    assert_eq!(report["dead"], 1, "{report}");
    let row = last_mail(&shop, order.order_id).await;
    assert_eq!(
        (&row["status"], &row["last_error"]),
        (&json!("dead"), &json!("HTTP 429 daily_quota_exceeded"))
    );
    assert_eq!(email_status(&shop, order.order_id).await.0, "failed");
    // The log names service, action, status and error, and nobody.
    let sql = "select to_jsonb(l) from ops.integration_logs l where reference_id = $1";
    let log: Value = shop.db.query_one(sql, &[&row["id"].as_str().unwrap()]).await.unwrap().get(0);
    assert_eq!(
        (&log["service_name"], &log["action"], &log["status"], &log["error_message"]),
        (
            &json!("resend"),
            &json!("send_email"),
            &json!("failed"),
            &json!("HTTP 429 daily_quota_exceeded")
        )
    );
    assert!(log["created_at"].is_string() && log["duration_ms"].is_number() && !log.to_string().contains(&email));
}
