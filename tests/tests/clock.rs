//! What happens later: retries, expiry, the last look at a bill. Jobs work for every shop at once, so a test that moves their clock
//! moves it for the others too: these tests take turns.

use lonieve_tests::{Reply, Shop};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_mail_the_provider_refuses_for_a_while_arrives_once_under_one_key() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    // Two answers 503, then one that is lost after the mail was taken.
    let rule = |fault: Value| {
        let mut rule = json!({"route": "mail.send", "match": order.email, "times": 1});
        rule.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        rule
    };
    let rules = json!([
        rule(json!({"status": 503})),
        rule(json!({"status": 503})),
        rule(json!({"drop_after": true}))
    ]);
    shop.under_faults(&shop.info.sandbox, rules, async {
        shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
        // Each attempt waits for its time; the clock is moved on instead.
        for minutes in [0, 10, 30, 90, 240] {
            let clock = shop.time(&format!("{minutes} minutes")).await;
            shop.repeat_job("outbox", &clock, 2).await;
        }
    })
    .await;
    let calls = Reply::of(shop.http.get(format!("{}/calls?route=mail.send", shop.info.sandbox)))
        .await
        .expect(200);
    let mine: Vec<&Value> = calls
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| call["body"].as_str().is_some_and(|b| b.contains(&order.email)))
        .collect();
    assert_eq!(mine.len(), 4, "two refused, one unanswered, one repeat");
    assert!(
        mine.iter().all(|call| call["body"] == mine[0]["body"]),
        "every attempt has the same bytes"
    );
    let key = |call: &Value| call["headers"]["idempotency-key"].as_str().unwrap().to_owned();
    assert!(mine.iter().all(|call| key(call) == key(mine[0])), "and the same key");
    assert_eq!(shop.mailbox(&order.email).await.len(), 1, "one mail");
    let sql = "select email_status, email_retry_count from shop.orders where id = $1";
    let row = shop.db.query_one(sql, &[&order.order_id]).await.unwrap();
    assert_eq!((row.get::<_, String>(0), row.get::<_, i32>(1)), ("sent".into(), 3));
}

#[tokio::test]
async fn a_mail_that_can_never_be_sent_raises_an_alert() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    let rules = json!([{"route": "mail.send", "match": order.email, "status": 422, "body": {"name": "invalid_parameter"}}]);
    shop.under_faults(&shop.info.sandbox, rules, async {
        shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
        // The settle's own kick may be at it: wait until one of them has finished.
        for _ in 0..50 {
            shop.job("outbox", None).await.expect(200);
            if shop.outbox().await.iter().any(|(_, status)| status == "dead") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    assert_eq!(shop.mailbox(&order.email).await.len(), 0);
    let status: String = shop
        .db
        .query_one("select email_status from shop.orders where id = $1", &[&order.order_id])
        .await
        .unwrap()
        .get(0);
    assert_eq!(status, "failed");
    let alerts = "select count(*) from ops.system_notifications where tenant_id = $1 and type = 'failed_email' and severity = 'critical'";
    assert_eq!(shop.count(alerts).await, 1);
    // The code is not lost: the buyer still sees it.
    assert_eq!(
        shop.order(order.order_id, &order.token).await.expect(200)["codes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_corrected_address_is_a_new_mail_under_a_new_key() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    let rules = json!([{"route": "mail.send", "match": order.email, "status": 503}]);
    let corrected = format!("corrected-{}@example.com", Uuid::new_v4().simple());
    shop.under_faults(&shop.info.sandbox, rules, async {
        shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
        shop.repeat_job("outbox", &shop.time("1 second").await, 2).await;
        shop.db
            .execute("update shop.orders set email = $2 where id = $1", &[&order.order_id, &corrected])
            .await
            .unwrap();
        for minutes in [60, 120] {
            let clock = shop.time(&format!("{minutes} minutes")).await;
            // Those of other tests are due at this time as well.
            shop.repeat_job("outbox", &clock, 8).await;
        }
    })
    .await;
    assert_eq!(shop.mailbox(&corrected).await.len(), 1);
    assert_eq!(shop.mailbox(&order.email).await.len(), 0);
    let statuses: Vec<(String, String)> = shop.outbox().await.into_iter().filter(|(kind, _)| kind == "mail.codes").collect();
    assert_eq!(
        statuses,
        [("mail.codes".into(), "replaced".into()), ("mail.codes".into(), "done".into())]
    );
}

#[tokio::test]
async fn a_paid_bill_whose_notice_was_lost_is_found_before_the_order_expires() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    let lost = json!([{"route": "cardlink.webhook", "match": order.bill_id, "drop": true}]);
    shop.under_faults(&shop.info.sandbox, lost, async {
        let pay = format!("{}/pay/{}/pay", shop.info.sandbox, order.bill_id);
        Reply::of(shop.http.post(pay).header("accept", "application/json"))
            .await
            .expect(200);
        assert_eq!(shop.state(order.order_id).await.0, "pending");

        // Before the grace is over nothing happens; after it the provider is asked, and the sale is made.
        shop.repeat_job("expire_orders", &shop.time("61 minutes").await, 3).await;
        assert_eq!(shop.state(order.order_id).await.0, "pending");
        shop.repeat_job("expire_orders", &shop.time("71 minutes").await, 3).await;
    })
    .await;
    let (status, fulfilment, _) = shop.state(order.order_id).await;
    assert_eq!((status.as_str(), fulfilment.as_str()), ("paid", "delivered"));
    shop.repeat_job("outbox", &shop.time("72 minutes").await, 3).await;
    assert_eq!(shop.mailbox(&order.email).await.len(), 1);
}

#[tokio::test]
async fn an_order_keeps_its_codes_while_the_provider_cannot_be_asked() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    let later = shop.time("2 hours").await;
    let rules = json!([{"route": "cardlink.status", "status": 500}]);
    let report = shop
        .under_faults(&shop.info.sandbox, rules, shop.job("expire_orders", Some(&later)))
        .await
        .expect(200);
    assert!(report["not_polled"].as_u64().unwrap() >= 1, "{report}");
    assert_eq!(shop.state(order.order_id).await.1, "reserved");
    // Not asked again at once, but a minute later.
    shop.repeat_job("expire_orders", &later, 2).await;
    assert_eq!(shop.state(order.order_id).await.1, "reserved");
    shop.repeat_job("expire_orders", &shop.time("122 minutes").await, 3).await;
    assert_eq!(shop.state(order.order_id).await, ("expired".into(), "none".into(), None));
    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'")
            .await,
        1
    );
}

#[tokio::test]
async fn bills_the_provider_does_not_answer_for_do_not_keep_the_others_from_ending() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(30).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    for _ in 0..25 {
        shop.place(&shop.cart()).await;
    }
    let free = "select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'";
    assert_eq!(shop.count(free).await, 5);
    // The first 12 looks, of at most 10 a run, get no usable answer.
    let rules = json!([{"route": "cardlink.status", "status": 400, "times": 12}]);
    shop.under_faults(&shop.info.sandbox, rules, async {
        let later = shop.time("2 hours").await;
        shop.repeat_job("expire_orders", &later, 6).await;
        assert!(shop.count(free).await >= 18, "the answered ones have ended");
        shop.repeat_job("expire_orders", &shop.time("125 minutes").await, 6).await;
    })
    .await;
    assert_eq!(shop.count(free).await, 30);
}

#[tokio::test]
async fn a_gift_that_did_not_reach_its_recipient_stays_an_open_alert_when_the_receipt_does() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(1).await;
    let mut cart = shop.cart();
    let recipient = format!("friend-{}@example.com", Uuid::new_v4().simple());
    cart["deliveryType"] = json!("gift");
    cart["recipientEmail"] = json!(recipient);
    let order = shop.place(&cart).await;
    let rules = json!([{"route": "mail.send", "match": recipient, "status": 422, "body": {"name": "invalid_parameter"}}]);
    shop.under_faults(&shop.info.sandbox, rules, async {
        shop.notice(&order.bill_id, "PAID", "37.50", "USD").await.expect(200);
        shop.mails(&order.email, 1).await;
    })
    .await;
    let open = "select count(*) from ops.system_notifications where tenant_id = $1 and type = 'failed_email' and not is_resolved";
    assert_eq!(shop.count(open).await, 1);
    assert_eq!(shop.mailbox(&recipient).await.len(), 0);
}
