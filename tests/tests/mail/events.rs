//! What follows from the provider's events, in whatever order they come.

use lonieve_tests::Shop;
use serde_json::{Value, json};

use crate::leases::Lab;
use crate::{TURN, address, alerts, email_status, last_mail, mail_again, sold};

const TYPES: [&str; 7] = ["accepted", "delayed", "delivered", "complained", "bounced", "failed", "suppressed"];

/// `id` is made this mail's own: ids belong to the provider, whichever shop they are about.
fn event(row: &Value, id: &str, kind: &str) -> Value {
    let id = format!("{id}-{}", row["id"].as_str().unwrap());
    json!({"provider": "resend", "event_id": id, "fingerprint": id, "type": kind, "outbox_id": row["id"], "provider_id": format!("m-1-{}", row["aggregate_id"].as_str().unwrap()),
           "reason": "Permanent/NoEmail"})
}

/// What must be known after these, whatever their order: a way to fail (the first of them) beats a complaint beats a delivery.
fn expected(events: &[&str]) -> (Value, &'static str) {
    let has = |kind: &str| events.contains(&kind);
    match events.iter().find(|kind| ["bounced", "failed", "suppressed"].contains(kind)) {
        Some(failure) => (json!(failure), "failed"),
        None if has("complained") => (json!("complained"), "sent"),
        None if has("delivered") => (json!("delivered"), "sent"),
        None if has("delayed") => (json!("delayed"), "sent"),
        None => (Value::Null, "sent"),
    }
}

#[tokio::test]
async fn in_every_order_of_three_events_what_is_known_never_goes_backwards() {
    let _turn = TURN.lock().await;
    let lab = Lab::new().await;
    let (id, lease) = lab.claim(0).await;
    assert_eq!(
        lab.finish(&id, &lease, 0, json!({"outcome": "sent", "provider_id": "m-1"})).await,
        "sent"
    );
    let row = lab.row(&id).await;
    let mut tried = 0;
    for first in TYPES {
        for second in TYPES {
            for third in TYPES {
                let events = [first, second, third];
                lab.db.batch_execute("savepoint before").await.unwrap();
                let mut was_failed = false;
                for (n, kind) in events.iter().enumerate() {
                    lab.call("record_mail_event", event(&row, &format!("e{n}"), kind)).await;
                    let now = (lab.row(&id).await["delivery"].clone(), lab.email_status().await);
                    let (delivery, status) = expected(&events[..=n]);
                    assert_eq!(now, (delivery, status.to_owned()), "{:?}", &events[..=n]);
                    assert!(!was_failed || now.1 == "failed", "{events:?}: from failed back to sent");
                    was_failed = now.1 == "failed";
                    assert_eq!(lab.open_alerts().await, i64::from(was_failed), "{events:?}");
                }
                let delivered = lab.row(&id).await["delivered_at"].is_string();
                assert!(delivered || !expected(&events).0.eq(&json!("delivered")), "{events:?}");
                lab.db.batch_execute("rollback to savepoint before").await.unwrap();
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 343);
}

#[tokio::test]
async fn an_event_counts_once_and_with_another_body_not_at_all() {
    let _turn = TURN.lock().await;
    let lab = Lab::new().await;
    let (id, lease) = lab.claim(0).await;
    lab.finish(&id, &lease, 0, json!({"outcome": "sent", "provider_id": "m-1"})).await;
    let row = lab.row(&id).await;
    let outcome = async |p: Value| lab.call("record_mail_event", p).await["outcome"].clone();
    assert_eq!(outcome(event(&row, "e1", "delivered")).await, "recorded");
    assert_eq!(outcome(event(&row, "e1", "delivered")).await, "duplicate");
    let mut other = event(&row, "e1", "bounced");
    other["fingerprint"] = json!("another body");
    assert_eq!(outcome(other).await, "replayed");
    assert_eq!(outcome(event(&row, "e2", "delayed")).await, "noted", "it has been delivered");
    assert_eq!(outcome(event(&row, "e3", "accepted")).await, "noted");
    // Another provider's ids are others.
    let mut mailgun = event(&row, "e1", "delayed");
    mailgun["provider"] = json!("mailgun");
    assert_eq!(outcome(mailgun).await, "noted");
    assert_eq!(lab.row(&id).await["delivery"], "delivered");
    assert_eq!(lab.count("select count(*) from ops.mail_events where tenant_id = $1").await, 4);
}

#[tokio::test]
async fn a_mail_is_found_by_its_row_or_by_the_providers_id_and_a_strangers_is_nobodys() {
    let _turn = TURN.lock().await;
    let lab = Lab::new().await;
    let (id, lease) = lab.claim(0).await;
    lab.finish(&id, &lease, 0, json!({"outcome": "sent", "provider_id": "m-1"})).await;
    let p = |event: &str, outbox: Value, mail: &str| json!({"provider": "resend", "event_id": format!("{event}-{id}"), "fingerprint": "f", "type": "delayed", "outbox_id": outbox, "provider_id": mail});
    let outcome = async |p: Value| lab.call("record_mail_event", p).await["outcome"].clone();
    assert_eq!(outcome(p("e1", json!(uuid::Uuid::new_v4()), "m-unheard-of")).await, "unknown_mail");
    assert_eq!(outcome(p("e2", json!("nonsense"), &lab.mail("m-1"))).await, "recorded");
    assert_eq!(lab.row(&id).await["delivery"], "delayed");
    // A row that is no mail is none of a mail provider's business.
    let paid: String = lab
        .db
        .query_one(
            "select id::text from ops.outbox where tenant_id = $1 and kind = 'order.paid'",
            &[&lab.shop.tenant],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(outcome(p("e3", json!(paid), "m-unheard-of")).await, "unknown_mail");
}

/// The event is faster than the answer to the call that sent the mail.
#[tokio::test]
async fn an_event_proves_that_the_mail_is_out() {
    let _turn = TURN.lock().await;
    for kind in TYPES {
        // Held: its worker's verdict closes it, whatever that is.
        let lab = Lab::new().await;
        let (id, lease) = lab.claim(0).await;
        let row = lab.row(&id).await;
        lab.call("record_mail_event", event(&row, "e1", kind)).await;
        assert_eq!(lab.row(&id).await["status"], "pending");
        assert_eq!(
            lab.finish(
                &id,
                &lease,
                0,
                json!({"outcome": "retry", "error": "no answer: Timeout", "unanswered": true})
            )
            .await,
            "sent"
        );
        let status = expected(&[kind]).1;
        assert_eq!(
            (lab.email_status().await.as_str(), lab.open_alerts().await),
            (status, i64::from(status == "failed")),
            "{kind}"
        );
        // Not held: the event closes it.
        let lab = Lab::new().await;
        let (id, lease) = lab.claim(0).await;
        assert_eq!(
            lab.finish(
                &id,
                &lease,
                0,
                json!({"outcome": "retry", "error": "no answer: Timeout", "unanswered": true})
            )
            .await,
            "retried"
        );
        let row = lab.row(&id).await;
        lab.call("record_mail_event", event(&row, "e1", kind)).await;
        assert_eq!(
            (&lab.row(&id).await["status"], lab.email_status().await.as_str()),
            (&json!("done"), status),
            "{kind}"
        );
        lab.claims_nothing(60).await;
    }
}

#[tokio::test]
async fn the_bounce_of_an_old_mail_does_not_spoil_the_corrected_one() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let order = sold(&shop, &address("mistyped")).await;
    let old = last_mail(&shop, order.order_id).await;
    shop.db
        .execute(
            "update shop.orders set email = $2 where id = $1",
            &[&order.order_id, &address("corrected")],
        )
        .await
        .unwrap();
    mail_again(&shop, &order).await;
    shop.outbox_done().await;
    let jobs = &shop.info.tokens["jobs"];
    let id = uuid::Uuid::new_v4().to_string();
    let bounced = shop.rpc(jobs, "record_mail_event", event(&old, &id, "bounced")).await.expect(200);
    assert_eq!(bounced["outcome"], "recorded");
    assert_eq!(
        (email_status(&shop, order.order_id).await.0.as_str(), alerts(&shop).await),
        ("sent", 0)
    );
    // The twin: the corrected one's own bounce does.
    let new = last_mail(&shop, order.order_id).await;
    shop.rpc(jobs, "record_mail_event", event(&new, &format!("{id}-2"), "bounced"))
        .await
        .expect(200);
    assert_eq!(
        (email_status(&shop, order.order_id).await.0.as_str(), alerts(&shop).await),
        ("failed", 1)
    );
    // And the next mail that is sent closes the alert.
    mail_again(&shop, &order).await;
    assert_eq!(email_status(&shop, order.order_id).await.0, "pending");
    shop.outbox_done().await;
    assert_eq!(
        (email_status(&shop, order.order_id).await.0.as_str(), alerts(&shop).await),
        ("sent", 0)
    );
}

#[tokio::test]
async fn old_events_and_logs_are_forgotten_in_parts_but_never_a_token_that_could_still_be_used() {
    let _turn = TURN.lock().await;
    let lab = Lab::new().await;
    lab.run("insert into ops.mail_events (provider, event_id, fingerprint, tenant_id, type, outcome, received_at) \
             select 'mailgun', 'old-' || n || '-' || $1::uuid, 'f', $1, 'delivered', 'noted', now() - make_interval(hours => n) from unnest(array[1, 23, 25, 26, 27]) n")
        .await;
    let forget = async |function: &str, limit: i32| -> i32 {
        let sql = format!("select ops.{function}(now(), $1)");
        lab.db.query_one(&sql, &[&limit]).await.unwrap().get(0)
    };
    let left = "select count(*) from ops.mail_events where tenant_id = $1";
    assert_eq!((forget("forget_mail_events", 2).await, lab.count(left).await), (2, 3));
    assert_eq!((forget("forget_mail_events", 100).await, lab.count(left).await), (1, 2));
    let logs = "select count(*) from ops.integration_logs where tenant_id = $1";
    assert!(lab.count(logs).await >= 1);
    while forget("forget_integration_logs", 50).await > 0 {}
    assert_eq!(lab.count(&format!("{logs} and created_at < now()")).await, 0);
}
