//! `POST /api/webhooks/mail` with Resend's signature, at the gateway and at jobs.

use lonieve_tests::{Reply, Shop, dump, logs, svix_signature};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{TURN, address, alerts, email_status, last_mail, sold};

const PATH: &str = "/api/webhooks/mail";

/// A call as Resend makes it; each test breaks one part of it.
struct Call {
    id: String,
    age_s: i64,
    secret: String,
    content_type: &'static str,
    body: String,
}

impl Call {
    fn new(shop: &Shop, body: &Value) -> Self {
        Self {
            id: format!("msg_{}", Uuid::new_v4().simple()),
            age_s: 0,
            secret: shop.info.mail.webhook_secret.clone(),
            content_type: "application/json",
            body: body.to_string(),
        }
    }

    async fn send(&self, shop: &Shop) -> Reply {
        self.send_to(shop, "jobs").await
    }

    async fn send_to(&self, shop: &Shop, function: &str) -> Reply {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        let time = (now - self.age_s).to_string();
        let request = shop
            .request(Method::POST, function, PATH)
            .header("content-type", self.content_type)
            .header("svix-id", &self.id)
            .header("svix-timestamp", &time)
            .header("svix-signature", svix_signature(&self.secret, &self.id, &time, &self.body))
            .body(self.body.clone());
        Reply::of(request).await
    }
}

fn event(kind: &str, row: &Value, to: &str, data: Value) -> Value {
    let mut event = json!({"type": kind, "created_at": "2026-01-01T10:00:00.000Z", "data": {
        "email_id": row["provider_id"], "to": [to], "subject": "Your Gift Cards Are Ready!", "tags": {"kind": "codes", "outbox_id": row["id"]}}});
    event["data"].as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    event
}

async fn rejections(shop: &Shop) -> i64 {
    shop.count("select coalesce(sum(count), 0) from ops.webhook_rejections where source = 'mail' and $1::uuid is not null")
        .await
}

/// Asserts a refusal that is counted, and adds nothing else.
async fn counted(shop: &Shop, call: &Call, status: u16, code: &str) {
    let before = rejections(shop).await;
    shop.adds_nothing(call.send(shop)).await.refused(status, code);
    assert_eq!(rejections(shop).await, before + 1);
}

#[tokio::test]
async fn delivered_and_bounced_reach_the_order_through_the_gateway_and_count_once() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let email = address("reported");
    let order = sold(&shop, &email).await;
    let row = last_mail(&shop, order.order_id).await;
    let delivered = Call::new(&shop, &event("email.delivered", &row, &email, json!({})));
    let answer = shop.adds(&[("ops.mail_events", 1)], delivered.send_to(&shop, "gateway")).await;
    assert_eq!(answer.expect(200)["outcome"], "recorded");
    assert_eq!(answer.expect(200)["requestId"].as_str(), answer.header("x-request-id"));
    assert_eq!(shop.adds_nothing(delivered.send(&shop)).await.expect(200)["outcome"], "duplicate");
    let known = last_mail(&shop, order.order_id).await;
    assert_eq!(
        (&known["delivery"], &known["delivered_at"]),
        (&json!("delivered"), &json!("2026-01-01T10:00:00+00:00"))
    );
    assert_eq!(email_status(&shop, order.order_id).await.0, "sent");

    let transient = event(
        "email.bounced",
        &row,
        &email,
        json!({"bounce": {"type": "Transient", "subType": "MailboxFull", "message": email}}),
    );
    let transient = shop.adds(&[("ops.mail_events", 1)], Call::new(&shop, &transient).send(&shop)).await;
    assert_eq!((transient.expect(200)["outcome"].clone(), alerts(&shop).await), (json!("noted"), 0));

    let bounced = event(
        "email.bounced",
        &row,
        &email,
        json!({"bounce": {"type": "Permanent", "subType": "NoEmail", "message": format!("550 <{email}>")}}),
    );
    let bounced = Call::new(&shop, &bounced);
    let added = [("ops.mail_events", 1), ("ops.system_notifications", 1)];
    assert_eq!(shop.adds(&added, bounced.send(&shop)).await.expect(200)["outcome"], "recorded");
    assert_eq!(
        (email_status(&shop, order.order_id).await.0.as_str(), alerts(&shop).await),
        ("failed", 1)
    );
    let sql = "select severity, subject, message from ops.system_notifications where tenant_id = $1";
    let alert = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap();
    let alert: (String, String, String) = (alert.get(0), alert.get(1), alert.get(2));
    assert_eq!(
        (alert.0.as_str(), alert.1),
        ("critical", format!("order:{}:mail.codes", order.order_id))
    );
    assert!(alert.2.contains("bounced (Permanent/NoEmail)"), "{}", alert.2);
    // A delivery that was overtaken on its way changes nothing any more.
    let late = Call::new(&shop, &event("email.delivered", &row, &email, json!({})));
    assert_eq!(
        shop.adds(&[("ops.mail_events", 1)], late.send(&shop)).await.expect(200)["outcome"],
        "noted"
    );
    assert_eq!(email_status(&shop, order.order_id).await.0, "failed");

    // The address stands in the order and nowhere else.
    for (table, content) in dump(&shop).await {
        assert!(table == "shop.orders" || !content.contains(&email), "{table} names the address");
    }
    for (file, content) in logs() {
        assert!(!content.contains(&email), "{} names the address", file.display());
    }
}

#[tokio::test]
async fn types_nobody_knows_and_mails_of_others_are_taken_and_ignored() {
    let shop = Shop::with_codes(1).await;
    let unknown = event(
        "email.delivered",
        &json!({"id": Uuid::new_v4(), "provider_id": "m-other"}),
        "a@example.com",
        json!({}),
    );
    assert_eq!(
        shop.adds_nothing(Call::new(&shop, &unknown).send(&shop)).await.expect(200)["outcome"],
        "unknown_mail"
    );
    for kind in ["email.opened", "email.clicked", "email.teleported", "domain.created"] {
        let call = Call::new(&shop, &json!({"type": kind, "data": {"email_id": "m-other"}}));
        assert_eq!(
            shop.adds_nothing(call.send(&shop)).await.expect(200)["outcome"],
            "ignored",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn what_is_not_signed_for_now_with_our_secret_is_401_and_counted() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let email = address("forged");
    let order = sold(&shop, &email).await;
    let row = last_mail(&shop, order.order_id).await;
    let good = || {
        Call::new(
            &shop,
            &event("email.bounced", &row, &email, json!({"bounce": {"type": "Permanent"}})),
        )
    };
    let other_secret = Call {
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
        ..good()
    };
    counted(&shop, &other_secret, 401, "invalid_signature").await;
    for age_s in [330, -330] {
        counted(&shop, &Call { age_s, ..good() }, 401, "invalid_signature").await;
    }
    let before = rejections(&shop).await;
    let unsigned = shop
        .request(Method::POST, "jobs", PATH)
        .header("content-type", "application/json")
        .body(good().body);
    shop.adds_nothing(Reply::of(unsigned)).await.refused(401, "invalid_signature");
    assert_eq!(rejections(&shop).await, before + 1);
    // The twins: the same within the bound, either way.
    for (age_s, outcome) in [(270, "recorded"), (-270, "noted")] {
        assert_eq!(Call { age_s, ..good() }.send(&shop).await.expect(200)["outcome"], outcome);
    }
}

#[tokio::test]
async fn method_size_type_and_form_are_checked_and_nothing_is_written() {
    let shop = Shop::new().await;
    let good = || Call::new(&shop, &json!({"type": "email.opened"}));
    let before = rejections(&shop).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let reply = shop.adds_nothing(Reply::of(shop.request(method, "jobs", PATH))).await;
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    for path in ["/api/webhooks/mail/", "/api/webhooks/mail/x", "/api/webhooks"] {
        shop.adds_nothing(shop.post("jobs", path, &json!({})))
            .await
            .refused(404, "not_found");
    }
    let large = Call {
        body: Shop::padded(good().body, 64 * 1024 + 1),
        ..good()
    };
    shop.adds_nothing(large.send(&shop)).await.refused(413, "body_too_large");
    let headers = ["content-type: application/json"];
    shop.adds_nothing(shop.post_chunked("jobs", PATH, &headers, large.body.as_bytes()))
        .await
        .refused(413, "body_too_large");
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        shop.adds_nothing(Call { content_type, ..good() }.send(&shop))
            .await
            .refused(415, "unsupported_media_type");
    }
    for (body, code) in [
        ("{", "invalid_json"),
        ("[]", "invalid_request"),
        (r#"{"data":{}}"#, "invalid_request"),
    ] {
        let call = Call {
            body: body.into(),
            ..good()
        };
        shop.adds_nothing(call.send(&shop)).await.refused(400, code);
    }
    assert_eq!(rejections(&shop).await, before, "none of these is counted as a forgery");
    let fits = Call {
        body: Shop::padded(good().body, 64 * 1024),
        ..good()
    };
    shop.adds_nothing(fits.send(&shop)).await.expect(200);
}

#[tokio::test]
async fn without_a_database_the_provider_is_asked_to_come_again() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let order = sold(&shop, &address("unlucky")).await;
    let row = last_mail(&shop, order.order_id).await;
    let call = Call::new(&shop, &event("email.delivered", &row, &order.email, json!({})));
    for code in ["PGRST000", "57014", "42501", "XX000"] {
        let rules = json!([{"rpc": "record_mail_event", "match": call.id, "status": 503, "body": {"code": code}}]);
        let reply = shop
            .under_faults(&shop.info.proxy, rules, shop.adds_nothing(call.send(&shop)))
            .await;
        reply.refused(503, "database_unavailable");
    }
    assert_eq!(
        shop.adds(&[("ops.mail_events", 1)], call.send(&shop)).await.expect(200)["outcome"],
        "recorded"
    );
}
