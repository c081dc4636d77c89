//! A notice that is lost costs minutes, not the order: bills are asked about while they are open, and after their end.

use lonieve_tests::{Placed, Reply, Shop};
use serde_json::json;

use crate::support::{after, faults, press, state, turn};

/// How often the provider was asked about this bill.
async fn asked(shop: &Shop, order: &Placed) -> usize {
    let calls = Reply::of(shop.http.get(format!("{}/calls?route=cardlink.status", shop.info.sandbox)))
        .await
        .expect(200);
    let of_bill = |call: &&serde_json::Value| call["path"].as_str().is_some_and(|path| path.contains(&order.bill_id));
    calls.as_array().unwrap().iter().filter(of_bill).count()
}

async fn poll(shop: &Shop, order: &Placed, offset: &str) -> serde_json::Value {
    shop.job("poll_bills", Some(&after(shop, order, offset).await)).await.expect(200)
}

async fn a_lost_notice_is_found(shop: Shop) {
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "pay", false).await;
    poll(&shop, &order, "119 seconds").await;
    assert_eq!(
        (state(&shop, &order).await.as_str(), asked(&shop, &order).await),
        ("pending reserved", 0)
    );
    let report = poll(&shop, &order, "120 seconds").await;
    assert_eq!((&report["polled"], &report["found_paid"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(state(&shop, &order).await, "paid delivered");
    poll(&shop, &order, "30 minutes").await;
    assert_eq!(asked(&shop, &order).await, 1, "and then no more");
    shop.repeat_job("outbox", &after(&shop, &order, "30 minutes").await, 2).await;
    assert_eq!(shop.mailbox(&order.email).await.len(), 1);
    let problems = "select count(*) from ops.verify_money($1)";
    assert_eq!(shop.count(problems).await, 0);
}

#[tokio::test]
async fn a_lost_notice_of_v1_is_found_two_minutes_after_the_order() {
    let _turn = turn().await;
    a_lost_notice_is_found(Shop::v1(1).await).await;
}

#[tokio::test]
async fn a_lost_notice_of_v2_is_found_two_minutes_after_the_order() {
    let _turn = turn().await;
    a_lost_notice_is_found(Shop::with_codes(1).await).await;
}

#[tokio::test]
async fn an_open_bill_is_asked_about_at_growing_intervals_and_thrice_after_its_end() {
    let _turn = turn().await;
    for shop in [Shop::v1(1).await, Shop::with_codes(1).await] {
        let order = shop.place(&shop.cart()).await;
        // 2, 6, 18, 54 minutes after the order; the bill ends after 60 (and a moment, by the provider's clock); then 1, 6 and 24 hours later.
        for (minutes, times) in [
            (1, 0),
            (2, 1),
            (3, 1),
            (5, 1),
            (6, 2),
            (17, 2),
            (18, 3),
            (53, 3),
            (54, 4),
            (60, 4),
            (119, 4),
            (121, 5),
            (419, 5),
            (421, 6),
            (1499, 6),
            (1501, 7),
            (1560, 7),
            (10_000, 7),
        ] {
            poll(&shop, &order, &format!("{minutes} minutes")).await;
            assert_eq!(asked(&shop, &order).await, times, "after {minutes} minutes");
        }
        assert_eq!(state(&shop, &order).await, "pending reserved");
        let logged = "select count(*) from ops.webhook_logs where tenant_id = $1";
        assert_eq!(shop.count(logged).await, 0, "no news is no row");
    }
}

async fn late_money_is_found(shop: Shop) {
    let order = shop.place(&shop.cart()).await;
    poll(&shop, &order, "54 minutes").await;
    shop.repeat_job("expire_orders", &after(&shop, &order, "71 minutes").await, 1).await;
    assert_eq!(state(&shop, &order).await, "expired none");
    press(&shop, &order, "pay", false).await;
    poll(&shop, &order, "119 minutes").await;
    assert_eq!(state(&shop, &order).await, "expired none");
    poll(&shop, &order, "121 minutes").await;
    assert_eq!(state(&shop, &order).await, "paid delivered");
}

#[tokio::test]
async fn money_that_comes_after_expiry_and_whose_notice_is_lost_is_found_under_v1() {
    let _turn = turn().await;
    late_money_is_found(Shop::v1(1).await).await;
}

#[tokio::test]
async fn money_that_comes_after_expiry_and_whose_notice_is_lost_is_found_under_v2() {
    let _turn = turn().await;
    late_money_is_found(Shop::with_codes(1).await).await;
}

#[tokio::test]
async fn a_shops_own_intervals_are_kept() {
    let _turn = turn().await;
    let shop = Shop::with_codes(1).await;
    shop.settings(json!({"poll_first_s": 60, "poll_growth": 5})).await;
    let order = shop.place(&shop.cart()).await;
    for (minutes, times) in [(1, 1), (4, 1), (5, 2), (24, 2), (25, 3), (59, 3)] {
        poll(&shop, &order, &format!("{minutes} minutes")).await;
        assert_eq!(asked(&shop, &order).await, times, "after {minutes} minutes");
    }
    let refused = shop
        .db
        .execute(
            "update shop.tenants set settings = '{\"poll_growth\": 1}' where id = $1",
            &[&shop.tenant],
        )
        .await
        .unwrap_err();
    assert_eq!(refused.as_db_error().unwrap().constraint(), Some("tenants_settings_valid"));
}

#[tokio::test]
async fn a_bill_the_provider_does_not_answer_for_is_asked_about_again_after_ten_minutes() {
    let _turn = turn().await;
    let shop = Shop::v1(2).await;
    let (silent, other) = (shop.place(&shop.cart()).await, shop.place(&shop.cart()).await);
    press(&shop, &silent, "pay", false).await;
    press(&shop, &other, "pay", false).await;
    let rules = json!([{"route": "cardlink.status", "match": silent.bill_id, "status": 500}]);
    faults(&shop.info.sandbox, rules).await;
    let report = poll(&shop, &silent, "3 minutes").await;
    assert_eq!((&report["polled"], &report["poll_failed"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(state(&shop, &other).await, "paid delivered");
    faults(&shop.info.sandbox, json!([])).await;
    poll(&shop, &silent, "12 minutes").await;
    assert_eq!(state(&shop, &silent).await, "pending reserved");
    poll(&shop, &silent, "13 minutes").await;
    assert_eq!(state(&shop, &silent).await, "paid delivered");
}

#[tokio::test]
async fn two_runs_at_once_ask_about_a_bill_once_and_one_that_dies_costs_five_minutes() {
    let _turn = turn().await;
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    let clock = after(&shop, &order, "2 minutes").await;
    let due = async |clock: &str| {
        let p = json!({"now": clock, "limit": 10});
        let bills = shop.rpc(&shop.info.tokens["jobs"], "due_bills", p).await.expect(200)["bills"].clone();
        bills.as_array().unwrap().len()
    };
    let (one, two, three) = tokio::join!(due(&clock), due(&clock), due(&clock));
    assert_eq!(one + two + three, 1);
    assert_eq!(due(&after(&shop, &order, "6 minutes 59 seconds").await).await, 0);
    assert_eq!(due(&after(&shop, &order, "7 minutes").await).await, 1);
}

#[tokio::test]
async fn the_rest_of_an_underpaid_bill_is_found_by_the_next_look() {
    let _turn = turn().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "underpay?amount=20", true).await;
    assert_eq!(state(&shop, &order).await, "manual_review reserved");
    press(&shop, &order, "pay", false).await;
    poll(&shop, &order, "2 minutes").await;
    assert_eq!(state(&shop, &order).await, "paid delivered");
}
