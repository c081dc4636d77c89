//! What `GET /api/experiments` refuses, and what the database refuses to store for the Worker: nothing is written.

use lonieve_tests::{Reply, Shop, stack};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ask, assignments, running, stored};

#[tokio::test]
async fn a_request_without_a_visitor_that_can_be_one_is_400() {
    let shop = Shop::new().await;
    running(&shop, "hero", &[("control", 50), ("b", 50)]).await;
    for (query, problem) in [
        (String::new(), "is missing"),
        ("?visitor_id=".into(), "is missing"),
        ("?visitorId=a".into(), "is missing"),
        (format!("?visitor_id={}", "x".repeat(129)), "must be at most 128 characters"),
        ("?visitor_id=a%00".into(), "must not contain control characters"),
    ] {
        let path = format!("/api/experiments{query}");
        let refused = shop.adds_nothing(shop.get("events", &path)).await.refused(400, "invalid_request");
        assert_eq!(refused["fields"], json!({"visitor_id": problem}), "{query}");
    }
    shop.adds(&[("analytics.experiment_assignments", 1)], ask(&shop, &"я".repeat(128)))
        .await
        .expect(200);
}

#[tokio::test]
async fn other_methods_and_hosts_without_a_shop_are_refused() {
    let mut shop = Shop::new().await;
    running(&shop, "hero", &[("control", 50), ("b", 50)]).await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let reply = Reply::of(shop.request(method, "events", "/api/experiments?visitor_id=v")).await;
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("GET, HEAD"));
    }
    shop.get("events", "/api/experiments/hero?visitor_id=v")
        .await
        .refused(404, "not_found");
    shop.db
        .execute("update shop.tenants set status = 'suspended' where id = $1", &[&shop.tenant])
        .await
        .unwrap();
    ask(&shop, "v").await.refused(404, "unknown_tenant");
    let host = std::mem::replace(&mut shop.host, format!("nobody-{}.test", Uuid::new_v4().simple()));
    ask(&shop, "v").await.refused(404, "unknown_tenant");
    assert_eq!(stored(&shop).await, 0);
    shop.db
        .execute("update shop.tenants set status = 'active' where id = $1", &[&shop.tenant])
        .await
        .unwrap();
    shop.host = host;
    assert_eq!(assignments(&shop, "v").await.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_that_is_away_is_503_and_a_list_that_never_stands_still_too() {
    let shop = Shop::new().await;
    running(&shop, "hero", &[("control", 50), ("b", 50)]).await;
    let moving = json!({"outcome": "stale", "assignments": {}, "own_origin": false, "tag": "x", "experiments": []});
    for effect in [
        json!({"drop": true}),
        json!({"status": 503}),
        json!({"status": 200, "body": moving}),
    ] {
        let mut rule = json!({"rpc": "assign_experiments", "match": shop.host});
        rule.as_object_mut().unwrap().extend(effect.as_object().unwrap().clone());
        let asked = shop.under_faults(&shop.info.proxy, json!([rule]), ask(&shop, "v"));
        shop.adds_nothing(asked).await.refused(503, "database_unavailable");
    }
    // The list that was made up is not believed for long.
    assert_eq!(assignments(&shop, "v").await.as_object().unwrap().len(), 1);
}

/// The Worker's role may propose a variant; what the experiment does not have, or has no share for, is not stored.
#[tokio::test]
async fn the_database_stores_no_variant_that_cannot_have_been_drawn() {
    let shop = Shop::new().await;
    running(&shop, "hero", &[("control", 100), ("b", 0)]).await;
    let token = &stack().tokens["events"];
    let call = async |change: Value| {
        let mut p = json!({"host": shop.host, "visitor_id": "v"});
        p.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        shop.rpc(token, "assign_experiments", p).await.expect(200)
    };
    let list = call(json!({})).await;
    assert_eq!((&list["outcome"], &list["assignments"]), (&json!("stale"), &json!({})), "{list}");
    let tag = &list["tag"];
    for (tag, variants) in [
        (tag, json!({"hero": "b"})),
        (tag, json!({"hero": "c"})),
        (tag, json!({"nothing": "control"})),
        (tag, json!({})),
        (&json!("of yesterday"), json!({"hero": "control"})),
        (&Value::Null, json!({"hero": "control"})),
    ] {
        let answer = shop.adds_nothing(call(json!({"tag": tag, "variants": variants}))).await;
        assert_eq!(answer["outcome"], "stale", "{variants}: {answer}");
    }
    let right = call(json!({"tag": tag, "variants": {"hero": "control"}})).await;
    assert_eq!(
        right,
        json!({"outcome": "ok", "assignments": {"hero": "control"}, "own_origin": false})
    );
    let without = shop.rpc(token, "assign_experiments", json!({"host": shop.host})).await;
    assert_eq!((without.status, without.json()["code"].as_str()), (400, Some("22023")));
}
