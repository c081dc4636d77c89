//! What keeps others out: CORS, the limit per address, Turnstile, the database's roles.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use lonieve_tests::{OwnWorker, Reply, Shop};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{Person, at_host, leads, send, the_lead, with};

async fn from_address(shop: &Shop, address: &str) -> Reply {
    let request = shop
        .request(Method::POST, "leads", "/api/leads")
        .header("cf-connecting-ip", address);
    Reply::of(request.json(&Person::new().form())).await
}

#[tokio::test]
async fn one_address_may_send_so_many_lead_forms_an_hour() {
    let shop = Shop::new().await;
    shop.settings(json!({"max_leads_per_address": 3})).await;
    for address in ["203.0.113.7", "2001:db8:1:2::1"] {
        for _ in 0..3 {
            from_address(&shop, address).await.expect(200);
        }
    }
    let before = shop.rows().await;
    // Every address of a /64 is one subscriber.
    for address in ["203.0.113.7", "2001:db8:1:2:aaaa::5"] {
        from_address(&shop, address).await.refused(429, "too_many_requests");
    }
    assert_eq!(shop.rows().await, before);
    for address in ["203.0.113.8", "2001:db8:1:3::1"] {
        from_address(&shop, address).await.expect(200);
    }
    shop.db
        .execute(
            "update crm.lead_submissions set created_at = created_at - interval '61 minutes' where tenant_id = $1",
            &[&shop.tenant],
        )
        .await
        .unwrap();
    from_address(&shop, "203.0.113.7").await.expect(200);
}

#[tokio::test]
async fn only_pages_of_the_tenants_domains_may_read_the_answers_of_leads() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    let (landing, plain, off) = (
        format!("lead-{}", shop.host),
        format!("dev-{}", shop.host),
        format!("off-{}", shop.host),
    );
    let sql = "insert into shop.domains (domain, tenant_id, ssl_enabled, status) values ($1, $4, true, 'active'), ($2, $4, false, 'active'), ($3, $4, true, 'inactive')";
    shop.db.execute(sql, &[&landing, &plain, &off, &shop.tenant]).await.unwrap();
    let asked = |method: Method, origin: &str| shop.request(method, "leads", "/api/leads").header("origin", origin);
    let preflight = |origin: &str| {
        let request = asked(Method::OPTIONS, origin);
        Reply::of(
            request
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type"),
        )
    };
    let allowed = |reply: &Reply| reply.header("access-control-allow-origin").map(str::to_owned);

    for origin in [
        format!("https://{}", shop.host),
        format!("https://{landing}"),
        format!("http://{plain}:3000"),
        format!("http://{plain}"),
    ] {
        let reply = preflight(&origin).await;
        assert_eq!((reply.status, allowed(&reply)), (204, Some(origin.clone())), "the exact origin");
        assert_eq!(
            (reply.header("vary"), reply.header("access-control-allow-methods")),
            (Some("Origin"), Some("POST"))
        );
        assert_eq!(reply.header("access-control-allow-headers"), Some("Content-Type"));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        // Answers and refusals alike can be read there.
        let stored = Reply::of(asked(Method::POST, &origin).json(&Person::new().form())).await;
        stored.expect(200);
        let refused = Reply::of(asked(Method::POST, &origin).json(&json!({}))).await;
        refused.refused(400, "invalid_request");
        for reply in [stored, refused] {
            assert_eq!((allowed(&reply), reply.header("vary")), (Some(origin.clone()), Some("Origin")));
        }
    }
    let foreign = [
        format!("https://{}", other.host),
        format!("http://{landing}"),
        format!("https://{landing}:8443"),
        format!("https://{landing}.evil.example"),
        format!("https://evil-{landing}"),
        format!("https://{off}"),
        "null".to_owned(),
        "https://evil.example".to_owned(),
        format!("https://{landing}/"),
    ];
    for origin in foreign {
        let reply = preflight(&origin).await;
        assert_eq!(
            (reply.status, allowed(&reply), reply.header("vary")),
            (204, None, Some("Origin")),
            "{origin}"
        );
        assert!(
            reply.headers.keys().all(|name| !name.as_str().starts_with("access-control")),
            "{origin}"
        );
        let reply = Reply::of(asked(Method::POST, &origin).json(&json!({}))).await;
        assert_eq!(
            (reply.status, allowed(&reply), reply.header("vary")),
            (400, None, Some("Origin")),
            "{origin}"
        );
    }
    let reply = send(&shop, &Person::new().form()).await;
    assert_eq!(
        (allowed(&reply), reply.header("vary")),
        (None, Some("Origin")),
        "without an Origin there is none to name"
    );
}

#[tokio::test]
async fn a_form_on_another_domain_of_the_shop_finds_its_lead_there() {
    let (shop, person) = (Shop::new().await, Person::new());
    // The Worker's own host says nothing; the page's does.
    let request = at_host(&shop, "leads.workers.test", Method::POST, "/api/leads").header("origin", format!("https://{}", shop.host));
    Reply::of(request.json(&person.form())).await.expect(200);
    assert_eq!(the_lead(&shop).await["email"], person.email);
}

#[tokio::test]
async fn nobody_reads_leads_and_only_the_leads_worker_writes_them() {
    let shop = Shop::new().await;
    let p = json!({"host": shop.host, "receipt_id": uuid::Uuid::new_v4(), "name": "x", "email": "x@example.com", "source": "twland", "code": "abcd", "token": "abcd", "origin": "x"});
    for function in ["capture_lead", "check_origin", "follow_link", "unsubscribe"] {
        for role in ["events", "orders", "cardlink", "copilot", "jobs", "admin"] {
            // Events answers pages of other origins too.
            if (function, role) == ("check_origin", "events") {
                continue;
            }
            let reply = shop.rpc(&shop.info.tokens[role], function, p.clone()).await;
            assert_eq!(
                (reply.status, reply.json()["code"].clone()),
                (403, json!("42501")),
                "{role}: {function}"
            );
        }
        for token in [&shop.staff_token, &shop.info.customer_token] {
            assert_eq!(shop.rpc(token, function, p.clone()).await.json()["code"], "42501", "{function}");
        }
        assert_eq!(
            shop.rpc(&shop.info.tokens["leads"], function, p.clone()).await.status,
            200,
            "{function}"
        );
    }
    for role in ["anon", "authenticated", "edge_leads", "edge_admin"] {
        for relation in [
            "crm.landing_leads",
            "crm.leads_with_journey",
            "crm.lead_submissions",
            "crm.unsubscribe_tokens",
            "crm.phone_plans",
        ] {
            let batch = format!("begin; set local role {role}; select * from {relation}");
            let error = shop.db.batch_execute(&batch).await.unwrap_err();
            assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{role}: {relation}");
            shop.db.batch_execute("rollback").await.unwrap();
        }
    }
    // Whoever is let in to the view sees through it what he sees of the tables: nothing.
    let sql = "begin; grant usage on schema crm to anon; grant select on crm.leads_with_journey to anon; set local role anon; select * from crm.leads_with_journey";
    assert_eq!(
        shop.db.batch_execute(sql).await.unwrap_err().code().map(|code| code.code()),
        Some("42501")
    );
    shop.db.batch_execute("rollback").await.unwrap();
}

#[tokio::test]
async fn a_lead_is_not_stored_twice_when_the_call_is_repeated() {
    let (shop, person) = (Shop::new().await, Person::new());
    let p = with(
        &with(&person.form(), "receipt_id", json!(uuid::Uuid::new_v4())),
        "host",
        json!(shop.host),
    );
    let answers = join_all((0..10).map(|_| shop.rpc(&shop.info.tokens["leads"], "capture_lead", p.clone()))).await;
    assert!(answers.iter().all(|reply| reply.expect(200)["outcome"] == "captured"));
    assert_eq!(
        shop.count("select count(*) from crm.lead_submissions where tenant_id = $1").await,
        1
    );
}

#[tokio::test]
async fn while_the_database_is_away_a_lead_form_is_told_to_come_again() {
    let (shop, person) = (Shop::new().await, Person::new());
    let rules = json!({"rules": [{"rpc": "capture_lead", "match": person.email, "drop": true, "times": 1}]});
    let set = shop
        .http
        .put(format!("{}/faults", shop.info.proxy))
        .json(&rules)
        .send()
        .await
        .unwrap();
    assert!(set.status().is_success(), "{}", set.text().await.unwrap());
    let before = shop.rows().await;
    send(&shop, &person.form()).await.refused(503, "database_unavailable");
    assert_eq!(shop.rows().await, before);
    send(&shop, &person.form()).await.expect(200);
}

/// The leads Worker with Turnstile switched on, and a sandbox of its own to play it.
struct Guarded {
    worker: OwnWorker,
    sandbox: String,
    shop: Shop,
    tokens: AtomicU32,
}

impl Guarded {
    async fn start(secret: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = format!("http://{}", listener.local_addr().unwrap());
        let word = || "unused".to_owned();
        let config = sandbox::Config {
            public_url: sandbox.clone(),
            cardlink_token: word(),
            cardlink_secret: word(),
            cardlink_shop_id: word(),
            shop_url: word(),
            mail_api_key: word(),
        };
        tokio::spawn(sandbox::serve(listener, config));
        let url = format!("{sandbox}/turnstile/v0/siteverify");
        let worker = OwnWorker::start("leads", &[("TURNSTILE_SECRET", secret), ("TURNSTILE_URL", &url)]).await;
        Self {
            worker,
            sandbox,
            shop: Shop::new().await,
            tokens: AtomicU32::new(0),
        }
    }

    /// A token solved on this host for this action, never used before.
    fn token(&self, host: &str, action: &str) -> Value {
        json!(format!("{host}|{action}|{}", self.tokens.fetch_add(1, Ordering::Relaxed)))
    }

    fn request(&self) -> RequestBuilder {
        self.shop
            .http
            .post(format!("{}/api/leads", self.worker.url))
            .header("host", &self.shop.host)
    }

    async fn send(&self, token: Value) -> Reply {
        Reply::of(self.request().json(&with(&Person::new().form(), "turnstileToken", token))).await
    }

    async fn faults(&self, rules: Value) {
        let set = self
            .shop
            .http
            .put(format!("{}/faults", self.sandbox))
            .json(&json!({"rules": rules}))
            .send()
            .await
            .unwrap();
        assert!(set.status().is_success(), "{}", set.text().await.unwrap());
    }

    async fn calls(&self) -> usize {
        let reply = Reply::of(self.shop.http.get(format!("{}/calls?route=turnstile.verify", self.sandbox))).await;
        reply.expect(200).as_array().unwrap().len()
    }
}

#[tokio::test]
async fn with_turnstile_a_lead_form_needs_a_fresh_token_of_this_site() {
    let guarded = Guarded::start(sandbox::turnstile::SECRET).await;
    let host = guarded.shop.host.clone();
    let before = guarded.shop.rows().await;

    for none in [Value::Null, json!(""), json!("  ")] {
        let body = guarded.send(none).await.refused(400, "invalid_request");
        assert_eq!(body["fields"], json!({"turnstileToken": "is missing"}));
    }
    assert_eq!(guarded.calls().await, 0, "nobody is asked without a token");
    guarded.send(json!("made-up")).await.refused(403, "challenge_failed");
    guarded
        .send(guarded.token("evil.example", "lead"))
        .await
        .refused(403, "challenge_failed");
    guarded.send(guarded.token(&host, "login")).await.refused(403, "challenge_failed");

    // Closed while nobody can tell: refused, broken, silent.
    for rule in [
        json!({"status": 500}),
        json!({"status": 200, "body": "<html>ok</html>"}),
        json!({"status": 200, "body": {"success": "yes"}}),
        json!({"drop": true}),
    ] {
        guarded.faults(json!([with(&rule, "route", json!("turnstile.verify"))])).await;
        guarded
            .send(guarded.token(&host, "lead"))
            .await
            .refused(503, "challenge_unavailable");
    }
    guarded.faults(json!([{"route": "turnstile.verify", "delay_ms": 9000}])).await;
    guarded
        .send(guarded.token(&host, "lead"))
        .await
        .refused(503, "challenge_unavailable");
    assert_eq!(guarded.shop.rows().await, before);

    // An answer that was lost is asked for again, as the same look at the same token.
    guarded
        .faults(json!([{"route": "turnstile.verify", "drop_after": true, "times": 1}]))
        .await;
    let lost = guarded.token(&host, "lead");
    guarded.send(lost.clone()).await.expect(200);
    guarded.send(lost).await.refused(403, "challenge_failed");
    guarded.faults(json!([])).await;

    let token = guarded.token(&host, "lead");
    let fields = [
        ("name", "Aida"),
        ("phone", "87770000001"),
        ("source", "twland"),
        ("cf-turnstile-response", token.as_str().unwrap()),
    ];
    assert_eq!(Reply::of(guarded.request().form(&fields)).await.status, 303);
    let spent = Reply::of(guarded.request().form(&fields)).await;
    spent.refused(403, "challenge_failed");
    assert_eq!(leads(&guarded.shop).await.len(), 2);

    // A page on another domain of the shop has tokens of that domain.
    let landing = format!("lead-{host}");
    let sql = "insert into shop.domains (domain, tenant_id) values ($1, $2)";
    guarded.shop.db.execute(sql, &[&landing, &guarded.shop.tenant]).await.unwrap();
    let there = |origin: String| {
        let form = with(&Person::new().form(), "turnstileToken", guarded.token(&landing, "lead"));
        Reply::of(guarded.request().header("origin", origin).json(&form))
    };
    there(format!("https://{landing}")).await.expect(200);
    there("https://evil.example".to_owned()).await.refused(403, "challenge_failed");
}

#[tokio::test]
async fn a_wrong_or_blank_turnstile_secret_lets_no_lead_through() {
    let wrong = Guarded::start("not-the-secret").await;
    wrong
        .send(wrong.token(&wrong.shop.host, "lead"))
        .await
        .refused(500, "misconfigured");
    let blank = Guarded::start(" ").await;
    blank
        .send(blank.token(&blank.shop.host, "lead"))
        .await
        .refused(500, "misconfigured");
    for guarded in [wrong, blank] {
        assert!(leads(&guarded.shop).await.is_empty());
    }
}
