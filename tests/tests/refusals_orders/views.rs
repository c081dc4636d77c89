//! What `orders` does not show: products of no shop, orders to strangers, codes to the wrong person.

use lonieve_tests::{Placed, Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use shared::tokens::OrderTokenKey;
use uuid::Uuid;

/// The first look at a code writes one ledger row.
const REVEALED: &[(&str, i64)] = &[("shop.code_ledger", 1)];

async fn paid(shop: &Shop, cart: &Value) -> Placed {
    let order = shop.place(cart).await;
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", &order.amount, "USD").await.expect(200)["outcome"],
        "fulfilled"
    );
    // Sent now, so that no row of it is added later.
    let to = cart["recipientEmail"].as_str().unwrap_or(&order.email);
    shop.mails(to, 1).await;
    shop.mails(&order.email, 1).await;
    order
}

fn gift_token(shop: &Shop, order_id: Uuid) -> String {
    OrderTokenKey::parse(&shop.info.order_token_key).unwrap().gift_token(order_id)
}

fn code_count(view: &Value) -> usize {
    view["codes"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_host_without_a_shop_has_no_products() {
    let shop = Shop::new().await;
    let nobody = format!("nobody-{}.test", Uuid::new_v4().simple());
    for path in ["/api/products".to_owned(), format!("/api/products/{}", shop.product)] {
        let send = |origin: &str| {
            let request = shop
                .http
                .get(format!("{}{path}", shop.info.function("orders")))
                .header("host", &nobody);
            Reply::of(request.header("origin", format!("https://{origin}")))
        };
        shop.adds_nothing(send(&nobody)).await.refused(404, "unknown_tenant");
        shop.adds_nothing(send(&shop.host)).await.expect(200);
        shop.adds_nothing(shop.get("orders", &path)).await.expect(200);
    }
}

#[tokio::test]
async fn a_product_that_is_unknown_inactive_or_of_another_shop_is_404() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    for id in [
        Uuid::new_v4().to_string(),
        other.product.to_string(),
        "nope".to_owned(),
        "1 or 1=1".to_owned(),
    ] {
        shop.adds_nothing(shop.get("orders", &format!("/api/products/{id}")))
            .await
            .refused(404, "product_not_found");
    }
    let own = format!("/api/products/{}", shop.product);
    assert_eq!(shop.get("orders", &own).await.expect(200)["id"], json!(shop.product));
    assert_eq!(
        shop.get("orders", "/api/products").await.expect(200)["products"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    shop.db
        .execute("update shop.products set status = 'inactive' where id = $1", &[&shop.product])
        .await
        .unwrap();
    shop.adds_nothing(shop.get("orders", &own)).await.refused(404, "product_not_found");
    assert_eq!(shop.get("orders", "/api/products").await.expect(200)["products"], json!([]));
}

#[tokio::test]
async fn products_without_a_database_are_503() {
    let shop = Shop::new().await;
    for (rpc, path) in [
        ("list_products", "/api/products".to_owned()),
        ("get_product", format!("/api/products/{}", shop.product)),
    ] {
        let rules = json!([{"rpc": rpc, "match": shop.host, "drop": true}]);
        shop.under_faults(&shop.info.proxy, rules, shop.get("orders", &path))
            .await
            .refused(503, "database_unavailable");
        shop.get("orders", &path).await.expect(200);
    }
}

#[tokio::test]
async fn an_order_is_404_to_whoever_has_not_its_token_and_the_reasons_look_the_same() {
    let shop = Shop::with_codes(2).await;
    let order = paid(&shop, &shop.cart()).await;
    let other = shop.place(&shop.cart()).await;
    let path = format!("/api/orders/{}", order.order_id);
    let token = order.token.clone();
    let altered = format!("{}{}", if token.starts_with('A') { 'B' } else { 'A' }, &token[1..]);
    let request = |path: &str| shop.request(Method::GET, "orders", path);
    let mut sentences = std::collections::BTreeSet::new();
    for request in [
        request(&path),
        request(&path).bearer_auth(""),
        request(&path).bearer_auth(&altered),
        request(&path).bearer_auth(&token[..token.len() - 1]),
        request(&path).bearer_auth(format!("{token}=")),
        request(&path).bearer_auth(&other.token),
        request(&path).bearer_auth(&shop.info.jobs_secret),
        // The recipient's token of an order that is no gift.
        request(&path).bearer_auth(gift_token(&shop, order.order_id)),
        request(&path).basic_auth(&token, Some(&token)),
        request(&path).header("authorization", &token),
        request(&format!("{path}?token={token}&t={token}")),
        request(&format!("/api/orders/{}", other.order_id)).bearer_auth(&token),
        request(&format!("/api/orders/{}", Uuid::new_v4())).bearer_auth(&token),
        request("/api/orders/nope").bearer_auth(&token),
    ] {
        let reply = shop.adds_nothing(Reply::of(request)).await;
        let refusal = reply.refused(404, "order_not_found");
        assert_eq!(refusal.as_object().unwrap().len(), 3, "{refusal}");
        sentences.insert(refusal["error"].to_string());
    }
    assert_eq!(sentences.len(), 1);
    // An order that does not exist, although somebody could compute its token.
    let nowhere = Uuid::new_v4();
    let key = OrderTokenKey::parse(&shop.info.order_token_key).unwrap();
    shop.adds_nothing(shop.order(nowhere, &key.order_token(nowhere)))
        .await
        .refused(404, "order_not_found");

    let view = shop.adds(REVEALED, shop.order(order.order_id, &token)).await.expect(200);
    assert_eq!((code_count(&view), &view["amount"]), (1, &json!("37.50")));
    shop.adds_nothing(shop.order(order.order_id, &token)).await.expect(200);
}

#[tokio::test]
async fn codes_are_not_shown_before_the_money_is_in() {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    let view = shop.adds_nothing(shop.order(order.order_id, &order.token)).await.expect(200);
    assert_eq!(
        (code_count(&view), &view["status"], &view["fulfilment"]),
        (0, &json!("pending"), &json!("reserved"))
    );
    shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
    assert_eq!(code_count(&shop.order(order.order_id, &order.token).await.expect(200)), 1);
}

#[tokio::test]
async fn the_buyer_of_a_gift_never_sees_its_code_and_the_recipient_neither_price_nor_buyer() {
    let shop = Shop::new().await;
    let codes = shop.add_codes("50.00", 1).await;
    let mut cart = shop.cart();
    cart["deliveryType"] = json!("gift");
    cart["recipientEmail"] = json!(format!("friend-{}@example.com", Uuid::new_v4().simple()));
    cart["firstName"] = json!("Sam");
    let order = paid(&shop, &cart).await;

    let buyer = shop.adds_nothing(shop.order(order.order_id, &order.token)).await.expect(200);
    assert_eq!(
        (&buyer["fulfilment"], code_count(&buyer), &buyer["amount"]),
        (&json!("delivered"), 0, &json!("37.50"))
    );
    assert!(!buyer.to_string().contains(&codes[0]), "{buyer}");

    let gift = gift_token(&shop, order.order_id);
    let reply = shop.adds(REVEALED, shop.order(order.order_id, &gift)).await;
    let recipient = reply.expect(200);
    assert_eq!((&recipient["codes"][0]["code"], code_count(&recipient)), (&json!(codes[0]), 1));
    for member in ["amount", "currency", "email"] {
        assert_eq!(recipient.get(member), None, "{recipient}");
    }
    for private in ["37.50", "price", "buyer-", "Sam", &order.token] {
        assert!(!reply.text.contains(private), "{private}: {recipient}");
    }
    shop.adds_nothing(Reply::of(shop.request(
        Method::GET,
        "orders",
        &format!("/api/orders/{}", order.order_id),
    )))
    .await
    .refused(404, "order_not_found");
}

#[tokio::test]
async fn an_order_without_a_database_is_503() {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    let rules = json!([{"rpc": "get_order", "match": order.order_id, "status": 503}]);
    let reply = shop
        .under_faults(&shop.info.proxy, rules, shop.order(order.order_id, &order.token))
        .await;
    reply.refused(503, "database_unavailable");
    shop.order(order.order_id, &order.token).await.expect(200);
}

#[tokio::test]
async fn the_way_back_from_the_pay_page_proves_nothing_and_writes_nothing() {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    for (path, to) in [
        (
            format!("/pay/return/success?orderId={}&status=PAID", order.order_id),
            format!("/pending?orderId={}", order.order_id),
        ),
        (
            format!("/pay/return/fail?orderId={}", order.order_id),
            format!("/pending?orderId={}&result=fail", order.order_id),
        ),
        ("/pay/return/success?orderId=https://evil.example".to_owned(), "/pending".to_owned()),
    ] {
        for method in [Method::GET, Method::POST] {
            let reply = shop
                .adds_nothing(shop.send(method, "orders", &path, Some("application/x-www-form-urlencoded"), "Status=SUCCESS"))
                .await;
            assert_eq!((reply.status, reply.header("location")), (303, Some(to.as_str())));
        }
    }
    assert_eq!(shop.state(order.order_id).await, ("pending".into(), "reserved".into(), None));
}
