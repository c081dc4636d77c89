//! `POST /api/orders/create`: what the shop does not sell, or not like that. Nothing is written for any of it.

use lonieve_tests::{Reply, Shop};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::created;

fn with(shop: &Shop, member: &str, value: Value) -> Value {
    let mut cart = shop.cart();
    cart[member] = value;
    cart
}

/// A cart refused with this status and code; nothing is written and no code leaves the shelf.
async fn refused(shop: &Shop, cart: &Value, status: u16, code: &str) -> Value {
    let shelf = "select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'";
    let free = shop.count(shelf).await;
    let reply = shop.adds_nothing(shop.create(cart)).await;
    assert_eq!(shop.count(shelf).await, free, "{cart}");
    assert!(!reply.text.contains("buyer-"), "the address is not repeated: {}", reply.text);
    reply.refused(status, code)
}

async fn accepted(shop: &Shop, cart: &Value, codes: i64) -> Value {
    shop.adds(&created(codes), shop.create(cart)).await.expect(200)
}

#[tokio::test]
async fn a_host_without_a_shop_is_404_unless_the_origin_has_one() {
    let shop = Shop::with_codes(2).await;
    let nobody = format!("nobody-{}.test", Uuid::new_v4().simple());
    let send = |origin: Option<String>| {
        let request = shop
            .http
            .post(format!("{}/api/orders/create", shop.info.function("orders")))
            .header("host", &nobody)
            .json(&shop.cart());
        Reply::of(match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        })
    };
    shop.adds_nothing(send(None)).await.refused(404, "unknown_tenant");
    shop.adds_nothing(send(Some(format!("https://other-{nobody}"))))
        .await
        .refused(404, "unknown_tenant");
    shop.adds(&created(1), send(Some(format!("https://{}", shop.host))))
        .await
        .expect(200);
    accepted(&shop, &shop.cart(), 1).await;
}

#[tokio::test]
async fn a_product_that_is_unknown_inactive_or_of_another_shop_is_404() {
    let (shop, other) = (Shop::with_codes(2).await, Shop::with_codes(1).await);
    refused(&shop, &with(&shop, "productId", json!(Uuid::new_v4())), 404, "product_not_found").await;
    let foreign = with(&shop, "productId", json!(other.product));
    other.adds_nothing(refused(&shop, &foreign, 404, "product_not_found")).await;
    accepted(&other, &other.cart(), 1).await;

    shop.db
        .execute("update shop.products set status = 'inactive' where id = $1", &[&shop.product])
        .await
        .unwrap();
    refused(&shop, &shop.cart(), 404, "product_not_found").await;
    shop.db
        .execute("update shop.products set status = 'active' where id = $1", &[&shop.product])
        .await
        .unwrap();
    accepted(&shop, &shop.cart(), 1).await;
}

#[tokio::test]
async fn a_face_value_that_is_not_on_offer_is_400() {
    let shop = Shop::with_codes(2).await;
    for nominal in [json!(10), json!("50.01"), json!(5000), json!(0.5)] {
        refused(&shop, &with(&shop, "nominal", nominal), 400, "nominal_not_offered").await;
    }
    accepted(&shop, &with(&shop, "nominal", json!("50.000")), 1).await;
    // Free of charge is not on offer: there would be nothing to pay.
    shop.db
        .execute("update shop.products set discount_percentage = 100 where id = $1", &[&shop.product])
        .await
        .unwrap();
    refused(&shop, &shop.cart(), 400, "nominal_not_offered").await;
    shop.db
        .execute("update shop.products set discount_percentage = 25 where id = $1", &[&shop.product])
        .await
        .unwrap();
    accepted(&shop, &shop.cart(), 1).await;
}

#[tokio::test]
async fn a_price_of_yesterday_is_409_with_the_price_of_today() {
    let shop = Shop::with_codes(5).await;
    for price in [json!("37.49"), json!(37.51), json!(75), json!("0.01")] {
        assert_eq!(
            refused(&shop, &with(&shop, "price", price), 409, "price_changed").await["price"],
            "37.50"
        );
    }
    // The price of a unit, not of the cart.
    let mut cart = with(&shop, "price", json!("75.00"));
    cart["quantity"] = json!(2);
    assert_eq!(refused(&shop, &cart, 409, "price_changed").await["price"], "37.50");
    cart["price"] = json!("37.50");
    assert_eq!(accepted(&shop, &cart, 2).await["amount"], "75.00");
    accepted(&shop, &with(&shop, "price", json!(37.5)), 1).await;

    shop.db
        .execute("update shop.products set discount_percentage = 20 where id = $1", &[&shop.product])
        .await
        .unwrap();
    assert_eq!(
        refused(&shop, &with(&shop, "price", json!("37.50")), 409, "price_changed").await["price"],
        "40.00"
    );
    assert_eq!(accepted(&shop, &with(&shop, "price", json!("40")), 1).await["amount"], "40.00");
}

#[tokio::test]
async fn another_currency_is_409_with_the_shop_s_own() {
    let shop = Shop::with_codes(2).await;
    assert_eq!(
        refused(&shop, &with(&shop, "currency", json!("EUR")), 409, "currency_mismatch").await["currency"],
        "USD"
    );
    // Before the price: an amount in another currency cannot be compared.
    let mut cart = with(&shop, "currency", json!("EUR"));
    cart["price"] = json!("35.00");
    assert_eq!(refused(&shop, &cart, 409, "currency_mismatch").await["currency"], "USD");
    for currency in ["USD", "usd"] {
        assert_eq!(
            accepted(&shop, &with(&shop, "currency", json!(currency)), 1).await["currency"],
            "USD"
        );
    }
}

#[tokio::test]
async fn fewer_free_codes_than_asked_for_is_409_out_of_stock() {
    let (shop, other) = (Shop::new().await, Shop::with_codes(3).await);
    // Neither another shop's codes nor those of another face value help.
    shop.add_codes("100.00", 3).await;
    other.adds_nothing(refused(&shop, &shop.cart(), 409, "out_of_stock")).await;
    accepted(&shop, &with(&shop, "nominal", json!(100)), 1).await;
    accepted(&other, &other.cart(), 1).await;

    shop.add_codes("50.00", 3).await;
    refused(&shop, &with(&shop, "quantity", json!(4)), 409, "out_of_stock").await;
    accepted(&shop, &with(&shop, "quantity", json!(2)), 2).await;
    refused(&shop, &with(&shop, "quantity", json!(2)), 409, "out_of_stock").await;
    accepted(&shop, &shop.cart(), 1).await;
    refused(&shop, &shop.cart(), 409, "out_of_stock").await;
}

#[tokio::test]
async fn a_product_marked_out_of_stock_is_shown_but_not_sold() {
    let shop = Shop::with_codes(1).await;
    let path = format!("/api/products/{}", shop.product);
    let shown = async || shop.get("orders", &path).await.expect(200)["nominals"][1].clone();
    shop.db
        .execute("update shop.products set status = 'out_of_stock' where id = $1", &[&shop.product])
        .await
        .unwrap();
    refused(&shop, &shop.cart(), 409, "out_of_stock").await;
    assert_eq!(shown().await, json!({"nominal": "50.00", "price": "37.50", "inStock": false}));
    shop.db
        .execute("update shop.products set status = 'active' where id = $1", &[&shop.product])
        .await
        .unwrap();
    assert_eq!(shown().await, json!({"nominal": "50.00", "price": "37.50", "inStock": true}));
    accepted(&shop, &shop.cart(), 1).await;
}

#[tokio::test]
async fn a_code_that_expired_or_soon_will_or_was_withdrawn_is_not_sold() {
    let shop = Shop::with_codes(1).await;
    let change = async |sql: &str| {
        assert_eq!(
            shop.db
                .execute(
                    &format!("update shop.gift_codes set {sql} where tenant_id = $1 and status <> 'revoked'"),
                    &[&shop.tenant]
                )
                .await
                .unwrap(),
            1
        );
    };
    let path = format!("/api/products/{}", shop.product);
    let in_stock = async || shop.get("orders", &path).await.expect(200)["nominals"][1]["inStock"] == true;
    // The margin is 7 days unless the tenant sets another.
    for expiry in ["-1 day", "1 minute", "6 days 23 hours"] {
        change(&format!("expires_at = now() + interval '{expiry}'")).await;
        refused(&shop, &shop.cart(), 409, "out_of_stock").await;
        assert!(!in_stock().await, "{expiry}");
    }
    let late_enough = "expires_at = now() + interval '7 days 1 hour'";
    change(late_enough).await;
    assert!(in_stock().await);
    change("status = 'revoked'").await;
    refused(&shop, &shop.cart(), 409, "out_of_stock").await;
    assert!(!in_stock().await);
    // What was withdrawn never comes back; another code like it is sold.
    shop.add_codes("50.00", 1).await;
    change(late_enough).await;
    accepted(&shop, &shop.cart(), 1).await;
}
