//! What goes out when: the order of an order's mails, the waits between attempts, what is rendered anew.

use lonieve_tests::Shop;
use serde_json::{Value, json};

use crate::{TURN, address, alerts, calls, email_status, last_mail, mail_again, settle, sold};

#[tokio::test]
async fn an_orders_mails_leave_in_the_order_they_were_written_and_a_dead_one_frees_the_next() {
    let _turn = TURN.lock().await;
    for (fault, attempts) in [(json!({"status": 503, "times": 1}), 2), (json!({"status": 422}), 1)] {
        let shop = Shop::with_codes(1).await;
        let (buyer, friend) = (address("buyer"), address("friend"));
        let mut cart = shop.cart();
        (cart["email"], cart["deliveryType"], cart["recipientEmail"]) = (json!(buyer), json!("gift"), json!(friend));
        let order = shop.place(&cart).await;
        let dies = fault["status"] == 422;
        let mut rule = json!({"route": "mail.send", "match": friend});
        rule.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        shop.under_faults(&shop.info.sandbox, json!([rule]), async {
            settle(&shop, &order).await;
            shop.job("outbox", None).await.expect(200);
            assert_eq!(calls(&shop, "mail.send", &friend).await.len(), 1);
            if !dies {
                // The gift waits for its next attempt, and the receipt waits for the gift.
                shop.repeat_job("outbox", &shop.time("1 second").await, 2).await;
                assert_eq!(calls(&shop, "mail.send", &buyer).await.len(), 0);
            }
            shop.repeat_job("outbox", &shop.time("10 minutes").await, 3).await;
        })
        .await;
        let (gift, receipt) = (calls(&shop, "mail.send", &friend).await, calls(&shop, "mail.send", &buyer).await);
        assert_eq!((gift.len(), receipt.len()), (attempts, 1), "{fault}");
        assert!(gift.last().unwrap()["seq"].as_u64() < receipt[0]["seq"].as_u64());
        let (sent, received) = (usize::from(!dies), shop.mailbox(&friend).await.len());
        assert_eq!(
            (received, shop.mailbox(&buyer).await.len(), alerts(&shop).await),
            (sent, 1, i64::from(dies))
        );
        // The order's status is that of the codes, whatever became of the receipt.
        assert_eq!(email_status(&shop, order.order_id).await.0, if dies { "failed" } else { "sent" });
    }
}

/// 5 s, four times as long each time, an hour at most; a quarter more or less.
#[tokio::test]
async fn waits_grow_by_four_up_to_an_hour_with_jitter_and_never_end_before_the_provider_asked() {
    let shop = Shop::new().await;
    let sql = "select min(s), max(s), count(distinct s) from (select extract(epoch from ops.retry_delay($1, $2::text::numeric))::double precision as s \
               from generate_series(1, 400)) x";
    for (attempts, seconds) in [
        (1, 5.0),
        (2, 20.0),
        (3, 80.0),
        (4, 320.0),
        (5, 1280.0),
        (6, 3600.0),
        (7, 3600.0),
        (40, 3600.0),
    ] {
        let row = shop.db.query_one(sql, &[&attempts, &None::<&str>]).await.unwrap();
        let (min, max, different): (f64, f64, i64) = (row.get(0), row.get(1), row.get(2));
        assert!(min >= seconds * 0.75 && max <= seconds * 1.25, "attempt {attempts}: {min} to {max}");
        assert!(
            max - min > seconds * 0.3 && different > 300,
            "attempt {attempts} has jitter: {min} to {max}"
        );
    }
    for (asked, expected) in [("900", 900.0), ("86400", 86400.0), ("9000000", 86400.0)] {
        let row = shop.db.query_one(sql, &[&1, &Some(asked)]).await.unwrap();
        assert_eq!(
            (row.get::<_, f64>(0), row.get::<_, f64>(1)),
            (expected, expected),
            "asked for {asked} s"
        );
    }
    let row = shop.db.query_one(sql, &[&6, &Some("3")]).await.unwrap();
    assert!(row.get::<_, f64>(0) >= 2700.0, "a short wish does not shorten our own wait");
}

#[tokio::test]
async fn a_replaced_code_closes_the_mail_that_was_tried_and_goes_out_under_a_new_key() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(2).await;
    let email = address("replaced");
    let order = sold(&shop, &email).await;
    let first = shop.mailbox(&email).await[0]["text"].as_str().unwrap().to_owned();
    mail_again(&shop, &order).await;
    let tried = last_mail(&shop, order.order_id).await["id"].as_str().unwrap().to_owned();
    let rules = json!([{"route": "mail.send", "match": email, "status": 503, "times": 1}]);
    shop.under_faults(&shop.info.sandbox, rules, shop.job("outbox", None))
        .await
        .expect(200);
    let hash = |row: &Value| row["payload_hash"].as_str().unwrap().to_owned();
    let before = last_mail(&shop, order.order_id).await;
    // As a replacement leaves it: the bad code is revoked, a free one is sold to the same item.
    let swap = "with bad as (update shop.gift_codes set status = 'revoked' where tenant_id = $1 and status = 'sold' returning order_item_id) \
                update shop.gift_codes g set status = 'sold', sold_at = now(), order_item_id = bad.order_item_id from bad \
                where g.tenant_id = $1 and g.status = 'available'";
    assert_eq!(shop.db.execute(swap, &[&shop.tenant]).await.unwrap(), 1);
    shop.repeat_job("outbox", &shop.time("10 minutes").await, 2).await;

    let after = last_mail(&shop, order.order_id).await;
    assert_ne!(hash(&after), hash(&before));
    assert_eq!(after["replaces"], json!(tried));
    assert_eq!(
        (&after["status"], &after["attempts"], &after["seq"]),
        (&json!("done"), &json!(1), &before["seq"])
    );
    let statuses: Vec<String> = shop
        .outbox()
        .await
        .into_iter()
        .filter(|(kind, _)| kind == "mail.codes")
        .map(|(_, s)| s)
        .collect();
    assert_eq!(statuses, ["done", "replaced", "done"]);
    // Under each key one body, and only the new code in the new one.
    let mails = shop.mailbox(&email).await;
    assert_eq!(mails.len(), 2);
    let code = |text: &str| text.split("Code: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let (old, new) = (code(&first), code(mails[1]["text"].as_str().unwrap()));
    assert!(old != new && !mails[1].to_string().contains(&old));
    assert_eq!(mails[1]["idempotency_key"], after["id"]);
    assert_ne!(mails[1]["idempotency_key"], json!(tried));
}

#[tokio::test]
async fn a_mail_about_replaced_codes_says_so() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let email = address("renewed");
    let order = sold(&shop, &email).await;
    let sql = "select ops.enqueue($1, 'mail.codes', $2, jsonb_build_object('order_id', $2::uuid, 'reason', 'code_replaced'), now())";
    shop.db.query_one(sql, &[&shop.tenant, &order.order_id]).await.unwrap();
    shop.outbox_done().await;
    let mails = shop.mailbox(&email).await;
    assert_eq!((mails.len(), &mails[1]["subject"]), (2, &json!("Your replacement codes")));
}
