//! What is kept of an event: the program that sent it, the ids of advertising networks, as much of the address as the shop wants, and its time.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const IPV4: &str = "203.0.113.77";
const IPV6: &str = "2001:db8:1:2:3:4:5:6";

/// Sends one event with these headers; its row.
async fn row_of(shop: &Shop, event: Value, headers: &[(&str, &str)]) -> Value {
    let mut request = shop.request(Method::POST, "events", "/api/events").json(&event);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let stored = Reply::of(request).await.expect(200);
    let id: Uuid = stored["eventId"].as_str().unwrap().parse().unwrap();
    let sql = "select to_jsonb(e) from analytics.events e where tenant_id = $1 and event_id = $2";
    shop.db.query_one(sql, &[&shop.tenant, &id]).await.unwrap().get(0)
}

fn page(url: &str) -> Value {
    json!({"event_type": "page_view", "session_id": format!("s-{}", Uuid::new_v4()), "url": url})
}

#[tokio::test]
async fn events_of_programs_are_stored_under_the_programs_name() {
    let shop = Shop::new().await;
    for (agent, bot) in [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            Value::Null,
        ),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            json!("Googlebot"),
        ),
        ("curl/8.5.0", json!("curl")),
    ] {
        let row = row_of(&shop, page("/"), &[("user-agent", agent)]).await;
        assert_eq!((&row["bot"], &row["user_agent"]), (&bot, &json!(agent)));
    }
    assert_eq!(row_of(&shop, page("/"), &[]).await["bot"], "no_user_agent");
}

#[tokio::test]
async fn click_ids_are_kept_as_they_came() {
    let shop = Shop::new().await;
    let url = "https://shop.example/p?utm_source=x&gclid=Cj0_K-a.b&fbclid=IwAR%2D1&gclid=second&yclid=#t=secret";
    let row = row_of(&shop, page(url), &[]).await;
    assert_eq!(row["click_ids"], json!({"gclid": "Cj0_K-a.b", "fbclid": "IwAR-1"}));
    assert_eq!(row["url"], url.split('#').next().unwrap());
    assert_eq!(row_of(&shop, page("/p?q=gclid"), &[]).await["click_ids"], Value::Null);
}

#[tokio::test]
async fn of_the_clients_address_the_shops_setting_decides_what_is_kept() {
    let shop = Shop::new().await;
    for (setting, four, six) in [
        (Value::Null, json!("203.0.113.0"), json!("2001:db8:1::")),
        (json!("truncated"), json!("203.0.113.0"), json!("2001:db8:1::")),
        (json!("full"), json!(IPV4), json!(IPV6)),
        (json!("none"), Value::Null, Value::Null),
    ] {
        shop.settings(json!({ "ip_storage": setting })).await;
        for (address, kept) in [(IPV4, four), (IPV6, six), ("not an address", Value::Null)] {
            let row = row_of(&shop, page("/"), &[("cf-connecting-ip", address)]).await;
            assert_eq!(row["ip_address"], kept, "{setting} {address}");
        }
    }
    for settings in [
        json!({"ip_storage": "some"}),
        json!({"ip_storage": 1}),
        json!({"event_retention_months": 0}),
        json!({"event_retention_months": 1.5}),
        json!({"event_retention_months": "14"}),
    ] {
        let refused = shop
            .db
            .execute(
                "update shop.tenants set settings = settings || $2 where id = $1",
                &[&shop.tenant, &settings],
            )
            .await
            .unwrap_err();
        assert_eq!(
            refused.as_db_error().unwrap().constraint(),
            Some("tenants_event_settings_valid"),
            "{settings}"
        );
    }
}

#[tokio::test]
async fn an_order_keeps_the_whole_address_and_its_events_do_not() {
    let shop = Shop::with_codes(1).await;
    let request = shop
        .request(Method::POST, "orders", "/api/orders/create")
        .header("cf-connecting-ip", IPV4)
        .json(&shop.cart());
    Reply::of(request).await.expect(200);
    let sql =
        "select o.ip_address || ' ' || e.ip_address from shop.orders o join analytics.events e using (tenant_id) where o.tenant_id = $1";
    let both: String = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0);
    assert_eq!(both, "203.0.113.77 203.0.113.0");
}

/// Seconds between now and the time an event was stored under.
async fn age(shop: &Shop, id: Uuid) -> i64 {
    let sql = "select round(extract(epoch from received_at - created_at))::bigint from analytics.events where event_id = $1";
    shop.db.query_one(sql, &[&id]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_batch_that_names_its_time_corrects_the_devices_clock() {
    let shop = Shop::new().await;
    for (batch, event, expected) in [
        // A clock two days behind, one a day ahead, one that began in 1970: the event was ten minutes before the batch.
        ("-2 days", "-2 days -10 minutes", 600),
        ("1 day", "1 day -10 minutes", 600),
        ("-50 years", "-50 years -10 minutes", 600),
        // A right one, three days offline.
        ("0 seconds", "-3 days", 3 * 24 * 3600),
    ] {
        let id = Uuid::new_v4();
        let sent = json!({
            "sent_at": shop.time(batch).await,
            "events": [{"event_id": id, "event_type": "page_view", "session_id": format!("s-{id}"), "sent_at": shop.time(event).await}],
        });
        let answer = shop.post("events", "/api/events", &sent).await.expect(200);
        assert_eq!(answer["results"][0]["status"], "stored", "{batch}: {answer}");
        let age = age(&shop, id).await;
        assert!((age - expected).abs() <= 5, "{batch}, {event}: {age} s");
    }
    // What cannot be read is as good as none.
    let id = Uuid::new_v4();
    let sent = json!({"sent_at": 5, "events": [{"event_id": id, "event_type": "page_view", "session_id": "s", "sent_at": shop.time("-1 hour").await}]});
    shop.post("events", "/api/events", &sent).await.expect(200);
    assert!((age(&shop, id).await - 3600).abs() <= 5);
}
