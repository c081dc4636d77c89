//! Paid, paid too much, too little, not at all, and late.

use lonieve_tests::{Reply, Shop};
use serde_json::{Value, json};

use crate::support::{
    alerts, alone, among_others, faults, ledger_is_sound, no_faults, outcome, outcomes, payment_notice, press, said, sold, state, text,
};

#[tokio::test]
async fn a_paid_bill_is_confirmed_with_the_provider_and_gives_its_code() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    let paid = press(&shop, &order, "pay").await;
    assert_eq!(outcome(&paid), "fulfilled");
    assert_ne!(paid["return_form"]["OutSum"], "37.50", "the payer bears the commission");
    assert_eq!(state(&shop, &order).await, "paid delivered");
    let view = shop.order(order.order_id, &order.token).await.expect(200);
    assert_eq!(view["codes"].as_array().unwrap().len(), 1);
    assert_eq!(shop.mails(&order.email, 1).await.len(), 1);

    let received = "select received_amount || ' ' || received_currency || ' ' || status from shop.payments where order_id = $1";
    assert_eq!(text(&shop, &order, received).await.as_deref(), Some("37.50 USD paid"));
    let log = shop
        .db
        .query_one(
            "select provider_api, signature_form, raw_status, outcome, request_body from ops.webhook_logs where order_id = $1",
            &[&order.order_id],
        )
        .await
        .unwrap();
    assert_eq!(
        (log.get(0), log.get(1), log.get(2), log.get(3)),
        ("v1", "md5", "SUCCESS", "fulfilled")
    );
    let body: Value = log.get(4);
    assert_eq!(
        (&body["confirmed"]["amount"], &body["notice"]["InvId"]),
        (&json!("37.50"), &json!(order.order_id))
    );
    for secret in ["SignatureValue", "AccountNumber", "PayerEmail"] {
        assert!(body["notice"][secret].is_null(), "{secret} is logged");
    }
}

#[tokio::test]
async fn the_provider_is_told_what_it_needs_and_the_shopper_comes_back_to_the_shop() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    assert!(order.payment_url.ends_with(&order.bill_id));
    let calls = Reply::of(shop.http.get(format!("{}/calls?route=cardlink.create", shop.info.sandbox)))
        .await
        .expect(200);
    let id = order.order_id.to_string();
    let form = calls
        .as_array()
        .unwrap()
        .iter()
        .find_map(|call| call["body"].as_str().filter(|body| body.contains(&id)))
        .unwrap();
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    for (name, value) in [
        ("amount", "37.50"),
        ("shop_id", "demo-shop"),
        ("order_id", &id),
        ("type", "normal"),
        ("currency_in", "USD"),
        ("name", "Nimbus Card"),
        ("payer_pays_commission", "1"),
        ("ttl", "3600"),
        ("locale", "en"),
        ("payer_email", &order.email),
        ("success_url", &format!("{}/pay/return/success?orderId={id}", shop.info.gateway)),
    ] {
        assert_eq!(field(name), Some(value), "{name}");
    }
    assert!(form.is_ascii() && !form.contains("custom="));

    // v1 sends the browser back with a POST; it leads to the page and proves nothing.
    let failed = press(&shop, &order, "fail").await;
    let url = failed["return_url"].as_str().unwrap();
    let back = Reply::of(shop.http.post(url).form(&failed["return_form"])).await;
    assert_eq!(
        (back.status, back.header("location")),
        (303, Some(format!("/pending?orderId={id}&result=fail").as_str()))
    );
}

#[tokio::test]
async fn the_commission_the_payer_bears_does_not_make_a_mismatch() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    shop.db
        .execute(
            "update shop.products set base_price = 64, discount_percentage = 50 where id = $1",
            &[&shop.product],
        )
        .await
        .unwrap();
    let order = shop.place(&shop.cart()).await;
    assert_eq!(order.amount, "16.00");
    let paid = press(&shop, &order, "pay?commission=2.54").await;
    assert_eq!(paid["return_form"]["OutSum"], "18.54");
    assert_eq!(
        (outcome(&paid), state(&shop, &order).await.as_str()),
        ("fulfilled", "paid delivered")
    );
    assert_eq!(alerts(&shop, &order).await, "");
}

#[tokio::test]
async fn another_amount_or_currency_of_the_bill_is_for_a_person() {
    let _stack = among_others().await;
    for (button, reason) in [("pay?amount=1.00", "amount_mismatch"), ("pay?currency=EUR", "currency_mismatch")] {
        let shop = Shop::v1(1).await;
        let order = shop.place(&shop.cart()).await;
        assert_eq!(outcome(&press(&shop, &order, button).await), "manual_review");
        assert_eq!(state(&shop, &order).await, format!("manual_review reserved {reason}"));
        assert_eq!(
            (alerts(&shop, &order).await, sold(&shop).await),
            (format!("{reason} critical 1"), 0)
        );
    }
}

#[tokio::test]
async fn too_much_is_served_and_staff_are_told_the_surplus_once() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    assert_eq!(outcome(&press(&shop, &order, "overpay?amount=42.50").await), "fulfilled");
    assert_eq!(outcome(&press(&shop, &order, "pay").await), "already_processed");
    assert_eq!(
        (state(&shop, &order).await.as_str(), alerts(&shop, &order).await.as_str()),
        ("paid delivered", "overpaid warning 1")
    );
    let surplus = "select data ->> 'surplus' from ops.system_notifications where subject = 'order:' || $1::uuid";
    assert_eq!(text(&shop, &order, surplus).await.as_deref(), Some("5.00"));
}

#[tokio::test]
async fn a_second_payment_of_a_paid_bill_is_a_surplus() {
    let _stack = among_others().await;
    let shop = Shop::v1(2).await;
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "pay").await;
    assert_eq!(outcome(&press(&shop, &order, "overpay?amount=37.50").await), "already_processed");
    assert_eq!((alerts(&shop, &order).await.as_str(), sold(&shop).await), ("overpaid warning 1", 1));
    let received = "select received_amount::text from shop.payments where order_id = $1";
    assert_eq!(text(&shop, &order, received).await.as_deref(), Some("75.00"));
}

#[tokio::test]
async fn too_little_waits_for_a_person_and_the_rest_completes_it() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    assert_eq!(outcome(&press(&shop, &order, "underpay?amount=20").await), "manual_review");
    assert_eq!(state(&shop, &order).await, "manual_review reserved underpaid");
    assert_eq!(
        (alerts(&shop, &order).await.as_str(), sold(&shop).await),
        ("underpaid critical 1", 0)
    );
    let received = "select received_amount::text from shop.payments where order_id = $1";
    assert_eq!(text(&shop, &order, received).await.as_deref(), Some("20.00"));
    assert_eq!(
        said(&payment_notice(&shop, "20.00", &order.order_id.to_string(), &[]).await),
        "already_processed"
    );

    assert_eq!(outcome(&press(&shop, &order, "pay").await), "fulfilled");
    assert_eq!(
        (state(&shop, &order).await.as_str(), alerts(&shop, &order).await.as_str()),
        ("paid delivered", "")
    );
    assert_eq!(
        shop.count("select count(*) from shop.transaction_fees where tenant_id = $1").await,
        1
    );
    let paid = shop.outbox().await.into_iter().filter(|(kind, _)| kind == "order.paid").count();
    assert_eq!(paid, 1, "the money of an order comes in once");
}

#[tokio::test]
async fn a_failed_bill_can_still_be_paid() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    assert_eq!(outcome(&press(&shop, &order, "fail").await), "failed");
    assert_eq!(state(&shop, &order).await, "failed reserved");
    assert_eq!(outcome(&press(&shop, &order, "pay").await), "fulfilled");
    assert_eq!(
        outcome(&press(&shop, &order, "fail").await),
        "already_processed",
        "the bill says SUCCESS whatever the notice says"
    );
    assert_eq!(state(&shop, &order).await, "paid delivered");
}

#[tokio::test]
async fn the_same_notice_twenty_times_at_once_sells_one_code() {
    let _stack = among_others().await;
    let shop = Shop::v1(3).await;
    let order = shop.place(&shop.cart()).await;
    let mut expected = vec!["already_processed".to_owned(); 19];
    expected.push("fulfilled".to_owned());
    assert_eq!(outcomes(&press(&shop, &order, "pay?times=20").await), expected);
    assert_eq!(sold(&shop).await, 1);
    assert_eq!(
        shop.count("select count(*) from shop.transaction_fees where tenant_id = $1").await,
        1
    );
    assert_eq!(shop.count("select count(*) from ops.webhook_logs where tenant_id = $1").await, 20);
}

#[tokio::test]
async fn a_lost_notice_is_made_up_for_by_the_last_look() {
    let _stack = alone().await;
    let shop = Shop::v1(2).await;
    let (lost, unpaid) = (shop.place(&shop.cart()).await, shop.place(&shop.cart()).await);
    faults(&shop.info.sandbox, json!([{"route": "cardlink.webhook", "drop": true}])).await;
    press(&shop, &lost, "pay").await;
    press(&shop, &unpaid, "pending").await;
    assert_eq!(state(&shop, &lost).await, "pending reserved");
    shop.repeat_job("expire_orders", &shop.time("2 hours").await, 5).await;
    assert_eq!(state(&shop, &lost).await, "paid delivered");
    assert_eq!(
        state(&shop, &unpaid).await,
        "expired none",
        "v1 has no word for an expired bill: our clock decides"
    );
    let origin = "select origin || ' ' || provider_api || ' ' || outcome from ops.webhook_logs where order_id = $1";
    assert_eq!(text(&shop, &lost, origin).await.as_deref(), Some("poll v1 fulfilled"));
}

#[tokio::test]
async fn without_the_providers_answer_nothing_expires() {
    let _stack = alone().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    faults(&shop.info.sandbox, json!([{"route": "cardlink.status", "status": 500}])).await;
    shop.repeat_job("expire_orders", &shop.time("2 hours").await, 5).await;
    no_faults().await;
    assert_eq!(state(&shop, &order).await, "pending reserved");
    // It is asked about again a little later.
    shop.repeat_job("expire_orders", &shop.time("125 minutes").await, 5).await;
    assert_eq!(state(&shop, &order).await, "expired none");
    ledger_is_sound(&shop).await;
}

#[tokio::test]
async fn a_notice_that_comes_before_its_bill_is_known_is_followed_up() {
    let _stack = alone().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    // As if the provider had been quicker than our own answer from its create call.
    let bill = "update shop.payments set bill_id = $2 where order_id = $1";
    shop.db.execute(bill, &[&order.order_id, &None::<String>]).await.unwrap();
    faults(&shop.info.sandbox, json!([{"route": "cardlink.webhook", "drop": true}])).await;
    press(&shop, &order, "pay").await;
    let id = order.order_id.to_string();
    let early = async |status| {
        payment_notice(&shop, "38.89", &id, &[("Status", status)])
            .await
            .refused(404, "payment_not_found")
    };
    for status in ["SUCCESS", "FAIL", "SUCCESS"] {
        early(status).await;
    }
    let parked = "select count(*) || ' ' || max(repeats) || ' ' || max(outcome) from ops.webhook_logs where merchant_ref = $1::uuid::text";
    assert_eq!(text(&shop, &order, parked).await.as_deref(), Some("1 2 parked"));
    shop.job("poll_bills", None).await.expect(200);
    assert_eq!(state(&shop, &order).await, "pending reserved", "still without a bill");

    shop.db.execute(bill, &[&order.order_id, &order.bill_id]).await.unwrap();
    let report = shop.job("poll_bills", None).await.expect(200);
    assert_eq!((&report["polled"], &report["poll_failed"]), (&json!(1), &json!(0)));
    assert_eq!(state(&shop, &order).await, "paid delivered");
    assert_eq!(text(&shop, &order, parked).await.as_deref(), Some("1 2 fulfilled"));
}

#[tokio::test]
async fn a_payment_takes_two_trips_to_the_database_and_one_to_the_provider() {
    let _stack = alone().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    faults(&shop.info.sandbox, json!([{"route": "cardlink.webhook", "drop": true}])).await;
    press(&shop, &order, "pay").await;
    Reply::of(shop.http.delete(format!("{}/counts", shop.info.proxy))).await;
    let asked = "/calls?route=cardlink.status";
    let calls = async || {
        Reply::of(shop.http.get(format!("{}{asked}", shop.info.sandbox)))
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len()
    };
    let before = calls().await;
    assert_eq!(
        said(&payment_notice(&shop, "38.89", &order.order_id.to_string(), &[]).await),
        "fulfilled"
    );
    let counts = Reply::of(shop.http.get(format!("{}/counts", shop.info.proxy))).await.expect(200);
    assert_eq!(
        counts["roles"]["edge_cardlink"],
        json!({"total": 2, "rpc": {"find_bill": 1, "settle_payment": 1}})
    );
    assert_eq!(calls().await, before + 1);
}
