//! Limits on what may be reserved without being paid (data.md, Limits).

use futures::future::join_all;
use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{FREE, KEYS, RESERVED, created, pay, replayed, with};

/// A shop whose buyers may have this many unpaid units.
async fn limited(codes: usize, units: i64) -> Shop {
    let shop = Shop::with_codes(codes).await;
    shop.settings(json!({"max_unpaid_units": units})).await;
    shop
}

async fn from(shop: &Shop, ip: &str, cart: &Value) -> Reply {
    let request = shop.request(Method::POST, "orders", "/api/orders/create");
    Reply::of(request.header("cf-connecting-ip", ip).json(cart)).await
}

/// Refused for the limit: nothing written, and a time to come back within these seconds.
#[track_caller]
fn too_many(reply: &Reply, seconds: std::ops::RangeInclusive<i64>) {
    reply.refused(429, "too_many_pending");
    let wait: i64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds.contains(&wait), "Retry-After: {wait}");
}

#[tokio::test]
async fn an_e_mail_holds_so_many_unpaid_units_and_no_more() {
    let shop = limited(30, 5).await;
    let cart = shop.cart();
    let units = |count: i64| with(&cart, "quantity", json!(count));
    let first = shop.place(&units(3)).await;
    // 3 + 3 is more than 5; 3 + 2 is not. Until the first ends: its bill (3600 s) and the grace (600 s).
    too_many(&shop.adds_nothing(shop.create(&units(3))).await, 4190..=4200);
    shop.adds(&created(2, false), shop.create(&units(2))).await.expect(200);
    let upper = with(&cart, "email", json!(cart["email"].as_str().unwrap().to_uppercase()));
    too_many(&shop.adds_nothing(shop.create(&upper)).await, 4190..=4200);
    assert_eq!(shop.count(RESERVED).await, 5);
    // Another buyer, and the same one in another shop, are not concerned.
    shop.adds(&created(5, false), shop.create(&with(&shop.cart(), "quantity", json!(5))))
        .await
        .expect(200);
    let other = limited(1, 1).await;
    let there = with(&cart, "productId", json!(other.product));
    other.adds(&created(1, false), other.create(&there)).await.expect(200);

    // What is paid counts no more; what has ended neither.
    pay(&shop, &first.bill_id, "112.50").await;
    let second = shop.adds(&created(3, false), shop.create(&units(3))).await.expect(200);
    too_many(&shop.create(&units(1)).await, 4190..=4200);
    shop.notice(second["billId"].as_str().unwrap(), "EXPIRED", "112.50", "USD")
        .await
        .expect(200);
    shop.adds(&created(3, false), shop.create(&units(3))).await.expect(200);
    // More than may ever be held at once: no order has to end first.
    too_many(&shop.create(&with(&shop.cart(), "quantity", json!(6))).await, 3600..=3600);
}

#[tokio::test]
async fn a_session_holds_so_many_unpaid_units_whatever_its_addresses() {
    let shop = limited(10, 2).await;
    let of = |session: &str| with(&shop.cart(), "sessionId", json!(session));
    for _ in 0..2 {
        shop.create(&of("s-1")).await.expect(200);
    }
    too_many(&shop.adds_nothing(shop.create(&of("s-1"))).await, 4190..=4200);
    shop.create(&of("s-2")).await.expect(200);
    // Carts without a session are not one session.
    for _ in 0..3 {
        shop.create(&shop.cart()).await.expect(200);
    }
}

#[tokio::test]
async fn a_client_address_holds_so_many_unpaid_units_and_an_ipv6_64_is_one_address() {
    let shop = limited(20, 2).await;
    for (held, same, other) in [
        (["203.0.113.7", "203.0.113.7"], "203.0.113.7", "203.0.113.8"),
        (
            ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"],
            "2001:db8:0:1:0:0:0:99",
            "2001:db8:0:2::1",
        ),
        // An IPv4 address in IPv6 clothes is the IPv4 address.
        (
            ["198.51.100.1", "::ffff:198.51.100.1"],
            "::ffff:198.51.100.1",
            "::ffff:198.51.100.2",
        ),
    ] {
        for ip in held {
            from(&shop, ip, &shop.cart()).await.expect(200);
        }
        let cart = shop.cart();
        too_many(&shop.adds_nothing(from(&shop, same, &cart)).await, 4190..=4200);
        from(&shop, other, &cart).await.expect(200);
    }
    // The address is Cloudflare's word; what a client claims is not looked at.
    let request = shop.request(Method::POST, "orders", "/api/orders/create");
    Reply::of(request.header("x-forwarded-for", "203.0.113.7").json(&shop.cart()))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_limit_is_not_kept_under_a_key() {
    let shop = limited(5, 1).await;
    let cart = shop.cart();
    let first = shop.place(&cart).await;
    let key = Uuid::new_v4().to_string();
    for _ in 0..2 {
        let reply = shop.adds_nothing(shop.create_once(&key, &cart)).await;
        too_many(&reply, 4190..=4200);
        assert!(!replayed(&reply));
    }
    assert_eq!(shop.count(KEYS).await, 0);
    pay(&shop, &first.bill_id, "37.50").await;
    let placed = shop.adds(&created(1, true), shop.create_once(&key, &cart)).await;
    assert!(!replayed(&placed) && placed.status == 200);
    // A replay is no new order: the limit does not stand in its way.
    assert!(replayed(&shop.adds_nothing(shop.create_once(&key, &cart)).await));
}

/// How many of these were placed; every other one was refused for the limit.
fn placed(replies: &[Reply]) -> usize {
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.refused(429, "too_many_pending");
    }
    replies.iter().filter(|reply| reply.status == 200).count()
}

#[tokio::test]
async fn many_requests_of_one_person_at_once_stay_within_the_limit() {
    let shop = limited(60, 5).await;
    let cart = shop.cart();
    let replies = join_all((0..20).map(|_| shop.create(&cart))).await;
    assert_eq!((placed(&replies), shop.count(RESERVED).await), (5, 5));

    // Whichever of the three is the same, and in whatever order they are met: nobody waits for ever.
    let (sessions, addresses) = (["s-1", "s-2"], ["203.0.113.1", "203.0.113.2"]);
    let carts: Vec<(Value, &str)> = (0..24)
        .map(|n| (with(&shop.cart(), "sessionId", json!(sessions[n % 2])), addresses[n / 2 % 2]))
        .collect();
    let replies = join_all(carts.iter().map(|(cart, ip)| from(&shop, ip, cart))).await;
    assert!(placed(&replies) > 0);
    let sql = "select max(units)::bigint from (select sum(i.quantity) as units from shop.orders o join shop.order_items i on i.order_id = o.id, \
               lateral (values (o.session_id), (o.ip_address)) k (value) where o.tenant_id = $1 and k.value is not null group by k.value) u";
    assert_eq!(shop.count(sql).await, 5);
    assert_eq!(placed(&replies), 10, "two sessions of five each");
}

#[tokio::test]
async fn a_buyer_waits_for_his_own_requests_and_not_for_strangers() {
    let shop = Shop::with_codes(3).await;
    let (mine, strangers) = (shop.cart(), shop.cart());
    // A request of mine that does not come to its end.
    let (mut other, connection) = tokio_postgres::connect(&shop.info.database_url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let busy = other.transaction().await.unwrap();
    busy.execute("select shop.lock_buyer($1, $2)", &[&shop.tenant, &mine])
        .await
        .unwrap();
    let begun = std::time::Instant::now();
    shop.create(&strangers).await.expect(200);
    assert!(begun.elapsed().as_millis() < 1500, "{:?}", begun.elapsed());
    shop.adds_nothing(shop.create(&mine)).await.refused(503, "database_unavailable");
    busy.rollback().await.unwrap();
    shop.create(&mine).await.expect(200);
}

#[tokio::test]
async fn of_a_large_stock_half_may_be_reserved_unpaid() {
    let shop = Shop::with_codes(30).await;
    shop.settings(json!({"max_unpaid_share": 50})).await;
    let mut orders = Vec::new();
    for _ in 0..15 {
        orders.push(shop.place(&shop.cart()).await);
    }
    too_many(&shop.adds_nothing(shop.create(&shop.cart())).await, 4190..=4200);
    assert_eq!((shop.count(RESERVED).await, shop.count(FREE).await), (15, 15));
    // Another face value has its own half; 20 codes or fewer have no limit.
    shop.add_codes("100.00", 20).await;
    let other = with(&with(&shop.cart(), "nominal", json!(100)), "quantity", json!(20));
    shop.create(&other).await.expect(200);

    // Two are paid: 28 codes are left, of which 14 may be reserved; 13 are.
    for order in &orders[..2] {
        pay(&shop, &order.bill_id, "37.50").await;
    }
    too_many(
        &shop.adds_nothing(shop.create(&with(&shop.cart(), "quantity", json!(2)))).await,
        4190..=4200,
    );
    shop.create(&shop.cart()).await.expect(200);
    too_many(&shop.adds_nothing(shop.create(&shop.cart())).await, 4190..=4200);
    // With no code free it is no question of a limit.
    let sql = "update shop.gift_codes set status = 'revoked' where tenant_id = $1 and status = 'available'";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    shop.adds_nothing(shop.create(&shop.cart())).await.refused(409, "out_of_stock");
    // 14 reserved codes are all that is left: no large stock any more.
    shop.add_codes("50.00", 1).await;
    shop.create(&shop.cart()).await.expect(200);
}

#[tokio::test]
async fn many_buyers_at_once_stay_within_the_share() {
    let shop = Shop::with_codes(41).await;
    shop.settings(json!({"max_unpaid_share": 50})).await;
    let carts: Vec<Value> = (0..40).map(|_| shop.cart()).collect();
    let replies = join_all(carts.iter().map(|cart| shop.create(cart))).await;
    // floor(41 / 2)
    assert_eq!((placed(&replies), shop.count(RESERVED).await), (20, 20));
}

#[tokio::test]
async fn without_settings_of_its_own_a_shop_has_20_units_and_half_the_stock() {
    let shop = Shop::with_codes(50).await;
    let sql = "update shop.tenants set settings = settings - 'max_unpaid_units' - 'max_unpaid_share' where id = $1";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    let cart = shop.cart();
    shop.create(&with(&cart, "quantity", json!(20))).await.expect(200);
    too_many(&shop.create(&cart).await, 4190..=4200);
    shop.create(&with(&shop.cart(), "quantity", json!(5))).await.expect(200);
    too_many(&shop.create(&shop.cart()).await, 4190..=4200);
}
