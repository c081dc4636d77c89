//! Refunds that are refused: each by its own status and code, and without a row.

use lonieve_tests::{Placed, Shop};
use serde_json::{Value, json};

use crate::support::{admin_refund, ask, paid, press, run, state, told, turn};

fn body(amount: Option<&str>) -> Value {
    json!({"reason": "Asked for.", "amount": amount})
}

/// Refused with this status and code; nothing is added.
async fn refused(shop: &Shop, order: &Placed, amount: Option<&str>, code: &str) -> Value {
    shop.adds_nothing(async {
        admin_refund(shop, &shop.staff_token, order.order_id, &body(amount))
            .await
            .refused(409, code)
    })
    .await
}

#[tokio::test]
async fn under_v2_there_are_no_refunds() {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
    shop.outbox_done().await;
    refused(&shop, &order, None, "refund_not_supported").await;
    // Who may not refund does not learn that either.
    shop.adds_nothing(async {
        admin_refund(&shop, &shop.viewer_token, order.order_id, &body(None))
            .await
            .refused(403, "forbidden")
    })
    .await;
    // Asked past the Worker, the row is there and closed by the jobs: nothing waits for a provider that cannot.
    let p = json!({"order_id": order.order_id, "reason": "r"});
    assert_eq!(shop.rpc(&shop.staff_token, "refund_order", p).await.expect(200)["outcome"], "ok");
    for _ in 0..10 {
        shop.job("refunds", None).await.expect(200);
    }
    assert_eq!(
        shop.count("select count(*) from shop.refunds where tenant_id = $1 and status = 'rejected'")
            .await,
        1
    );
}

#[tokio::test]
async fn only_managers_of_the_shop_give_money_back() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    shop.outbox_done().await;
    let other = Shop::v1(0).await;
    let (_, customer) = shop.person(None).await;
    shop.adds_nothing(async {
        for (token, status, code) in [
            ("", 401, "unauthorized"),
            (&shop.viewer_token, 403, "forbidden"),
            (&customer, 403, "forbidden"),
        ] {
            // Also with a body that is wrong: who may not act learns nothing about it.
            for body in [body(None), json!({})] {
                admin_refund(&shop, token, order.order_id, &body).await.refused(status, code);
            }
        }
        other
            .adds_nothing(admin_refund(&other, &other.staff_token, order.order_id, &body(None)))
            .await
            .refused(404, "order_not_found");
        admin_refund(&shop, &shop.staff_token, uuid::Uuid::new_v4(), &body(None))
            .await
            .refused(404, "order_not_found");
    })
    .await;
    let (_, admin) = shop.person(Some("admin")).await;
    admin_refund(&shop, &admin, order.order_id, &body(Some("1.00"))).await.expect(200);
}

#[tokio::test]
async fn what_cannot_be_meant_is_named() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    shop.outbox_done().await;
    for (field, body) in [
        ("reason", json!({})),
        ("reason", json!({"reason": " "})),
        ("reason", json!({"reason": "x".repeat(501)})),
        ("amount", json!({"reason": "r", "amount": "0"})),
        ("amount", json!({"reason": "r", "amount": "-5"})),
        ("amount", json!({"reason": "r", "amount": "1.001"})),
        ("revokeUnused", json!({"reason": "r", "revokeUnused": 1})),
    ] {
        let answer = shop
            .adds_nothing(async {
                admin_refund(&shop, &shop.staff_token, order.order_id, &body)
                    .await
                    .refused(400, "invalid_request")
            })
            .await;
        assert!(answer["fields"][field].is_string(), "{body}: {answer}");
    }
    // The database does not rely on the Worker.
    for p in [
        json!({"reason": "r", "amount": "0.00"}),
        json!({"reason": "r", "amount": "1.001"}),
        json!({"reason": "r", "amount": "all"}),
        json!({"reason": " "}),
    ] {
        let mut p = p;
        p["order_id"] = json!(order.order_id);
        shop.adds_nothing(async {
            let refused = shop.rpc(&shop.staff_token, "refund_order", p.clone()).await;
            assert_eq!(refused.json()["code"], "22023", "{p}: {}", refused.text);
        })
        .await;
    }
}

#[tokio::test]
async fn without_money_there_is_nothing_to_give_back() {
    let _turn = turn().await;
    let shop = Shop::v1(3).await;
    let pending = shop.place(&shop.cart()).await;
    refused(&shop, &pending, None, "order_not_refundable").await;
    told(&shop, &pending).notice("failed", "37.50", None).await;
    refused(&shop, &pending, Some("1.00"), "order_not_refundable").await;
    let charged_back = shop.place(&shop.cart()).await;
    told(&shop, &charged_back).paid().await;
    told(&shop, &charged_back).charged_back().await;
    refused(&shop, &charged_back, Some("1.00"), "order_not_refundable").await;
    let refunded = shop.place(&shop.cart()).await;
    told(&shop, &refunded).paid().await;
    told(&shop, &refunded).refunded("r", "37.50").await;
    refused(&shop, &refunded, None, "order_not_refundable").await;
}

#[tokio::test]
async fn no_more_than_is_left_is_promised_however_many_ask() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    shop.outbox_done().await;
    let answer = refused(&shop, &order, Some("37.51"), "refund_too_large").await;
    assert_eq!(answer["fields"]["amount"], "must be at most 37.50");
    told(&shop, &order).refunded("by-hand", "7.50").await;
    // What is on its way counts as gone.
    ask(&shop, &order, Some("10.00")).await;
    let answer = refused(&shop, &order, Some("20.01"), "refund_too_large").await;
    assert_eq!(answer["fields"]["amount"], "must be at most 20.00");

    // Twenty people give back the rest at once: one does.
    let asked = futures::future::join_all((0..20).map(|_| {
        let p = json!({"order_id": order.order_id, "reason": "r", "amount": "20.00"});
        shop.rpc(&shop.staff_token, "refund_order", p)
    }))
    .await;
    let outcomes: Vec<Value> = asked.iter().map(|reply| reply.expect(200)["outcome"].clone()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "ok").count(), 1, "{outcomes:?}");
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == "refund_too_large").count(),
        19,
        "{outcomes:?}"
    );
    refused(&shop, &order, None, "refund_too_large").await;
    let promised = "select (sum(refund_amount) * 100)::bigint from shop.refunds where tenant_id = $1";
    assert_eq!(shop.count(promised).await, 3750);
    for _ in 0..6 {
        run(&shop, 0).await;
    }
}

#[tokio::test]
async fn an_order_whose_money_all_goes_back_is_not_delivered_meanwhile() {
    let _turn = turn().await;
    // Under review: staff cannot deliver it any more.
    let shop = Shop::v1(2).await;
    let reviewed = shop.place(&shop.cart()).await;
    press(&shop, &reviewed, "underpay?amount=20&commission=0").await;
    shop.outbox_done().await;
    ask(&shop, &reviewed, None).await;
    let decision = json!({"action": "deliver", "note": "Yes."});
    shop.adds_nothing(async {
        shop.admin_post(&shop.staff_token, &format!("orders/{}/resolve", reviewed.order_id), &decision)
            .await
            .refused(409, "refund_pending")
    })
    .await;
    // Nor does the rest of the money deliver it.
    assert_eq!(told(&shop, &reviewed).paid().await, "already_processed");
    assert_eq!(state(&shop, &reviewed).await, "manual_review reserved underpaid");

    // Waiting for codes: an import does not serve it.
    let empty = Shop::v1(1).await;
    let waiting = empty.place(&empty.cart()).await;
    empty.repeat_job("expire_orders", &empty.time("2 hours").await, 3).await;
    empty.place(&empty.cart()).await;
    press(&empty, &waiting, "pay?commission=0").await;
    assert_eq!(state(&empty, &waiting).await, "manual_review waiting no_codes_available");
    ask(&empty, &waiting, None).await;
    empty.add_codes("50.00", 1).await;
    empty.job("fulfil_waiting", None).await.expect(200);
    assert_eq!(state(&empty, &waiting).await, "manual_review waiting no_codes_available");
    for _ in 0..4 {
        run(&empty, 0).await;
    }
    assert_eq!(
        (state(&shop, &reviewed).await.as_str(), state(&empty, &waiting).await.as_str()),
        ("refunded none", "refunded none")
    );
}
