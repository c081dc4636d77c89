//! Two things at the same instant, step by step: each schedule is forced by transactions that are held open.

use lonieve_tests::interleaving::ground::{CARDLINK, JOBS, ORDERS, Who};
use lonieve_tests::interleaving::till::{Placed, Till, codes};
use serde_json::json;

/// An order whose money came when no code was left, and which waits.
async fn waiting() -> (Till, Placed) {
    let till = Till::with_codes(1).await;
    let placed = till.place().await;
    till.one
        .outcome(CARDLINK, "settle_payment", till.notice(&placed, "expired"), "expired")
        .await;
    let other = till.place().await;
    till.pay(&other, "fulfilled").await;
    till.pay(&placed, "manual_review").await;
    assert_eq!(till.state(&placed).await, "manual_review waiting no_codes_available");
    (till, placed)
}

#[tokio::test]
async fn an_import_and_a_settle_that_miss_each_other_are_brought_together_by_fulfil_waiting() {
    let (till, _) = waiting().await;
    let placed = {
        // A second order that is not paid yet, and for which nothing is left.
        let import = till.world.import(&codes(1), "one");
        till.one
            .outcome(Who::Person(till.world.manager), "import_codes", import, "ok")
            .await;
        let placed = till.place().await;
        till.one
            .outcome(CARDLINK, "settle_payment", till.notice(&placed, "expired"), "expired")
            .await;
        let (_, kind, p) = till.fulfil();
        assert_eq!(
            till.one.call(JOBS, kind, &p).await.unwrap()["fulfilled"],
            1,
            "the first order had waited for it"
        );
        placed
    };
    // Neither sees the other: the codes are not there for the settle, the order does not wait yet for the job that follows the import.
    let staff = Who::Person(till.world.manager);
    till.one.begin(CARDLINK).await.unwrap();
    let settled = till.one.say("settle_payment", &till.notice(&placed, "paid")).await.unwrap();
    till.two.begin(staff).await.unwrap();
    let imported = till.two.say("import_codes", &till.world.import(&codes(1), "two")).await.unwrap();
    assert_eq!((&settled["outcome"], &imported["imported"]), (&json!("manual_review"), &json!(1)));
    till.two.commit().await.unwrap();
    let (_, kind, p) = till.fulfil();
    let missed = till.two.call(JOBS, kind, &p).await.unwrap();
    assert_eq!(
        (&missed["fulfilled"], &missed["waiting"]),
        (&json!(0), &json!(0)),
        "the settle is not committed: nobody waits"
    );
    till.one.commit().await.unwrap();
    assert_eq!(
        (till.state(&placed).await.as_str(), till.shelf().await.as_str()),
        ("manual_review waiting no_codes_available", "available sold sold")
    );

    let met = till.two.call(JOBS, kind, &p).await.unwrap();
    assert_eq!((&met["fulfilled"], &met["waiting"]), (&json!(1), &json!(0)));
    assert_eq!(
        (till.state(&placed).await.as_str(), till.shelf().await.as_str()),
        ("paid delivered", "sold sold sold")
    );
    assert_eq!(till.two.call(JOBS, kind, &p).await.unwrap()["fulfilled"], 0);
    till.close().await;
}

#[tokio::test]
async fn a_payment_while_its_order_expires_takes_the_code_that_has_just_been_released() {
    let till = Till::with_codes(1).await;
    let placed = till.place().await;
    till.world.advance(4300);
    let expire = (JOBS, "expire_orders", json!({"order_ids": [placed.order], "now": till.world.now()}));
    let (expired, paid) = till.meet(expire, (CARDLINK, "settle_payment", till.notice(&placed, "paid"))).await;
    assert_eq!((&expired["expired"], &paid["outcome"]), (&json!(1), &json!("fulfilled")));
    assert_eq!(
        (till.state(&placed).await.as_str(), till.shelf().await.as_str()),
        ("paid delivered", "sold")
    );
    till.close().await;
}

#[tokio::test]
async fn an_expiry_while_its_order_is_paid_passes_it_by() {
    let till = Till::with_codes(1).await;
    let placed = till.place().await;
    till.world.advance(4300);
    let expire = json!({"order_ids": [placed.order], "now": till.world.now()});
    let paid = (CARDLINK, "settle_payment", till.notice(&placed, "paid"));
    let (paid, expired) = till.pass(paid, (JOBS, "expire_orders", expire.clone())).await;
    assert_eq!((&paid["outcome"], &expired["skipped"]), (&json!("fulfilled"), &json!(1)));
    let again = till.two.call(JOBS, "expire_orders", &expire).await.unwrap();
    assert_eq!((&again["expired"], &again["skipped"]), (&json!(0), &json!(1)));
    assert_eq!(
        (till.state(&placed).await.as_str(), till.shelf().await.as_str()),
        ("paid delivered", "sold")
    );
    till.close().await;
}

#[tokio::test]
async fn the_end_of_a_look_at_a_bill_passes_by_an_order_that_is_expiring() {
    // It would wait with other payments in its hands, which the same run of expire_orders may want next: a deadlock.
    let till = Till::with_codes(1).await;
    let placed = till.place().await;
    till.world.advance(4300);
    let expire = (JOBS, "expire_orders", json!({"order_ids": [placed.order], "now": till.world.now()}));
    let looks = json!({"answered": [placed.bill], "now": till.world.now()});
    let (expired, busy) = till.pass(expire, (JOBS, "finish_looks", looks.clone())).await;
    assert_eq!((&expired["expired"], &busy["bills"]), (&json!(1), &json!(0)));
    let set = till.two.call(JOBS, "finish_looks", &looks).await.unwrap();
    assert_eq!(set["bills"], 1, "nobody has it any more");
    till.close().await;
}

#[tokio::test]
async fn a_notice_that_is_being_parked_is_settled_by_the_bill_that_is_being_attached() {
    let till = Till::with_codes(1).await;
    let placed = till.unattached().await;
    let notice = (CARDLINK, "settle_payment", till.notice(&placed, "paid"));
    let (parked, attached) = till.meet(notice, (ORDERS, "attach_bill", till.attach(&placed))).await;
    assert_eq!(
        (&parked["outcome"], &attached["outcome"]),
        (&json!("payment_not_found"), &json!("attached"))
    );
    assert_eq!(
        (till.state(&placed).await.as_str(), till.shelf().await.as_str()),
        ("paid delivered", "sold")
    );
    let logged = "select string_agg(outcome, ' ') from ops.webhook_logs where order_id = $1";
    assert_eq!(till.ground.text(logged, placed.id).await, "fulfilled");
    till.close().await;
}

#[tokio::test]
async fn a_notice_while_its_bill_is_being_attached_waits_and_finds_it() {
    let till = Till::with_codes(1).await;
    let placed = till.unattached().await;
    let attach = (ORDERS, "attach_bill", till.attach(&placed));
    let (attached, paid) = till.meet(attach, (CARDLINK, "settle_payment", till.notice(&placed, "paid"))).await;
    assert_eq!((&attached["outcome"], &paid["outcome"]), (&json!("attached"), &json!("fulfilled")));
    assert_eq!(till.state(&placed).await, "paid delivered");
    till.close().await;
}

#[tokio::test]
async fn two_refund_notices_at_once_book_each_refund_once() {
    let till = Till::with_codes(1).await;
    let placed = till.place().await;
    till.pay(&placed, "fulfilled").await;
    let first = (CARDLINK, "settle_refund", till.refund(&placed, &[1000], "USD"));
    let (first, both) = till
        .meet(first, (CARDLINK, "settle_refund", till.refund(&placed, &[1000, 2750], "USD")))
        .await;
    assert_eq!(
        (&first["outcome"], &both["outcome"]),
        (&json!("partially_refunded"), &json!("refunded"))
    );
    assert_eq!(till.refunds(&placed).await, "refund 10.00, refund 27.50");
    assert_eq!(
        (till.state(&placed).await.as_str(), till.shelf().await.as_str()),
        ("refunded revoked", "revoked")
    );
    let same = (CARDLINK, "settle_refund", till.refund(&placed, &[1000, 2750], "USD"));
    let (one, two) = till.meet(same.clone(), same).await;
    assert_eq!(
        (&one["outcome"], &two["outcome"]),
        (&json!("already_processed"), &json!("already_processed"))
    );
    assert_eq!(till.refunds(&placed).await, "refund 10.00, refund 27.50");
    till.close().await;
}

#[tokio::test]
async fn an_order_that_is_being_delivered_is_refunded_after_it_and_keeps_no_code() {
    let (till, placed) = waiting().await;
    let import = till.world.import(&codes(1), "one");
    till.one
        .outcome(Who::Person(till.world.manager), "import_codes", import, "ok")
        .await;
    let (fulfilled, refunded) = till
        .meet(till.fulfil(), (CARDLINK, "settle_refund", till.refund(&placed, &[3750], "USD")))
        .await;
    assert_eq!((&fulfilled["fulfilled"], &refunded["outcome"]), (&json!(1), &json!("refunded")));
    assert_eq!(
        (till.state(&placed).await.as_str(), till.shelf().await.as_str()),
        ("refunded revoked", "revoked sold")
    );
    till.close().await;
}

#[tokio::test]
async fn an_order_that_is_being_refunded_is_not_delivered() {
    let (till, placed) = waiting().await;
    let import = till.world.import(&codes(1), "one");
    till.one
        .outcome(Who::Person(till.world.manager), "import_codes", import, "ok")
        .await;
    let refund = (CARDLINK, "settle_refund", till.refund(&placed, &[3750], "USD"));
    let (refunded, passed) = till.pass(refund, till.fulfil()).await;
    assert_eq!((&refunded["outcome"], &passed["fulfilled"]), (&json!("refunded"), &json!(0)));
    let (_, kind, p) = till.fulfil();
    assert_eq!(till.two.call(JOBS, kind, &p).await.unwrap(), json!({"fulfilled": 0, "waiting": 0}));
    assert_eq!(
        (till.state(&placed).await.as_str(), till.shelf().await.as_str()),
        ("refunded none", "available sold")
    );
    till.close().await;
}

#[tokio::test]
async fn a_chargeback_and_a_payment_at_once_leave_no_code_whichever_comes_first() {
    for is_paid_first in [true, false] {
        let till = Till::with_codes(1).await;
        let placed = till.place().await;
        let paid = (CARDLINK, "settle_payment", till.notice(&placed, "paid"));
        let charged = (CARDLINK, "settle_chargeback", till.chargeback(&placed, true));
        let (outcomes, left) = if is_paid_first {
            let (paid, charged) = till.meet(paid, charged).await;
            ([paid, charged], ("chargeback revoked", "revoked"))
        } else {
            let (charged, paid) = till.meet(charged, paid).await;
            ([paid, charged], ("chargeback none", "available"))
        };
        let expected = if is_paid_first { "fulfilled" } else { "already_processed" };
        assert_eq!(
            (&outcomes[0]["outcome"], &outcomes[1]["outcome"]),
            (&json!(expected), &json!("chargeback"))
        );
        assert_eq!((till.state(&placed).await.as_str(), till.shelf().await.as_str()), left);
        assert_eq!(till.refunds(&placed).await, "chargeback 37.50");
        let fees = "select coalesce(string_agg(fee_amount::text, ' '), '') from shop.transaction_fees where order_id = $1";
        assert_eq!(till.ground.text(fees, placed.id).await, "1.39");
        till.close().await;
    }
}

#[tokio::test]
async fn an_order_while_the_last_code_is_being_released_is_refused_or_gets_it() {
    let till = Till::with_codes(1).await;
    let placed = till.place().await;
    till.world.advance(4300);
    let expire = (JOBS, "expire_orders", json!({"order_ids": [placed.order], "now": till.world.now()}));
    // Not committed: the code is not on the shelf. The order is refused and writes nothing.
    let (expired, refused) = till.pass(expire, (ORDERS, "create_order", till.cart())).await;
    assert_eq!((&expired["expired"], &refused["outcome"]), (&json!(1), &json!("out_of_stock")));
    let orders = "select count(*) from shop.orders where tenant_id = $1";
    assert_eq!(till.ground.count(orders, till.world.tenant).await, 1);
    // A moment later it is there; the next order has it, and of two at once one.
    let first = (ORDERS, "create_order", till.cart());
    let (first, second) = till.pass(first, (ORDERS, "create_order", till.cart())).await;
    assert_eq!((&first["outcome"], &second["outcome"]), (&json!("created"), &json!("out_of_stock")));
    assert_eq!(
        (till.ground.count(orders, till.world.tenant).await, till.shelf().await.as_str()),
        (2, "reserved")
    );
    till.close().await;
}

#[tokio::test]
async fn news_of_a_mail_waits_for_the_order_with_nothing_in_its_hands() {
    // Its row's foreign key would hold the mail, which a finish that has the order wants next: a deadlock.
    let till = Till::with_codes(1).await;
    let placed = till.place().await;
    till.pay(&placed, "fulfilled").await;
    let claim = json!({"now": till.world.now(), "limit": 20, "lease_s": 60});
    let claimed = till.one.call(JOBS, "claim_outbox", &claim).await.unwrap();
    let mail = claimed["rows"][0]["id"].as_str().unwrap().to_owned();
    let news = json!({
        "provider": "resend", "event_id": "e1", "fingerprint": "f1", "type": "delivered", "outbox_id": mail, "now": till.world.now(),
    });

    till.ground.admin.batch_execute("begin").await.unwrap();
    let order = [&placed.id as &(dyn tokio_postgres::types::ToSql + Sync)];
    let lock = "select from shop.orders where id = $1 for update";
    till.ground.admin.query_one(lock, &order).await.unwrap();
    let finish = async {
        till.ground.until_blocked(till.two.backend).await;
        let mails = "select from ops.outbox where aggregate_id = $1 and kind = 'mail.codes' for update";
        let locked = till.ground.admin.query_one(mails, &order).await;
        till.ground.admin.batch_execute("commit").await.unwrap();
        locked
    };
    let (noted, locked) = tokio::join!(till.two.call(JOBS, "record_mail_event", &news), finish);
    locked.unwrap();
    assert_eq!(noted.unwrap()["outcome"], "recorded");
    till.close().await;
}
