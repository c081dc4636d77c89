//! Genuine notices sent again: at once, after the delivery, after the money went back. Never a second code, never a second mail.

use std::collections::BTreeMap;

use futures::future::join_all;
use lonieve_tests::{Placed, Shop};

use crate::attack::{NOTICE, Sent, orders, settled, sold};
use crate::v1_wire::{Silence, encoded, form, notice_of, said, state};
use crate::v2_wire::{FORMS, body, genuine, json, members, printed, quoted, sign};

const TIMES: usize = 20;

/// Sends it twenty times at once; how often each outcome was answered.
async fn replay(shop: &Shop, sent: &Sent) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    for reply in join_all((0..TIMES).map(|_| sent.post(shop))).await {
        *outcomes.entry(said(&reply)).or_default() += 1;
    }
    outcomes
}

fn once(outcome: &str) -> BTreeMap<String, usize> {
    [(outcome.to_owned(), 1), ("already_processed".to_owned(), TIMES - 1)].into()
}

fn all(outcome: &str) -> BTreeMap<String, usize> {
    [(outcome.to_owned(), TIMES)].into()
}

/// Replays that are heard and logged, and do nothing else.
async fn unmoved(shop: &Shop, sent: &Sent, outcome: &str) {
    settled(shop).await;
    let rows = [("ops.webhook_logs", TIMES as i64), ("ops.system_health_metrics", TIMES as i64)];
    assert_eq!(shop.adds(&rows, replay(shop, sent)).await, all(outcome));
    settled(shop).await;
}

/// One code sold, one mail sent, whatever came.
async fn one_of_each(shop: &Shop, order: &Placed, codes: i64) {
    settled(shop).await;
    assert_eq!((sold(shop).await, shop.mailbox(&order.email).await.len()), (codes, 1));
    let mails = "select count(*) from ops.outbox where tenant_id = $1 and kind = 'mail.codes'";
    assert_eq!(shop.count(mails).await, codes);
    let unsound = "select count(*) from ops.verify_ledger() v join shop.gift_codes g on g.id = v.code_id where g.tenant_id = $1";
    assert_eq!(shop.count(unsound).await, 0);
}

#[tokio::test]
async fn v2_notices_sent_again_give_nothing_again() {
    let shop = Shop::new().await;
    // More codes than orders: a second one would be there to be sold.
    shop.add_codes("50.00", 5).await;
    for (index, form) in FORMS.into_iter().enumerate() {
        let order = orders(&shop, 1).await.remove(0);
        let said_by = |status: &str| {
            let mut sent = members(&order, form);
            sent[1].1 = quoted(status);
            let mut signed = printed(&order, form);
            signed[1].1 = status;
            json(body(&sent, &quoted(&sign(&shop, &signed))))
        };
        let (paid, failed, expired) = (json(genuine(&shop, &order, form)), said_by("FAILED"), said_by("EXPIRED"));
        assert_eq!(replay(&shop, &failed).await, once("failed"));
        assert_eq!(replay(&shop, &paid).await, once("fulfilled"));
        one_of_each(&shop, &order, index as i64 + 1).await;
        for notice in [&failed, &expired] {
            unmoved(&shop, notice, "ignored").await;
        }
        unmoved(&shop, &paid, "already_processed").await;
        // Under another shop's host it is still about this bill.
        let other = Shop::new().await;
        let other_rows = other.rows().await;
        assert_eq!(said(&paid.post(&other).await), "already_processed");
        assert_eq!(other.rows().await, other_rows);
        one_of_each(&shop, &order, index as i64 + 1).await;
        assert_eq!(state(&shop, &order).await, "paid delivered");
    }
}

/// A notice that came when there was no code is not a claim on two of them later.
#[tokio::test]
async fn v2_notices_of_an_order_that_waits_give_one_code_when_stock_comes() {
    let shop = Shop::new().await;
    let order = orders(&shop, 1).await.remove(0);
    let paid = json(genuine(&shop, &order, FORMS[0]));
    let hide = "update shop.gift_codes set expires_at = now() - interval '1 day' where tenant_id = $1";
    shop.db.execute(hide, &[&shop.tenant]).await.unwrap();
    assert_eq!(replay(&shop, &paid).await, once("manual_review"));
    assert_eq!(state(&shop, &order).await, "manual_review waiting no_codes_available");
    shop.add_codes("50.00", 3).await;
    let (served, again) = tokio::join!(shop.job("fulfil_waiting", None), replay(&shop, &paid));
    served.expect(200);
    assert_eq!(again, all("already_processed"));
    for _ in 0..20 {
        shop.job("fulfil_waiting", None).await.expect(200);
        if state(&shop, &order).await == "paid delivered" {
            break;
        }
    }
    one_of_each(&shop, &order, 1).await;
    unmoved(&shop, &paid, "already_processed").await;
    one_of_each(&shop, &order, 1).await;
}

#[tokio::test]
async fn v1_notices_sent_again_give_nothing_again_also_after_the_money_went_back() {
    let _silence = Silence::begin();
    let shop = Shop::v1(5).await;
    for (index, (button, kind, outcome)) in [
        ("refund", "/api/webhooks/cardlink/refund", "refunded"),
        ("chargeback", "/api/webhooks/cardlink/chargeback", "chargeback"),
    ]
    .into_iter()
    .enumerate()
    {
        let codes = index as i64 + 1;
        let order = orders(&shop, 1).await.remove(0);
        let paid = form(NOTICE, encoded(&notice_of(&shop, &order, "pay?commission=0").await));
        assert_eq!(replay(&shop, &paid).await, once("fulfilled"));
        one_of_each(&shop, &order, codes).await;
        unmoved(&shop, &paid, "already_processed").await;

        let part = form(
            "/api/webhooks/cardlink/refund",
            encoded(&notice_of(&shop, &order, "refund?amount=10").await),
        );
        assert_eq!(replay(&shop, &part).await, once("partially_refunded"));
        unmoved(&shop, &part, "already_processed").await;
        unmoved(&shop, &paid, "already_processed").await;
        assert_eq!(state(&shop, &order).await, "partially_refunded delivered");

        let back = form(kind, encoded(&notice_of(&shop, &order, button).await));
        assert_eq!(replay(&shop, &back).await, once(outcome));
        unmoved(&shop, &back, "already_processed").await;
        unmoved(&shop, &paid, "already_processed").await;
        // The partial refund's notice comes late: after the rest went back there is nothing to add, after a chargeback nothing to hear.
        unmoved(&shop, &part, if button == "refund" { "already_processed" } else { "ignored" }).await;
        one_of_each(&shop, &order, codes).await;
        assert_eq!(state(&shop, &order).await, format!("{outcome} revoked"));
        let refunds = format!(
            "select count(*) from shop.refunds where tenant_id = $1 and order_id = '{}'",
            order.order_id
        );
        assert_eq!(shop.count(&refunds).await, 2);
        let fees = format!(
            "select count(*) from shop.transaction_fees where tenant_id = $1 and order_id = '{}'",
            order.order_id
        );
        assert_eq!(shop.count(&fees).await, 1);
    }
}
