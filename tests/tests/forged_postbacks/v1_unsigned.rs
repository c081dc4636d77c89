//! v1: the fields that nobody signs, and the signature that the payer's browser carries.

use lonieve_tests::{Placed, Reply, Shop};

use crate::attack::{Expected, NOTICE, Row, alone, attack, orders, sold};
use crate::v1_fields::{MALFORMED, SIGNATURE, in_form, raw, row};
use crate::v1_payments::cases;
use crate::v1_wire::{Fields, Silence, added, encoded, form, notice_of, press, renamed, said, state, value, with, without};
use Expected::Accepted;

/// Every field that the provider sends beside the signed ones, and some that it does not.
fn unsigned(good: &Fields, heard: &Expected, other: &Placed) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in ["Status", "Commission", "CurrencyIn", "TrsId", "AccountType", "AccountNumber"] {
        let named = |what: &str| format!("{name} {what}");
        let plain = in_form(good, name);
        rows.push(row(&named("dropped"), NOTICE, &without(good, name), heard.clone()));
        rows.push(row(&named("empty"), NOTICE, &with(good, name, ""), heard.clone()));
        rows.push(row(
            &named("in small letters"),
            NOTICE,
            &with(good, name, &value(good, name).to_lowercase()),
            heard.clone(),
        ));
        rows.push(row(
            &named("with a space"),
            NOTICE,
            &with(good, name, &format!(" {}", value(good, name))),
            heard.clone(),
        ));
        rows.push(row(&named("with U+0000"), NOTICE, &with(good, name, "SUCCESS\0"), heard.clone()));
        rows.push(row(
            &named("longer than any"),
            NOTICE,
            &with(good, name, &"9".repeat(5000)),
            heard.clone(),
        ));
        rows.push(row(
            &named("as a list"),
            NOTICE,
            &renamed(good, name, &format!("{name}[]")),
            heard.clone(),
        ));
        rows.push(row(
            &named("name in small letters"),
            NOTICE,
            &renamed(good, name, &name.to_lowercase()),
            heard.clone(),
        ));
        rows.push(raw(
            &named("in another code page"),
            NOTICE,
            encoded(good).replace(&plain, &format!("{name}=%CF%F3")),
            heard.clone(),
        ));
        rows.push(row(
            &named("in Russian"),
            NOTICE,
            &with(good, name, "Успех \u{fffd}"),
            heard.clone(),
        ));
        rows.push(row(&named("twice"), NOTICE, &added(good, name, "x"), MALFORMED));
    }
    for (name, value) in [
        ("Status", "OVERPAID"),
        ("Status", "UNDERPAID"),
        ("Status", "FAIL"),
        ("Status", "PAID"),
        ("Status", "SUCCEЅS"),
        ("Status", "REFUNDED"),
        ("CurrencyIn", "RUB"),
        ("Commission", "-1000000.00"),
        ("Commission", "NaN"),
        ("TrsId", other.bill_id.as_str()),
    ] {
        rows.push(row(&format!("{name} {value}"), NOTICE, &with(good, name, value), heard.clone()));
    }
    for (name, value) in [
        ("custom", "{\"paid\":true}"),
        ("bill_id", other.bill_id.as_str()),
        ("BillId", other.bill_id.as_str()),
        ("Id", "1"),
        ("Amount", "0.01"),
        ("status", "paid"),
        ("signature", "x"),
        ("BalanceAmount", "1000.00"),
        ("PayerName", "a&b=c"),
        ("test", "1"),
    ] {
        rows.push(row(&format!("{name} added"), NOTICE, &added(good, name, value), heard.clone()));
    }
    rows
}

#[tokio::test]
async fn on_an_unpaid_bill_no_unsigned_field_gives_a_code() {
    let _silence = Silence::begin();
    let shop = Shop::v1(0).await;
    let draft = |good: &Fields, _: &Placed, other: &Placed| unsigned(good, &Expected::Heard("noop"), other);
    let cases = cases(&shop, draft, None, "noop").await;
    let count = cases.len();
    attack(&shop, cases).await;
    assert_eq!((sold(&shop).await, shop.outbox().await), (0, vec![]));
    // Once a bill is paid: whatever the notice is that the shop hears first, it gives the code, and one.
    for (index, order) in orders(&shop, count).await.iter().enumerate() {
        let good = notice_of(&shop, order, "pay").await;
        let (name, sent, expected) = unsigned(&good, &Accepted, order).swap_remove(index);
        let reply = sent.post(&shop).await;
        let outcome = if expected == Accepted {
            assert_eq!(said(&reply), "fulfilled", "{name}");
            "already_processed"
        } else {
            reply.refused(400, "invalid_request");
            "fulfilled"
        };
        assert_eq!(said(&form(NOTICE, encoded(&good)).post(&shop).await), outcome, "{name}");
        assert_eq!(
            (state(&shop, order).await.as_str(), sold(&shop).await),
            ("paid delivered", index as i64 + 1),
            "{name}"
        );
    }
}

/// The success page is carried a signature that the notice of the payment has too.
#[tokio::test]
async fn what_the_browser_carries_is_good_for_its_own_paid_bill_only() {
    let _silence = Silence::begin();
    let shop = Shop::v1(0).await;
    let _counters = alone(&shop).await;
    let mut placed = orders(&shop, 3).await.into_iter();
    let (paid, failed, unpaid) = (placed.next().unwrap(), placed.next().unwrap(), placed.next().unwrap());
    let carried = async |order: &Placed, button: &str| -> Fields {
        let pressed = press(&shop, order, button).await;
        let fields = pressed["return_form"].as_object().unwrap().iter();
        fields
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect()
    };
    let post = async |path: &'static str, fields: &Fields| form(path, encoded(fields)).post(&shop).await;

    let fail = added(&carried(&failed, "fail").await, "Status", "SUCCESS");
    assert_eq!(said(&post(NOTICE, &fail).await), "failed");
    assert_eq!(state(&shop, &failed).await, "failed reserved");
    let success = carried(&paid, "pay").await;
    // The same sum, so only the id differs.
    assert_eq!(value(&success, "OutSum"), value(&fail, "OutSum"));
    for order in [&failed, &unpaid] {
        let moved = with(&added(&success, "Status", "SUCCESS"), "InvId", &order.order_id.to_string());
        post(NOTICE, &moved).await.refused(401, "invalid_signature");
        let lent = with(&moved, SIGNATURE, value(&fail, SIGNATURE));
        let lent = post(NOTICE, &lent).await;
        assert_eq!(lent.status, if order.order_id == failed.order_id { 200 } else { 401 });
    }
    // Refunds and chargebacks are signed over other fields, which no browser carries.
    for path in ["/api/webhooks/cardlink/refund", "/api/webhooks/cardlink/chargeback"] {
        post(path, &success).await.refused(400, "invalid_request");
        let more = [
            ("Id", value(&success, "OutSum")),
            ("BillId", paid.bill_id.as_str()),
            ("PaymentId", value(&success, "InvId")),
            ("Amount", value(&success, "OutSum")),
            ("Currency", "USD"),
        ];
        let more = more
            .into_iter()
            .fold(success.clone(), |fields, (name, value)| added(&fields, name, value));
        post(path, &more).await.refused(401, "invalid_signature");
    }
    // The pages themselves take the form, whoever posts it, and write nothing.
    let back = async |page: &str| {
        let request = shop.http.post(format!("{}/pay/return/{page}", shop.info.gateway)).form(&success);
        Reply::of(request).await.status
    };
    let statuses = shop.adds_nothing(async { [back("success").await, back("fail").await] }).await;
    assert_eq!(statuses, [303, 303]);
    assert_eq!((sold(&shop).await, state(&shop, &paid).await.as_str()), (0, "pending reserved"));
    // On its own bill, which the provider has as paid, it is as good as the notice that got lost.
    assert_eq!(said(&post(NOTICE, &success).await), "fulfilled");
    assert_eq!(said(&post(NOTICE, &success).await), "already_processed");
    assert_eq!((sold(&shop).await, state(&shop, &failed).await.as_str()), (1, "failed reserved"));
    assert_eq!(state(&shop, &unpaid).await, "pending reserved");
}
