//! v1: refund and chargeback notices altered in every way, and genuine ones of what the provider has not done.

use lonieve_tests::{Placed, Reply, Shop, md5_signature, stack_v1};
use serde_json::Value;

use crate::attack::{Case, Expected, NOTICE, Row, Sent, attack, orders, settled, shared, sold};
use crate::v1_fields::{MALFORMED, SIGNATURE, any_field, row};
use crate::v1_wire::{Fields, Silence, added, encoded, form, notice_of, renamed, said, state, value, with, without};
use Expected::{Accepted, BadSignature};

const REFUND: &str = "/api/webhooks/cardlink/refund";
const CHARGEBACK: &str = "/api/webhooks/cardlink/chargeback";
const SIGNED_OF_REFUND: [&str; 5] = ["Amount", "Currency", "BillId", "PaymentId", "Id"];
const SIGNED_OF_CHARGEBACK: [&str; 3] = ["BillId", "PaymentId", "Id"];

fn signed(kind: &'static str) -> &'static [&'static str] {
    if kind == REFUND { &SIGNED_OF_REFUND } else { &SIGNED_OF_CHARGEBACK }
}

/// A notice with the right signature for what it says.
fn signed_as(kind: &'static str, fields: &Fields) -> Sent {
    let values: Vec<&str> = signed(kind).iter().map(|name| value(fields, name)).collect();
    form(
        kind,
        encoded(&with(fields, SIGNATURE, &md5_signature(&values, &stack_v1().cardlink.token))),
    )
}

/// Orders that are paid and delivered, with nothing left in the outbox.
async fn delivered(shop: &Shop, count: usize) -> Vec<Placed> {
    let placed = orders(shop, count).await;
    for order in &placed {
        let paid = form(NOTICE, encoded(&notice_of(shop, order, "pay?commission=0").await));
        assert_eq!(said(&paid.post(shop).await), "fulfilled");
    }
    settled(shop).await;
    placed
}

fn rows(kind: &'static str, good: &Fields, other: &Placed) -> Vec<Row> {
    let mut rows: Vec<Row> = signed(kind)
        .iter()
        .chain([&SIGNATURE])
        .flat_map(|name| any_field(kind, good, name))
        .collect();
    let token = stack_v1().cardlink.token.as_str();
    let mut altered = vec![
        ("BillId", other.bill_id.as_str()),
        ("BillId", "%"),
        ("PaymentId", "another"),
        ("PaymentId", value(good, "BillId")),
        ("Id", "another"),
        ("Id", value(good, "PaymentId")),
    ];
    if kind == REFUND {
        altered.extend([
            ("Amount", "0.01"),
            ("Amount", "37.5"),
            ("Amount", "37.51"),
            ("Amount", "-37.50"),
            ("Amount", "3750"),
        ]);
        altered.extend([("Currency", "EUR"), ("Currency", "usd"), ("Currency", "UЅD")]);
    }
    for (name, to) in altered {
        rows.push(row(&format!("{name} {to}"), kind, &with(good, name, to), BadSignature));
    }
    // With the separator in a field, two notices could hash alike.
    for name in &signed(kind)[..signed(kind).len() - 1] {
        rows.push(row(&format!("{name} with a colon"), kind, &with(good, name, "a:b"), MALFORMED));
    }
    let field = |name: &str| good.iter().find(|(n, _)| n == name).map_or("USD", |(_, value)| value.as_str());
    let (bill, payment, id) = (field("BillId"), field("PaymentId"), field("Id"));
    for (what, parts) in [
        (
            "of the other kind",
            if kind == REFUND {
                vec![bill, payment, id]
            } else {
                vec!["37.50", "USD", bill, payment, id]
            },
        ),
        ("of a payment", vec!["37.50", field("InvId")]),
        (
            "with the status",
            [&signed(kind).iter().map(|name| field(name)).collect::<Vec<_>>()[..], &["SUCCESS"]].concat(),
        ),
        ("in another order", signed(kind).iter().rev().map(|name| field(name)).collect()),
        ("of another bill", vec![&other.bill_id, payment, id]),
    ] {
        rows.push(row(
            &format!("signature {what}"),
            kind,
            &with(good, SIGNATURE, &md5_signature(&parts, token)),
            BadSignature,
        ));
    }
    let others_kind = if kind == REFUND { CHARGEBACK } else { REFUND };
    let refused = if kind == REFUND { BadSignature } else { MALFORMED };
    rows.push(row("at the other kind's address", others_kind, good, refused));
    rows.push(row("at the payments' address", NOTICE, good, MALFORMED));
    // Nobody signs these: they can say what they like, and the provider's word counts.
    let paid_order = other.order_id.to_string();
    for (name, to) in [
        ("Status", "FAIL"),
        ("Status", "NEW"),
        ("Status", "success"),
        ("Status", "SUCCESS\0"),
        ("Status", ""),
        ("InvId", &paid_order),
        ("InvId", ""),
        ("InvId", "x"),
    ] {
        rows.push(row(&format!("{name} {to:?}"), kind, &with(good, name, to), Accepted));
    }
    for name in ["Status", "InvId"] {
        rows.push(row(&format!("{name} dropped"), kind, &without(good, name), Accepted));
        rows.push(row(
            &format!("{name} as a list"),
            kind,
            &renamed(good, name, &format!("{name}[]")),
            Accepted,
        ));
        rows.push(row(&format!("{name} twice"), kind, &added(good, name, "x"), MALFORMED));
    }
    rows.push(row("OutSum added", kind, &added(good, "OutSum", "0.01"), Accepted));
    rows
}

async fn attacked(kind: &'static str, button: &str, outcome: &'static str) {
    let _silence = Silence::begin();
    let shop = Shop::v1(0).await;
    let other = delivered(&shop, 1).await.remove(0);
    let sample: Fields = ["Id", "Amount", "Currency", "Status", "InvId", "BillId", "PaymentId", SIGNATURE]
        .map(|name| (name.to_owned(), "000000000000".to_owned()))
        .to_vec();
    let places = shared(&rows(kind, &sample, &other));
    let count = places.iter().max().unwrap() + 1;
    let mut reversed = Vec::new();
    for order in delivered(&shop, count).await {
        reversed.push((notice_of(&shop, &order, button).await, order));
    }
    let case = |(index, place): (usize, usize)| {
        let (good, order) = &reversed[place];
        let (name, forged, expected) = rows(kind, good, &other).swap_remove(index);
        Case {
            name,
            order: order.clone(),
            forged,
            expected,
            twin: form(kind, encoded(good)),
            twin_outcome: outcome,
        }
    };
    let cases: Vec<Case> = places.into_iter().enumerate().map(case).collect();
    attack(&shop, cases).await;
    for (_, order) in &reversed {
        assert_eq!(state(&shop, order).await, format!("{outcome} revoked"));
    }
    let booked = shop
        .count("select count(*) from shop.refunds where tenant_id = $1 and status = 'completed'")
        .await;
    assert_eq!((booked, sold(&shop).await), (count as i64, count as i64 + 1));
    assert_eq!(state(&shop, &other).await, "paid delivered");
}

#[tokio::test]
async fn what_is_signed_of_a_refund_cannot_be_altered_and_the_rest_says_nothing() {
    attacked(REFUND, "refund", "refunded").await;
}

#[tokio::test]
async fn what_is_signed_of_a_chargeback_cannot_be_altered_and_the_rest_says_nothing() {
    attacked(CHARGEBACK, "chargeback", "chargeback").await;
}

/// The provider's id of the payment of a bill, as it is known to whoever has its API's token.
async fn payment_id(shop: &Shop, order: &Placed) -> String {
    let url = format!("{}/cardlink/v1/bill/payments?id={}", shop.info.sandbox, order.bill_id);
    let payments: Value = Reply::of(shop.http.get(url).bearer_auth(&shop.info.cardlink.token))
        .await
        .expect(200);
    payments["data"][0]["id"].as_str().unwrap().to_owned()
}

/// Whoever has the key can sign anything, and still moves nothing that the provider does not have.
#[tokio::test]
async fn a_right_signature_moves_nothing_the_provider_has_not_done() {
    let _silence = Silence::begin();
    let shop = Shop::v1(0).await;
    let mut placed = delivered(&shop, 3).await.into_iter();
    let (order, refunded, other) = (placed.next().unwrap(), placed.next().unwrap(), placed.next().unwrap());
    let unpaid = orders(&shop, 1).await.remove(0);
    let payment = payment_id(&shop, &order).await;
    let genuine = notice_of(&shop, &refunded, "refund?amount=10").await;
    let made_up = |order: &Placed, payment: &str| -> Fields {
        let id = order.order_id.to_string();
        let fields = [
            ("Id", "made-up"),
            ("Amount", "37.50"),
            ("Currency", "USD"),
            ("Status", "SUCCESS"),
            ("InvId", &id),
            ("BillId", &order.bill_id),
            ("PaymentId", payment),
            (SIGNATURE, ""),
        ];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    };
    let good = made_up(&order, &payment);
    let heard: Vec<Fields> = [
        good.clone(),
        with(&good, "Amount", "0.01"),
        with(&good, "Amount", "37.51"),
        with(&good, "Amount", "a lot"),
        with(&good, "Currency", "EUR"),
        with(&good, "Status", "FAIL"),
        with(&good, "InvId", &other.order_id.to_string()),
        with(&good, "Id", value(&genuine, "Id")),
        with(&good, "Id", &payment),
    ]
    .to_vec();
    let count = 2 * heard.len() as i64;
    let rows = [("ops.webhook_logs", count), ("ops.system_health_metrics", count)];
    let all = async {
        for kind in [REFUND, CHARGEBACK] {
            for fields in &heard {
                assert_eq!(said(&signed_as(kind, fields).post(&shop).await), "ignored", "{kind} {fields:?}");
            }
        }
    };
    shop.adds(&rows, all).await;
    // A payment that is not this bill's proves nothing of it, and neither does one that nobody knows. What was asked in vain is noted.
    let strangers = [
        made_up(&order, &payment_id(&shop, &other).await),
        made_up(&order, "made-up"),
        made_up(&unpaid, &payment),
        made_up(&unpaid, "made-up"),
    ];
    let all = async {
        for kind in [REFUND, CHARGEBACK] {
            for fields in &strangers {
                signed_as(kind, fields).post(&shop).await.refused(503, "provider_unavailable");
            }
        }
    };
    shop.adds(&[("ops.webhook_logs", 8)], all).await;
    // A refund that is one does not pass for a chargeback.
    let crossed = signed_as(CHARGEBACK, &genuine).post(&shop).await;
    assert_eq!(said(&crossed), "ignored");
    for order in [&order, &refunded, &other] {
        assert_eq!(state(&shop, order).await, "paid delivered");
    }
    assert_eq!(state(&shop, &unpaid).await, "pending reserved");
    assert_eq!(shop.count("select count(*) from shop.refunds where tenant_id = $1").await, 0);
    // The twin: the same form for a refund the provider has. It books what the provider says, 10.00, whatever the notice says.
    let twin = signed_as(REFUND, &with(&genuine, "Amount", "37.50")).post(&shop).await;
    assert_eq!(said(&twin), "partially_refunded");
    let booked = "select count(*) from shop.refunds where tenant_id = $1 and refund_amount = 10.00 and refund_type = 'partial'";
    assert_eq!(shop.count(booked).await, 1);
    assert_eq!(sold(&shop).await, 3);
}
