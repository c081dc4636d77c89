//! Refunds that staff start, to their end: rows, provider, codes, audit.

use lonieve_tests::Shop;
use serde_json::{Value, json};

use crate::support::{
    admin_refund, alerts, ask, at_provider, calls, columns, commission, faults, ledger, paid, partner, press, referred, refund_rows,
    refund_status, run, shown_codes, state, turn, until,
};

/// The refund of this status among those of an answer.
fn refund_of<'a>(answer: &'a Value, status: &str) -> &'a Value {
    answer["refunds"]
        .as_array()
        .unwrap()
        .iter()
        .find(|refund| refund["status"] == status)
        .unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn a_full_refund_from_the_click_to_the_revoked_code() {
    let _turn = turn().await;
    let (shop, order) = paid(2).await;
    shop.mails(&order.email, 1).await;
    let (manager, token) = shop.person(Some("manager")).await;
    // Who asks gets the order with the refund on its way; everything of it is one transaction.
    let body = json!({"reason": "The card is not wanted."});
    let asked = admin_refund(&shop, &token, order.order_id, &body).await.expect(200);
    let approved = refund_of(&asked, "approved");
    assert_eq!(
        (
            &approved["amount"],
            &approved["kind"],
            &approved["reason"],
            &approved["requestedBy"]
        ),
        (
            &json!("37.50"),
            &json!("refund"),
            &json!("The card is not wanted."),
            &json!(manager)
        )
    );
    assert_eq!((&asked["refundableAmount"], &asked["status"]), (&json!("0.00"), &json!("paid")));
    let id = approved["id"].as_str().unwrap();

    // The Worker wakes the jobs by itself, and the provider tells us too; whoever is first, it is booked once.
    until("the refund is done", async || state(&shop, &order).await == "refunded revoked").await;
    assert_eq!(refund_rows(&shop, &order).await, "refund 37.50 full completed");
    assert_eq!(at_provider(&shop, &order).await, "37.50 SUCCESS");
    assert_eq!(calls(&shop, id.parse().unwrap()).await, 1);
    assert_eq!(columns(&shop, &order).await, "1.39 37.50 -31.39 none");
    assert_eq!(
        (ledger(&shop, &order).await.as_str(), shown_codes(&shop, &order).await),
        ("reserved sold revoked", 0)
    );
    let audit = shop.audit().await;
    let (action, subject, details) = audit.last().unwrap();
    assert_eq!((action.as_str(), subject), ("order.refund", &format!("order:{}", order.order_id)));
    assert_eq!(
        details,
        &json!({"refund_id": id, "amount": "37.50", "left_before": "37.50", "reason": "The card is not wanted.", "codes_revoked": 0})
    );
    assert_eq!(alerts(&shop, &order).await, "");
    let sql = "select count(*) from ops.refund_calls where tenant_id = $1 and finished_at is not null and calls = 1";
    until("the call is closed", async || shop.count(sql).await == 1).await;
}

#[tokio::test]
async fn asking_writes_a_refund_a_call_and_the_audit_and_moves_no_money_yet() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    shop.outbox_done().await;
    shown_codes(&shop, &order).await;
    let before = columns(&shop, &order).await;
    shop.adds(
        &[("shop.refunds", 1), ("ops.refund_calls", 1), ("ops.audit_log", 1)],
        ask(&shop, &order, None),
    )
    .await;
    assert_eq!(
        (columns(&shop, &order).await, state(&shop, &order).await.as_str()),
        (before, "paid delivered")
    );
    assert_eq!(refund_rows(&shop, &order).await, "refund 37.50 full approved");
    run(&shop, 0).await;
}

#[tokio::test]
async fn parts_up_to_the_payment_keep_the_code_until_all_is_back() {
    let _turn = turn().await;
    let shop = Shop::v1(1).await;
    let order = referred(&shop, &partner(&shop, "10").await, 50).await;
    press(&shop, &order, "pay?commission=0").await;
    for (amount, now_is, commission) in [
        (Some("10.00"), "partially_refunded delivered", "2.75"),
        (Some("12.50"), "partially_refunded delivered", "1.50"),
        (None, "refunded revoked", "0.00"),
    ] {
        let refund = ask(&shop, &order, amount).await;
        run(&shop, 0).await;
        assert_eq!(
            (refund_status(&shop, refund).await.as_str(), calls(&shop, refund).await),
            ("completed", 1)
        );
        assert_eq!(state(&shop, &order).await, now_is, "{amount:?}");
        assert!(
            columns(&shop, &order).await.ends_with(commission),
            "{}",
            columns(&shop, &order).await
        );
    }
    assert_eq!(
        refund_rows(&shop, &order).await,
        "refund 10.00 partial completed, refund 12.50 partial completed, refund 15.00 partial completed"
    );
    assert_eq!(at_provider(&shop, &order).await, "10.00 SUCCESS, 12.50 SUCCESS, 15.00 SUCCESS");
    assert_eq!(
        commission(&shop, &order).await,
        "earned 37.50 10.00 3.75, reversed -10.00 10.00 -1.00, reversed -12.50 10.00 -1.25, reversed -15.00 10.00 -1.50"
    );
}

#[tokio::test]
async fn two_equal_parts_at_once_are_two_refunds() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    let (first, second) = (ask(&shop, &order, Some("5.00")).await, ask(&shop, &order, Some("5.00")).await);
    for _ in 0..3 {
        run(&shop, 0).await;
    }
    assert_eq!((calls(&shop, first).await, calls(&shop, second).await), (1, 1));
    assert_eq!(at_provider(&shop, &order).await, "5.00 SUCCESS, 5.00 SUCCESS");
    assert_eq!(
        refund_rows(&shop, &order).await,
        "refund 5.00 partial completed, refund 5.00 partial completed"
    );
    assert!(columns(&shop, &order).await.starts_with("1.39 10.00 "));
}

#[tokio::test]
async fn the_payers_commission_on_top_is_not_given_back() {
    let _turn = turn().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    // 37.50 and 1.39 on top.
    press(&shop, &order, "pay?commission=1.39").await;
    let refund = ask(&shop, &order, None).await;
    run(&shop, 0).await;
    assert_eq!(
        (refund_status(&shop, refund).await.as_str(), state(&shop, &order).await.as_str()),
        ("completed", "refunded revoked")
    );
    assert_eq!(at_provider(&shop, &order).await, "37.50 SUCCESS");
}

#[tokio::test]
async fn a_surplus_is_given_back_and_the_order_stays_as_it_is() {
    let _turn = turn().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "overpay?amount=42.50&commission=0").await;
    ask(&shop, &order, Some("5.00")).await;
    run(&shop, 0).await;
    assert_eq!(
        (state(&shop, &order).await.as_str(), columns(&shop, &order).await.as_str()),
        ("paid delivered", "1.53 0.00 5.97 none")
    );
    assert_eq!(refund_rows(&shop, &order).await, "refund 5.00 partial completed");
    ask(&shop, &order, None).await;
    run(&shop, 0).await;
    assert_eq!(state(&shop, &order).await, "refunded revoked");
    assert_eq!(at_provider(&shop, &order).await, "5.00 SUCCESS, 37.50 SUCCESS");
}

#[tokio::test]
async fn money_of_an_order_under_review_goes_back_and_frees_its_codes() {
    let _turn = turn().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "underpay?amount=20&commission=0").await;
    ask(&shop, &order, Some("5.00")).await;
    run(&shop, 0).await;
    assert_eq!(state(&shop, &order).await, "manual_review reserved underpaid");
    ask(&shop, &order, None).await;
    run(&shop, 0).await;
    assert_eq!(
        (state(&shop, &order).await.as_str(), ledger(&shop, &order).await.as_str()),
        ("refunded none", "reserved released")
    );
    assert_eq!(at_provider(&shop, &order).await, "5.00 SUCCESS, 15.00 SUCCESS");
    assert_eq!(alerts(&shop, &order).await, "");
}

#[tokio::test]
async fn a_bill_paid_in_parts_is_given_back_part_by_part() {
    let _turn = turn().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "underpay?amount=20&commission=0").await;
    press(&shop, &order, "pay?commission=0").await;
    assert_eq!(state(&shop, &order).await, "paid delivered");
    shown_codes(&shop, &order).await;
    // No single payment holds that much: said clearly, and nothing done.
    let refund = ask(&shop, &order, None).await;
    run(&shop, 0).await;
    assert_eq!(
        (refund_status(&shop, refund).await.as_str(), calls(&shop, refund).await),
        ("rejected", 0)
    );
    assert_eq!(alerts(&shop, &order).await, "refund_failed critical");
    for amount in ["20.00", "17.50"] {
        let refund = ask(&shop, &order, Some(amount)).await;
        run(&shop, 0).await;
        assert_eq!(refund_status(&shop, refund).await, "completed", "{amount}");
    }
    assert_eq!(
        (state(&shop, &order).await.as_str(), alerts(&shop, &order).await.as_str()),
        ("refunded revoked", "")
    );
}

#[tokio::test]
async fn a_refund_the_provider_works_on_is_polled_until_it_is_final() {
    let _turn = turn().await;
    for (button, last, order_is) in [
        ("end-refund", "completed", "refunded revoked"),
        ("fail-refund", "rejected", "paid delivered"),
    ] {
        let (shop, order) = paid(1).await;
        shown_codes(&shop, &order).await;
        press(&shop, &order, "slow-refunds").await;
        let refund = ask(&shop, &order, None).await;
        let ran = run(&shop, 0).await;
        assert_eq!(ran["refunds_open"], 1, "{ran}");
        assert_eq!(at_provider(&shop, &order).await, "37.50 PROCESS");
        run(&shop, 2).await;
        assert_eq!(
            (refund_status(&shop, refund).await.as_str(), state(&shop, &order).await.as_str()),
            ("approved", "paid delivered")
        );
        // Its notice gets lost; the poll finds it.
        faults(&shop.info.sandbox, json!([crate::support::deaf()])).await;
        press(&shop, &order, button).await;
        run(&shop, 10).await;
        assert_eq!(
            (refund_status(&shop, refund).await.as_str(), state(&shop, &order).await.as_str()),
            (last, order_is)
        );
        assert_eq!(calls(&shop, refund).await, 1);
        faults(&shop.info.sandbox, json!([])).await;
    }
}

#[tokio::test]
async fn staff_hear_of_a_refund_that_does_not_get_done() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    press(&shop, &order, "slow-refunds").await;
    let refund = ask(&shop, &order, Some("5.00")).await;
    for round in 0..5 {
        assert_eq!(alerts(&shop, &order).await, "", "round {round}");
        run(&shop, round * 60).await;
    }
    assert_eq!(alerts(&shop, &order).await, "refund_failed warning");
    // The notice that ends it closes the alert with the next look, and books it once.
    press(&shop, &order, "end-refund").await;
    assert_eq!(
        (refund_status(&shop, refund).await.as_str(), calls(&shop, refund).await),
        ("completed", 1)
    );
    assert_eq!(refund_rows(&shop, &order).await, "refund 5.00 partial completed");
}

#[tokio::test]
async fn a_chargeback_comes_before_a_refund_that_was_not_asked_for_yet() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    shown_codes(&shop, &order).await;
    let refund = ask(&shop, &order, Some("10.00")).await;
    press(&shop, &order, "chargeback").await;
    run(&shop, 0).await;
    assert_eq!(
        (refund_status(&shop, refund).await.as_str(), calls(&shop, refund).await),
        ("rejected", 0)
    );
    assert_eq!(state(&shop, &order).await, "chargeback revoked");
    assert_eq!(
        refund_rows(&shop, &order).await,
        "refund 10.00 partial rejected, chargeback 37.50 full completed"
    );
    assert_eq!(columns(&shop, &order).await, "1.39 37.50 -31.39 none");
}

#[tokio::test]
async fn a_refund_done_after_a_chargeback_is_recorded_and_cried_about() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    press(&shop, &order, "slow-refunds").await;
    let refund = ask(&shop, &order, Some("10.00")).await;
    run(&shop, 0).await;
    press(&shop, &order, "chargeback").await;
    press(&shop, &order, "end-refund").await;
    assert_eq!(
        (refund_status(&shop, refund).await.as_str(), state(&shop, &order).await.as_str()),
        ("completed", "chargeback revoked")
    );
    assert_eq!(alerts(&shop, &order).await, "chargeback critical, refund_failed critical");
    assert_eq!(columns(&shop, &order).await, "1.39 37.50 -31.39 none");
}

#[tokio::test]
async fn money_given_back_by_hand_meanwhile_is_not_given_back_again() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    let refund = ask(&shop, &order, Some("30.00")).await;
    assert_eq!(press(&shop, &order, "refund?amount=20").await["webhook"]["delivered"], true);
    run(&shop, 0).await;
    assert_eq!(
        (refund_status(&shop, refund).await.as_str(), calls(&shop, refund).await),
        ("rejected", 0)
    );
    assert_eq!(at_provider(&shop, &order).await, "20.00 SUCCESS");
    assert_eq!(
        (state(&shop, &order).await.as_str(), alerts(&shop, &order).await.as_str()),
        ("partially_refunded delivered", "refund_failed critical")
    );
}
