//! `POST /api/orders/create`: what is wrong with a request by itself. Nothing is written for any of it.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{created, created_once};

const CREATE: &str = "/api/orders/create";
const JSON: Option<&str> = Some("application/json");
const LIMIT: usize = 64 * 1024;

async fn send(shop: &Shop, body: impl Into<reqwest::Body>) -> Reply {
    shop.send(Method::POST, "orders", CREATE, JSON, body).await
}

fn with(shop: &Shop, member: &str, value: Value) -> Value {
    let mut cart = shop.cart();
    cart[member] = value;
    cart
}

#[tokio::test]
async fn each_wrong_field_is_named_alone_and_nothing_is_written() {
    let shop = Shop::with_codes(1).await;
    let amount = "must be an amount above 0 with at most two decimals";
    let address = "must be an e-mail address such as name@example.com";
    let long = |length: usize| json!("x".repeat(length + 1));
    for (field, value, problem) in [
        ("productId", json!(null), "is missing"),
        ("productId", json!("nope"), "must be a UUID"),
        ("productId", json!(7), "must be a UUID"),
        ("nominal", json!(null), "is missing"),
        ("nominal", json!(0), amount),
        ("nominal", json!(-50), amount),
        ("nominal", json!(50.001), amount),
        ("nominal", json!("fifty"), amount),
        ("nominal", json!([50]), amount),
        ("nominal", json!(1e12), amount),
        ("quantity", json!(0), "must be a whole number from 1 to 20"),
        ("quantity", json!(21), "must be a whole number from 1 to 20"),
        ("quantity", json!(1.5), "must be a whole number from 1 to 20"),
        ("quantity", json!("1"), "must be a whole number from 1 to 20"),
        ("price", json!(0), amount),
        ("price", json!({}), amount),
        ("currency", json!("dollar"), "must be three letters such as USD"),
        ("currency", json!(840), "must be three letters such as USD"),
        ("email", json!(null), "is missing"),
        ("email", json!("  "), "is missing"),
        ("email", json!(5), "must be a text"),
        ("email", json!("nobody"), address),
        ("email", json!("a@example.com\r\nbcc: b@example.com"), address),
        ("email", json!("a@example.com, b@example.com"), address),
        ("email", json!("a\u{0}@example.com"), address),
        ("firstName", json!(5), "must be a text"),
        ("firstName", json!("a\u{0}b"), "must not contain control characters"),
        ("firstName", long(100), "must be at most 100 characters"),
        ("lastName", long(100), "must be at most 100 characters"),
        ("deliveryType", json!(null), "is missing"),
        ("deliveryType", json!("drone"), "must be \"myself\" or \"gift\""),
        ("giftMessage", long(500), "must be at most 500 characters"),
        ("sessionId", long(128), "must be at most 128 characters"),
        ("visitorId", json!([]), "must be a text"),
        ("ref", long(64), "must be at most 64 characters"),
        ("utm", json!("google"), "must be an object of texts"),
        ("utm", json!({"utm_source": 5}), "must be an object of texts"),
        ("locale", json!("de"), "must be \"en\" or \"ru\""),
    ] {
        let reply = shop.adds_nothing(shop.create(&with(&shop, field, value.clone()))).await;
        assert_eq!(
            reply.refused(400, "invalid_request")["fields"],
            json!({field: problem}),
            "{field}: {value}"
        );
        assert!(!reply.text.contains("buyer-"), "the address is not repeated: {}", reply.text);
    }
    let reply = shop
        .adds_nothing(shop.create(&with(&shop, "utm", json!({"utm_term": "x".repeat(256)}))))
        .await;
    assert_eq!(
        reply.refused(400, "invalid_request")["fields"],
        json!({"utm.utm_term": "must be at most 255 characters"})
    );
    shop.adds(&created(1), shop.create(&shop.cart())).await.expect(200);
}

#[tokio::test]
async fn all_wrong_fields_are_named_at_once() {
    let shop = Shop::with_codes(1).await;
    let reply = shop.adds_nothing(shop.create(&json!({"quantity": 0}))).await;
    assert_eq!(
        reply.refused(400, "invalid_request")["fields"],
        json!({
            "productId": "is missing", "nominal": "is missing", "email": "is missing", "deliveryType": "is missing",
            "quantity": "must be a whole number from 1 to 20",
        })
    );
}

#[tokio::test]
async fn a_gift_needs_a_recipient() {
    let shop = Shop::with_codes(2).await;
    let gift = |recipient: Value| {
        let mut cart = with(&shop, "deliveryType", json!("gift"));
        cart["recipientEmail"] = recipient;
        cart
    };
    for (recipient, problem) in [
        (json!(null), "is missing"),
        (json!(""), "is missing"),
        (json!(1), "must be a text"),
        (json!("friend"), "must be an e-mail address such as name@example.com"),
    ] {
        let reply = shop.adds_nothing(shop.create(&gift(recipient.clone()))).await;
        assert_eq!(
            reply.refused(400, "invalid_request")["fields"],
            json!({"recipientEmail": problem}),
            "{recipient}"
        );
    }
    shop.adds(&created(1), shop.create(&gift(json!("Friend@example.com"))))
        .await
        .expect(200);
    // Without a gift the field means nothing, not even a wrong one.
    shop.adds(&created(1), shop.create(&with(&shop, "recipientEmail", json!("friend"))))
        .await
        .expect(200);
}

#[tokio::test]
async fn null_is_absent_unknown_fields_are_ignored_and_limits_are_inclusive() {
    let shop = Shop::with_codes(3).await;
    let mut cart = shop.cart();
    for field in [
        "quantity",
        "price",
        "currency",
        "firstName",
        "lastName",
        "recipientEmail",
        "giftMessage",
        "sessionId",
        "visitorId",
        "ref",
        "utm",
        "locale",
    ] {
        cart[field] = Value::Null;
    }
    cart["amount"] = json!("0.01");
    cart["tenant_id"] = json!("00000000-0000-4000-8000-000000000001");
    cart["status"] = json!("paid");
    assert_eq!(shop.adds(&created(1), shop.create(&cart)).await.expect(200)["amount"], "37.50");

    let mut cart = shop.cart();
    for (field, length) in [
        ("firstName", 100),
        ("lastName", 100),
        ("giftMessage", 500),
        ("sessionId", 128),
        ("visitorId", 128),
        ("ref", 64),
    ] {
        cart[field] = json!("ж".repeat(length));
    }
    cart["utm"] = json!({"utm_source": "s".repeat(255), "utm_other": 7});
    cart["nominal"] = json!("50.00");
    cart["quantity"] = json!(2);
    assert_eq!(shop.adds(&created_once(2), shop.create(&cart)).await.expect(200)["amount"], "75.00");
}

#[tokio::test]
async fn a_body_that_is_not_json_or_not_an_object_is_400_and_nothing_is_written() {
    let shop = Shop::with_codes(1).await;
    let good = shop.cart().to_string();
    let broken_utf8 = good
        .replace("myself", "mysel?")
        .into_bytes()
        .iter()
        .map(|b| if *b == b'?' { 0xff } else { *b })
        .collect();
    for body in [Vec::new(), b"{".to_vec(), format!("{good}x").into_bytes(), broken_utf8] {
        shop.adds_nothing(send(&shop, body)).await.refused(400, "invalid_json");
    }
    let twice = good.replacen('{', r#"{"nominal":25,"#, 1);
    for body in ["[]".to_owned(), "null".to_owned(), "7".to_owned(), twice] {
        let reply = shop.adds_nothing(send(&shop, body)).await;
        assert_eq!(
            reply.refused(400, "invalid_request")["fields"],
            json!({"body": "must be an object with each field once"})
        );
    }
    shop.adds(&created(1), send(&shop, good)).await.expect(200);
}

#[tokio::test]
async fn a_body_over_64_kb_is_413_whether_its_length_is_declared_or_not() {
    let shop = Shop::with_codes(2).await;
    let sized = |bytes| Shop::padded(shop.cart().to_string(), bytes);
    let headers = ["content-type: application/json"];
    let streamed = async |bytes| shop.post_chunked("orders", CREATE, &headers, sized(bytes).as_bytes()).await;
    shop.adds_nothing(send(&shop, sized(LIMIT + 1)))
        .await
        .refused(413, "body_too_large");
    shop.adds_nothing(streamed(LIMIT + 1)).await.refused(413, "body_too_large");
    shop.adds(&created(1), send(&shop, sized(LIMIT))).await.expect(200);
    shop.adds(&created(1), streamed(LIMIT)).await.expect(200);
}

#[tokio::test]
async fn another_content_type_is_415_and_nothing_is_written() {
    let shop = Shop::with_codes(1).await;
    let send = |content_type| shop.send(Method::POST, "orders", CREATE, content_type, shop.cart().to_string());
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        shop.adds_nothing(send(content_type)).await.refused(415, "unsupported_media_type");
    }
    shop.adds(&created(1), send(Some("application/json; charset=utf-8")))
        .await
        .expect(200);
}

#[tokio::test]
async fn an_idempotency_key_is_visible_ascii_up_to_255_characters() {
    let shop = Shop::with_codes(2).await;
    let send = |key: Vec<u8>| {
        Reply::of(
            shop.request(Method::POST, "orders", CREATE)
                .header("idempotency-key", key)
                .json(&shop.cart()),
        )
    };
    for key in [b"".to_vec(), b"a b".to_vec(), "ключ".as_bytes().to_vec(), vec![b'k'; 256]] {
        shop.adds_nothing(send(key)).await.refused(400, "invalid_idempotency_key");
    }
    shop.adds(&created_once(1), send(vec![b'k'; 255])).await.expect(200);
    shop.adds(&created_once(1), send(b"!~".to_vec())).await.expect(200);
}

#[tokio::test]
async fn another_method_is_405_with_allow_and_another_path_404() {
    let shop = Shop::with_codes(1).await;
    let id = shop.product;
    for (path, allow) in [
        ("/api/products".to_owned(), "GET"),
        (format!("/api/products/{id}"), "GET"),
        (CREATE.to_owned(), "POST"),
        (format!("/api/orders/{id}"), "GET"),
        ("/pay/return/success".to_owned(), "GET, POST"),
        ("/pay/return/fail".to_owned(), "GET, POST"),
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if allow.contains(method.as_str()) {
                continue;
            }
            let reply = shop
                .adds_nothing(shop.send(method, "orders", &path, JSON, shop.cart().to_string()))
                .await;
            reply.refused(405, "method_not_allowed");
            assert_eq!(reply.header("allow"), Some(allow), "{path}");
        }
    }
    for path in [
        "/",
        "/api",
        "/api/product",
        "/api/orders",
        "/api/orders/create/now",
        "/pay/return",
        "/pay/return/maybe",
        "/api/ORDERS/create",
    ] {
        shop.adds_nothing(shop.send(Method::POST, "orders", path, JSON, shop.cart().to_string()))
            .await
            .refused(404, "not_found");
    }
    shop.adds(&created(1), send(&shop, shop.cart().to_string())).await.expect(200);
}
