//! How often a request goes to the database and to the provider, counted by the proxy and by the sandbox, for every outcome.
//!
//! Calls of `jobs`, which a sale wakes, are another role's and do not count.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use std::collections::BTreeMap;

use lonieve_tests::{Placed, Reply, Shop, md5_signature, signed_notice};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::form_urlencoded::Serializer;

/// Counts belong to a stack: the tests of this program take turns.
static TURN: Mutex<()> = Mutex::const_new(());
const NOTICE: &str = "/api/webhooks/cardlink";

type Counts = BTreeMap<String, u64>;

async fn counts(shop: &Shop, role: &str) -> Counts {
    let counts = Reply::of(shop.http.get(format!("{}/counts", shop.info.proxy))).await.expect(200);
    serde_json::from_value(counts["roles"][role]["rpc"].clone()).unwrap_or_default()
}

/// What the provider was asked, sorted.
async fn asked(shop: &Shop) -> Vec<String> {
    let calls = Reply::of(shop.http.get(format!("{}/calls", shop.info.sandbox))).await.expect(200);
    let routes = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["route"].as_str().unwrap().to_owned());
    let mut routes: Vec<String> = routes
        .filter(|route| route.starts_with("cardlink.") && route != "cardlink.webhook")
        .collect();
    routes.sort();
    routes
}

/// Asserts what `work` asks the database under this role, and the provider. `what` says "find_bill settle_payment | cardlink.status".
async fn takes<T>(shop: &Shop, role: &str, what: &str, work: impl Future<Output = T>) -> T {
    let (functions, provider) = what.split_once('|').unwrap_or((what, ""));
    Reply::of(shop.http.delete(format!("{}/calls", shop.info.sandbox))).await;
    let before = counts(shop, role).await;
    let result = work.await;
    let mut after = counts(shop, role).await;
    for (name, count) in before {
        *after.entry(name).or_default() -= count;
    }
    after.retain(|_, count| *count > 0);
    let mut expected = Counts::new();
    for name in functions.split_whitespace() {
        *expected.entry(name.to_owned()).or_default() += 1;
    }
    assert_eq!(after, expected, "trips to the database");
    let provider: Vec<String> = provider.split_whitespace().map(str::to_owned).collect();
    assert_eq!(asked(shop).await, provider, "calls of the provider");
    result
}

async fn notice(shop: &Shop, what: &str, body: String, status: u16, answer: &str) {
    let reply = takes(shop, "edge_cardlink", what, shop.raw_notice(body)).await.expect(status);
    let said = if status == 200 { &reply["outcome"] } else { &reply["code"] };
    assert_eq!(said, answer, "{what}");
}

#[tokio::test]
async fn a_v2_notice_takes_one_trip_whatever_comes_of_it() {
    let _turn = TURN.lock().await;
    let shop = Shop::with_codes(4).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    let order = async || shop.place(&shop.cart()).await;
    let says =
        |order: &Placed, status: &str, amount: &str| signed_notice(&shop.info.cardlink.secret, &order.bill_id, status, amount, "USD");
    let (sold, failed, expired, review) = (order().await, order().await, order().await, order().await);
    for (order, status, amount, outcome) in [
        (&sold, "PENDING", "37.50", "noop"),
        (&sold, "PAID", "37.50", "fulfilled"),
        (&sold, "PAID", "37.50", "already_processed"),
        (&sold, "FAILED", "37.50", "ignored"),
        (&sold, "EXPIRED", "37.50", "ignored"),
        (&failed, "FAILED", "37.50", "failed"),
        (&failed, "PAID", "37.50", "fulfilled"),
        (&expired, "EXPIRED", "37.50", "expired"),
        (&review, "PAID", "1.00", "manual_review"),
        (&review, "PAID", "37.50", "already_processed"),
    ] {
        notice(&shop, "settle_payment", says(order, status, amount), 200, outcome).await;
    }
    // The last code goes to somebody else: late money finds none.
    order().await;
    notice(&shop, "settle_payment", says(&expired, "PAID", "37.50"), 200, "manual_review").await;
    assert_eq!(shop.state(expired.order_id).await.1, "waiting");

    let unknown = signed_notice(
        &shop.info.cardlink.secret,
        &format!("bill-{}", sold.order_id.simple()),
        "PAID",
        "37.50",
        "USD",
    );
    notice(&shop, "settle_payment", unknown, 404, "payment_not_found").await;
    let forged = says(&sold, "PAID", "37.50").replace("USD", "EUR");
    notice(&shop, "record_rejected_webhook", forged, 401, "invalid_signature").await;
    notice(&shop, "", "[]".to_owned(), 400, "invalid_request").await;
    // Only where the one trip fails there is a second, for the log.
    let away = json!([{"rpc": "settle_payment", "match": sold.bill_id, "status": 500, "body": {"code": "XX000"}}]);
    let failing = notice(
        &shop,
        "settle_payment log_webhook_failure",
        says(&sold, "PAID", "37.50"),
        503,
        "database_unavailable",
    );
    shop.under_faults(&shop.info.proxy, away, failing).await;
}

async fn form(shop: &Shop, path: &str, fields: &[(&str, &str)]) -> Reply {
    let form = Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = shop.request(Method::POST, "cardlink", path).body(form);
    Reply::of(request.header("content-type", "application/x-www-form-urlencoded")).await
}

async fn payment(shop: &Shop, id: &str) -> Reply {
    let signature = md5_signature(&["37.50", id], &shop.info.cardlink.token);
    form(shop, NOTICE, &[("OutSum", "37.50"), ("InvId", id), ("SignatureValue", &signature)]).await
}

/// Presses a button while the provider's own notices get lost.
async fn press(shop: &Shop, order: &Placed, button: &str) -> Value {
    let board = json!({"rules": [{"route": "cardlink.webhook", "drop": true}], "retry_base_ms": 60_480_000});
    Reply::of(shop.http.put(format!("{}/faults", shop.info.sandbox)).json(&board))
        .await
        .expect(200);
    let url = format!("{}/pay/{}/{button}", shop.info.sandbox, order.bill_id);
    let pressed = Reply::of(shop.http.post(url).header("accept", "application/json"))
        .await
        .expect(200);
    Reply::of(shop.http.delete(format!("{}/faults", shop.info.sandbox)))
        .await
        .expect(200);
    pressed
}

#[tokio::test]
async fn a_v1_notice_takes_two_trips_and_a_look_at_the_provider() {
    const PAYMENT: &str = "find_bill settle_payment | cardlink.status";
    const SUMS: &str = "find_bill settle_payment | cardlink.payments cardlink.status";
    let _turn = TURN.lock().await;
    let shop = Shop::v1(5).await;
    shop.settings(json!({"max_unpaid_units": 1000, "max_unpaid_share": 100})).await;
    let order = async || shop.place(&shop.cart()).await;
    let (sold, failed, under, over, late) = (order().await, order().await, order().await, order().await, order().await);
    let pays = async |order: &Placed, button: &str, what: &str, outcome: &str| {
        if !button.is_empty() {
            press(&shop, order, button).await;
        }
        let id = order.order_id.to_string();
        let reply = takes(&shop, "edge_cardlink", what, payment(&shop, &id)).await;
        assert_eq!(reply.expect(200)["outcome"], outcome, "{button}");
    };
    pays(&sold, "", PAYMENT, "noop").await;
    pays(&sold, "pay", PAYMENT, "fulfilled").await;
    pays(&sold, "", PAYMENT, "already_processed").await;
    pays(&failed, "fail", PAYMENT, "failed").await;
    pays(&failed, "pay", PAYMENT, "fulfilled").await;
    pays(&under, "underpay?amount=20", SUMS, "manual_review").await;
    pays(&over, "overpay?amount=40", SUMS, "fulfilled").await;
    shop.repeat_job("expire_orders", &shop.time("2 hours").await, 5).await;
    assert_eq!(shop.state(late.order_id).await.0, "expired");
    // Somebody else has the code meanwhile: late money finds none.
    order().await;
    pays(&late, "pay", PAYMENT, "manual_review").await;
    assert_eq!(shop.state(late.order_id).await.1, "waiting");

    let token = &shop.info.cardlink.token;
    for (order, button, path, function, outcome) in [
        (&sold, "refund?amount=10", "refund", "settle_refund", "partially_refunded"),
        (&sold, "", "refund", "settle_refund", "already_processed"),
        (&sold, "refund", "refund", "settle_refund", "refunded"),
        (&failed, "chargeback", "chargeback", "settle_chargeback", "chargeback"),
        (&failed, "", "chargeback", "settle_chargeback", "already_processed"),
    ] {
        if !button.is_empty() {
            press(&shop, order, button).await;
        }
        let calls = format!("{}/cardlink/v1/bill/payments?id={}", shop.info.sandbox, order.bill_id);
        let listed = Reply::of(shop.http.get(calls).bearer_auth(token)).await.expect(200);
        let paid = listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .find(|payment| payment["status"] == "SUCCESS")
            .unwrap();
        let payment_id = paid["id"].as_str().unwrap().to_owned();
        // Signed by the test; which chargeback it is, the provider knows.
        let details = format!(
            "{}/cardlink/v1/payment/status?id={payment_id}&refunds=1&chargeback=1",
            shop.info.sandbox
        );
        let details = Reply::of(shop.http.get(details).bearer_auth(token)).await.expect(200);
        let id = details["chargeback"]["id"].as_str().unwrap_or("R").to_owned();
        let signature = match path {
            "refund" => md5_signature(&["1", "USD", &order.bill_id, &payment_id, &id], token),
            _ => md5_signature(&[&order.bill_id, &payment_id, &id], token),
        };
        let fields = [
            ("Amount", "1"),
            ("Currency", "USD"),
            ("BillId", order.bill_id.as_str()),
            ("PaymentId", &payment_id),
            ("Id", &id),
            ("SignatureValue", &signature),
        ];
        let what = format!("find_bill {function} | cardlink.payment");
        let reply = takes(&shop, "edge_cardlink", &what, form(&shop, &format!("{NOTICE}/{path}"), &fields)).await;
        assert_eq!(reply.expect(200)["outcome"], outcome, "{button}");
    }

    let unknown = uuid::Uuid::new_v4().to_string();
    takes(&shop, "edge_cardlink", "find_bill", payment(&shop, &unknown))
        .await
        .refused(404, "payment_not_found");
    let id = sold.order_id.to_string();
    takes(
        &shop,
        "edge_cardlink",
        "record_rejected_webhook",
        form(&shop, NOTICE, &[("OutSum", "1"), ("InvId", &id)]),
    )
    .await
    .refused(401, "invalid_signature");
    takes(&shop, "edge_cardlink", "", form(&shop, NOTICE, &[("InvId", &id)]))
        .await
        .refused(400, "invalid_request");
    let ping = takes(&shop, "edge_cardlink", "", form(&shop, NOTICE, &[])).await;
    assert_eq!(ping.expect(200)["outcome"], "ping");
    let away = json!([{"route": "cardlink.status", "status": 500}]);
    let unconfirmed = takes(
        &shop,
        "edge_cardlink",
        "find_bill log_webhook_failure | cardlink.status",
        payment(&shop, &id),
    );
    shop.under_faults(&shop.info.sandbox, away, unconfirmed)
        .await
        .refused(503, "provider_unavailable");
}

#[tokio::test]
async fn an_order_takes_two_trips_and_a_refused_one_at_most_as_many() {
    let _turn = TURN.lock().await;
    for shop in [Shop::with_codes(6).await, Shop::v1(6).await] {
        let role = "edge_orders";
        let mut cart = shop.cart();
        let created = "create_order attach_bill | cardlink.create";
        takes(&shop, role, created, shop.create(&cart)).await.expect(200);
        cart["quantity"] = json!(3);
        cart["deliveryType"] = json!("gift");
        cart["recipientEmail"] = json!("friend@example.com");
        cart["email"] = json!("another-buyer@example.com");
        let placed = takes(&shop, role, created, shop.create(&cart)).await.expect(200);
        cart["quantity"] = json!(4);
        cart["email"] = json!("a-third-buyer@example.com");
        takes(&shop, role, "create_order", shop.create(&cart))
            .await
            .refused(409, "out_of_stock");
        cart["email"] = json!("no address");
        takes(&shop, role, "", shop.create(&cart)).await.refused(400, "invalid_request");
        let (id, token) = (
            placed["orderId"].as_str().unwrap().parse().unwrap(),
            placed["orderToken"].as_str().unwrap(),
        );
        takes(&shop, role, "get_order", shop.order(id, token)).await.expect(200);
    }
}

/// A Worker knows the experiments of a host from its first answer on, and finds out that they have changed by the call that would use them.
#[tokio::test]
async fn a_visitors_variants_take_one_trip_once_the_experiments_are_known() {
    let _turn = TURN.lock().await;
    let shop = Shop::new().await;
    let role = "edge_events";
    let ask = async |visitor: &str, trips: usize| {
        let what = "assign_experiments ".repeat(trips);
        let path = format!("/api/experiments?visitor_id={visitor}");
        let answer = takes(&shop, role, &what, shop.get("events", &path)).await.expect(200);
        answer["assignments"].as_object().unwrap().len()
    };
    assert_eq!(ask("a", 1).await, 0, "nothing runs");
    let start = async |key: &str| {
        let sql = "insert into analytics.experiments (tenant_id, key, name, variants, status, start_date) \
                   values ($1, $2, 'A test', '[\"a\", \"b\"]', 'running', now())";
        shop.db.execute(sql, &[&shop.tenant, &key]).await.unwrap();
    };
    start("one").await;
    assert_eq!(ask("a", 2).await, 1, "the list has changed");
    for visitor in ["b", "c", "b", "a"] {
        assert_eq!(ask(visitor, 1).await, 1);
    }
    start("two").await;
    assert_eq!(ask("d", 2).await, 2);
    assert_eq!(ask("a", 1).await, 2);
    let stopped = "update analytics.experiments set status = 'paused' where tenant_id = $1 and key = 'one'";
    shop.db.execute(stopped, &[&shop.tenant]).await.unwrap();
    assert_eq!(ask("a", 1).await, 1, "who is in all that run needs no second trip");
    let missing = takes(&shop, role, "", shop.get("events", "/api/experiments")).await;
    missing.refused(400, "invalid_request");
}
