//! Who may do what in the admin Worker, and what it refuses: nothing is written.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use lonieve_tests::{Reply, Shop, new_product};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Every action with a body that a manager could send: (method, path, body, is a read).
async fn every_action(shop: &Shop) -> Vec<(Method, String, Value, bool)> {
    let order = shop.mismatched().await.order_id;
    let alert: Uuid = shop
        .db
        .query_one(
            "select id from ops.system_notifications where tenant_id = $1 limit 1",
            &[&shop.tenant],
        )
        .await
        .unwrap()
        .get(0);
    let code: Uuid = shop
        .db
        .query_one("select id from shop.gift_codes where tenant_id = $1 limit 1", &[&shop.tenant])
        .await
        .unwrap()
        .get(0);
    let message: Uuid = shop
        .db
        .query_one("select id from ops.outbox where tenant_id = $1 limit 1", &[&shop.tenant])
        .await
        .unwrap()
        .get(0);
    let experiment: Uuid = shop
        .db
        .query_one(
            "insert into analytics.experiments (tenant_id, key, name, variants) values ($1, 'k', 'A test', '[\"a\", \"b\"]') returning id",
            &[&shop.tenant],
        )
        .await
        .unwrap()
        .get(0);
    let read = |path: &str| (Method::GET, path.to_owned(), Value::Null, true);
    let act = |method: Method, path: String, body: Value| (method, path, body, false);
    vec![
        read("codes"),
        read("products"),
        read("orders"),
        read("alerts"),
        read("jobs"),
        read("outbox"),
        act(
            Method::POST,
            "codes/import".into(),
            json!(format!("code,nominal,product_id\nABCD-EFGH-1234,50,{}\n", shop.product)),
        ),
        act(Method::POST, "products".into(), new_product()),
        act(Method::PATCH, format!("products/{}", shop.product), json!({"basePrice": 1})),
        act(Method::POST, format!("orders/{order}/resend"), Value::Null),
        act(
            Method::POST,
            format!("orders/{order}/resolve"),
            json!({"action": "deliver", "note": "x"}),
        ),
        act(Method::POST, format!("alerts/{alert}/resolve"), Value::Null),
        act(Method::POST, format!("codes/{code}/replace"), json!({"reason": "x"})),
        act(Method::POST, format!("outbox/{message}/replay"), Value::Null),
        act(Method::PATCH, format!("experiments/{experiment}"), json!({"status": "running"})),
        act(
            Method::POST,
            "experiments".into(),
            json!({"key": "another", "name": "A test", "variants": ["a", "b"]}),
        ),
        act(
            Method::POST,
            "ad-spend/import".into(),
            json!("date,utm_source,spend\n2026-03-01,google,5\n"),
        ),
        read("experiments"),
        read(&format!("experiments/{experiment}/results")),
    ]
}

async fn send(shop: &Shop, token: Option<&str>, tenant: Option<&str>, (method, path, body, _): &(Method, String, Value, bool)) -> Reply {
    let mut request = shop.request(method.clone(), "admin", &format!("/api/admin/{path}"));
    request = match body {
        Value::Null => request,
        Value::String(csv) => request.header("content-type", "text/csv").body(csv.clone()),
        body => request.json(body),
    };
    for (name, value) in [
        ("authorization", token.map(|token| format!("Bearer {token}"))),
        ("x-tenant", tenant.map(str::to_owned)),
    ] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    Reply::of(request).await
}

#[tokio::test]
async fn who_may_not_act_is_refused_and_nothing_is_written() {
    let shop = Shop::with_codes(2).await;
    let actions = every_action(&shop).await;
    let (manager, _) = shop.person(Some("manager")).await;
    let (_, customer) = shop.person(None).await;
    let expired = shop.token_of(manager, -120);
    let foreign = Shop::new().await;
    let before = shop.rows().await;
    let forged = format!("{}x", shop.staff_token);
    for action in &actions {
        for token in [None, Some("nonsense"), Some(expired.as_str()), Some(forged.as_str())] {
            let refused = send(&shop, token, None, action).await;
            refused.refused(401, "unauthorized");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        }
        // Signed in, but nobody's staff; another shop's manager who names this one; a Worker's own token.
        let tenant = shop.tenant.to_string();
        for (token, tenant) in [
            (&customer, None),
            (&customer, Some(tenant.as_str())),
            (&foreign.staff_token, Some(tenant.as_str())),
            (&shop.info.tokens["admin"], None),
        ] {
            send(&shop, Some(token), tenant, action).await.refused(403, "forbidden");
        }
        let as_viewer = send(&shop, Some(&shop.viewer_token), None, action).await;
        if action.3 {
            as_viewer.expect(200);
        } else {
            as_viewer.refused(403, "forbidden");
        }
        // Also where something else is wrong: who may not act does not learn what.
        if !action.3 {
            let broken = (action.0.clone(), action.1.clone(), json!({}), false);
            send(&shop, Some(&shop.viewer_token), None, &broken).await.refused(403, "forbidden");
            send(&shop, Some("nonsense"), None, &broken).await.refused(401, "unauthorized");
        }
    }
    assert_eq!(shop.rows().await, before);
}

#[tokio::test]
async fn another_shops_ids_do_not_exist() {
    let (shop, other) = (Shop::with_codes(2).await, Shop::with_codes(2).await);
    let actions = every_action(&other).await;
    let before = (shop.rows().await, other.rows().await);
    let codes = [
        "product_not_found",
        "order_not_found",
        "order_not_found",
        "alert_not_found",
        "code_not_found",
        "outbox_not_found",
        "experiment_not_found",
    ];
    for (action, code) in actions[8..].iter().zip(codes) {
        send(&shop, Some(&shop.staff_token), None, action).await.refused(404, code);
        let nonsense = (
            action.0.clone(),
            action.1.replace(action.1.split('/').nth(1).unwrap(), "nonsense"),
            action.2.clone(),
            false,
        );
        send(&shop, Some(&shop.staff_token), None, &nonsense).await.refused(404, code);
    }
    assert!(
        shop.admin_get(&shop.staff_token, "orders").await.expect(200)["orders"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(
        shop.admin_get(&shop.staff_token, "alerts").await.expect(200)["alerts"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!((shop.rows().await, other.rows().await), before);
}

#[tokio::test]
async fn a_person_of_several_shops_names_one() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    let (person, token) = shop.person(Some("viewer")).await;
    let insert = "insert into shop.staff_members (user_id, tenant_id, role) values ($1, $2, 'manager')";
    shop.db.execute(insert, &[&person, &other.tenant]).await.unwrap();
    let products = (Method::GET, "products".to_owned(), Value::Null, true);
    let create = (Method::POST, "products".to_owned(), new_product(), false);

    let refused = send(&shop, Some(&token), None, &products).await.refused(400, "invalid_request");
    assert!(refused["fields"]["X-Tenant"].is_string(), "{refused}");
    send(&shop, Some(&token), Some("nonsense"), &products)
        .await
        .refused(400, "invalid_request");
    let theirs = send(&shop, Some(&token), Some(&other.tenant.to_string()), &products)
        .await
        .expect(200);
    assert_eq!(theirs["products"][0]["id"], other.product.to_string());
    // A viewer in one, a manager in the other.
    let before = shop.rows().await;
    send(&shop, Some(&token), Some(&shop.tenant.to_string()), &create)
        .await
        .refused(403, "forbidden");
    assert_eq!(shop.rows().await, before);
    send(&shop, Some(&token), Some(&other.tenant.to_string()), &create)
        .await
        .expect(200);
    assert_eq!(other.audit().await.len(), 1);
}

#[tokio::test]
async fn wrong_requests_are_refused_with_their_codes_and_write_nothing() {
    let shop = Shop::with_codes(1).await;
    let order = shop.mismatched().await.order_id;
    let token = shop.staff_token.clone();
    let before = shop.rows().await;
    let send = |method: Method, path: String, content_type: &'static str, body: String| {
        Reply::of(shop.admin(&token, method, &path).header("content-type", content_type).body(body))
    };
    for (method, path, allow) in [
        (Method::PUT, "products".to_owned(), "GET, POST"),
        (Method::GET, format!("products/{}", shop.product), "PATCH"),
        (Method::POST, "orders".into(), "GET"),
        (Method::GET, format!("orders/{order}/resend"), "POST"),
        (Method::DELETE, format!("orders/{order}/resolve"), "POST"),
        (Method::GET, format!("codes/{order}/replace"), "POST"),
        (Method::PUT, "codes".into(), "GET"),
        (Method::GET, format!("orders/{order}/refund"), "POST"),
    ] {
        let refused = send(method, path, "application/json", String::new()).await;
        refused.refused(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), Some(allow));
    }
    for path in ["outbox/1/retry".into(), "codes/1/revoke".into(), "nothing".into()] {
        send(Method::POST, path, "application/json", "{}".into())
            .await
            .refused(404, "not_found");
    }
    let resolve = format!("orders/{order}/resolve");
    let product = format!("products/{}", shop.product);
    send(Method::POST, resolve.clone(), "text/plain", "{}".into())
        .await
        .refused(415, "unsupported_media_type");
    send(Method::POST, resolve.clone(), "application/json", "{".into())
        .await
        .refused(400, "invalid_json");
    send(Method::POST, resolve.clone(), "application/json", " ".repeat(64 * 1024 + 1))
        .await
        .refused(413, "body_too_large");
    for body in [
        "{}",
        "[]",
        r#"{"action": "deliver", "note": " "}"#,
        r#"{"action": "keep", "note": "x"}"#,
    ] {
        send(Method::POST, resolve.clone(), "application/json", body.into())
            .await
            .refused(400, "invalid_request");
    }
    let missing = send(Method::POST, "products".into(), "application/json", "{}".into())
        .await
        .refused(400, "invalid_request");
    let fields: Vec<&String> = missing["fields"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["basePrice", "brand", "name", "nominals", "region"]);
    for body in [
        "{}",
        r#"{"discountPercentage": 101}"#,
        r#"{"nominals": [50, 50]}"#,
        r#"{"name": ""}"#,
    ] {
        send(Method::PATCH, product.clone(), "application/json", body.into())
            .await
            .refused(400, "invalid_request");
    }
    let euro = send(
        Method::PATCH,
        product,
        "application/json",
        r#"{"currency": "eur", "name": "x"}"#.into(),
    )
    .await
    .refused(409, "currency_mismatch");
    assert_eq!(euro["currency"], "USD");
    assert_eq!(shop.rows().await, before);
}

#[tokio::test]
async fn the_audit_cannot_be_changed_and_the_staff_functions_are_for_staff_only() {
    let shop = Shop::new().await;
    shop.admin_post(&shop.staff_token, "products", &new_product()).await.expect(200);
    for change in [
        "update ops.audit_log set action = 'a.b' where tenant_id = $1",
        "delete from ops.audit_log where tenant_id = $1",
    ] {
        let refused = shop.db.execute(change, &[&shop.tenant]).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "55000");
    }
    for function in [
        "check_staff",
        "staff_stock",
        "staff_products",
        "create_product",
        "update_product",
        "staff_orders",
        "resend_order",
        "resolve_order",
        "staff_alerts",
        "resolve_alert",
    ] {
        for (role, token) in &shop.info.tokens {
            assert_eq!(
                shop.rpc(token, function, json!({})).await.json()["code"],
                "42501",
                "{role} may call {function}"
            );
        }
        assert_eq!(
            shop.rpc(&shop.info.customer_token, function, json!({})).await.json()["code"],
            "42501",
            "{function}"
        );
    }
}
