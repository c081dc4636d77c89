//! v1: a payment notice altered in every way. Signed are `OutSum` and `InvId`, and nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use lonieve_tests::{Placed, Shop, md5_signature, stack_v1};
use md5::{Digest, Md5};
use sha2::Sha256;
use uuid::Uuid;

use crate::attack::{Case, Expected, NOTICE, Row, attack, orders, shared};
use crate::v1_fields::{self, MALFORMED, SIGNATURE, any_field, percent};
use crate::v1_wire::{FORM, Fields, Silence, encoded, form, notice_of, renamed, value, with, without};
use crate::v2_wire::gzip;
use Expected::{Accepted, BadSignature, WrongType};

fn row(what: &str, fields: &[(String, String)], expected: Expected) -> Row {
    v1_fields::row(what, NOTICE, fields, expected)
}

fn raw(what: &str, body: impl Into<Vec<u8>>, expected: Expected) -> Row {
    v1_fields::raw(what, NOTICE, body, expected)
}

fn values(good: &Fields, order: &Placed, other: &Placed) -> Vec<Row> {
    let id = order.order_id.to_string();
    let mut rows = Vec::new();
    // 38.89 is what was paid: 37.50 and the commission.
    for sum in [
        "38.88",
        "38.9",
        "38.890",
        "038.89",
        "38,89",
        "3889",
        "37.50",
        "0.01",
        "-38.89",
        "+38.89",
        "3.889e1",
        "38.89 USD",
    ] {
        rows.push(row(&format!("OutSum {sum}"), &with(good, "OutSum", sum), BadSignature));
    }
    for ids in [
        other.order_id.to_string(),
        order.bill_id.clone(),
        order.order_id.simple().to_string(),
        order.order_id.braced().to_string(),
        order.order_id.urn().to_string(),
        id.to_uppercase(),
        id[..35].to_owned(),
        "%".to_owned(),
        "' or true --".to_owned(),
    ] {
        // An id without letters is the same in capitals.
        if ids != id {
            rows.push(row(&format!("InvId {ids}"), &with(good, "InvId", &ids), BadSignature));
        }
    }
    let (sum, id) = (value(good, "OutSum"), value(good, "InvId"));
    rows.push(row(
        "a colon moved into OutSum",
        &with(&with(good, "OutSum", &format!("{sum}:{}", &id[..8])), "InvId", &id[9..]),
        MALFORMED,
    ));
    rows.push(row(
        "sum and id swapped",
        &with(&with(good, "OutSum", id), "InvId", sum),
        BadSignature,
    ));
    rows.push(row(
        "sum and id of another order",
        &with(&with(good, "OutSum", "38.89"), "InvId", &other.order_id.to_string()),
        BadSignature,
    ));
    rows
}

fn signatures(good: &Fields, other: &Placed) -> Vec<Row> {
    let (token, sum, id) = (stack_v1().cardlink.token.as_str(), value(good, "OutSum"), value(good, "InvId"));
    let digest = value(good, SIGNATURE);
    let md5 = |text: String| hex::encode_upper(Md5::digest(text));
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(format!("{sum}:{id}").as_bytes());
    let bad = [
        ("short", digest[..31].to_owned()),
        ("long", format!("{digest}0")),
        ("doubled", digest.repeat(2)),
        ("all zeros", "0".repeat(32)),
        ("of nothing", md5(String::new())),
        ("in base64", STANDARD.encode(hex::decode(digest).unwrap())),
        ("reversed", digest.chars().rev().collect()),
        ("the key itself", token.to_owned()),
        ("of another order", md5_signature(&[sum, &other.order_id.to_string()], token)),
        ("of another sum", md5_signature(&["37.50", id], token)),
        ("of the sum without its last nought", md5_signature(&["38.8", id], token)),
        ("without the key", md5(format!("{sum}:{id}"))),
        ("with an empty key", md5(format!("{sum}:{id}:"))),
        ("with another key", md5_signature(&[sum, id], "another-token")),
        ("with v2's secret", md5_signature(&[sum, id], &stack_v1().cardlink.secret)),
        ("with the key first", md5(format!("{token}:{sum}:{id}"))),
        ("in the order of names", md5_signature(&[id, sum], token)),
        ("with another separator", md5(format!("{sum}&{id}&{token}"))),
        ("without separators", md5(format!("{sum}{id}{token}"))),
        ("with the status", md5_signature(&[sum, id, "SUCCESS"], token)),
        ("as an HMAC", hex::encode_upper(mac.finalize().into_bytes())),
        ("in SHA-256", hex::encode_upper(Sha256::digest(format!("{sum}:{id}:{token}")))),
    ];
    let mut rows: Vec<Row> = bad
        .into_iter()
        .map(|(what, signature)| row(&format!("signature {what}"), &with(good, SIGNATURE, &signature), BadSignature))
        .collect();
    rows.push(row(
        "signature in small letters",
        &with(good, SIGNATURE, &digest.to_lowercase()),
        Accepted,
    ));
    for header in ["signature", "signaturevalue", "authorization"] {
        let sent = form(NOTICE, encoded(&without(good, SIGNATURE))).with_header(header, digest);
        rows.push((format!("signature in the header {header}"), sent, BadSignature));
    }
    for name in ["Signature", "sign", "Sign", "signature_value"] {
        rows.push(row(
            &format!("signature called {name}"),
            &renamed(good, SIGNATURE, name),
            BadSignature,
        ));
    }
    rows
}

/// Bytes that other programs would read as the same notice.
fn encodings(good: &Fields) -> Vec<Row> {
    let body = encoded(good);
    let json: serde_json::Map<String, serde_json::Value> = good.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let json = serde_json::Value::Object(json).to_string();
    let sent = |body: &str, content_type| form(NOTICE, body.as_bytes()).typed(content_type);
    let multipart: String = good
        .iter()
        .map(|(name, value)| format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"))
        .collect();
    let multipart = format!("{multipart}--x--\r\n");
    let mut sorted = good.clone();
    // The signed ones first, so that what stands before the whole form spoils one of them.
    sorted.sort_by_key(|(name, _)| name != "OutSum");
    let utf16: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let many: String = (0..50).map(|i| format!("&k{i}=")).collect();
    let mut reversed = good.clone();
    reversed.reverse();
    vec![
        ("JSON".to_owned(), sent(&json, Some("application/json")), WrongType),
        ("JSON that calls itself a form".to_owned(), sent(&json, FORM), MALFORMED),
        (
            "a form that calls itself JSON".to_owned(),
            sent(&body, Some("application/json")),
            WrongType,
        ),
        ("a form that does not say so".to_owned(), sent(&body, None), WrongType),
        (
            "a form that calls itself text".to_owned(),
            sent(&body, Some("text/plain")),
            WrongType,
        ),
        (
            "multipart".to_owned(),
            sent(&multipart, Some("multipart/form-data; boundary=x")),
            WrongType,
        ),
        ("multipart that calls itself a form".to_owned(), sent(&multipart, FORM), MALFORMED),
        raw("a byte order mark before it", format!("\u{feff}{}", encoded(&sorted)), MALFORMED),
        raw("UTF-16", utf16, MALFORMED),
        raw("gzip that does not say so", gzip(encoded(&sorted).as_bytes()), MALFORMED),
        (
            "gzip".to_owned(),
            form(NOTICE, gzip(encoded(&sorted).as_bytes())).with_header("content-encoding", "gzip"),
            MALFORMED,
        ),
        raw("percent encoding of the whole", percent(&body), MALFORMED),
        raw("semicolons between the fields", body.replace('&', ";"), MALFORMED),
        raw("entities between the fields", encoded(&sorted).replace('&', "&amp;"), MALFORMED),
        raw("a question mark before it", format!("?{}", encoded(&sorted)), MALFORMED),
        raw("two of them", format!("{body}&{body}"), MALFORMED),
        raw("too many fields", format!("{body}{many}"), MALFORMED),
        row("fields the other way round", &reversed, Accepted),
        raw("ampersands too many", format!("&{}&&", body.replace('&', "&&")), Accepted),
        (
            "the type in capitals, with a parameter".to_owned(),
            sent(&body, Some("Application/X-WWW-Form-Urlencoded; charset=cp1251")),
            Accepted,
        ),
    ]
}

fn rows(good: &Fields, order: &Placed, other: &Placed) -> Vec<Row> {
    [
        any_field(NOTICE, good, "OutSum"),
        any_field(NOTICE, good, "InvId"),
        any_field(NOTICE, good, SIGNATURE),
        values(good, order, other),
        signatures(good, other),
        encodings(good),
    ]
    .concat()
}

/// Makes the cases for orders that are paid at the provider, of which the shop has not heard.
pub async fn cases(
    shop: &Shop,
    draft: impl Fn(&Fields, &Placed, &Placed) -> Vec<Row>,
    pay: Option<&str>,
    twin_outcome: &'static str,
) -> Vec<Case> {
    let other = orders(shop, 1).await.remove(0);
    let notice = async |order: &Placed| match pay {
        Some(button) => notice_of(shop, order, button).await,
        None => unpaid_notice(shop, order),
    };
    let stranger = Placed {
        order_id: Uuid::new_v4(),
        ..other.clone()
    };
    let places = shared(&draft(&unpaid_notice(shop, &other), &other, &stranger));
    let (count, mut placed) = (places.len(), Vec::new());
    for order in orders(shop, places.iter().max().unwrap() + 1).await {
        placed.push((notice(&order).await, order));
    }
    let case = |(index, place): (usize, usize)| {
        let (good, order) = &placed[place];
        let mut drawn = draft(good, order, &other);
        assert_eq!(drawn.len(), count);
        let (name, forged, expected) = drawn.swap_remove(index);
        Case {
            name,
            order: order.clone(),
            forged,
            expected,
            twin: form(NOTICE, encoded(good)),
            twin_outcome,
        }
    };
    places.into_iter().enumerate().map(case).collect()
}

/// A notice of a payment that never was, with a right signature: all that a payer needs for it is an attempt that failed.
fn unpaid_notice(shop: &Shop, order: &Placed) -> Fields {
    let id = order.order_id.to_string();
    let signature = md5_signature(&["38.89", &id], &shop.info.cardlink.token);
    [
        ("Status", "SUCCESS"),
        ("InvId", &id),
        ("Commission", "1.39"),
        ("CurrencyIn", "USD"),
        ("OutSum", "38.89"),
        ("TrsId", &order.bill_id),
        ("AccountType", "BANK_CARD"),
        ("AccountNumber", "411111******1111"),
        (SIGNATURE, &signature),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

#[tokio::test]
async fn what_is_signed_cannot_be_altered_on_a_bill_that_is_paid() {
    let _silence = Silence::begin();
    let shop = Shop::v1(0).await;
    let cases = cases(&shop, rows, Some("pay"), "fulfilled").await;
    attack(&shop, cases).await;
}
