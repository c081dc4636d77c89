//! v2: each member of a notice altered in every way, and its signature, and its encoding; in each form in which the amount may be printed.

use lonieve_tests::{Placed, Shop};

use crate::attack::{Case, Expected, Row, attack, orders, shared, sold};
use crate::v2_envelope::{encodings, signatures};
use crate::v2_members::{Scene, amount_member, any_member, further_members, text_member, value_of};
use crate::v2_wire::{FORMS, Form, body, genuine, json, members, printed, quoted, sign, swapped_case, wide};

fn rows(s: &Scene) -> Vec<Row> {
    let (bill, other) = (s.order.bill_id.as_str(), s.other.bill_id.as_str());
    let look_alike_bill = wide(&bill[..1]) + &bill[1..];
    [
        any_member(s, "bill_id"),
        any_member(s, "status"),
        any_member(s, "amount"),
        any_member(s, "currency"),
        text_member(
            s,
            "bill_id",
            bill,
            &[other, &s.order.order_id.to_string(), "PAID", &bill[..11]],
            &look_alike_bill,
        ),
        text_member(s, "status", "PAID", &["FAILED", "EXPIRED", "PENDING", "SUCCESS", "USD"], "РАID"),
        text_member(s, "currency", "USD", &["EUR", "RUB", "PAID", "US", "USDT"], "UЅD"),
        amount_member(s),
        further_members(s),
        signatures(s),
        encodings(s),
    ]
    .concat()
}

async fn attacked(form: Form) {
    let shop = Shop::new().await;
    let other = orders(&shop, 1).await.remove(0);
    let draft = |order: &Placed| {
        rows(&Scene {
            shop: &shop,
            order,
            other: &other,
            form,
        })
    };
    let places = shared(&draft(&other));
    let count = places.iter().max().unwrap() + 1;
    let placed = orders(&shop, count).await;
    let case = |(index, place): (usize, usize)| {
        let order = placed[place].clone();
        let (name, forged, expected) = draft(&order).swap_remove(index);
        Case {
            name: format!("{name} ({form:?})"),
            forged,
            expected,
            twin: json(genuine(&shop, &order, form)),
            twin_outcome: "fulfilled",
            order,
        }
    };
    let cases = places.into_iter().enumerate().map(case).collect();
    attack(&shop, cases).await;
    // Exactly the twins' notices are kept, each with the form in which its sender printed the amount.
    let kept = format!(
        "select count(*) from ops.webhook_logs where tenant_id = $1 and outcome = 'fulfilled' and signature_form = '{}' and not request_body ? 'signature'",
        form.name
    );
    assert_eq!(shop.count(&kept).await, count as i64);
    assert_eq!(
        shop.count("select count(*) from ops.webhook_logs where tenant_id = $1").await,
        count as i64
    );
    assert_eq!(shop.state(other.order_id).await.0, "pending");
}

#[tokio::test]
async fn a_number_as_sent() {
    attacked(FORMS[0]).await;
}

#[tokio::test]
async fn a_number_as_javascript_prints_it() {
    attacked(FORMS[1]).await;
}

#[tokio::test]
async fn a_number_with_two_decimals() {
    attacked(FORMS[2]).await;
}

#[tokio::test]
async fn a_number_as_a_text() {
    attacked(FORMS[3]).await;
}

/// Signed by the provider, for whatever reason, and still no "paid" of this bill.
#[tokio::test]
async fn a_genuine_signature_over_look_alikes_gives_no_code() {
    let shop = Shop::new().await;
    let form = FORMS[0];
    let placed = orders(&shop, 24).await;
    let mut placed = placed.into_iter();
    let mut cases = Vec::new();
    let mut case = |name: &str, change: &dyn Fn(&Placed) -> (&'static str, String), expected: Expected| {
        let order = placed.next().unwrap();
        let (member, value) = change(&order);
        let mut sent = members(&order, form);
        *value_of(&mut sent, member) = quoted(&value);
        let mut signed = printed(&order, form);
        signed.iter_mut().find(|(name, _)| *name == member).unwrap().1 = &value;
        let forged = json(body(&sent, &quoted(&sign(&shop, &signed))));
        let twin = json(genuine(&shop, &order, form));
        cases.push(Case {
            name: name.to_owned(),
            order,
            forged,
            expected,
            twin,
            twin_outcome: "fulfilled",
        });
    };
    for status in [
        "paid",
        "Paid",
        "PAID ",
        " PAID",
        "РАID",
        "ＰＡＩＤ",
        "PAID\u{200b}",
        "PAI",
        "PAIDX",
        "SUCCESS",
        "OVERPAID",
        "UNDERPAID",
    ] {
        case(status, &|_| ("status", status.to_owned()), Expected::Heard("noop"));
    }
    case(
        "bill in another case",
        &|order| ("bill_id", swapped_case(&order.bill_id)),
        Expected::Unknown,
    );
    case(
        "bill with a space",
        &|order| ("bill_id", format!("{} ", order.bill_id)),
        Expected::Unknown,
    );
    case(
        "bill with a zero-width space",
        &|order| ("bill_id", format!("{}\u{200b}", order.bill_id)),
        Expected::Unknown,
    );
    case(
        "bill in wide letters",
        &|order| ("bill_id", wide(&order.bill_id)),
        Expected::Unknown,
    );
    case(
        "our id as the bill's",
        &|order| ("bill_id", order.order_id.to_string()),
        Expected::Unknown,
    );
    case("a pattern as the bill's", &|_| ("bill_id", "%".to_owned()), Expected::Unknown);
    case(
        "part of the bill",
        &|order| ("bill_id", order.bill_id[..11].to_owned()),
        Expected::Unknown,
    );
    attack(&shop, cases).await;
}

#[tokio::test]
async fn a_genuine_signature_over_another_currency_is_for_a_person() {
    let shop = Shop::new().await;
    let form = FORMS[0];
    let currencies = ["EUR", "USDT", "US", "UЅD", "ＵＳＤ", "USD ", " USD", "USD\u{200b}", "$", "840"];
    let placed = orders(&shop, currencies.len()).await;
    for (order, currency) in placed.iter().zip(currencies) {
        let mut sent = members(order, form);
        *value_of(&mut sent, "currency") = quoted(currency);
        let mut signed = printed(order, form);
        signed[3].1 = currency;
        let reply = json(body(&sent, &quoted(&sign(&shop, &signed)))).post(&shop).await;
        assert_eq!(reply.expect(200)["outcome"], "manual_review", "{currency}");
        let reviewed = (
            "manual_review".to_owned(),
            "reserved".to_owned(),
            Some("currency_mismatch".to_owned()),
        );
        assert_eq!(shop.state(order.order_id).await, reviewed, "{currency}");
    }
    assert_eq!(sold(&shop).await, 0);
    // The twins: the same signature, made over the order's currency, in the two ways it may be written.
    for currency in ["USD", "usd"] {
        let order = orders(&shop, 1).await.remove(0);
        let mut sent = members(&order, form);
        *value_of(&mut sent, "currency") = quoted(currency);
        let mut signed = printed(&order, form);
        signed[3].1 = currency;
        let reply = json(body(&sent, &quoted(&sign(&shop, &signed)))).post(&shop).await;
        assert_eq!(reply.expect(200)["outcome"], "fulfilled", "{currency}");
    }
}
