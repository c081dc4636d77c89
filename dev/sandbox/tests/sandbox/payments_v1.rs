//! The Cardlink v1 stand-in over HTTP.

use std::collections::BTreeMap;

use crate::support::{Answer, Sandbox, Shop};
use serde_json::{Value, json};
use url::form_urlencoded;

const AUTH: (&str, &str) = ("authorization", "Bearer 72|card");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const ORDER: &str = "amount=16&shop_id=G1vrEyX0LR&order_id=Order+123&type=normal&currency_in=USD&payer_email=ann%40example.com&ttl=600";

/// A sandbox, and the shop its notices go to.
async fn both() -> (Sandbox, Shop) {
    let shop = Shop::start(&[]).await;
    let root = shop.url.trim_end_matches("/api/webhooks/cardlink").to_owned();
    (Sandbox::of_shop(root).await, shop)
}

async fn create(sandbox: &Sandbox, form: &str) -> Answer {
    sandbox.send("POST", "/cardlink/v1/bill/create", &[AUTH, FORM], form).await.unwrap()
}

async fn bill(sandbox: &Sandbox, more: &str) -> String {
    let created = create(sandbox, &format!("{ORDER}{more}")).await.json();
    assert_eq!(created["success"], "true");
    let id = created["bill_id"].as_str().unwrap().to_owned();
    assert_eq!(created["link_page_url"], format!("{}/pay/{id}", sandbox.url));
    id
}

async fn get(sandbox: &Sandbox, path: &str) -> Value {
    let answer = sandbox.send("GET", &format!("/cardlink/v1/{path}"), &[AUTH], "").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn fields(form: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn a_paid_bill_sends_a_form_and_the_browser_carries_the_same_signature() {
    let (sandbox, shop) = both().await;
    let id = bill(&sandbox, "&payer_pays_commission=1").await;
    let state = get(&sandbox, &format!("bill/status?id={id}")).await;
    assert_eq!(
        (&state["status"], &state["amount"], &state["success"]),
        (&json!("NEW"), &json!(16), &json!(true))
    );

    let paid = sandbox.act(&id, "pay?commission=2.54").await;
    let sent = fields(&shop.bodies.lock().unwrap()[0]);
    for (name, value) in [
        ("Status", "SUCCESS"),
        ("InvId", "Order 123"),
        ("OutSum", "18.54"),
        ("Commission", "2.54"),
        ("CurrencyIn", "USD"),
    ] {
        assert_eq!(sent[name], value);
    }
    assert_eq!(paid["return_form"]["SignatureValue"], sent["SignatureValue"].as_str());
    assert!(paid["return_form"]["Status"].is_null() && paid["bill"]["status"] == "SUCCESS");
    assert_eq!(
        get(&sandbox, &format!("bill/status?id={id}")).await["amount"],
        16,
        "the bill's amount stays what was asked for"
    );
    let payments = get(&sandbox, &format!("bill/payments?id={id}")).await;
    assert_eq!(
        (&payments["data"][0]["amount"], &payments["data"][0]["commission"]),
        (&json!("18.54"), &json!("2.54"))
    );
}

#[tokio::test]
async fn the_browser_goes_back_by_a_form_that_submits_itself() {
    let (sandbox, _shop) = both().await;
    let id = bill(&sandbox, "").await;
    for (action, status) in [("fail", "FAIL"), ("pay", "SUCCESS")] {
        let page = sandbox
            .send("POST", &format!("/pay/{id}/{action}"), &[("accept", "text/html")], "")
            .await
            .unwrap();
        assert_eq!(page.status, 200);
        for words in [
            "method=\"post\"",
            "name=\"SignatureValue\"",
            "name=\"InvId\" value=\"Order 123\"",
            ".submit()",
        ] {
            assert!(page.text.contains(words), "the page lacks {words}");
        }
        assert_eq!(get(&sandbox, &format!("bill/status?id={id}")).await["status"], status);
    }
    let page = sandbox
        .send("GET", &format!("/pay/{id}"), &[("accept", "text/html")], "")
        .await
        .unwrap();
    for words in [">Refund all<", ">Refund 8.00<", ">Chargeback<", "This bill is paid"] {
        assert!(page.text.contains(words), "the page lacks {words}");
    }
}

#[tokio::test]
async fn too_little_then_the_rest_then_too_much() {
    let (sandbox, shop) = both().await;
    let id = bill(&sandbox, "").await;
    for (action, status) in [
        ("underpay?amount=10", "UNDERPAID"),
        ("pay", "SUCCESS"),
        ("overpay?amount=1", "OVERPAID"),
    ] {
        assert_eq!(sandbox.act(&id, action).await["bill"]["status"], status);
    }
    let sent: Vec<String> = shop
        .bodies
        .lock()
        .unwrap()
        .iter()
        .map(|body| fields(body)["OutSum"].clone())
        .collect();
    assert_eq!(sent, ["10.00", "6.00", "1.00"]);
}

#[tokio::test]
async fn refunds_and_a_chargeback_have_notices_of_their_own() {
    let (sandbox, shop) = both().await;
    let id = bill(&sandbox, "").await;
    let early = sandbox
        .send("POST", &format!("/pay/{id}/refund"), &[("accept", "application/json")], "")
        .await
        .unwrap();
    assert_eq!(early.status, 400);
    sandbox.act(&id, "pay").await;
    let refund = sandbox.act(&id, "refund?amount=6").await;
    assert!(
        refund["webhook"]["url"]
            .as_str()
            .unwrap()
            .ends_with("/api/webhooks/cardlink/refund")
    );
    let charged = sandbox.act(&id, "chargeback").await;
    assert!(
        charged["webhook"]["url"]
            .as_str()
            .unwrap()
            .ends_with("/api/webhooks/cardlink/chargeback")
    );
    let sent = fields(&shop.bodies.lock().unwrap()[1]);
    assert_eq!((sent["Amount"].as_str(), sent["BillId"].as_str()), ("6.00", id.as_str()));
    let payment = get(&sandbox, &format!("payment/status?id={}&refunds=1&chargeback=1", sent["PaymentId"])).await;
    assert_eq!(
        (&payment["refunded_amount"], &payment["refunds"][0]["id"]),
        (&json!("6.00"), &json!(sent["Id"]))
    );
    assert_eq!(payment["chargeback"]["status"], "SUCCESS");
    assert_eq!(
        get(&sandbox, &format!("bill/status?id={id}")).await["status"],
        "SUCCESS",
        "v1 has no word for it"
    );
}

#[tokio::test]
async fn nothing_is_sent_where_v1_has_no_notice() {
    let (sandbox, shop) = both().await;
    let id = bill(&sandbox, "").await;
    for (action, status, active) in [("pending", "PROCESS", true), ("expire", "NEW", false)] {
        assert!(sandbox.act(&id, action).await["webhook"].is_null());
        let state = get(&sandbox, &format!("bill/status?id={id}")).await;
        assert_eq!((&state["status"], &state["active"]), (&json!(status), &json!(active)));
    }
    assert!(shop.bodies.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_token_another_shop_and_wrong_fields_are_refused() {
    let (sandbox, _shop) = both().await;
    let create_path = "/cardlink/v1/bill/create";
    let wrong = sandbox
        .send("POST", create_path, &[("authorization", "Bearer 72"), FORM], ORDER)
        .await
        .unwrap();
    assert_eq!((wrong.status, wrong.text.as_str()), (401, r#"{"message":"Unauthenticated."}"#));
    let other = create(&sandbox, "amount=16&shop_id=other").await;
    assert_eq!((other.status, &other.json()["message"]), (403, &json!("api:error.shop_not_found")));
    let invalid = create(&sandbox, &format!("{ORDER}&success_url=https%3A%2F%2Felsewhere.example%2F")).await;
    assert!(invalid.status == 422 && invalid.json()["errors"]["success_url"][0].is_string());
    let unknown = sandbox.send("GET", "/cardlink/v1/bill/status?id=x", &[AUTH], "").await.unwrap();
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_fault_can_pick_a_call_without_a_body_by_its_address() {
    let (sandbox, _shop) = both().await;
    let (one, other) = (bill(&sandbox, "").await, bill(&sandbox, "").await);
    sandbox
        .faults(json!({"rules": [{"route": "cardlink.status", "status": 500, "match": one}]}))
        .await;
    let path = |id: &str| format!("/cardlink/v1/bill/status?id={id}");
    assert_eq!(sandbox.send("GET", &path(&one), &[AUTH], "").await.unwrap().status, 500);
    assert_eq!(sandbox.send("GET", &path(&other), &[AUTH], "").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_refund_is_made_at_every_call_and_its_notice_follows() {
    let (sandbox, shop) = both().await;
    let id = bill(&sandbox, "").await;
    sandbox.act(&id, "pay?commission=0").await;
    let payment = get(&sandbox, &format!("bill/payments?id={id}")).await["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let refund = async |how: &str, form: String| {
        let path = format!("/cardlink/v1/refund/{how}/create");
        sandbox.send("POST", &path, &[AUTH, FORM], &form).await.unwrap()
    };
    let part = format!("payment_id={payment}&order_id=ours&amount=5.00");
    let first = refund("partial", part.clone()).await.json();
    assert_eq!(
        (&first["status"], &first["amount"], &first["entity_id"], &first["order_id"]),
        (&json!("SUCCESS"), &json!("5.00"), &json!(payment), &Value::Null)
    );
    let second = refund("partial", part).await.json();
    assert_ne!(first["id"], second["id"], "there is no idempotency key");
    assert_eq!(
        get(&sandbox, &format!("refund/status?id={}", first["id"].as_str().unwrap())).await,
        first
    );
    for (how, form, status) in [
        ("partial", format!("payment_id={payment}&amount=6.01"), 403),
        ("partial", format!("payment_id={payment}"), 422),
        ("full", String::new(), 422),
        ("full", "payment_id=nothing".to_owned(), 404),
    ] {
        assert_eq!(refund(how, form.clone()).await.status, status, "{how} {form}");
    }
    sandbox.act(&id, "slow-refunds").await;
    let rest = refund("full", format!("payment_id={payment}")).await.json();
    assert_eq!((&rest["status"], &rest["amount"]), (&json!("PROCESS"), &json!("6.00")));
    sandbox.act(&id, "end-refund").await;
    let shown = get(&sandbox, &format!("payment/status?id={payment}&refunds=1")).await;
    assert_eq!(shown["refunded_amount"], "16.00");
    assert_eq!(get(&sandbox, "refund/search").await["data"].as_array().unwrap().len(), 3);
    // The payment's own notice, and one for each refund.
    for _ in 0..50 {
        if shop.bodies.lock().unwrap().len() == 4 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{} notices came", shop.bodies.lock().unwrap().len());
}
