//! What the gateway refuses by itself, and that it hands on the refusals of the functions as they are.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const JSON: Option<&str> = Some("application/json");

async fn get(shop: &Shop, path: &str) -> Reply {
    shop.get("gateway", path).await
}

#[tokio::test]
async fn what_is_neither_a_route_nor_a_page_is_404() {
    let shop = Shop::new().await;
    for path in [
        "/nothing",
        "/nothing.css",
        "/css/nothing.css",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/eventsx",
        "/api/webhooks/stripe",
        "/api/admin",
        "/health/",
        "/health/nobody",
        "/health/events/more",
        "/.env",
        "/.git/config",
        "/index.html/",
        "/css//shop.css",
        "/%2e%2e/wrangler.toml",
        "/..%2fwrangler.toml",
        "/wrangler.toml",
        "/a%20b",
    ] {
        shop.adds_nothing(get(&shop, path)).await.refused(404, "not_found");
    }
    for path in [
        "/",
        "/index.html",
        "/pending",
        "/css/shop.css",
        "/product/00000000-0000-4000-8000-000000000101",
    ] {
        assert_eq!(get(&shop, path).await.status, 200, "{path}");
    }
}

/// A person gets a page to read, with the same status; a route of the API stays JSON whoever asks.
#[tokio::test]
async fn a_browser_gets_404_as_a_page_except_in_the_api() {
    let shop = Shop::new().await;
    let browse = async |path: &str| Reply::of(shop.request(Method::GET, "gateway", path).header("accept", "text/html,*/*;q=0.8")).await;
    for path in ["/nothing", "/.env", "/product/1/2"] {
        let reply = browse(path).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (404, Some("text/html; charset=utf-8")),
            "{path}"
        );
        assert!(
            reply
                .header("content-security-policy")
                .is_some_and(|policy| policy.starts_with("default-src 'self'"))
        );
    }
    browse("/api/nothing").await.refused(404, "not_found");
}

/// Order pages name an order in their address.
#[tokio::test]
async fn order_pages_send_no_referrer() {
    let shop = Shop::new().await;
    for (path, policy) in [
        ("/pending", "no-referrer"),
        ("/success", "no-referrer"),
        ("/staff", "no-referrer"),
        ("/", "strict-origin-when-cross-origin"),
    ] {
        assert_eq!(get(&shop, path).await.header("referrer-policy"), Some(policy), "{path}");
    }
}

#[tokio::test]
async fn pages_and_health_are_for_reading_only() {
    let shop = Shop::new().await;
    for path in ["/", "/pending", "/health", "/health/orders", "/nothing"] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let reply = shop.adds_nothing(shop.send(method, "gateway", path, JSON, "{}")).await;
            reply.refused(405, "method_not_allowed");
            assert_eq!(reply.header("allow"), Some("GET, HEAD"), "{path}");
        }
    }
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(shop.send(method, "gateway", "/pending", None, "").await.status, 200);
    }
}

/// All calls of the functions' health are here: a rule about them cannot tell whose they are.
#[tokio::test]
async fn a_function_is_healthy_while_its_database_answers() {
    let shop = Shop::new().await;
    let newest: String = shop
        .db
        .query_one("select max(file) from ops.schema_migrations", &[])
        .await
        .unwrap()
        .get(0);
    let own = get(&shop, "/health").await.expect(200);
    assert_eq!((&own["status"], &own["function"]), (&json!("ok"), &json!("gateway")));
    for function in ["events", "orders", "cardlink", "jobs"] {
        let direct = async || shop.get(function, "/health").await;
        for (effect, status, code) in [
            (json!({"drop": true}), 503, "database_unavailable"),
            (json!({"status": 503}), 503, "database_unavailable"),
            (json!({"status": 403, "body": {"code": "42501"}}), 500, "misconfigured"),
        ] {
            let mut rule = json!({"rpc": "health"});
            rule.as_object_mut().unwrap().extend(effect.as_object().unwrap().clone());
            shop.under_faults(&shop.info.proxy, json!([rule]), direct())
                .await
                .refused(status, code);
        }
        for reply in [direct().await, get(&shop, &format!("/health/{function}")).await] {
            let healthy = reply.expect(200);
            assert_eq!(healthy["status"], "ok");
            assert_eq!(healthy["function"], function);
            assert_eq!(healthy["migration"], newest.as_str());
        }
        let reply = shop.send(Method::POST, function, "/health", JSON, "{}").await;
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("GET, HEAD"));
    }
}

#[tokio::test]
async fn refusals_of_the_functions_arrive_unchanged() {
    let shop = Shop::with_codes(1).await;
    let before = shop.rows().await;
    let nobody = Uuid::new_v4();
    let send = async |method, path: &str, content_type, body: String| shop.send(method, "gateway", path, content_type, body).await;
    let event = json!({"event_type": "page_view", "session_id": "s"}).to_string();
    let cart = |member: &str, value: Value| {
        let mut cart = shop.cart();
        cart[member] = value;
        cart.to_string()
    };
    let text = Some("text/html");
    for (reply, status, code) in [
        (send(Method::POST, "/api/events", JSON, "{".into()).await, 400, "invalid_json"),
        (
            send(Method::POST, "/api/events", JSON, r#"{"events":[]}"#.into()).await,
            400,
            "invalid_request",
        ),
        (send(Method::POST, "/api/events", JSON, "{}".into()).await, 400, "event_rejected"),
        (
            send(Method::POST, "/api/events", text, event.clone()).await,
            415,
            "unsupported_media_type",
        ),
        (
            send(Method::POST, "/api/events", JSON, Shop::padded(event.clone(), 64 * 1024 + 1)).await,
            413,
            "body_too_large",
        ),
        (
            send(Method::POST, "/api/orders/create", JSON, cart("email", json!(5))).await,
            400,
            "invalid_request",
        ),
        (
            send(Method::POST, "/api/orders/create", JSON, cart("nominal", json!(7))).await,
            400,
            "nominal_not_offered",
        ),
        (
            send(Method::POST, "/api/orders/create", JSON, cart("nominal", json!(25))).await,
            409,
            "out_of_stock",
        ),
        (
            send(Method::POST, "/api/orders/create", JSON, cart("price", json!(1))).await,
            409,
            "price_changed",
        ),
        (
            send(Method::POST, "/api/orders/create", JSON, cart("currency", json!("EUR"))).await,
            409,
            "currency_mismatch",
        ),
        (
            send(Method::POST, "/api/orders/create", JSON, cart("productId", json!(nobody))).await,
            404,
            "product_not_found",
        ),
        (
            send(Method::GET, &format!("/api/products/{nobody}"), None, String::new()).await,
            404,
            "product_not_found",
        ),
        (
            send(Method::GET, &format!("/api/orders/{nobody}"), None, String::new()).await,
            404,
            "order_not_found",
        ),
        (
            send(Method::POST, "/api/webhooks/cardlink", JSON, "[]".into()).await,
            400,
            "invalid_request",
        ),
        (
            send(Method::POST, "/api/webhooks/cardlink", JSON, "{}".into()).await,
            401,
            "invalid_signature",
        ),
        (
            send(
                Method::POST,
                "/api/webhooks/cardlink",
                JSON,
                Shop::padded("{}".into(), 16 * 1024 + 1),
            )
            .await,
            413,
            "body_too_large",
        ),
        (
            send(Method::POST, "/api/jobs/run/tick", None, String::new()).await,
            401,
            "unauthorized",
        ),
    ] {
        reply.refused(status, code);
    }
    for (path, allow) in [
        ("/api/events", "POST, OPTIONS"),
        ("/api/orders/create", "POST"),
        ("/api/webhooks/cardlink", "POST"),
        ("/api/jobs/run/tick", "POST"),
    ] {
        let reply = send(Method::DELETE, path, None, String::new()).await;
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some(allow), "{path}");
    }
    let streamed = shop
        .post_chunked(
            "gateway",
            "/api/events",
            &["content-type: application/json"],
            &[b' '; 64 * 1024 + 1],
        )
        .await;
    streamed.refused(413, "body_too_large");
    assert_eq!(shop.rows().await, before);
    send(Method::POST, "/api/events", JSON, event).await.expect(200);
    send(Method::POST, "/api/orders/create", JSON, shop.cart().to_string())
        .await
        .expect(200);
}

#[tokio::test]
async fn a_database_that_is_away_is_503_through_the_gateway_too() {
    let shop = Shop::new().await;
    let rules = json!([{"rpc": "list_products", "match": shop.host, "status": 503}]);
    let reply = shop.under_faults(&shop.info.proxy, rules, get(&shop, "/api/products")).await;
    reply.refused(503, "database_unavailable");
    assert_eq!(reply.header("retry-after"), Some("2"));
    get(&shop, "/api/products").await.expect(200);
}

/// The host decides which shop answers; nothing a browser can add to the request changes it.
#[tokio::test]
async fn a_host_without_a_shop_is_404_whatever_the_request_claims() {
    let shop = Shop::with_codes(1).await;
    let nobody = format!("nobody-{}.test", Uuid::new_v4().simple());
    let send = |header: &str| {
        let request = shop.http.get(format!("{}/api/products", shop.info.gateway)).header("host", &nobody);
        Reply::of(request.header(header, &shop.host))
    };
    for header in ["x-forwarded-host", "x-tenant", "x-host", "referer", "forwarded"] {
        send(header).await.refused(404, "unknown_tenant");
    }
    shop.get("gateway", "/api/products").await.expect(200);
}

/// A caller cannot choose the id under which its request is logged.
#[tokio::test]
async fn the_request_id_is_the_gateway_s_own() {
    let shop = Shop::new().await;
    let chosen = "chosen-by-a-stranger";
    for path in ["/nothing", "/api/orders/nope"] {
        let reply = Reply::of(shop.request(Method::GET, "gateway", path).header("x-request-id", chosen)).await;
        let status = reply.status;
        assert_eq!(status, 404);
        assert_ne!(reply.header("x-request-id"), Some(chosen), "{path}");
    }
}
