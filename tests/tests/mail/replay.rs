//! Dead letters in the hands of staff.

use lonieve_tests::{Placed, Shop};
use serde_json::{Value, json};

use crate::{TURN, address, alerts, calls, email_status, last_mail, mail_again, sold};

/// A further mail of a sold order that the provider refuses.
async fn refused(shop: &Shop, email: &str) -> (Placed, String) {
    let order = sold(shop, email).await;
    mail_again(shop, &order).await;
    let rules = json!([{"route": "mail.send", "match": email, "status": 422, "body": {"name": "invalid_parameter"}}]);
    let report = shop
        .under_faults(&shop.info.sandbox, rules, shop.job("outbox", None))
        .await
        .expect(200);
    assert_eq!(report["dead"], 1, "{report}");
    let row = last_mail(shop, order.order_id).await;
    (order, row["id"].as_str().unwrap().to_owned())
}

async fn replay(shop: &Shop, id: &str) -> lonieve_tests::Reply {
    shop.admin_post(&shop.staff_token, &format!("outbox/{id}/replay"), &Value::Null)
        .await
}

/// The replay wakes jobs; wait for what it does.
async fn settled(shop: &Shop, order: &Placed) -> Value {
    for _ in 0..100 {
        let row = last_mail(shop, order.order_id).await;
        if row["status"] != "pending" {
            return row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nobody sends the mail")
}

#[tokio::test]
async fn a_refused_mail_is_listed_replayed_under_a_new_key_and_its_alert_closed() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let email = address("dead");
    let (order, dead) = refused(&shop, &email).await;
    assert_eq!(
        (email_status(&shop, order.order_id).await.0.as_str(), alerts(&shop).await),
        ("failed", 1)
    );

    let listed = shop.admin_get(&shop.viewer_token, "outbox?status=dead").await.expect(200);
    assert_eq!(
        (&listed["dead"], listed["messages"].as_array().unwrap().len()),
        (&json!(1), 1),
        "{listed}"
    );
    let message = &listed["messages"][0];
    assert_eq!(
        (
            &message["id"],
            &message["to"],
            &message["kind"],
            &message["lastError"],
            &message["mayHaveBeenSent"],
            &message["orderId"]
        ),
        (
            &json!(dead),
            &json!(email),
            &json!("mail.codes"),
            &json!("HTTP 422 invalid_parameter"),
            &json!(false),
            &json!(order.order_id)
        )
    );
    assert_eq!(
        (&message["attempts"], &message["replays"], &message["sentSince"]),
        (&json!(1), &json!(0), &json!(false))
    );

    let replayed = replay(&shop, &dead).await.expect(200);
    assert_ne!(
        replayed["id"],
        json!(dead),
        "nothing was sent under the old key, and the provider may keep its refusal"
    );
    assert_eq!(
        (&replayed["replaces"], &replayed["replays"], &replayed["attempts"]),
        (&json!(dead), &json!(1), &json!(0))
    );
    let row = settled(&shop, &order).await;
    assert_eq!((&row["status"], &row["id"]), (&json!("done"), &replayed["id"]));
    let mails = shop.mailbox(&email).await;
    assert_eq!((mails.len(), &mails[1]["idempotency_key"]), (2, &replayed["id"]));
    assert_eq!(
        (email_status(&shop, order.order_id).await.0.as_str(), alerts(&shop).await),
        ("sent", 0)
    );
    let audit = "select action, subject, details from ops.audit_log where tenant_id = $1 and action = 'outbox.replay'";
    let audit = shop.db.query_one(audit, &[&shop.tenant]).await.unwrap();
    assert_eq!(
        (audit.get::<_, &str>(1), &audit.get::<_, Value>(2)["kind"]),
        (format!("outbox:{dead}").as_str(), &json!("mail.codes"))
    );
    assert_eq!(
        shop.admin_get(&shop.viewer_token, "outbox?status=dead").await.expect(200),
        json!({"dead": 0, "messages": []})
    );
}

#[tokio::test]
async fn a_mail_whose_answer_was_lost_is_replayed_under_its_own_key_and_stays_one_mail() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let email = address("lost");
    let order = sold(&shop, &email).await;
    mail_again(&shop, &order).await;
    // Taken, but nobody hears of it; then the provider is down for all the other attempts.
    let rules = json!([
        {"route": "mail.send", "match": email, "drop_after": true, "times": 1},
        {"route": "mail.send", "match": email, "status": 503},
    ]);
    shop.under_faults(&shop.info.sandbox, rules, async {
        for hours in 0..8 {
            shop.job("outbox", Some(&shop.time(&format!("{} minutes", 1 + 120 * hours)).await))
                .await
                .expect(200);
        }
    })
    .await;
    let dead = last_mail(&shop, order.order_id).await;
    assert_eq!((&dead["status"], &dead["attempts"]), (&json!("dead"), &json!(8)));
    assert_eq!(
        (shop.mailbox(&email).await.len(), email_status(&shop, order.order_id).await),
        (2, ("failed".into(), 8))
    );
    let listed = shop.admin_get(&shop.viewer_token, "outbox?status=dead").await.expect(200);
    assert_eq!(listed["messages"][0]["mayHaveBeenSent"], true);

    let replayed = replay(&shop, dead["id"].as_str().unwrap()).await.expect(200);
    assert_eq!((&replayed["id"], &replayed["replays"]), (&dead["id"], &json!(1)));
    let row = settled(&shop, &order).await;
    let sent = calls(&shop, "mail.send", dead["id"].as_str().unwrap()).await;
    assert_eq!(sent.len(), 9);
    assert!(
        sent.iter()
            .all(|call| call["body"] == sent[0]["body"] && call["headers"]["idempotency-key"] == dead["id"])
    );
    let mails = shop.mailbox(&email).await;
    assert_eq!(
        (mails.len(), &row["provider_id"]),
        (2, &mails[1]["id"]),
        "the provider answered with the mail it had"
    );
    assert_eq!(
        (email_status(&shop, order.order_id).await.0.as_str(), alerts(&shop).await),
        ("sent", 0)
    );
}

#[tokio::test]
async fn only_a_dead_message_of_an_order_that_still_has_its_codes_is_replayed_and_once() {
    let _turn = TURN.lock().await;
    let (shop, other) = (Shop::with_codes(1).await, Shop::new().await);
    let (order, dead) = refused(&shop, &address("guarded")).await;
    let path = format!("outbox/{dead}/replay");
    shop.adds_nothing(shop.admin_post(&shop.viewer_token, &path, &Value::Null))
        .await
        .refused(403, "forbidden");
    shop.adds_nothing(other.admin_post(&other.staff_token, &path, &Value::Null))
        .await
        .refused(404, "outbox_not_found");
    shop.adds_nothing(replay(&shop, "nonsense")).await.refused(404, "outbox_not_found");
    let method = shop.admin_get(&shop.staff_token, &path).await;
    method.refused(405, "method_not_allowed");
    assert_eq!(method.header("allow"), Some("POST"));
    let wrong = shop
        .admin_get(&shop.viewer_token, "outbox?status=lost&limit=0")
        .await
        .refused(400, "invalid_request");
    assert_eq!(wrong["fields"].as_object().unwrap().len(), 2, "{wrong}");

    // Taken back since: there is nothing to tell any more.
    let set = async |fulfilment: &str| {
        // There and back again is no way an order can go.
        let sql = format!(
            "set session_replication_role = replica; update shop.orders set fulfilment = '{fulfilment}' where id = '{}'; reset session_replication_role",
            order.order_id
        );
        shop.db.batch_execute(&sql).await.unwrap();
    };
    set("revoked").await;
    shop.adds_nothing(replay(&shop, &dead)).await.refused(409, "order_not_delivered");
    set("delivered").await;

    for status in ["pending", "done", "replaced", "cancelled"] {
        let row = "insert into ops.outbox (tenant_id, kind, aggregate_id, status, next_attempt_at, created_at) \
                   values ($1, 'mail.receipt', $2, $3, 'infinity', now()) returning id::text";
        let row = shop.db.query_one(row, &[&shop.tenant, &order.order_id, &status]).await.unwrap();
        shop.adds_nothing(replay(&shop, row.get(0))).await.refused(409, "outbox_not_dead");
    }
    shop.db
        .execute(
            "delete from ops.outbox where tenant_id = $1 and kind = 'mail.receipt'",
            &[&shop.tenant],
        )
        .await
        .unwrap();

    // Two members of staff at once: one mail.
    let (one, two) = tokio::join!(replay(&shop, &dead), replay(&shop, &dead));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", one.text, two.text);
    settled(&shop, &order).await;
    assert_eq!(shop.mailbox(&order.email).await.len(), 2);
}

#[tokio::test]
async fn who_has_been_mailed_otherwise_since_is_marked_in_the_list() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let (order, _) = refused(&shop, &address("since")).await;
    mail_again(&shop, &order).await;
    shop.outbox_done().await;
    let listed = shop.admin_get(&shop.viewer_token, "outbox?limit=10").await.expect(200);
    let shown: Vec<(&Value, &Value)> = listed["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| (&message["status"], &message["sentSince"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!("done"), &json!(false)),
            (&json!("dead"), &json!(true)),
            (&json!("done"), &json!(true))
        ],
        "{listed}"
    );
}
