//! A bad code leaves circulation, and whoever had it gets one other.

use futures::future::join_all;
use lonieve_tests::{Reply, Shop};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{assert_whole, codes_of, counted, pay, shown, steps, texts};

async fn replace(shop: &Shop, code: Uuid, reason: &str) -> Reply {
    let path = format!("codes/{code}/replace");
    shop.admin_post(&shop.staff_token, &path, &json!({"reason": reason})).await
}

fn id(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}

/// cost, profit, fees, true profit of an order; cost, profit, margin of its item.
async fn money(shop: &Shop, order: Uuid) -> Value {
    let sql = "select jsonb_build_array(o.total_cost::text, o.total_profit::text, o.transaction_fees::text, o.true_profit::text, \
               it.cost_price::text, it.profit::text, it.margin_percentage::text) \
               from shop.orders o join shop.order_items it on it.order_id = o.id where o.id = $1";
    shop.db.query_one(sql, &[&order]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_sold_code_is_replaced_mailed_and_its_cost_stays_visible() {
    let shop = Shop::with_codes(3).await;
    let order = shop.place(&shop.cart()).await;
    pay(&shop, &order).await;
    let bad_text = shown(&shop, &order).await.remove(0);
    shop.mails(&order.email, 1).await;
    shop.outbox_done().await;
    // 37.50 - 30.00; the fee 37.50 * 2.9 % + 0.30 = 1.3875.
    assert_eq!(
        money(&shop, order.order_id).await,
        json!(["30.00", "7.50", "1.39", "6.11", "30.00", "7.50", "20.00"])
    );
    let (bad, _) = codes_of(&shop, order.order_id, "sold").await.remove(0);

    let rows = [("shop.code_ledger", 2), ("ops.outbox", 1), ("ops.audit_log", 1)];
    let sale = shop.rpc(
        &shop.staff_token,
        "replace_code",
        json!({"code_id": bad, "reason": " The store refuses it. "}),
    );
    let answer = shop.adds(&rows, sale).await.expect(200);
    let new = id(&answer["replacement"]["id"]);
    assert_eq!(
        (&answer["outcome"], id(&answer["order_id"]), id(&answer["code"]["id"])),
        (&json!("ok"), order.order_id, bad)
    );
    assert_eq!(
        (
            &answer["code"]["status"],
            &answer["code"]["last4"],
            &answer["replacement"]["status"]
        ),
        (&json!("revoked"), &json!(bad_text[15..]), &json!("sold"))
    );
    assert_eq!(
        (steps(&shop, bad).await.as_str(), steps(&shop, new).await.as_str()),
        ("imported reserved sold revealed replaced", "imported sold")
    );
    // Both were bought: 37.50 - 60.00, less the fee.
    assert_eq!(
        money(&shop, order.order_id).await,
        json!(["60.00", "-22.50", "1.39", "-23.89", "60.00", "-22.50", "-60.00"])
    );
    assert_eq!(
        shop.audit().await.pop().unwrap(),
        (
            "code.replace".into(),
            format!("code:{bad}"),
            json!({"note": "The store refuses it.", "was": "sold", "order_id": order.order_id, "replaced_by": new})
        )
    );

    let mails = shop.mails(&order.email, 2).await;
    let new_text = shown(&shop, &order).await;
    assert_eq!(new_text.len(), 1);
    assert_ne!(new_text[0], bad_text);
    let says = |mail: &Value, code: &str| mail["text"].as_str().unwrap().contains(code);
    let found: Vec<(bool, bool)> = mails.iter().map(|mail| (says(mail, &bad_text), says(mail, &new_text[0]))).collect();
    assert!(found.contains(&(true, false)) && found.contains(&(false, true)), "{found:?}");

    // The same again changes nothing; another reason is too late.
    let before = shop.rows().await;
    let again = replace(&shop, bad, "The store refuses it.").await.expect(200);
    assert_eq!(
        again,
        json!({"orderId": order.order_id, "code": answer["code"], "replacement": answer["replacement"]})
    );
    replace(&shop, bad, "Another reason.").await.refused(409, "code_already_revoked");
    assert_eq!(shop.rows().await, before);
    assert_eq!(counted(&shop, "available").await, 1);
    assert_eq!(shop.mailbox(&order.email).await.len(), 2);

    // The new one may be bad as well; the loss adds up.
    replace(&shop, new, "Used up.").await.expect(200);
    assert_eq!(money(&shop, order.order_id).await[0], "90.00");
    assert_whole(&shop).await;
}

#[tokio::test]
async fn the_replacement_of_a_gift_goes_to_its_recipient_only() {
    let shop = Shop::with_codes(2).await;
    let mut cart = shop.cart();
    let recipient = format!("friend-{}@example.com", Uuid::new_v4().simple());
    cart["deliveryType"] = json!("gift");
    cart["recipientEmail"] = json!(recipient);
    let order = shop.place(&cart).await;
    pay(&shop, &order).await;
    shop.mails(&recipient, 1).await;
    shop.mails(&order.email, 1).await;
    let (bad, _) = codes_of(&shop, order.order_id, "sold").await.remove(0);
    replace(&shop, bad, "Refused.").await.expect(200);
    let mails = shop.mails(&recipient, 2).await;
    let tokens: Vec<&str> = mails
        .iter()
        .map(|mail| {
            let text = mail["text"].as_str().unwrap();
            text.split("#t=").nth(1).unwrap().split_whitespace().next().unwrap()
        })
        .collect();
    assert_eq!(tokens[0], tokens[1], "the link in the first mail still works");
    let codes = texts(&shop.order(order.order_id, tokens[0]).await.expect(200));
    assert_eq!(codes.len(), 1);
    assert_eq!(
        mails
            .iter()
            .filter(|mail| mail["text"].as_str().unwrap().contains(&codes[0]))
            .count(),
        1
    );
    shop.outbox_done().await;
    assert_eq!(shop.mailbox(&order.email).await.len(), 1, "the receipt, once");
    assert!(shown(&shop, &order).await.is_empty(), "the buyer of a gift sees no code");
}

#[tokio::test]
async fn a_mail_that_still_waits_carries_the_new_code_and_is_the_only_one() {
    let shop = Shop::with_codes(2).await;
    let order = shop.place(&shop.cart()).await;
    let rules = json!([{"route": "mail.send", "match": order.email, "status": 503}]);
    shop.under_faults(&shop.info.sandbox, rules, async {
        pay(&shop, &order).await;
        // An attempt that failed: the row waits for its next time, its body is pinned.
        let waits =
            "select count(*) from ops.outbox where tenant_id = $1 and kind = 'mail.codes' and attempts > 0 and locked_until is null";
        while shop.count(waits).await == 0 {
            shop.job("outbox", None).await.expect(200);
        }
    })
    .await;
    let (bad, _) = codes_of(&shop, order.order_id, "sold").await.remove(0);
    let replaced = replace(&shop, bad, "Refused.").await.expect(200);
    let mails = shop.mails(&order.email, 1).await;
    shop.outbox_done().await;
    assert_eq!(shop.mailbox(&order.email).await.len(), 1);
    let code = shown(&shop, &order).await.remove(0);
    assert!(mails[0]["text"].as_str().unwrap().contains(&code));
    assert_eq!(replaced["replacement"]["last4"], code[15..]);
    let mail_rows: Vec<String> = shop
        .outbox()
        .await
        .into_iter()
        .filter(|(kind, _)| kind == "mail.codes")
        .map(|(_, status)| status)
        .collect();
    assert_eq!(mail_rows, ["replaced", "done"], "the pinned body went out under no key");
}

#[tokio::test]
async fn a_mail_on_its_way_is_followed_by_one_with_the_new_code() {
    let shop = Shop::with_codes(2).await;
    let order = shop.place(&shop.cart()).await;
    let rules = json!([{"route": "mail.send", "match": order.email, "delay_ms": 3000, "times": 1}]);
    let bad_text = shop
        .under_faults(&shop.info.sandbox, rules, async {
            pay(&shop, &order).await;
            let bad_text = shown(&shop, &order).await.remove(0);
            let (bad, _) = codes_of(&shop, order.order_id, "sold").await.remove(0);
            let claimed =
                "select count(*) from ops.outbox where tenant_id = $1 and kind = 'mail.codes' and payload_hash is not null and status = 'pending'";
            let sending = shop.job("outbox", None);
            let acting = async {
                while shop.count(claimed).await == 0 {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                replace(&shop, bad, "Refused.").await.expect(200);
            };
            tokio::join!(sending, acting);
            bad_text
        })
        .await;
    let mails = shop.mails(&order.email, 2).await;
    let code = shown(&shop, &order).await.remove(0);
    let bodies: Vec<&str> = mails.iter().map(|mail| mail["text"].as_str().unwrap()).collect();
    assert_eq!(bodies.iter().filter(|body| body.contains(&bad_text)).count(), 1);
    assert_eq!(bodies.iter().filter(|body| body.contains(&code)).count(), 1);
}

#[tokio::test]
async fn a_reserved_code_is_swapped_before_anybody_sees_it() {
    let shop = Shop::with_codes(2).await;
    let order = shop.place(&shop.cart()).await;
    let (bad, _) = codes_of(&shop, order.order_id, "reserved").await.remove(0);
    let rows = [("shop.code_ledger", 2), ("ops.audit_log", 1)];
    let answer = shop.adds(&rows, replace(&shop, bad, "The supplier recalls it.")).await.expect(200);
    let new = id(&answer["replacement"]["id"]);
    assert_eq!(answer["replacement"]["status"], "reserved");
    assert_eq!(
        codes_of(&shop, order.order_id, "reserved").await,
        [(new, "imported reserved".into())]
    );
    assert_eq!(steps(&shop, bad).await, "imported reserved replaced");
    pay(&shop, &order).await;
    assert_eq!(codes_of(&shop, order.order_id, "sold").await[0].0, new);
    // Nothing was delivered but the new one: the bad one is the stock's loss, not this order's.
    assert_eq!(money(&shop, order.order_id).await[0], "30.00");
    assert_eq!(shop.mails(&order.email, 1).await.len(), 1);
    assert_whole(&shop).await;
}

#[tokio::test]
async fn a_free_code_is_taken_off_the_shelf() {
    let shop = Shop::with_codes(1).await;
    let sql = "select id from shop.gift_codes where tenant_id = $1";
    let free: Uuid = shop.db.query_one(sql, &[&shop.tenant]).await.unwrap().get(0);
    let rows = [("shop.code_ledger", 1), ("ops.audit_log", 1)];
    let answer = shop.adds(&rows, replace(&shop, free, "A misprint.")).await.expect(200);
    assert_eq!(
        (&answer["orderId"], &answer["replacement"], &answer["code"]["status"]),
        (&Value::Null, &Value::Null, &json!("revoked"))
    );
    assert_eq!(
        shop.adds_nothing(replace(&shop, free, "A misprint.")).await.expect(200),
        answer,
        "a repeat"
    );
    let other = shop.adds_nothing(replace(&shop, free, "Something else.")).await;
    other.refused(409, "code_already_revoked");
    assert_eq!(steps(&shop, free).await, "imported revoked");
    shop.create(&shop.cart()).await.refused(409, "out_of_stock");
    assert_whole(&shop).await;
}

#[tokio::test]
async fn without_another_code_nothing_changes() {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    // Another face value, another product, one too close to its end: none of them will do.
    shop.add_codes("25.00", 1).await;
    shop.add_codes("50.00", 1).await;
    let soon = "update shop.gift_codes set expires_at = now() + interval '1 minute' where tenant_id = $1 and status = 'available' and nominal = 50";
    shop.db.execute(soon, &[&shop.tenant]).await.unwrap();
    shop.settings(json!({"code_expiry_margin_days": 1})).await;
    let whole = "select jsonb_agg(to_jsonb(g) order by g.id) from shop.gift_codes g where g.tenant_id = $1";
    for state in ["reserved", "sold"] {
        let (bad, _) = codes_of(&shop, order.order_id, state).await.remove(0);
        let before: Value = shop.db.query_one(whole, &[&shop.tenant]).await.unwrap().get(0);
        shop.adds_nothing(replace(&shop, bad, "Refused."))
            .await
            .refused(409, "out_of_stock");
        let after: Value = shop.db.query_one(whole, &[&shop.tenant]).await.unwrap().get(0);
        assert_eq!(after, before);
        if state == "reserved" {
            pay(&shop, &order).await;
            shop.mails(&order.email, 1).await;
            shop.outbox_done().await;
        }
    }
}

#[tokio::test]
async fn a_code_a_refund_took_back_is_not_replaced_and_wrong_requests_write_nothing() {
    let shop = Shop::with_codes(2).await;
    let order = shop.place(&shop.cart()).await;
    pay(&shop, &order).await;
    shop.mails(&order.email, 1).await;
    shop.outbox_done().await;
    let (code, _) = codes_of(&shop, order.order_id, "sold").await.remove(0);
    for (body, field) in [
        (json!({}), "reason"),
        (json!({"reason": " "}), "reason"),
        (json!({"reason": 5}), "reason"),
        (json!({"reason": "x".repeat(501)}), "reason"),
    ] {
        let path = format!("codes/{code}/replace");
        let refused = shop.adds_nothing(shop.admin_post(&shop.staff_token, &path, &body)).await;
        assert!(refused.refused(400, "invalid_request")["fields"][field].is_string());
    }
    let refund = json!({"source": "cardlink", "provider_api": "v1", "bill_id": order.bill_id, "payment_id": "p1", "refund_id": "r1",
                        "refunded_amount": "37.50", "currency": "USD", "refunds": [{"id": "r1", "amount": "37.50"}]});
    let refunded = shop.rpc(&shop.info.tokens["cardlink"], "settle_refund", refund).await.expect(200);
    assert_eq!(refunded["outcome"], "refunded");
    // Also with the reason the refund itself gave.
    for reason in ["Refused.", "refunded"] {
        shop.adds_nothing(replace(&shop, code, reason))
            .await
            .refused(409, "code_already_revoked");
    }
    assert_eq!(counted(&shop, "available").await, 1);
}

#[tokio::test]
async fn many_replacements_of_one_code_at_once_are_one() {
    let shop = Shop::with_codes(12).await;
    let order = shop.place(&shop.cart()).await;
    pay(&shop, &order).await;
    shop.mails(&order.email, 1).await;
    let (bad, _) = codes_of(&shop, order.order_id, "sold").await.remove(0);
    let replies = join_all((0..10).map(|_| replace(&shop, bad, "Refused."))).await;
    let answers: Vec<Value> = replies.iter().map(|reply| reply.expect(200)).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!((counted(&shop, "available").await, counted(&shop, "revoked").await), (10, 1));
    shop.mails(&order.email, 2).await;
    shop.outbox_done().await;
    assert_eq!(shop.mailbox(&order.email).await.len(), 2);

    let next = id(&answers[0]["replacement"]["id"]);
    let reasons: Vec<String> = (0..10).map(|n| format!("Reason {n}.")).collect();
    let replies = join_all(reasons.iter().map(|reason| replace(&shop, next, reason))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.refused(409, "code_already_revoked");
    }
    assert_eq!((counted(&shop, "available").await, counted(&shop, "revoked").await), (9, 2));
    assert_eq!(
        shop.count("select count(*) from ops.audit_log where tenant_id = $1 and action = 'code.replace'")
            .await,
        2
    );
    assert_whole(&shop).await;
}

/// A replacement meets the payment, the end of the bill and the refund of the same order, in whatever order they get the lock.
#[tokio::test]
async fn a_replacement_keeps_the_locks_order_with_settle_expiry_and_refund() {
    let shop = Shop::with_codes(60).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    for round in 0..12 {
        let order = shop.place(&shop.cart()).await;
        let (code, _) = codes_of(&shop, order.order_id, "reserved").await.remove(0);
        let refund = json!({"source": "cardlink", "provider_api": "v1", "bill_id": order.bill_id, "payment_id": "p", "refund_id": "r",
                            "refunded_amount": "37.50", "currency": "USD", "refunds": [{"id": "r", "amount": "37.50"}]});
        let refunding = async {
            if round % 3 != 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(round * 3)).await;
            shop.rpc(&shop.info.tokens["cardlink"], "settle_refund", refund).await.expect(200);
        };
        let expiring = async {
            if round % 4 == 1 {
                shop.notice(&order.bill_id, "EXPIRED", "37.50", "USD").await.expect(200);
            }
        };
        let replacing = async {
            let mut replies = vec![replace(&shop, code, "Refused.").await];
            replies.push(replace(&shop, code, "Refused.").await);
            replies
        };
        let (paid, replies, (), ()) = tokio::join!(shop.notice(&order.bill_id, "PAID", "37.50", "USD"), replacing, refunding, expiring);
        paid.expect(200);
        for reply in &replies {
            assert!([200, 409].contains(&reply.status), "{}", reply.text);
        }
        let (_, fulfilment, _) = shop.state(order.order_id).await;
        let sold = codes_of(&shop, order.order_id, "sold").await;
        assert_eq!(sold.len(), usize::from(fulfilment == "delivered"), "round {round}: {fulfilment}");
        assert!(
            sold.iter().all(|(id, _)| *id != code),
            "round {round}: the bad code is not anybody's"
        );
        let status: String = shop
            .db
            .query_one("select status from shop.gift_codes where id = $1", &[&code])
            .await
            .unwrap()
            .get(0);
        assert_eq!(status, "revoked", "round {round}");
    }
    assert_eq!(counted(&shop, "reserved").await, 0);
    assert_whole(&shop).await;
}
