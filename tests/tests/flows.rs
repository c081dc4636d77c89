//! The ordinary ways through the shop, with every row they leave.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn the_catalogue_shows_prices_rounded_half_up_and_what_is_in_stock() {
    let shop = Shop::with_codes(1).await;
    // base, discount, nominal -> price; by hand: nominal * base / 100 * (1 - discount / 100), half up.
    for (base, discount, nominal, price) in [
        ("100", "25", "50", "37.50"),
        ("100", "25", "100", "75.00"),
        ("100", "0", "0.01", "0.01"),
        ("100", "33.33", "10", "6.67"),   // 6.667
        ("100", "12.5", "0.60", "0.53"),  // 0.525
        ("97.50", "5", "19.99", "18.52"), // 18.5157375
        ("101", "50", "0.99", "0.50"),    // 0.49995
        ("100", "50", "0.01", "0.01"),    // 0.005
    ] {
        let sql = "update shop.products set base_price = $2::text::numeric, discount_percentage = $3::text::numeric, \
                   nominals = jsonb_build_array($4::text::numeric) where id = $1";
        shop.db.execute(sql, &[&shop.product, &base, &discount, &nominal]).await.unwrap();
        let product = shop.get("orders", &format!("/api/products/{}", shop.product)).await.expect(200);
        assert_eq!(product["nominals"][0]["price"], price, "{base} {discount} {nominal}");
    }
    shop.db
        .execute(
            "update shop.products set base_price = 100, discount_percentage = 25, nominals = '[25, 50, 100]' where id = $1",
            &[&shop.product],
        )
        .await
        .unwrap();
    let listed = shop.get("orders", "/api/products").await.expect(200);
    let products = listed["products"].as_array().unwrap();
    assert_eq!(products.len(), 1, "only this shop's product: {listed}");
    let flags: Vec<(&str, bool)> = products[0]["nominals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| (n["nominal"].as_str().unwrap(), n["inStock"].as_bool().unwrap()))
        .collect();
    assert_eq!(flags, [("25.00", false), ("50.00", true), ("100.00", false)]);
}

#[tokio::test]
async fn an_order_keeps_who_bought_what_from_where() {
    let shop = Shop::with_codes(3).await;
    let mut cart = shop.cart();
    for (name, value) in [
        ("quantity", json!(2)),
        ("firstName", json!("Sam")),
        ("sessionId", json!("s-1")),
        ("visitorId", json!("v-1")),
        ("utm", json!({"utm_source": "Facebook", "utm_campaign": "Spring"})),
        ("locale", json!("ru")),
        ("price", json!(37.5)),
        ("currency", json!("usd")),
    ] {
        cart[name] = value;
    }
    let request = shop.request(Method::POST, "orders", "/api/orders/create").json(&cart);
    let request = request
        .header("user-agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148")
        .header("referer", "https://news.example/a")
        .header("cf-connecting-ip", "203.0.113.9")
        .header("x-forwarded-for", "6.6.6.6");
    let created = Reply::of(request).await.expect(200);
    assert_eq!((&created["amount"], &created["currency"]), (&json!("75.00"), &json!("USD")));
    let id: Uuid = created["orderId"].as_str().unwrap().parse().unwrap();
    let row = shop
        .db
        .query_one("select to_jsonb(o) from shop.orders o where id = $1", &[&id])
        .await
        .unwrap();
    let order: Value = row.get(0);
    for (column, expected) in [
        ("tenant_id", json!(shop.tenant)),
        ("status", json!("pending")),
        ("fulfilment", json!("reserved")),
        ("email", cart["email"].clone()),
        ("first_name", json!("Sam")),
        ("session_id", json!("s-1")),
        ("visitor_id", json!("v-1")),
        ("utm_source", json!("facebook")),
        ("utm_campaign", json!("spring")),
        ("device_type", json!("mobile")),
        ("referrer", json!("https://news.example/a")),
        ("ip_address", json!("203.0.113.9")),
        ("delivery_type", json!("myself")),
        ("locale", json!("ru")),
        ("cardlink_bill_id", created["billId"].clone()),
        ("payment_url", created["paymentUrl"].clone()),
        ("email_status", json!("pending")),
    ] {
        assert_eq!(order[column], expected, "{column}");
    }
    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'reserved'")
            .await,
        2
    );
    let redirect = "select count(*) from analytics.events where tenant_id = $1 and event_type = 'payment_redirect' and session_id = 's-1'";
    assert_eq!(shop.count(redirect).await, 1);

    // Paid: cost, profit and fee are exact. 2 x 37.50 = 75.00; cost 2 x 30.00; fee 75 * 2.9 % + 0.30 = 2.475 -> 2.48.
    assert_eq!(
        shop.notice(created["billId"].as_str().unwrap(), "PAID", "75.00", "USD")
            .await
            .expect(200)["outcome"],
        "fulfilled"
    );
    let sql = "select total_cost::text, total_profit::text, transaction_fees::text, paid_at is not null from shop.orders where id = $1";
    let row = shop.db.query_one(sql, &[&id]).await.unwrap();
    let money: (String, String, String, bool) = (row.get(0), row.get(1), row.get(2), row.get(3));
    assert_eq!(money, ("60.00".into(), "15.00".into(), "2.48".into(), true));
    let mail = &shop.mails(cart["email"].as_str().unwrap(), 1).await[0];
    assert_eq!(mail["subject"], "Ваши подарочные карты готовы!");
    for event in ["payment_success", "code_sent"] {
        let sql = format!("select count(*) from analytics.events where tenant_id = $1 and event_type = '{event}' and session_id = 's-1'");
        assert_eq!(shop.count(&sql).await, 1, "{event}");
    }
    assert_eq!(
        shop.count("select count(*) from ops.system_health_metrics where tenant_id = $1 and metric_type = 'email_send_time'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_gift_sends_the_code_to_the_recipient_and_a_receipt_to_the_buyer() {
    let shop = Shop::with_codes(1).await;
    let mut cart = shop.cart();
    let recipient = format!("friend-{}@example.com", Uuid::new_v4().simple());
    cart["deliveryType"] = json!("gift");
    cart["recipientEmail"] = json!(recipient);
    cart["giftMessage"] = json!("Happy birthday!");
    let order = shop.place(&cart).await;
    assert_eq!(
        shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200)["outcome"],
        "fulfilled"
    );

    let gift = shop.mails(&recipient, 1).await.remove(0);
    let receipt = shop.mails(&order.email, 1).await.remove(0);
    let text = gift["text"].as_str().unwrap();
    assert!(
        text.contains("Happy birthday!") && !text.contains("37.50") && !gift.to_string().contains(&order.email),
        "{text}"
    );
    let token = text.split("#t=").nth(1).unwrap().split_whitespace().next().unwrap();

    // The recipient's token shows the code, without amount and buyer; the buyer's shows none.
    let view = shop.order(order.order_id, token).await.expect(200);
    let code = view["codes"][0]["code"].as_str().unwrap();
    assert!(text.contains(code));
    assert!(
        view.get("amount").is_none() && view["items"][0].get("price").is_none() && !view.to_string().contains(&order.email),
        "{view}"
    );
    let view = shop.order(order.order_id, &order.token).await.expect(200);
    assert_eq!((&view["codes"], &view["amount"]), (&json!([]), &json!("37.50")));
    assert!(!receipt.to_string().contains(code) && receipt["text"].as_str().unwrap().contains("37.50"));
    assert_eq!(shop.mailbox(&order.email).await.len(), 1);
}

#[tokio::test]
async fn a_code_shown_again_is_written_to_its_ledger_once() {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
    for _ in 0..3 {
        shop.order(order.order_id, &order.token).await.expect(200);
    }
    let sql = "select string_agg(l.entry, ' ' order by l.seq) from shop.code_ledger l where l.tenant_id = $1";
    let chain: String = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0);
    assert_eq!(chain, "imported reserved sold revealed");
    let broken = shop
        .db
        .query(
            "select f.* from shop.gift_codes g, lateral ops.verify_ledger(g.id) f where g.tenant_id = $1",
            &[&shop.tenant],
        )
        .await
        .unwrap();
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn events_are_stored_once_and_belong_to_visits() {
    let shop = Shop::new().await;
    let event = |id: Uuid, minutes_ago: i64, kind: &str| {
        let at = format!("{} minutes", -minutes_ago);
        (id, at, kind.to_owned())
    };
    let planned = [
        event(Uuid::new_v4(), 100, "page_view"),
        event(Uuid::new_v4(), 80, "view_product"),
        event(Uuid::new_v4(), 10, "add_to_cart"),
    ];
    let mut events = Vec::new();
    for (id, at, kind) in &planned {
        events.push(json!({"event_id": id, "event_type": kind, "session_id": "s-1", "sent_at": shop.time(at).await, "url": "/a", "utm_source": "News"}));
    }
    let first = shop.post("events", "/api/events", &json!({"events": events})).await.expect(200);
    let again = shop.post("events", "/api/events", &json!({"events": events})).await.expect(200);
    let verdicts = |reply: &Value| -> Vec<String> {
        reply["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["status"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(verdicts(&first), ["stored"; 3]);
    assert_eq!(verdicts(&again), ["duplicate"; 3]);
    let rows = shop
        .db
        .query(
            "select event_id, visit_id, utm_source from analytics.events where tenant_id = $1 order by created_at",
            &[&shop.tenant],
        )
        .await
        .unwrap();
    let stored: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(stored, planned.iter().map(|(id, ..)| *id).collect::<Vec<_>>());
    let visits: Vec<Uuid> = rows.iter().map(|row| row.get(1)).collect();
    assert!(
        visits[0] == visits[1] && visits[1] != visits[2],
        "30 minutes without an event end a visit: {visits:?}"
    );
    assert_eq!(rows[0].get::<_, Option<String>>(2).as_deref(), Some("news"));
}
