//! What a partner earns: the rate of what the shop keeps, half up, whatever comes and goes.

use lonieve_tests::Shop;
use serde_json::json;

use crate::support::{Told, columns, commission, partner, referred, state, told};

#[tokio::test]
async fn hand_computed_sums_hold_to_the_cent() {
    // nominal, rate; refunds one after the other; rows; then fees, refunds, true profit, commission of the order.
    for (nominal, rate, refunds, rows, sums) in [
        // 75.00 - 30.00 cost - 2.48 fee (75.00 x 0.029 + 0.30 = 2.475) = 42.52
        (100, "10", &[][..], "earned 75.00 10.00 7.50", "2.48 0.00 42.52 7.50"),
        (
            100,
            "10",
            &["25.00"],
            "earned 75.00 10.00 7.50, reversed -25.00 10.00 -2.50",
            "2.48 25.00 17.52 5.00",
        ),
        (
            100,
            "10",
            &["75.00"],
            "earned 75.00 10.00 7.50, reversed -75.00 10.00 -7.50",
            "2.48 75.00 -32.48 0.00",
        ),
        // 37.50: fee 1.3875 -> 1.39. 12.5 %: 4.6875 -> 4.69; of 25.00 3.125 -> 3.13; of 12.50 1.5625 -> 1.56; of 0.00 0.00
        (
            50,
            "12.5",
            &["12.50", "12.50", "12.50"],
            "earned 37.50 12.50 4.69, reversed -12.50 12.50 -1.56, reversed -12.50 12.50 -1.57, reversed -12.50 12.50 -1.56",
            "1.39 37.50 -31.39 0.00",
        ),
        // 18.75: fee 0.84375 -> 0.84. 1 %: 0.1875 -> 0.19; of 18.74 0.1874 -> 0.19: the base changes and the commission does not.
        (
            25,
            "1",
            &["0.01"],
            "earned 18.75 1.00 0.19, reversed -0.01 1.00 0.00",
            "0.84 0.01 -12.10 0.19",
        ),
        (50, "0", &[], "earned 37.50 0.00 0.00", "1.39 0.00 6.11 0.00"),
        (
            50,
            "100",
            &["37.49"],
            "earned 37.50 100.00 37.50, reversed -37.49 100.00 -37.49",
            "1.39 37.49 -31.38 0.01",
        ),
    ] {
        let shop = Shop::v1(0).await;
        shop.add_codes(&format!("{nominal}.00"), 1).await;
        let order = referred(&shop, &partner(&shop, rate).await, nominal).await;
        assert_eq!(told(&shop, &order).paid().await, "fulfilled");
        for (n, amount) in refunds.iter().enumerate() {
            told(&shop, &order).refunded(&format!("r{n}"), amount).await;
        }
        assert_eq!(commission(&shop, &order).await, rows, "{nominal} at {rate} %");
        assert_eq!(columns(&shop, &order).await, sums, "{nominal} at {rate} %");
    }
}

#[tokio::test]
async fn a_notice_that_repeats_books_nothing_twice() {
    let shop = Shop::v1(1).await;
    let order = referred(&shop, &partner(&shop, "10").await, 50).await;
    told(&shop, &order).paid().await;
    told(&shop, &order).refunded("r", "10.00").await;
    let before = commission(&shop, &order).await;
    shop.adds(&[("ops.webhook_logs", 2), ("ops.system_health_metrics", 2)], async {
        assert_eq!(told(&shop, &order).paid().await, "already_processed");
        assert_eq!(told(&shop, &order).refunded("r", "10.00").await, "ignored");
    })
    .await;
    assert_eq!(commission(&shop, &order).await, before);
}

#[tokio::test]
async fn a_chargeback_takes_all_of_it_back() {
    let shop = Shop::v1(1).await;
    let order = referred(&shop, &partner(&shop, "10").await, 50).await;
    told(&shop, &order).paid().await;
    told(&shop, &order).refunded("r", "7.50").await;
    assert_eq!(told(&shop, &order).charged_back().await, "chargeback");
    // 3.75; of 30.00 3.00; nothing.
    assert_eq!(
        commission(&shop, &order).await,
        "earned 37.50 10.00 3.75, reversed -7.50 10.00 -0.75, reversed -30.00 10.00 -3.00"
    );
    assert_eq!(columns(&shop, &order).await, "1.39 37.50 -31.39 0.00");
}

#[tokio::test]
async fn nobody_earns_on_what_he_buys_himself_or_is_given() {
    for (field, denied) in [("email", "own_order"), ("recipientEmail", "own_order")] {
        let shop = Shop::v1(1).await;
        let partner = partner(&shop, "10").await;
        let mut cart = shop.cart();
        cart["ref"] = json!(partner.code);
        if field == "recipientEmail" {
            cart["deliveryType"] = json!("gift");
        }
        // Letter case makes no other person.
        cart[field] = json!(partner.email.to_uppercase());
        let order = shop.place(&cart).await;
        told(&shop, &order).paid().await;
        told(&shop, &order).refunded("r", "7.50").await;
        let rows = format!("earned 37.50 0.00 0.00 {denied}, reversed -7.50 0.00 0.00 {denied}");
        assert_eq!(commission(&shop, &order).await, rows, "{field}");
        assert_eq!(columns(&shop, &order).await, "1.39 7.50 -1.39 0.00");
    }
}

#[tokio::test]
async fn who_is_suspended_when_the_money_comes_earns_nothing_ever() {
    let shop = Shop::v1(3).await;
    let partner = partner(&shop, "10").await;
    let set = async |status: &str| {
        let sql = "update shop.partner_accounts set status = $2 where id = $1";
        shop.db.execute(sql, &[&partner.id, &status]).await.unwrap();
    };
    let (early, late) = (referred(&shop, &partner, 50).await, referred(&shop, &partner, 50).await);
    told(&shop, &early).paid().await;
    set("suspended").await;
    told(&shop, &late).paid().await;
    let unnamed = referred(&shop, &partner, 50).await;
    told(&shop, &unnamed).paid().await;
    set("active").await;
    told(&shop, &late).refunded("r1", "1.00").await;
    told(&shop, &early).refunded("r2", "37.50").await;
    assert_eq!(
        commission(&shop, &late).await,
        "earned 37.50 0.00 0.00 partner_not_active, reversed -1.00 0.00 0.00 partner_not_active"
    );
    // What was earned before is taken back by a refund as ever.
    assert_eq!(
        commission(&shop, &early).await,
        "earned 37.50 10.00 3.75, reversed -37.50 10.00 -3.75"
    );
    // A link of a suspended partner refers nobody.
    assert_eq!(
        (commission(&shop, &unnamed).await.as_str(), columns(&shop, &unnamed).await.as_str()),
        ("", "1.39 0.00 6.11 none")
    );
}

#[tokio::test]
async fn the_rate_is_that_of_the_day_the_money_came() {
    let shop = Shop::v1(1).await;
    let partner = partner(&shop, "10").await;
    let order = referred(&shop, &partner, 50).await;
    let rate = async |rate: &str| {
        let sql = "update shop.partner_accounts set commission_rate = $2::text::numeric where id = $1";
        shop.db.execute(sql, &[&partner.id, &rate]).await.unwrap();
    };
    rate("20").await;
    told(&shop, &order).paid().await;
    rate("5").await;
    told(&shop, &order).refunded("r", "17.50").await;
    assert_eq!(
        commission(&shop, &order).await,
        "earned 37.50 20.00 7.50, reversed -17.50 20.00 -3.50"
    );
}

#[tokio::test]
async fn money_that_is_not_right_earns_when_it_has_become_right() {
    let shop = Shop::v1(4).await;
    let partner = partner(&shop, "10").await;
    let staff = async |order: uuid::Uuid, action: &str| {
        let p = json!({"order_id": order, "action": action, "note": "Decided."});
        assert_eq!(shop.rpc(&shop.staff_token, "resolve_order", p).await.expect(200)["outcome"], "ok");
    };

    // Too little, and then the rest.
    let rest = referred(&shop, &partner, 50).await;
    told(&shop, &rest).notice("underpaid", "37.50", Some("20.00")).await;
    assert_eq!(
        (commission(&shop, &rest).await.as_str(), columns(&shop, &rest).await.as_str()),
        ("", "0.00 0.00 unknown none")
    );
    told(&shop, &rest).paid().await;
    assert_eq!(commission(&shop, &rest).await, "earned 37.50 10.00 3.75");

    // Too little, and staff deliver all the same: on what came in.
    let accepted = referred(&shop, &partner, 50).await;
    told(&shop, &accepted).notice("underpaid", "37.50", Some("20.00")).await;
    staff(accepted.order_id, "deliver").await;
    assert_eq!(commission(&shop, &accepted).await, "earned 20.00 10.00 2.00");

    // Another amount, and staff close it: nothing was sold.
    let closed = referred(&shop, &partner, 50).await;
    told(&shop, &closed).notice("paid", "40.00", None).await;
    assert_eq!(state(&shop, &closed).await, "manual_review reserved amount_mismatch");
    staff(closed.order_id, "close").await;
    assert_eq!(commission(&shop, &closed).await, "");

    // Another currency cannot be added up, whoever accepts it.
    let foreign = referred(&shop, &partner, 50).await;
    let p = json!({"source": "cardlink", "bill_id": foreign.bill_id, "status": "paid", "amount": "37.50", "currency": "EUR"});
    shop.rpc(&shop.info.tokens["cardlink"], "settle_payment", p).await.expect(200);
    staff(foreign.order_id, "deliver").await;
    assert_eq!(
        (state(&shop, &foreign).await.as_str(), commission(&shop, &foreign).await.as_str()),
        ("paid delivered", "")
    );
}

#[tokio::test]
async fn a_surplus_earns_nothing_and_goes_back_first() {
    let shop = Shop::v1(1).await;
    let order = referred(&shop, &partner(&shop, "10").await, 50).await;
    told(&shop, &order).notice("overpaid", "37.50", Some("42.50")).await;
    told(&shop, &order).refunded("r1", "5.00").await;
    assert_eq!(commission(&shop, &order).await, "earned 37.50 10.00 3.75");
    told(&shop, &order).refunded("r2", "1.00").await;
    assert_eq!(
        commission(&shop, &order).await,
        "earned 37.50 10.00 3.75, reversed -1.00 10.00 -0.10"
    );
}

#[tokio::test]
async fn an_order_that_waits_for_codes_has_earned_and_one_that_is_closed_gives_it_back() {
    let shop = Shop::v1(1).await;
    let order = referred(&shop, &partner(&shop, "10").await, 50).await;
    shop.expire_reservations().await;
    let late = shop.time("2 hours").await;
    shop.place(&shop.cart()).await;
    let told = Told {
        at: Some(&late),
        ..told(&shop, &order)
    };
    assert_eq!(told.paid().await, "manual_review");
    assert_eq!(
        (state(&shop, &order).await.as_str(), commission(&shop, &order).await.as_str()),
        ("manual_review waiting no_codes_available", "earned 37.50 10.00 3.75")
    );
    let p = json!({"order_id": order.order_id, "action": "close", "note": "No card will come."});
    shop.rpc(&shop.staff_token, "resolve_order", p).await.expect(200);
    assert_eq!(
        commission(&shop, &order).await,
        "earned 37.50 10.00 3.75, reversed -37.50 10.00 -3.75"
    );
    // Money that then goes back changes nothing any more.
    told.refunded("r", "37.50").await;
    assert_eq!(
        commission(&shop, &order).await,
        "earned 37.50 10.00 3.75, reversed -37.50 10.00 -3.75"
    );
}
