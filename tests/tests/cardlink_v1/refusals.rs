//! What the three notice addresses refuse under v1, and what each refusal writes.

use lonieve_tests::{Reply, Shop, md5_signature, stack};
use reqwest::Method;
use serde_json::json;

use crate::support::{FORM, NOTICE, alone, among_others, faults, no_faults, payment_notice, post, press, said, state, text};

const ADDRESSES: [&str; 3] = [NOTICE, "/api/webhooks/cardlink/refund", "/api/webhooks/cardlink/chargeback"];

async fn send(shop: &Shop, method: Method, path: &str, content_type: Option<&str>, body: &str) -> Reply {
    let mut request = shop.request(method, "cardlink", path).body(body.to_owned());
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    Reply::of(request).await
}

/// Rows of the two tables that know no tenant while a notice is not understood.
async fn unowned(shop: &Shop) -> (i64, i64) {
    let logs = shop
        .count("select count(*) from ops.webhook_logs where tenant_id is null and $1::uuid is not null")
        .await;
    let rejected = shop
        .count("select coalesce(sum(count), 0)::bigint from ops.webhook_rejections where $1::uuid is not null")
        .await;
    (logs, rejected)
}

#[tokio::test]
async fn an_empty_test_call_is_answered_and_leaves_no_trace() {
    let _stack = alone().await;
    let shop = Shop::v1(0).await;
    let before = (shop.rows().await, unowned(&shop).await);
    for path in ADDRESSES {
        for content_type in [None, Some(FORM), Some("application/json")] {
            assert_eq!(
                said(&send(&shop, Method::POST, path, content_type, "").await),
                "ping",
                "{path} {content_type:?}"
            );
        }
    }
    assert_eq!((shop.rows().await, unowned(&shop).await), before);
}

#[tokio::test]
async fn what_is_no_notice_is_refused_and_leaves_no_trace() {
    let _stack = alone().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    let before = (shop.rows().await, unowned(&shop).await);
    let id = order.order_id;
    let form = Some(FORM);
    for path in ADDRESSES {
        send(&shop, Method::POST, path, form, &"a".repeat(16 * 1024 + 1))
            .await
            .refused(413, "body_too_large");
        send(&shop, Method::POST, path, Some("application/json"), "{}")
            .await
            .refused(415, "unsupported_media_type");
        send(&shop, Method::POST, path, None, "OutSum=1")
            .await
            .refused(415, "unsupported_media_type");
        let refused = send(&shop, Method::GET, path, None, "").await;
        refused.refused(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), Some("POST"));
        for body in [
            "a=b",
            "=",
            "OutSum=&InvId=&SignatureValue=",
            "BillId=b&PaymentId=&Id=i&Amount=1&Currency=USD",
            "OutSum=1&InvId=%FF&BillId=%FF",
        ] {
            send(&shop, Method::POST, path, form, body).await.refused(400, "invalid_request");
        }
        send(
            &shop,
            Method::POST,
            path,
            form,
            &format!("OutSum=1&InvId={id}&InvId={id}&BillId=b&BillId=c"),
        )
        .await
        .refused(400, "invalid_request");
    }
    send(&shop, Method::POST, "/api/webhooks/cardlink/payout", form, "a=b")
        .await
        .refused(404, "not_found");
    assert_eq!((shop.rows().await, unowned(&shop).await), before);
}

#[tokio::test]
async fn a_wrong_signature_is_counted_and_leaves_no_body() {
    let _stack = alone().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    let (rows, (logs, rejected)) = (shop.rows().await, unowned(&shop).await);
    let id = order.order_id.to_string();
    let other_token = md5_signature(&["37.50", &id], "another-token");
    let as_number = md5_signature(&["37.5", &id], &shop.info.cardlink.token);
    for signature in ["", "0", &other_token, &as_number] {
        post(
            &shop,
            NOTICE,
            &[
                ("OutSum", "37.50"),
                ("InvId", &id),
                ("Status", "SUCCESS"),
                ("SignatureValue", signature),
            ],
        )
        .await
        .refused(401, "invalid_signature");
    }
    post(&shop, NOTICE, &[("OutSum", "37.50"), ("InvId", &id)])
        .await
        .refused(401, "invalid_signature");
    let reversal = [
        ("Amount", "1"),
        ("Currency", "USD"),
        ("BillId", &order.bill_id),
        ("PaymentId", "p"),
        ("Id", "i"),
        ("SignatureValue", "0"),
    ];
    post(&shop, ADDRESSES[1], &reversal).await.refused(401, "invalid_signature");
    post(&shop, ADDRESSES[2], &reversal).await.refused(401, "invalid_signature");
    assert_eq!((shop.rows().await, unowned(&shop).await), (rows, (logs, rejected + 7)));
}

#[tokio::test]
async fn a_notice_of_an_unknown_order_or_bill_is_parked_once() {
    let _stack = among_others().await;
    let shop = Shop::v1(0).await;
    let before = shop.rows().await;
    let (unknown, bill) = (uuid::Uuid::new_v4().to_string(), format!("bill-{}", uuid::Uuid::new_v4().simple()));
    let token = &shop.info.cardlink.token;
    let refund = md5_signature(&["1.00", "USD", &bill, "p", "i"], token);
    let chargeback = md5_signature(&[&bill, "p", "i"], token);
    let common = [("BillId", bill.as_str()), ("PaymentId", "p"), ("Id", "i")];
    for _ in 0..2 {
        payment_notice(&shop, "37.50", &unknown, &[("Status", "SUCCESS"), ("PayerEmail", "a@example.com")])
            .await
            .refused(404, "payment_not_found");
        let fields = [&common[..], &[("Amount", "1.00"), ("Currency", "USD"), ("SignatureValue", &refund)]].concat();
        post(&shop, ADDRESSES[1], &fields).await.refused(404, "payment_not_found");
        post(&shop, ADDRESSES[2], &[&common[..], &[("SignatureValue", &chargeback)]].concat())
            .await
            .refused(404, "payment_not_found");
    }
    // A reference that is no id of ours is unknown, not an error.
    payment_notice(&shop, "37.50", "Заказ 123", &[])
        .await
        .refused(404, "payment_not_found");
    let sql =
        "select event_type, outcome, repeats, request_body::text from ops.webhook_logs where merchant_ref = any($1) order by event_type";
    let rows = shop.db.query(sql, &[&vec![unknown, bill]]).await.unwrap();
    let kept: Vec<(&str, &str, i32)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(
        kept,
        [
            ("chargeback.notice", "parked", 1),
            ("payment.notice", "parked", 1),
            ("refund.notice", "parked", 1)
        ]
    );
    assert!(rows.iter().all(|row| !row.get::<_, String>(3).contains("example.com")));
    assert_eq!(shop.rows().await, before);
}

#[tokio::test]
async fn without_the_providers_word_nothing_moves_and_the_notice_must_come_again() {
    let _stack = alone().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    let id = order.order_id.to_string();
    let (sandbox, bill) = (shop.info.sandbox.as_str(), order.bill_id.as_str());
    faults(sandbox, json!([{"route": "cardlink.webhook", "drop": true}])).await;
    press(&shop, &order, "pay?commission=0").await;
    for fault in [
        json!({"status": 500}),
        json!({"status": 401}),
        json!({"status": 404}),
        json!({"drop": true}),
        json!({"status": 200, "body": {"message": "?"}}),
        json!({"status": 200, "body": {"id": "another", "status": "SUCCESS", "amount": 37.5, "currency_in": "USD"}}),
        json!({"status": 200, "body": {"id": bill, "order_id": "another", "status": "SUCCESS", "amount": 37.5, "currency_in": "USD"}}),
    ] {
        let mut rule = fault.clone();
        rule["route"] = json!("cardlink.status");
        faults(sandbox, json!([rule])).await;
        payment_notice(&shop, "37.50", &id, &[("Status", "SUCCESS")])
            .await
            .refused(503, "provider_unavailable");
        assert_eq!(state(&shop, &order).await, "pending reserved", "{fault}");
    }
    let logged = "select count(*) || ' ' || min(outcome) || ' ' || min(response_status) from ops.webhook_logs where order_id = $1";
    assert_eq!(text(&shop, &order, logged).await.as_deref(), Some("7 error 503"));
    no_faults().await;
    assert_eq!(said(&payment_notice(&shop, "37.50", &id, &[]).await), "fulfilled");

    faults(sandbox, json!([{"route": "cardlink.payment", "status": 500}])).await;
    let refund = press(&shop, &order, "refund").await;
    assert_eq!(
        (
            &refund["webhook"]["answers"][0]["status"],
            &refund["webhook"]["answers"][0]["body"]["code"]
        ),
        (&json!(503), &json!("provider_unavailable"))
    );
    assert_eq!(state(&shop, &order).await, "paid delivered");
}

#[tokio::test]
async fn without_the_database_the_notice_must_come_again() {
    let _stack = alone().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    let id = order.order_id.to_string();
    faults(&shop.info.sandbox, json!([{"route": "cardlink.webhook", "drop": true}])).await;
    press(&shop, &order, "pay").await;
    for rpc in ["find_bill", "settle_payment"] {
        for fault in [
            json!({"drop": true}),
            json!({"status": 504, "body": {"code": "PGRST003"}}),
            json!({"status": 500, "body": {"code": "XX000"}}),
        ] {
            let mut rule = fault;
            rule["rpc"] = json!(rpc);
            faults(&shop.info.proxy, json!([rule])).await;
            payment_notice(&shop, "37.50", &id, &[]).await.refused(503, "database_unavailable");
        }
    }
    no_faults().await;
    assert_eq!(state(&shop, &order).await, "pending reserved");
    assert_eq!(said(&payment_notice(&shop, "37.50", &id, &[]).await), "fulfilled");
}

#[tokio::test]
async fn under_v2_there_is_no_address_for_refunds() {
    let shop = Shop::new().await;
    assert_eq!(stack().cardlink.api, "v2");
    for path in &ADDRESSES[1..] {
        send(&shop, Method::POST, path, Some(FORM), "a=b").await.refused(404, "not_found");
    }
    send(&shop, Method::POST, NOTICE, Some(FORM), "a=b")
        .await
        .refused(415, "unsupported_media_type");
}
