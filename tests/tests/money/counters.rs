//! Purchases per product and day, and what a partner's link brought: counted from rows, at any time, as often as one likes.

use lonieve_tests::{Reply, Shop};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::RwLock;

/// A fold takes all shops' marks: the test of the job has them for itself.
static FOLDS: RwLock<()> = RwLock::const_new(());

use crate::support::{Partner, Told, partner, referred, told};

/// Folds until nothing is left. Another test's fold may be running: then this one's turn comes.
async fn fold(shop: &Shop) {
    for _ in 0..200 {
        let folded = shop.rpc(&shop.info.tokens["jobs"], "fold_counters", json!({})).await.expect(200);
        if folded["outcome"] == "ok" && folded["left"] == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the marks do not end");
}

/// Days of the shop's product with their counts, as they are kept and as they are shown.
async fn stats(shop: &Shop) -> String {
    let sql = "select coalesce(string_agg(concat_ws(' ', date, real_purchases, displayed_count), ', ' order by date), '') \
               from shop.purchase_stats where tenant_id = $1";
    shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0)
}

/// clicks, conversions, revenue, commission.
async fn link(shop: &Shop, partner: &Partner) -> String {
    let sql = "select concat_ws(' ', clicks, conversions, revenue, commission) from shop.affiliate_links where id = $1";
    shop.db.query_one(sql, &[&partner.link]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_purchase_counts_on_the_shops_own_day_and_no_more_once_it_is_given_back() {
    let _folds = FOLDS.read().await;
    let shop = Shop::v1(5).await;
    shop.db
        .execute(
            "update shop.tenants set time_zone = 'America/New_York' where id = $1",
            &[&shop.tenant],
        )
        .await
        .unwrap();
    // In New York it is 28 February until five in the morning, UTC. Two cards in one order are one purchase.
    let mut pair = shop.cart();
    pair["quantity"] = json!(2);
    let orders = [
        shop.place(&pair).await,
        shop.place(&shop.cart()).await,
        shop.place(&shop.cart()).await,
    ];
    for (order, at) in orders
        .iter()
        .zip(["2031-03-01T04:59:59Z", "2031-03-01T05:00:00Z", "2031-03-02T04:59:00Z"])
    {
        let told = Told {
            at: Some(at),
            ..told(&shop, order)
        };
        assert_eq!(told.paid().await, "fulfilled");
    }
    fold(&shop).await;
    assert_eq!(stats(&shop).await, "2031-02-28 1 1, 2031-03-01 2 2");

    // A part given back leaves the purchase; all of it, a year later, takes it out of its own day.
    let year_later = Told {
        at: Some("2032-03-01T12:00:00Z"),
        ..told(&shop, &orders[1])
    };
    year_later.refunded("r1", "10.00").await;
    fold(&shop).await;
    assert_eq!(stats(&shop).await, "2031-02-28 1 1, 2031-03-01 2 2");
    year_later.refunded("r2", "27.50").await;
    told(&shop, &orders[0]).charged_back().await;
    fold(&shop).await;
    assert_eq!(stats(&shop).await, "2031-02-28 0 0, 2031-03-01 1 1");
    for _ in 0..3 {
        fold(&shop).await;
    }
    assert_eq!(stats(&shop).await, "2031-02-28 0 0, 2031-03-01 1 1");
}

#[tokio::test]
async fn only_what_was_sold_is_a_purchase() {
    let _folds = FOLDS.read().await;
    let shop = Shop::v1(3).await;
    let [underpaid, other, unpaid] = [
        shop.place(&shop.cart()).await,
        shop.place(&shop.cart()).await,
        shop.place(&shop.cart()).await,
    ];
    told(&shop, &underpaid).notice("underpaid", "37.50", Some("20.00")).await;
    told(&shop, &other).notice("paid", "40.00", None).await;
    told(&shop, &unpaid).notice("failed", "37.50", None).await;
    fold(&shop).await;
    assert_eq!(stats(&shop).await, "");
    let today: String = shop
        .db
        .query_one("select (now() at time zone 'UTC')::date::text", &[])
        .await
        .unwrap()
        .get(0);
    let decide = async |order: uuid::Uuid, action: &str| {
        let p = json!({"order_id": order, "action": action, "note": "Decided."});
        assert_eq!(shop.rpc(&shop.staff_token, "resolve_order", p).await.expect(200)["outcome"], "ok");
        fold(&shop).await;
    };
    decide(other.order_id, "deliver").await;
    assert_eq!(stats(&shop).await, format!("{today} 1 1"));
    decide(underpaid.order_id, "close").await;
    assert_eq!(stats(&shop).await, format!("{today} 1 1"));
    // A shown number of somebody's own making is refused by the table.
    let boost = "update shop.purchase_stats set displayed_count = 100 where tenant_id = $1";
    let refused = shop.db.execute(boost, &[&shop.tenant]).await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("428C9"), "{refused}");
}

#[tokio::test]
async fn a_link_counts_visits_orders_and_money() {
    let _folds = FOLDS.read().await;
    let shop = Shop::v1(3).await;
    let mine = partner(&shop, "10").await;
    let suspended = partner(&shop, "10").await;
    shop.db
        .execute(
            "update shop.partner_accounts set status = 'suspended' where id = $1",
            &[&suspended.id],
        )
        .await
        .unwrap();
    let view = async |session: &str, kind: &str, url: String| {
        let event = json!({"event_type": kind, "session_id": session, "url": url});
        let stored = Reply::of(shop.request(Method::POST, "events", "/api/events").json(&event))
            .await
            .expect(200);
        assert_eq!(stored["success"], true, "{stored}");
    };
    for (session, kind, query) in [
        ("s1", "page_view", format!("?ref={}", mine.code)),
        // The same visit again, and a second page of it.
        ("s1", "page_view", format!("?ref={}", mine.code)),
        ("s1", "page_view", format!("?a=1&ref={}&b=2", mine.code)),
        ("s2", "page_view", format!("?utm_source=x&ref={}", mine.code)),
        // Not a page, no such code, nobody's code, part of a code, a suspended partner's.
        ("s3", "view_product", format!("?ref={}", mine.code)),
        ("s4", "page_view", "?ref=NOBODY".to_owned()),
        ("s5", "page_view", format!("?prefer={}", mine.code)),
        ("s6", "page_view", format!("?ref={}x", mine.code)),
        ("s7", "page_view", format!("?ref={}", suspended.code)),
        ("s8", "page_view", "?ref=".to_owned()),
    ] {
        view(session, kind, format!("/product/{}{query}", shop.product)).await;
    }
    // A partner of one shop brings nobody to another.
    let other = Shop::v1(0).await;
    let event = json!({"event_type": "page_view", "session_id": "s1", "url": format!("/?ref={}", mine.code)});
    Reply::of(other.request(Method::POST, "events", "/api/events").json(&event))
        .await
        .expect(200);
    fold(&shop).await;
    assert_eq!(
        (link(&shop, &mine).await.as_str(), link(&shop, &suspended).await.as_str()),
        ("2 0 0.00 0.00", "0 0 0.00 0.00")
    );

    let [first, second] = [referred(&shop, &mine, 50).await, referred(&shop, &mine, 50).await];
    let mut own = shop.cart();
    (own["ref"], own["email"]) = (json!(mine.code), json!(mine.email));
    let own = shop.place(&own).await;
    for order in [&first, &second, &own] {
        told(&shop, order).paid().await;
    }
    fold(&shop).await;
    assert_eq!(link(&shop, &mine).await, "2 2 75.00 7.50");
    told(&shop, &first).refunded("r1", "12.50").await;
    fold(&shop).await;
    assert_eq!(link(&shop, &mine).await, "2 2 62.50 6.25");
    told(&shop, &second).charged_back().await;
    fold(&shop).await;
    fold(&shop).await;
    assert_eq!(link(&shop, &mine).await, "2 1 25.00 2.50");
}

#[tokio::test]
async fn folds_at_the_same_time_and_in_the_middle_of_sales_come_to_the_same_count() {
    let _folds = FOLDS.read().await;
    let shop = Shop::v1(24).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    let mine = partner(&shop, "10").await;
    let mut orders = Vec::new();
    for _ in 0..24 {
        orders.push(referred(&shop, &mine, 50).await);
    }
    let fold_once = async || {
        let folded = shop
            .rpc(&shop.info.tokens["jobs"], "fold_counters", json!({"limit": 3}))
            .await
            .expect(200);
        assert!(["ok", "busy"].contains(&folded["outcome"].as_str().unwrap()), "{folded}");
    };
    let pay = futures::future::join_all(orders.iter().map(|order| async {
        assert_eq!(told(&shop, order).paid().await, "fulfilled");
        fold_once().await;
    }));
    futures::future::join(pay, futures::future::join_all((0..30).map(|_| fold_once()))).await;
    fold(&shop).await;
    assert_eq!(
        shop.count("select sum(real_purchases) from shop.purchase_stats where tenant_id = $1")
            .await,
        24
    );
    assert_eq!(link(&shop, &mine).await, "0 24 900.00 90.00");
}

#[tokio::test]
async fn the_job_folds() {
    let _folds = FOLDS.write().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    told(&shop, &order).paid().await;
    let ran: Value = shop.job("refresh_metrics", None).await.expect(200);
    assert_eq!(
        (&ran["job"], &ran["counters_left"]),
        (&json!("refresh_metrics"), &json!(0)),
        "{ran}"
    );
    assert!(ran["counted_products"].as_u64() >= Some(1), "{ran}");
    assert_eq!(
        shop.count("select sum(real_purchases) from shop.purchase_stats where tenant_id = $1")
            .await,
        1
    );
}
