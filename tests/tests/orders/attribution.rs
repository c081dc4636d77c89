//! What an order keeps of its buyer and of where the buyer came from (L-22 to L-28, L-35 to L-40).

use lonieve_tests::{OwnWorker, Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::with;

/// The row of an order.
async fn row(shop: &Shop, created: &Value) -> Value {
    let id: Uuid = created["orderId"].as_str().unwrap().parse().unwrap();
    let sql = "select to_jsonb(o) from shop.orders o where id = $1";
    shop.db.query_one(sql, &[&id]).await.unwrap().get(0)
}

fn holds(row: &Value, expected: &Value) {
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(row[column], *value, "{column}");
    }
}

#[tokio::test]
async fn a_gift_of_several_keeps_everything_that_was_said_of_it() {
    let shop = Shop::with_codes(3).await;
    let mut cart = shop.cart();
    for (member, value) in [
        ("quantity", json!(3)),
        ("deliveryType", json!("gift")),
        ("recipientEmail", json!("Friend@Example.com")),
        ("giftMessage", json!("С днём рождения!\n🎁")),
        ("firstName", json!("Sam")),
        ("lastName", json!("O'Neil")),
        ("sessionId", json!("s-1")),
        ("visitorId", json!("v-1")),
        ("locale", json!("ru")),
        (
            "utm",
            json!({"utm_source": "News", "utm_medium": "E-Mail", "utm_campaign": "Spring", "utm_content": "Top", "utm_term": "Gift Card"}),
        ),
    ] {
        cart[member] = value;
    }
    let created = shop.create(&cart).await.expect(200);
    assert_eq!(created["amount"], "112.50");
    let order = row(&shop, &created).await;
    holds(
        &order,
        &json!({
            "email": cart["email"], "first_name": "Sam", "last_name": "O'Neil", "user_id": null, "total_amount": 112.50, "total_cost": null,
            "currency": "USD", "status": "pending", "fulfilment": "reserved", "payment_method": "cardlink", "email_status": "pending",
            "transaction_fees": 0.00, "refund_amount": 0.00, "email_retry_count": 0, "locale": "ru", "session_id": "s-1", "visitor_id": "v-1",
            "utm_source": "news", "utm_medium": "e-mail", "utm_campaign": "spring", "utm_content": "top", "utm_term": "gift card",
            "delivery_type": "gift", "recipient_email": "friend@example.com", "gift_message": "С днём рождения!\n🎁",
            "cardlink_bill_id": created["billId"], "payment_url": created["paymentUrl"], "affiliate_link_id": null, "partner_id": null,
        }),
    );
    let sql = "select to_jsonb(i) from shop.order_items i where order_id = $1::text::uuid";
    let item: Value = shop
        .db
        .query_one(sql, &[&created["orderId"].as_str().unwrap()])
        .await
        .unwrap()
        .get(0);
    holds(
        &item,
        &json!({"quantity": 3, "price": 37.50, "nominal": 50.00, "product_name": "Nimbus Card", "product_brand": "Nimbus", "cost_price": null}),
    );
    let sql = "select to_jsonb(e) from analytics.events e where tenant_id = $1 and event_type = 'payment_redirect'";
    let event: Value = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0);
    assert_eq!((&event["session_id"], &event["visitor_id"]), (&json!("s-1"), &json!("v-1")));

    // For oneself the recipient and the message mean nothing.
    let created = shop.create(&with(&cart, "deliveryType", json!("myself"))).await;
    created.refused(409, "out_of_stock");
    shop.add_codes("50.00", 3).await;
    let created = shop.create(&with(&cart, "deliveryType", json!("myself"))).await.expect(200);
    let order = row(&shop, &created).await;
    holds(
        &order,
        &json!({"delivery_type": "myself", "recipient_email": null, "gift_message": null}),
    );
}

#[tokio::test]
async fn session_and_visitor_come_from_the_body_or_else_from_the_cookies() {
    let shop = Shop::with_codes(3).await;
    let send = async |cart: &Value, cookies: &str| {
        let request = shop.request(Method::POST, "orders", "/api/orders/create").header("cookie", cookies);
        row(&shop, &Reply::of(request.json(cart)).await.expect(200)).await
    };
    let order = send(&shop.cart(), "a=1; lv_sess=s-cookie; lv_visitor=v-cookie").await;
    holds(&order, &json!({"session_id": "s-cookie", "visitor_id": "v-cookie"}));
    let cart = with(&shop.cart(), "sessionId", json!("s-body"));
    let order = send(&cart, "lv_sess=s-cookie; lv_visitor=v-cookie").await;
    holds(&order, &json!({"session_id": "s-body", "visitor_id": "v-cookie"}));
    // A cookie nobody set is none.
    let order = send(&shop.cart(), &format!("lv_sess={}; lv_visitor=", "x".repeat(129))).await;
    holds(&order, &json!({"session_id": null, "visitor_id": null}));
}

#[tokio::test]
async fn place_address_and_device_are_the_platforms_word() {
    let shop = Shop::with_codes(4).await;
    let info = shop.info;
    let keys = json!(info.code_keys).to_string();
    let cardlink = format!("{}/cardlink/v2", info.sandbox);
    let bindings = [
        ("ORDER_TOKEN_KEY", info.order_token_key.as_str()),
        ("CODE_KEYS", &keys),
        ("CARDLINK_API", "v2"),
        ("CARDLINK_URL", &cardlink),
        ("CARDLINK_TOKEN", &info.cardlink.token),
    ];
    let worker = OwnWorker::start("orders", &bindings).await;
    const ANDROID: &str = "Mozilla/5.0 (Linux; Android 15; SM-X910) Safari/537.36";
    const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148";
    const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/131.0 Safari/537.36";
    for (cf, ip, agent, expected) in [
        (
            json!({"country": "DE", "city": "Berlin"}),
            "203.0.113.9",
            DESKTOP,
            ["DE", "Berlin", "203.0.113.9", "desktop"],
        ),
        (
            json!({"country": "KZ", "city": "Алматы"}),
            "2001:DB8::9",
            PHONE,
            ["KZ", "Алматы", "2001:db8::9", "mobile"],
        ),
        (
            json!({"country": "T1"}),
            "198.51.100.4",
            ANDROID,
            ["T1", "", "198.51.100.4", "tablet"],
        ),
        (json!({}), "nonsense", "", ["", "", "", ""]),
    ] {
        let blob: String = cf
            .to_string()
            .encode_utf16()
            .map(|unit| match char::from_u32(unit.into()) {
                Some(c) if c.is_ascii() => c.to_string(),
                _ => format!("\\u{unit:04x}"),
            })
            .collect();
        let mut request = shop
            .http
            .post(format!("{}/api/orders/create", worker.url))
            .header("host", &shop.host)
            .header("cf-blob", blob)
            .header("cf-connecting-ip", ip)
            .header("x-forwarded-for", "6.6.6.6")
            .header("cf-ipcountry", "XX")
            .header("referer", "https://shop.example/checkout");
        if !agent.is_empty() {
            request = request.header("user-agent", agent);
        }
        let order = row(&shop, &Reply::of(request.json(&shop.cart())).await.expect(200)).await;
        let value = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
        let [country, city, address, device] = expected.map(value);
        holds(
            &order,
            &json!({
                "country": country, "city": city, "ip_address": address, "device_type": device, "user_agent": value(agent),
                "referrer": "https://shop.example/checkout",
            }),
        );
    }
}

#[tokio::test]
async fn a_partners_code_is_kept_where_it_counts() {
    let (shop, other) = (Shop::with_codes(9).await, Shop::new().await);
    let code = || format!("ref-{}", Uuid::new_v4().simple());
    let link = async |shop: &Shop, status: &str, product: Option<Uuid>| {
        let (partner, link, code) = (Uuid::new_v4(), Uuid::new_v4(), code());
        let sql = "insert into shop.partner_accounts (id, tenant_id, partner_name, partner_email, api_secret_hash, status) \
                   values ($1, $2, 'Partner', 'partner@example.com', repeat('0', 64), $3)";
        shop.db.execute(sql, &[&partner, &shop.tenant, &status]).await.unwrap();
        let sql = "insert into shop.affiliate_links (id, tenant_id, partner_id, link_code, product_id) values ($1, $2, $3, $4, $5)";
        shop.db
            .execute(sql, &[&link, &shop.tenant, &partner, &code, &product])
            .await
            .unwrap();
        (
            code,
            json!({"affiliate_link_id": link, "partner_id": partner, "partner_commission": null}),
        )
    };
    let none = || json!({"affiliate_link_id": null, "partner_id": null, "partner_commission": null});
    let another_product = Uuid::new_v4();
    let sql = "insert into shop.products (id, tenant_id, name, brand, region, nominals, base_price) values ($1, $2, 'Other', 'Other', 'USA', '[50]', 100)";
    shop.db.execute(sql, &[&another_product, &shop.tenant]).await.unwrap();
    let whole_shop = link(&shop, "active", None).await;
    let this_product = link(&shop, "active", Some(shop.product)).await;
    let cases = [
        whole_shop,
        this_product,
        (link(&shop, "active", Some(another_product)).await.0, none()),
        (link(&shop, "suspended", None).await.0, none()),
        (link(&shop, "pending", None).await.0, none()),
        (link(&other, "active", None).await.0, none()),
        (code(), none()),
    ];
    for (code, expected) in cases {
        // An unknown code is no reason to refuse an order.
        let created = shop.create(&with(&shop.cart(), "ref", json!(code))).await.expect(200);
        holds(&row(&shop, &created).await, &expected);
    }
    // Clicks and conversions are folded later, from rows; nothing is counted up here.
    let counted =
        "select count(*) from shop.affiliate_links where tenant_id = $1 and (clicks, conversions, revenue, commission) <> (0, 0, 0, 0)";
    assert_eq!(shop.count(counted).await, 0);
}
