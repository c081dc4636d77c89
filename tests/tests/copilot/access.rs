//! Who may ask.

use std::time::{SystemTime, UNIX_EPOCH};

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use stack::jwt::{Claims, Signer};
use uuid::Uuid;

use crate::{ask, ask_as, shop_at_noon, value};

/// Questions that take both ways through the Worker: one is answered by a function, the other only logged.
const QUESTIONS: [&str; 2] = ["revenue today", "what is love"];

fn signer(shop: &Shop) -> Signer {
    Signer::Hs256 {
        secret: shop.info.jwt_secret.clone(),
    }
}

fn token_of(shop: &Shop, person: Uuid) -> String {
    signer(shop)
        .mint(&Claims::new("authenticated", 1).for_person(&person.to_string()))
        .unwrap()
}

async fn staff(shop: &Shop, person: Uuid, role: &str) {
    let sql = "insert into shop.staff_members (user_id, tenant_id, role) values ($1, $2, $3)";
    shop.db.execute(sql, &[&person, &shop.tenant, &role]).await.unwrap();
}

#[tokio::test]
async fn who_is_not_staff_is_refused_and_leaves_nothing() {
    let shop = Shop::new().await;
    let person = Uuid::new_v4();
    staff(&shop, person, "admin").await;
    let mut expired = Claims::new("authenticated", 1).for_person(&person.to_string());
    expired.exp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 3600;
    let expired = signer(&shop).mint(&expired).unwrap();
    let forged = Signer::Hs256 {
        secret: "another secret of at least 32 bytes".into(),
    };
    let forged = forged
        .mint(&Claims::new("authenticated", 1).for_person(&person.to_string()))
        .unwrap();
    let stranger = token_of(&shop, Uuid::new_v4());
    let nobody = signer(&shop).mint(&Claims::new("authenticated", 1)).unwrap();
    let before = shop.rows().await;
    for question in QUESTIONS {
        let body = json!({ "query": question });
        let none = Reply::of(shop.request(Method::POST, "copilot", "/api/ai/copilot").json(&body)).await;
        none.refused(401, "unauthorized");
        assert_eq!(none.header("www-authenticate"), Some("Bearer"));
        let basic = shop
            .request(Method::POST, "copilot", "/api/ai/copilot")
            .basic_auth("a", Some("b"))
            .json(&body);
        Reply::of(basic).await.refused(401, "unauthorized");
        for token in [expired.as_str(), &forged, "x", "a.b.c", &"a".repeat(5000)] {
            ask_as(&shop, token, &body).await.refused(401, "unauthorized");
        }
        let (customer, worker) = (&shop.info.customer_token, &shop.info.tokens["copilot"]);
        for token in [
            customer,
            &stranger,
            &nobody,
            worker,
            &shop.info.tokens["orders"],
            &shop.info.tokens["anon"],
        ] {
            ask_as(&shop, token, &body).await.refused(403, "forbidden");
        }
    }
    assert_eq!(shop.rows().await, before, "nothing was written");
    let log = "select count(*) from ai.ai_queries where user_id = $1";
    assert_eq!(shop.db.query_one(log, &[&person]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn every_role_of_the_staff_may_ask_and_sees_its_own_shop_only() {
    let (shop, other) = (shop_at_noon(1).await, shop_at_noon(2).await);
    for (shop, count) in [(&shop, 1), (&other, 2)] {
        for _ in 0..count {
            let order = shop.place(&shop.cart()).await;
            shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
        }
    }
    let admin = Uuid::new_v4();
    staff(&shop, admin, "admin").await;
    for token in [&shop.viewer_token, &shop.staff_token, &token_of(&shop, admin)] {
        // The host of the other shop changes nothing: the tenant is the caller's.
        let answer = ask_as(&other, token, &json!({"query": "revenue today"})).await.expect(200);
        assert_eq!(value(&answer), "37.50");
    }

    // Somebody who works for both must say for which.
    let both = Uuid::new_v4();
    staff(&shop, both, "viewer").await;
    staff(&other, both, "viewer").await;
    let token = token_of(&shop, both);
    for question in QUESTIONS {
        let reply = ask_as(&shop, &token, &json!({ "query": question }))
            .await
            .refused(400, "invalid_request");
        assert!(reply["fields"]["X-Tenant"].is_string(), "{reply}");
    }
    let within = async |tenant: &str| {
        let request = shop
            .request(Method::POST, "copilot", "/api/ai/copilot")
            .bearer_auth(&token)
            .header("x-tenant", tenant);
        Reply::of(request.json(&json!({"query": "revenue today"}))).await
    };
    assert_eq!(value(&within(&shop.tenant.to_string()).await.expect(200)), "37.50");
    assert_eq!(value(&within(&other.tenant.to_string()).await.expect(200)), "75.00");
    within(&Uuid::new_v4().to_string()).await.refused(403, "forbidden");
    within("somewhere").await.refused(400, "invalid_request");

    other
        .db
        .execute("update shop.tenants set status = 'suspended' where id = $1", &[&other.tenant])
        .await
        .unwrap();
    ask_as(&other, &other.viewer_token, &json!({"query": "revenue today"}))
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn other_methods_types_and_bodies_are_refused() {
    let shop = Shop::new().await;
    let before = shop.rows().await;
    let to = |method: Method| shop.request(method, "copilot", "/api/ai/copilot").bearer_auth(&shop.viewer_token);
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let reply = Reply::of(to(method)).await;
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    let text = to(Method::POST).header("content-type", "text/plain").body(r#"{"query":"revenue"}"#);
    Reply::of(text).await.refused(415, "unsupported_media_type");
    for body in ["", "{", "revenue", "{\"query\": \"\\ud800\"}"] {
        let reply = Reply::of(to(Method::POST).header("content-type", "application/json").body(body)).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
    }
    let large = json!({"query": "revenue", "more": "x".repeat(20_000)});
    Reply::of(to(Method::POST).json(&large)).await.refused(413, "body_too_large");
    assert_eq!(shop.rows().await, before, "nothing was written");
    let health = shop.get("copilot", "/health").await.expect(200);
    assert_eq!((&health["status"], &health["function"]), (&json!("ok"), &json!("copilot")));
}

/// The functions behind the answers only read, whoever calls them, and nobody but signed-in people may.
#[tokio::test]
async fn the_functions_only_read_and_are_granted_to_staff_alone() {
    let shop = Shop::new().await;
    let sql = "select p.proname::text, p.provolatile::text, p.prosecdef, coalesce(p.proconfig::text, ''), \
                 array(select distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end \
                       from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee <> p.proowner order by 1) \
               from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
               where n.nspname = 'api' and (p.proname like 'ask\\_%' or p.proname like 'ai\\_get\\_%' or p.proname in \
                 ('get_unit_economics', 'get_channel_stats_financial', 'get_popular_intents', 'log_ai_query')) order by 1";
    let functions = shop.db.query(sql, &[]).await.unwrap();
    assert_eq!(functions.len(), 15);
    for function in &functions {
        let name: &str = function.get(0);
        let volatile = if name == "log_ai_query" { "v" } else { "s" };
        assert_eq!((function.get::<_, &str>(1), function.get::<_, bool>(2)), (volatile, true), "{name}");
        assert_eq!(function.get::<_, &str>(3), "{\"search_path=\\\"\\\"\"}", "{name}");
        assert_eq!(function.get::<_, Vec<String>>(4), ["authenticated"], "{name}");
        // A person without a shop is refused by each, through PostgREST as well.
        let url = format!("{}/rpc/{name}", shop.info.postgrest);
        let body = if name.starts_with("ask_") || name == "log_ai_query" {
            json!({"p": {}})
        } else {
            json!({})
        };
        let request = shop
            .http
            .post(url)
            .bearer_auth(&shop.info.customer_token)
            .header("content-profile", "api")
            .json(&body);
        let refused = Reply::of(request).await.expect(403);
        assert_eq!(
            (&refused["code"], &refused["message"]),
            (&json!("42501"), &json!("not_staff")),
            "{name}"
        );
    }
}

/// Faults of the proxy are the stack's: only this test of the file sets any, and only for its own question.
#[tokio::test]
async fn a_database_that_fails_is_said_so_and_a_log_that_fails_is_not() {
    let shop = Shop::new().await;
    let faults = async |rules: Value| {
        let request = shop
            .http
            .put(format!("{}/faults", shop.info.proxy))
            .json(&json!({ "rules": rules }));
        assert!(Reply::of(request).await.status < 300);
    };
    let mark = format!("mark {}", Uuid::new_v4().simple());
    let logged = async |intent: &str| {
        let sql = format!("select count(*) from ai.ai_queries where tenant_id = $1 and query_intent = '{intent}'");
        shop.count(&sql).await
    };
    faults(
        json!([{"rpc": "log_ai_query", "status": 503, "match": mark}, {"rpc": "ask_profit", "status": 503, "match": "3659", "body": "{}"}]),
    )
    .await;

    // Only logged, and that fails: nobody has checked who asks, so there is no answer.
    ask_as(&shop, &shop.viewer_token, &json!({ "query": mark }))
        .await
        .refused(503, "database_unavailable");
    // The figure cannot be had: 503, and the log says which question it was.
    let body = json!({"query": "profit for the last 3659 days"});
    ask_as(&shop, &shop.viewer_token, &body).await.refused(503, "database_unavailable");
    assert_eq!(logged("profit").await, 1);
    // The figure is there and only the log fails: an answer all the same.
    faults(json!([{"rpc": "log_ai_query", "status": 503, "match": "for the last 3658 days"}])).await;
    assert_eq!(value(&ask(&shop, "revenue for the last 3658 days").await), "0.00");
    assert_eq!(logged("revenue").await, 0);
    faults(json!([])).await;
    ask(&shop, "revenue").await;
    assert_eq!(logged("revenue").await, 1);
}
