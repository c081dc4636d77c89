//! Codes of an order whose money goes back: seen or unseen, done or refused.

use serde_json::json;

use crate::support::{
    alerts, ask, at_provider, calls, columns, faults, ledger, paid, paid_unmailed, refund_rows, run, shown_codes, state, turn,
};

#[tokio::test]
async fn codes_nobody_has_seen_are_revoked_at_once_where_all_goes_back() {
    let _turn = turn().await;
    for (setting, wanted, amount, seen, at_once) in [
        (1, None, None, false, true),
        (1, Some(false), None, false, false),
        (0, None, None, false, false),
        (0, Some(true), None, false, true),
        (1, None, Some("37.49"), false, false),
        (1, None, None, true, false),
    ] {
        let (shop, order) = paid_unmailed(1).await;
        shop.settings(json!({"refund_revoke_unused": setting})).await;
        if seen {
            assert_eq!(shown_codes(&shop, &order).await, 1);
        }
        let p = json!({"order_id": order.order_id, "amount": amount, "reason": "r", "revoke_unused": wanted});
        let asked = shop.rpc(&shop.staff_token, "refund_order", p).await.expect(200);
        assert_eq!(asked["outcome"], "ok", "{asked}");
        let case = format!("setting {setting}, wanted {wanted:?}, amount {amount:?}, seen {seen}");
        let now_is = if at_once { "paid revoked" } else { "paid delivered" };
        assert_eq!(state(&shop, &order).await, now_is, "{case}");
        assert_eq!(ledger(&shop, &order).await.ends_with("revoked"), at_once, "{case}");
        if at_once {
            assert_eq!(shown_codes(&shop, &order).await, 0, "{case}");
            assert_eq!(shop.audit().await.last().unwrap().2["codes_revoked"], 1);
        }
        run(&shop, 0).await;
        if amount.is_none() {
            assert_eq!(state(&shop, &order).await, "refunded revoked", "{case}");
        }
        // A mail with the code must not leave after that.
        if at_once {
            let due = "update ops.outbox set next_attempt_at = now() where tenant_id = $1 and status = 'pending'";
            shop.db.execute(due, &[&shop.tenant]).await.unwrap();
            shop.outbox_done().await;
            assert_eq!(shop.mailbox(&order.email).await.len(), 0, "{case}");
        }
    }
}

#[tokio::test]
async fn a_code_whose_mail_may_have_left_counts_as_seen() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    shop.mails(&order.email, 1).await;
    ask(&shop, &order, None).await;
    assert_eq!(state(&shop, &order).await, "paid delivered");
    run(&shop, 0).await;
    assert_eq!(state(&shop, &order).await, "refunded revoked");
}

#[tokio::test]
async fn a_refusal_is_told_to_staff_and_the_order_keeps_its_claim() {
    let _turn = turn().await;
    let (shop, order) = paid_unmailed(2).await;
    let not_enabled = json!({"success": false, "message": "api:error.access_denied"});
    faults(
        &shop.info.sandbox,
        json!([{"route": "cardlink.refund", "status": 403, "body": not_enabled}]),
    )
    .await;
    let refund = ask(&shop, &order, None).await;
    assert_eq!(state(&shop, &order).await, "paid revoked");
    let found = "select count(*) from ops.verify_money($1)";
    assert_eq!(shop.count(found).await, 0, "the refund is on its way: no fault");
    let ran = run(&shop, 0).await;
    assert_eq!(ran["refunds_rejected"], 1, "{ran}");
    assert_eq!(refund_rows(&shop, &order).await, "refund 37.50 full rejected");
    let message: String = shop
        .db
        .query_one(
            "select message from ops.system_notifications where tenant_id = $1 and type = 'refund_failed'",
            &[&shop.tenant],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(
        message,
        "37.50 was not given back: Cardlink refused it: HTTP 403 api:error.access_denied. Refunds may have to be enabled for the shop by \
         Cardlink's support. Its codes were revoked when the refund was asked for; the order waits for others."
    );
    // No money moved, so the buyer gets a code: another one, since his own was revoked.
    assert_eq!(state(&shop, &order).await, "manual_review waiting no_codes_available");
    assert_eq!(alerts(&shop, &order).await, "no_codes_available critical, refund_failed critical");
    assert_eq!(shop.count(found).await, 0, "money, states and alerts fit together");
    assert_eq!(columns(&shop, &order).await, "1.39 0.00 6.11 none");
    shop.job("fulfil_waiting", None).await.expect(200);
    assert_eq!(state(&shop, &order).await, "paid delivered");
    assert_eq!(alerts(&shop, &order).await, "refund_failed critical");
    assert_eq!(
        (ledger(&shop, &order).await.as_str(), shown_codes(&shop, &order).await),
        ("reserved sold revoked sold", 1)
    );
    assert_eq!(calls(&shop, refund).await, 1);

    // Once support has enabled refunds, the next one goes through, and closes the alert.
    faults(&shop.info.sandbox, json!([])).await;
    ask(&shop, &order, None).await;
    run(&shop, 0).await;
    assert_eq!(
        (state(&shop, &order).await.as_str(), alerts(&shop, &order).await.as_str()),
        ("refunded revoked", "")
    );
    assert_eq!(at_provider(&shop, &order).await, "37.50 SUCCESS");
}
