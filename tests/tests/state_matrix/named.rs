//! The cases people ask about, from beginning to end.

use lonieve_tests::interleaving::ground::{CARDLINK, ORDERS, Who};
use lonieve_tests::interleaving::till::{Placed, Till};
use serde_json::json;

use crate::snapshot;

const YEAR_S: i64 = 366 * 24 * 3600;

async fn told(till: &Till, placed: &Placed, status: &str, outcome: &str) {
    till.one
        .outcome(CARDLINK, "settle_payment", till.notice(placed, status), outcome)
        .await;
}

async fn gives_back(till: &Till, placed: &Placed, cents: &[i64], outcome: &str) {
    till.one
        .outcome(CARDLINK, "settle_refund", till.refund(placed, cents, "USD"), outcome)
        .await;
}

async fn decides(till: &Till, placed: &Placed, action: &str, outcome: &str) {
    let p = json!({"order_id": placed.order, "action": action, "note": "Decided."});
    till.one.outcome(Who::Person(till.world.manager), "resolve_order", p, outcome).await;
}

#[tokio::test]
async fn failed_after_paid_moves_nothing_and_paid_after_failed_delivers() {
    let till = Till::beside_others(1).await;
    let placed = till.place().await;
    told(&till, &placed, "failed", "failed").await;
    assert_eq!(till.state(&placed).await, "failed reserved");
    told(&till, &placed, "paid", "fulfilled").await;
    let before = snapshot::of(&till, &placed).await;
    told(&till, &placed, "failed", "ignored").await;
    told(&till, &placed, "expired", "ignored").await;
    assert_eq!(snapshot::of(&till, &placed).await, before);
    assert_eq!(before.order, "paid delivered -");
    till.close().await;
}

#[tokio::test]
async fn paid_after_expiry_takes_a_free_code_and_never_one_that_is_reserved() {
    let till = Till::beside_others(1).await;
    let (late, live) = (till.place().await, {
        told_expired(&till).await;
        till.place().await
    });
    assert_eq!(till.state(&live).await, "pending reserved");
    told(&till, &late, "paid", "manual_review").await;
    assert_eq!(till.state(&late).await, "manual_review waiting no_codes_available");
    told(&till, &live, "paid", "fulfilled").await;
    till.close().await;
}

/// The first order's bill is over.
async fn told_expired(till: &Till) {
    let bill: String = till
        .ground
        .text("select bill_id from shop.payments where tenant_id = $1", till.world.tenant)
        .await;
    let order = bill.strip_prefix("bill-").unwrap().to_owned();
    let placed = Placed {
        id: order.parse().unwrap(),
        order,
        bill,
    };
    told(till, &placed, "expired", "expired").await;
}

#[tokio::test]
async fn a_year_later_a_bill_is_found_and_late_money_still_delivers() {
    let till = Till::beside_others(2).await;
    let (done, over) = (till.place().await, till.place().await);
    told(&till, &done, "paid", "fulfilled").await;
    told(&till, &over, "expired", "expired").await;
    // A notice of a bill that becomes known only then.
    let late = till
        .one
        .call(CARDLINK, "settle_payment", &till.notice(&done, "paid"))
        .await
        .unwrap();
    assert_eq!(late["outcome"], "already_processed");
    till.world.advance(YEAR_S);
    told(&till, &done, "paid", "already_processed").await;
    told(&till, &over, "paid", "fulfilled").await;
    assert_eq!(till.state(&over).await, "paid delivered");
    till.world.advance(YEAR_S);
    gives_back(&till, &done, &[3750], "refunded").await;
    gives_back(&till, &over, &[1000], "partially_refunded").await;
    till.close().await;
}

#[tokio::test]
async fn a_notice_that_was_parked_a_year_ago_is_settled_when_its_bill_becomes_known() {
    let till = Till::beside_others(1).await;
    let placed = till.unattached().await;
    told(&till, &placed, "paid", "payment_not_found").await;
    till.world.advance(YEAR_S);
    till.one.outcome(ORDERS, "attach_bill", till.attach(&placed), "attached").await;
    assert_eq!(till.state(&placed).await, "paid delivered");
    till.close().await;
}

#[tokio::test]
async fn refunds_add_up_to_the_payment_and_no_further() {
    let till = Till::beside_others(1).await;
    let placed = till.place().await;
    told(&till, &placed, "paid", "fulfilled").await;
    gives_back(&till, &placed, &[1000], "partially_refunded").await;
    gives_back(&till, &placed, &[1000], "already_processed").await;
    gives_back(&till, &placed, &[1000, 2000], "partially_refunded").await;
    assert_eq!(snapshot::of(&till, &placed).await.money, "30.00 -23.89");
    gives_back(&till, &placed, &[1000, 2000, 750], "refunded").await;
    gives_back(&till, &placed, &[1000, 2000, 750], "already_processed").await;
    let after = snapshot::of(&till, &placed).await;
    assert_eq!(
        (
            after.order.as_str(),
            after.payment.as_str(),
            after.money.as_str(),
            after.refunds.as_str()
        ),
        (
            "refunded revoked -",
            "refunded 37.50 USD",
            "37.50 -31.39",
            "refund 20.00 partial, refund 10.00 partial, refund 7.50 partial"
        )
    );
    // A chargeback after it, and a payment after it.
    till.one
        .outcome(CARDLINK, "settle_chargeback", till.chargeback(&placed, true), "ignored")
        .await;
    told(&till, &placed, "paid", "already_processed").await;
    assert_eq!(snapshot::of(&till, &placed).await, after);
    till.close().await;
}

#[tokio::test]
async fn more_than_came_in_counts_as_all_of_it() {
    let till = Till::beside_others(1).await;
    let placed = till.place().await;
    told(&till, &placed, "paid", "fulfilled").await;
    gives_back(&till, &placed, &[3000, 3000], "refunded").await;
    assert_eq!(snapshot::of(&till, &placed).await.money, "37.50 -31.39");
    till.close().await;
}

/// What was paid instead of 37.50: a word, a sum, what the provider says came in.
const WRONG: [(&str, &str, Option<&str>, &str, &str); 3] = [
    ("paid", "30.00", None, "amount_mismatch", "1.17"),
    ("paid", "40.00", None, "amount_mismatch", "1.46"),
    ("underpaid", "37.50", Some("20.00"), "underpaid", "-"),
];

#[tokio::test]
async fn an_operator_decides_about_a_payment_of_another_sum() {
    let all = Till::beside_others(0).await;
    for (word, amount, received, reason, fee) in WRONG {
        for decision in ["deliver", "close", "refund"] {
            let till = Till::on(&all.ground, &all.one, &all.two, 1).await;
            let placed = till.place().await;
            let notice = till.notice_of(&placed, word, amount, "USD", received);
            till.one.outcome(CARDLINK, "settle_payment", notice.clone(), "manual_review").await;
            assert_eq!(till.state(&placed).await, format!("manual_review reserved {reason}"));
            let came_in: i64 = received.unwrap_or(amount).replace('.', "").parse().unwrap();
            let (state, shelf) = match decision {
                "deliver" => {
                    decides(&till, &placed, "deliver", "ok").await;
                    ("paid delivered", "sold")
                }
                "close" => {
                    decides(&till, &placed, "close", "ok").await;
                    ("paid none", "available")
                }
                _ => {
                    gives_back(&till, &placed, &[came_in], "refunded").await;
                    ("refunded none", "available")
                }
            };
            let case = format!("{word} {amount} {decision}");
            assert_eq!(
                (till.state(&placed).await.as_str(), till.shelf().await.as_str()),
                (state, shelf),
                "{case}"
            );
            let after = snapshot::of(&till, &placed).await;
            assert_eq!(
                (after.alerts.as_str(), after.fees.as_str()),
                (format!("{reason} critical closed").as_str(), fee),
                "{case}"
            );
            // The decision stands: neither the same notice nor another decision moves it.
            let again = till.one.call(CARDLINK, "settle_payment", &notice).await.unwrap();
            assert_eq!(
                again["outcome"],
                if word == "underpaid" { "ignored" } else { "already_processed" },
                "{case}"
            );
            decides(&till, &placed, "deliver", "order_not_in_review").await;
            assert_eq!(snapshot::of(&till, &placed).await, after, "{case}");
            till.is_sound().await;
        }
    }
    all.close().await;
}

#[tokio::test]
async fn of_a_bill_nobody_knows_each_word_is_kept_once_and_nothing_is_booked() {
    let till = Till::beside_others(1).await;
    let placed = till.unattached().await;
    let before = snapshot::of(&till, &placed).await;
    for word in ["paid", "overpaid", "underpaid", "failed", "expired", "pending"] {
        for _ in 0..2 {
            told(&till, &placed, word, "payment_not_found").await;
        }
    }
    for (function, p) in [
        ("settle_refund", till.refund(&placed, &[3750], "USD")),
        ("settle_chargeback", till.chargeback(&placed, true)),
    ] {
        till.one.outcome(CARDLINK, function, p, "payment_not_found").await;
    }
    let parked = "select string_agg(concat_ws(' ', status, outcome, response_status, repeats), ', ' order by status) from ops.webhook_logs where bill_id = 'bill-' || $1::uuid";
    assert_eq!(
        till.ground.text(parked, placed.id).await,
        "expired parked 404 1, failed parked 404 1, overpaid parked 404 1, paid parked 404 1, pending parked 404 1, underpaid parked 404 1"
    );
    assert_eq!(snapshot::of(&till, &placed).await, before);
    till.close().await;
}
