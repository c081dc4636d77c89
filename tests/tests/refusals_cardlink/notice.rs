//! Requests that are no notice of the provider: nothing of them is kept.

use lonieve_tests::{Placed, Shop};
use reqwest::Method;
use serde_json::json;

use crate::{body, signature_of, signed};

const WEBHOOK: &str = "/api/webhooks/cardlink";
const JSON: Option<&str> = Some("application/json");
const LIMIT: usize = 16 * 1024;

async fn order() -> (Shop, Placed) {
    let shop = Shop::with_codes(1).await;
    let order = shop.place(&shop.cart()).await;
    (shop, order)
}

/// A notice that would be paid.
fn paid(shop: &Shop, order: &Placed) -> String {
    let bill = format!("\"{}\"", order.bill_id);
    signed(
        &shop.info.cardlink.secret,
        &[
            ("bill_id", &bill),
            ("status", "\"PAID\""),
            ("amount", "37.50"),
            ("currency", "\"USD\""),
        ],
    )
}

/// The notice is settled: what was refused before was refused for its own reason.
async fn is_fulfilled(shop: &Shop, notice: String) {
    assert_eq!(shop.raw_notice(notice).await.expect(200)["outcome"], "fulfilled");
}

/// Log rows of this bill, of any tenant and of none.
async fn logs(shop: &Shop, bill_id: &str) -> i64 {
    shop.db
        .query_one("select count(*) from ops.webhook_logs where bill_id = $1", &[&bill_id])
        .await
        .unwrap()
        .get(0)
}

/// Counter rows of the provider, and what they add up to.
async fn rejections(shop: &Shop) -> (i64, i64) {
    let sql = "select count(*), coalesce(sum(count), 0)::bigint from ops.webhook_rejections where source = 'cardlink'";
    let row = shop.db.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// The one test of this program that sends bad signatures, so that it can count exactly.
#[tokio::test]
async fn a_notice_altered_anywhere_is_401_and_only_a_counter_of_the_minute_moves() {
    let (shop, order) = order().await;
    let secret = &shop.info.cardlink.secret;
    let bill = format!("\"{}\"", order.bill_id);
    let members = [
        ("bill_id", bill.as_str()),
        ("status", "\"PAID\""),
        ("amount", "37.50"),
        ("currency", "\"USD\""),
    ];
    let good = signed(secret, &members);
    let signature = signature_of(&good);
    let altered = |name: &str, token: &str| {
        let altered: Vec<_> = members.iter().map(|(n, t)| (*n, if *n == name { token } else { *t })).collect();
        body(&altered, &signature)
    };
    let dropped = |name: &str| body(&members.iter().copied().filter(|(n, _)| *n != name).collect::<Vec<_>>(), &signature);
    let with_signature = |token: &str| body(&members, token);
    let added = [members.as_slice(), &[("test", "true")]].concat();
    let notices = [
        altered("bill_id", "\"bill_of_another_order\""),
        altered("status", "\"FAILED\""),
        altered("amount", "0.01"),
        altered("amount", "37.51"),
        altered("currency", "\"EUR\""),
        altered("status", "\"PAID \""),
        dropped("bill_id"),
        dropped("status"),
        dropped("amount"),
        dropped("currency"),
        body(&added, &signature),
        with_signature("null"),
        with_signature("\"\""),
        with_signature("5"),
        with_signature(&signature.to_uppercase()),
        with_signature(&format!("{}\"", &signature[..signature.len() - 2])),
        with_signature(&format!("\"{}\"", "0".repeat(64))),
        good.replace(&format!(",\"signature\":{signature}"), ""),
        "{}".to_owned(),
        signed("another secret", &members),
        signed("", &members),
    ];
    let (minutes, count) = rejections(&shop).await;
    for (index, notice) in notices.iter().enumerate() {
        let reply = shop.adds_nothing(shop.raw_notice(notice.clone())).await;
        reply.refused(401, "invalid_signature");
        assert!(
            !reply.text.contains(secret) && !reply.text.contains(&order.bill_id),
            "{}",
            reply.text
        );
        assert_eq!(rejections(&shop).await.1, count + index as i64 + 1, "{notice}");
    }
    assert!(rejections(&shop).await.0 <= minutes + 2, "a row per minute, not per call");
    assert_eq!(
        (logs(&shop, &order.bill_id).await, logs(&shop, "bill_of_another_order").await),
        (0, 0)
    );
    assert_eq!(shop.state(order.order_id).await, ("pending".into(), "reserved".into(), None));
    let reason = "select last_reason from ops.webhook_rejections where source = 'cardlink' order by minute desc limit 1";
    assert_eq!(
        shop.db.query_one(reason, &[]).await.unwrap().get::<_, String>(0),
        "invalid_signature"
    );

    // Counting is best effort: without it the answer is the same.
    let away = json!([{"rpc": "record_rejected_webhook", "drop": true}]);
    let reply = shop
        .adds_nothing(shop.under_faults(&shop.info.proxy, away, shop.raw_notice(notices[0].clone())))
        .await;
    reply.refused(401, "invalid_signature");

    is_fulfilled(&shop, good).await;
    assert_eq!(rejections(&shop).await.1, count + notices.len() as i64);
}

#[tokio::test]
async fn a_body_that_is_no_flat_object_with_its_members_is_400_and_nothing_is_written() {
    let (shop, order) = order().await;
    let good = paid(&shop, &order);
    let flat = "body is not a flat JSON object with each key once";
    let broken_utf8 = good
        .replace("USD", "US?")
        .into_bytes()
        .iter()
        .map(|b| if *b == b'?' { 0xff } else { *b })
        .collect::<Vec<_>>();
    let signature = signature_of(&good);
    let mut cases = vec![
        (Vec::new(), flat),
        (b"[]".to_vec(), flat),
        (b"null".to_vec(), flat),
        (good.as_bytes()[1..].to_vec(), flat),
        (format!("{good}{good}").into_bytes(), flat),
        (broken_utf8, "body is not UTF-8"),
        (good.replace("37.50", "{\"value\":37.50}").into_bytes(), flat),
        (good.replace("37.50", "[37.50]").into_bytes(), flat),
        (good.replace("\"currency\"", "\"amount\":37.50,\"currency\"").into_bytes(), flat),
        (good.replace("\"currency\"", "\"сurrency\"").into_bytes(), flat),
        (good.replace("\"USD\"", "\"\\ud800\"").into_bytes(), flat),
        (
            format!(
                "{{{}\"signature\":{signature}}}",
                (0..51).map(|i| format!("\"k{i}\":1,")).collect::<String>()
            )
            .into_bytes(),
            flat,
        ),
    ];
    // Signed by the provider's own secret, and still not a notice.
    let bill = format!("\"{}\"", order.bill_id);
    let long = format!("\"{}\"", "b".repeat(201));
    let (id, status, amount, currency) = (
        ("bill_id", bill.as_str()),
        ("status", "\"PAID\""),
        ("amount", "37.50"),
        ("currency", "\"USD\""),
    );
    let no_amount = "amount is missing or no amount";
    for (members, problem) in [
        (vec![status, amount, currency], "bill_id is missing"),
        (vec![("bill_id", "\"\""), status, amount, currency], "bill_id is missing"),
        (vec![("bill_id", "7"), status, amount, currency], "bill_id is missing"),
        (vec![("bill_id", &long), status, amount, currency], "bill_id is missing"),
        (vec![id, amount, currency], "status is missing"),
        (vec![id, ("status", "true"), amount, currency], "status is missing"),
        (vec![id, status, currency], no_amount),
        (vec![id, status, ("amount", "null"), currency], no_amount),
        (vec![id, status, ("amount", "-37.50"), currency], no_amount),
        (vec![id, status, ("amount", "3.75e1"), currency], no_amount),
        (vec![id, status, ("amount", "37.501"), currency], no_amount),
        (vec![id, status, ("amount", "\"37,50\""), currency], no_amount),
        (vec![id, status, amount], "currency is missing"),
        (vec![id, status, amount, ("currency", "null")], "currency is missing"),
    ] {
        cases.push((signed(&shop.info.cardlink.secret, &members).into_bytes(), problem));
    }
    for (sent, problem) in cases {
        let text = String::from_utf8_lossy(&sent).into_owned();
        let reply = shop.adds_nothing(shop.send(Method::POST, "cardlink", WEBHOOK, JSON, sent)).await;
        assert_eq!(reply.refused(400, "invalid_request")["fields"], json!({"body": problem}), "{text}");
    }
    assert_eq!(logs(&shop, &order.bill_id).await, 0);
    is_fulfilled(&shop, signed(&shop.info.cardlink.secret, &[id, status, amount, currency])).await;
}

#[tokio::test]
async fn a_notice_verifies_in_each_form_in_which_its_sender_may_have_printed_the_amount() {
    let shop = Shop::with_codes(4).await;
    for (sent, printed) in [("37.50", "37.50"), ("37.50", "37.5"), ("37.5", "37.50"), ("\"37.50\"", "37.50")] {
        let order = shop.place(&shop.cart()).await;
        let bill = format!("\"{}\"", order.bill_id);
        let members = |amount| {
            [
                ("bill_id", bill.as_str()),
                ("status", "\"PAID\""),
                ("amount", amount),
                ("currency", "\"USD\""),
            ]
        };
        let signature = signature_of(&signed(&shop.info.cardlink.secret, &members(printed)));
        is_fulfilled(&shop, body(&members(sent), &signature)).await;
    }
}

#[tokio::test]
async fn a_body_over_16_kb_is_413_whether_its_length_is_declared_or_not() {
    let (shop, order) = order().await;
    let sized = |bytes| Shop::padded(paid(&shop, &order), bytes);
    let headers = ["content-type: application/json"];
    let streamed = async |bytes| shop.post_chunked("cardlink", WEBHOOK, &headers, sized(bytes).as_bytes()).await;
    shop.adds_nothing(shop.raw_notice(sized(LIMIT + 1)))
        .await
        .refused(413, "body_too_large");
    shop.adds_nothing(streamed(LIMIT + 1)).await.refused(413, "body_too_large");
    assert_eq!(logs(&shop, &order.bill_id).await, 0);
    is_fulfilled(&shop, sized(LIMIT)).await;
    assert_eq!(streamed(LIMIT).await.expect(200)["outcome"], "already_processed");
}

#[tokio::test]
async fn another_content_type_is_415_and_nothing_is_written() {
    let (shop, order) = order().await;
    let send = |content_type| shop.send(Method::POST, "cardlink", WEBHOOK, content_type, paid(&shop, &order));
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        shop.adds_nothing(send(content_type)).await.refused(415, "unsupported_media_type");
    }
    assert_eq!(logs(&shop, &order.bill_id).await, 0);
    assert_eq!(
        send(Some("application/json;charset=UTF-8")).await.expect(200)["outcome"],
        "fulfilled"
    );
}

#[tokio::test]
async fn another_method_is_405_and_another_path_404() {
    let (shop, order) = order().await;
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let reply = shop
            .adds_nothing(shop.send(method, "cardlink", WEBHOOK, JSON, paid(&shop, &order)))
            .await;
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    for path in [
        "/",
        "/api/webhooks",
        "/api/webhooks/cardlink/",
        "/api/webhooks/stripe",
        "/api/webhooks/cardlink/v2",
    ] {
        shop.adds_nothing(shop.send(Method::POST, "cardlink", path, JSON, paid(&shop, &order)))
            .await
            .refused(404, "not_found");
    }
    assert_eq!(logs(&shop, &order.bill_id).await, 0);
    is_fulfilled(&shop, paid(&shop, &order)).await;
}
