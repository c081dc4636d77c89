//! The other provider: the same outbox, sent through Mailgun's API by a jobs Worker of the test's own.

use lonieve_tests::{OwnWorker, Reply, Shop, mailgun_notice, stack};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{TURN, address, alerts, calls, email_status, last_mail, mail_again, sold};

const KEY: &str = "mailgun-signing-key";

/// A shop whose mails go through Mailgun. The stack's own jobs must have nothing to do meanwhile: they would send through Resend.
struct Mailgun {
    worker: OwnWorker,
    shop: Shop,
}

impl Mailgun {
    async fn start(codes: usize) -> Self {
        Self {
            worker: worker(&[]).await,
            shop: Shop::with_codes(codes).await,
        }
    }

    async fn outbox(&self, clock: Option<&str>) -> Value {
        let mut request = self.shop.http.post(format!("{}/api/jobs/run/outbox", self.worker.url));
        if let Some(clock) = clock {
            request = request.header("x-test-clock", clock);
        }
        Reply::of(request.bearer_auth(&self.shop.info.jobs_secret)).await.expect(200)
    }

    /// A call of the webhook, signed so many seconds ago.
    async fn notify(&self, age_s: i64, token: &str, event: &Value) -> Reply {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        self.post(mailgun_notice(KEY, now - age_s, token, event)).await
    }

    async fn post(&self, body: String) -> Reply {
        let request = self
            .shop
            .http
            .request(Method::POST, format!("{}/api/webhooks/mail", self.worker.url));
        Reply::of(request.header("content-type", "application/json").body(body)).await
    }

    async fn rejections(&self) -> i64 {
        let sql = "select coalesce(sum(count), 0) from ops.webhook_rejections where source = 'mail' and $1::uuid is not null";
        self.shop.count(sql).await
    }
}

async fn worker(changed: &[(&str, &str)]) -> OwnWorker {
    let info = stack();
    let (keys, cardlink, url) = (
        json!(info.code_keys).to_string(),
        format!("{}/cardlink/v2", info.sandbox),
        format!("{}/mailgun", info.sandbox),
    );
    let mut bindings = vec![
        ("JOBS_SECRET", info.jobs_secret.as_str()),
        ("ORDER_TOKEN_KEY", &info.order_token_key),
        ("CODE_KEYS", &keys),
        ("CODE_ACTIVE_KID", "k1"),
        ("CARDLINK_API", "v2"),
        ("CARDLINK_URL", &cardlink),
        ("CARDLINK_TOKEN", &info.cardlink.token),
        ("MAIL_PROVIDER", "mailgun"),
        ("MAIL_URL", &url),
        ("MAIL_DOMAIN", "mg.shop.example"),
        ("MAIL_API_KEY", &info.mail.api_key),
        ("MAIL_WEBHOOK_SECRET", KEY),
        ("MAIL_FROM", "Demo shop <orders@shop.example>"),
        ("TEST_CLOCK", "1"),
    ];
    for (name, value) in changed {
        bindings.retain(|(known, _)| known != name);
        if !value.is_empty() {
            bindings.push((name, value));
        }
    }
    OwnWorker::start("jobs", &bindings).await
}

fn token() -> String {
    format!("{}{}", Uuid::new_v4().simple(), &Uuid::new_v4().simple().to_string()[..18])
}

fn event(kind: &str, row: &Value) -> Value {
    json!({"event": kind, "id": Uuid::new_v4(), "timestamp": 1_767_261_600.5, "user-variables": {"outbox_id": row["id"]},
           "message": {"headers": {"message-id": row["provider_id"]}}})
}

#[tokio::test]
async fn a_mail_goes_through_mailgun_and_its_notices_come_back() {
    let _turn = TURN.lock().await;
    let mailgun = Mailgun::start(1).await;
    let shop = &mailgun.shop;
    let email = address("gun");
    let order = sold(shop, &email).await;
    mail_again(shop, &order).await;
    assert_eq!(mailgun.outbox(None).await["sent"], 1);
    let row = last_mail(shop, order.order_id).await;
    let mails = shop.mailbox(&email).await;
    let (first, mail) = (&mails[0], &mails[1]);
    assert_eq!((mails.len(), &mail["id"]), (2, &row["provider_id"]));
    assert!(mail["id"].as_str().unwrap().ends_with("@mg.shop.example") && mail["idempotency_key"].is_null());
    // The same mail as through the other provider.
    for part in ["to", "from", "subject", "text", "html"] {
        assert_eq!(first[part], mail[part], "{part}");
    }
    let sent = calls(shop, "mailgun.send", &email).await;
    assert_eq!(
        (sent.len(), &sent[0]["path"], &sent[0]["headers"]["authorization"]),
        (1, &json!("/mailgun/v3/mg.shop.example/messages"), &json!("Basic [redacted]"))
    );
    let log = "select count(*) from ops.integration_logs where tenant_id = $1 and service_name = 'mailgun' and action = 'send_email' and status = 'success'";
    assert_eq!(
        (shop.count(log).await, email_status(shop, order.order_id).await.0.as_str()),
        (1, "sent")
    );

    let added = [("ops.mail_events", 1)];
    let delivered = shop.adds(&added, mailgun.notify(0, &token(), &event("delivered", &row))).await;
    assert_eq!(delivered.expect(200)["outcome"], "recorded");
    assert_eq!(last_mail(shop, order.order_id).await["delivered_at"], "2026-01-01T10:00:00.5+00:00");
    let mut soft = event("failed", &row);
    (soft["severity"], soft["reason"]) = (json!("temporary"), json!("greylisted"));
    assert_eq!(mailgun.notify(0, &token(), &soft).await.expect(200)["outcome"], "noted");
    let mut hard = event("failed", &row);
    (hard["severity"], hard["reason"], hard["delivery-status"]) =
        (json!("permanent"), json!("bounce"), json!({"code": 550, "message": email}));
    assert_eq!(mailgun.notify(0, &token(), &hard).await.expect(200)["outcome"], "recorded");
    assert_eq!(
        (email_status(shop, order.order_id).await.0.as_str(), alerts(shop).await),
        ("failed", 1)
    );
    assert_eq!(last_mail(shop, order.order_id).await["delivery_reason"], "permanent/bounce/550");
}

#[tokio::test]
async fn a_lost_answer_is_not_sent_again_before_mailgun_could_say_that_it_has_the_mail() {
    let _turn = TURN.lock().await;
    let mailgun = Mailgun::start(2).await;
    let shop = &mailgun.shop;
    let (told, untold) = (address("told"), address("untold"));
    let (heard, silent) = (sold(shop, &told).await, sold(shop, &untold).await);
    mail_again(shop, &heard).await;
    mail_again(shop, &silent).await;
    let rule = |email: &str| json!({"route": "mailgun.send", "match": email, "drop_after": true, "times": 1});
    let rules = json!([rule(&told), rule(&untold)]);
    let report = shop.under_faults(&shop.info.sandbox, rules, mailgun.outbox(None)).await;
    assert_eq!(report["retried"], 2, "{report}");
    let count = async || (shop.mailbox(&told).await.len(), shop.mailbox(&untold).await.len());
    assert_eq!(count().await, (2, 2), "Mailgun has both");
    mailgun.outbox(Some(&shop.time("9 minutes").await)).await;
    assert_eq!(count().await, (2, 2), "nothing is sent again yet");
    // Mailgun's notice closes the row, though its message id never reached us.
    let row = last_mail(shop, heard.order_id).await;
    assert!(row["provider_id"].is_null() && row["status"] == "pending");
    let mut accepted = event("accepted", &row);
    accepted["message"]["headers"]["message-id"] = shop.mailbox(&told).await[1]["id"].clone();
    mailgun.notify(0, &token(), &accepted).await.expect(200);
    let row = last_mail(shop, heard.order_id).await;
    assert_eq!(
        (&row["status"], &row["provider_id"]),
        (&json!("done"), &shop.mailbox(&told).await[1]["id"])
    );
    assert_eq!(email_status(shop, heard.order_id).await.0, "sent");
    // Without one it repeats: that is the price of a provider without idempotency keys.
    mailgun.outbox(Some(&shop.time("15 minutes").await)).await;
    assert_eq!(count().await, (2, 3));
    assert_eq!(email_status(shop, silent.order_id).await.0, "sent");
}

#[tokio::test]
async fn a_verdict_that_could_not_be_booked_is_booked_again_before_the_next_mail() {
    let _turn = TURN.lock().await;
    let mailgun = Mailgun::start(2).await;
    let shop = &mailgun.shop;
    let (one, two) = (address("one"), address("two"));
    let orders = [sold(shop, &one).await, sold(shop, &two).await];
    for order in &orders {
        mail_again(shop, order).await;
    }
    let row = last_mail(shop, orders[0].order_id).await["id"].as_str().unwrap().to_owned();
    let away = json!([{"rpc": "finish_outbox", "match": row, "drop": true, "times": 2}]);
    let report = shop.under_faults(&shop.info.proxy, away, mailgun.outbox(None)).await;
    assert_eq!(report["sent"], 2, "{report}");
    mailgun.outbox(Some(&shop.time("1 hour").await)).await;
    assert_eq!((shop.mailbox(&one).await.len(), shop.mailbox(&two).await.len()), (2, 2));
}

#[tokio::test]
async fn mailguns_refusals_are_dead_letters_and_its_faults_are_retried() {
    let _turn = TURN.lock().await;
    let mailgun = Mailgun::start(2).await;
    let shop = &mailgun.shop;
    let (bad, busy) = (address("bad"), address("busy"));
    let (refused, retried) = (sold(shop, &bad).await, sold(shop, &busy).await);
    mail_again(shop, &refused).await;
    mail_again(shop, &retried).await;
    let rules = json!([
        {"route": "mailgun.send", "match": bad, "status": 400, "body": {"message": format!("'to' parameter {bad} is bad")}},
        {"route": "mailgun.send", "match": busy, "status": 500, "headers": {"retry-after": "1800"}, "times": 1},
    ]);
    let report = shop.under_faults(&shop.info.sandbox, rules, mailgun.outbox(None)).await;
    assert_eq!((&report["dead"], &report["retried"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(last_mail(shop, refused.order_id).await["last_error"], "HTTP 400");
    assert_eq!(email_status(shop, refused.order_id).await.0, "failed");
    mailgun.outbox(Some(&shop.time("29 minutes").await)).await;
    assert_eq!(shop.mailbox(&busy).await.len(), 1);
    mailgun.outbox(Some(&shop.time("31 minutes").await)).await;
    assert_eq!(
        (shop.mailbox(&busy).await.len(), email_status(shop, retried.order_id).await),
        (2, ("sent".into(), 1))
    );
}

#[tokio::test]
async fn a_token_is_taken_once_and_not_for_ever_and_what_must_not_come_again_is_406() {
    let _turn = TURN.lock().await;
    let mailgun = Mailgun::start(1).await;
    let shop = &mailgun.shop;
    let order = sold(shop, &address("token")).await;
    let row = last_mail(shop, order.order_id).await;
    let (used, delivered) = (token(), event("delivered", &row));
    assert_eq!(mailgun.notify(60, &used, &delivered).await.expect(200)["outcome"], "recorded");

    let refused = async |reply: Reply, status: u16, code: &str, before: i64| {
        reply.refused(status, code);
        assert_eq!(mailgun.rejections().await, before + 1);
    };
    // The same signature over another event: the event is not signed, so only the spent token tells.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let (fixed, failed) = (
        token(),
        json!({"event": "failed", "severity": "permanent", "user-variables": {"outbox_id": row["id"]}}),
    );
    let genuine = mailgun_notice(KEY, now, &fixed, &delivered);
    assert_eq!(mailgun.post(genuine.clone()).await.expect(200)["outcome"], "noted");
    assert_eq!(shop.adds_nothing(mailgun.post(genuine)).await.expect(200)["outcome"], "duplicate");
    let before = mailgun.rejections().await;
    let replayed = shop.adds_nothing(mailgun.post(mailgun_notice(KEY, now, &fixed, &failed))).await;
    refused(replayed, 406, "notice_refused", before).await;
    assert_eq!(
        (email_status(shop, order.order_id).await.0.as_str(), alerts(shop).await),
        ("sent", 0)
    );
    // Too old, ahead of the clock, no event: right signatures all, and never any use.
    for (age_s, event) in [
        (9 * 3600 + 60, &delivered),
        (-360, &delivered),
        (0, &json!([])),
        (0, &json!({"event": 5})),
    ] {
        let before = mailgun.rejections().await;
        let reply = shop.adds_nothing(mailgun.notify(age_s, &token(), event)).await;
        refused(reply, 406, "notice_refused", before).await;
    }
    // The twin: eight hours are within Mailgun's own repeats.
    assert_eq!(
        mailgun.notify(8 * 3600 + 300, &token(), &delivered).await.expect(200)["outcome"],
        "noted"
    );
    // Not Mailgun's: it may come again, and be refused again.
    let before = mailgun.rejections().await;
    let forged = shop
        .adds_nothing(mailgun.post(mailgun_notice("another key", now, &token(), &failed)))
        .await;
    refused(forged, 401, "invalid_signature", before).await;
    let before = mailgun.rejections().await;
    let unsigned = shop.adds_nothing(mailgun.post(json!({"event-data": failed}).to_string())).await;
    refused(unsigned, 401, "invalid_signature", before).await;
    let before = mailgun.rejections().await;
    shop.adds_nothing(mailgun.post("{".into())).await.refused(400, "invalid_json");
    assert_eq!(mailgun.rejections().await, before);
}

#[tokio::test]
async fn the_provider_is_named_by_a_binding_and_never_guessed() {
    let whsec = stack().mail.webhook_secret.as_str();
    for changed in [
        // With a secret that would do for Resend: no default takes over.
        [("MAIL_PROVIDER", ""), ("MAIL_WEBHOOK_SECRET", whsec)],
        [("MAIL_PROVIDER", "ses"), ("MAIL_WEBHOOK_SECRET", whsec)],
        [("MAIL_PROVIDER", "Mailgun"), ("TEST_CLOCK", "1")],
        [("MAIL_DOMAIN", ""), ("TEST_CLOCK", "1")],
        [("MAIL_WEBHOOK_SECRET", ""), ("TEST_CLOCK", "1")],
        // Mailgun's key is no secret of Resend's.
        [("MAIL_PROVIDER", "resend"), ("MAIL_DOMAIN", "")],
    ] {
        let worker = worker(&changed).await;
        let http = reqwest::Client::new();
        Reply::of(http.get(format!("{}/health", worker.url)))
            .await
            .refused(500, "misconfigured");
    }
    let resend = worker(&[
        ("MAIL_PROVIDER", "resend"),
        ("MAIL_DOMAIN", ""),
        ("MAIL_WEBHOOK_SECRET", &stack().mail.webhook_secret),
    ])
    .await;
    Reply::of(reqwest::Client::new().get(format!("{}/health", resend.url)))
        .await
        .expect(200);
}
