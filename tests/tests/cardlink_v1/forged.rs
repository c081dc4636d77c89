//! Notices that verify and lie: v1 signs two fields only, and the payer's browser sees a signature of the same formula.

use lonieve_tests::{Placed, Shop};

use crate::support::{NOTICE, among_others, outcome, payment_notice, post, press, said, sold, state};

/// What a notice may say besides its signed fields. The last one is filled with the id of a bill that is paid.
fn unsigned(paid_bill: &str) -> Vec<Vec<(&str, &str)>> {
    vec![
        vec![],
        vec![("Status", "SUCCESS")],
        vec![("Status", "OVERPAID")],
        vec![("Status", "UNDERPAID")],
        vec![("Status", "FAIL")],
        vec![("Status", "")],
        vec![("Status", "PAID"), ("CurrencyIn", "RUB"), ("Commission", "-100.00")],
        vec![
            ("Status", "SUCCESS"),
            ("CurrencyIn", "USD"),
            ("Commission", "1.39"),
            ("TrsId", paid_bill),
            ("custom", "x"),
        ],
    ]
}

async fn codes(shop: &Shop, order: &Placed) -> usize {
    shop.order(order.order_id, &order.token).await.expect(200)["codes"]
        .as_array()
        .unwrap()
        .len()
}

#[tokio::test]
async fn what_the_browser_carries_to_the_fail_page_buys_nothing() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    let failed = press(&shop, &order, "fail").await;
    assert_eq!(outcome(&failed), "failed");
    let carried = failed["return_form"].as_object().unwrap();
    assert_eq!(
        carried["OutSum"], "38.89",
        "the very sum of a payment that succeeds: 37.50 and the commission"
    );
    let mut form: Vec<(&str, &str)> = carried
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    form.extend([("Status", "SUCCESS"), ("TrsId", order.bill_id.as_str()), ("Commission", "0.00")]);

    // The signature is genuine, so this is no 401; the provider says FAIL, and that counts.
    for _ in 0..3 {
        assert_eq!(said(&post(&shop, NOTICE, &form).await), "already_processed");
    }
    assert_eq!(
        (state(&shop, &order).await.as_str(), sold(&shop).await, codes(&shop, &order).await),
        ("failed reserved", 0, 0)
    );
    assert!(shop.outbox().await.is_empty());
}

#[tokio::test]
async fn an_unpaid_bill_gives_no_code_whatever_the_unsigned_fields_say() {
    let _stack = among_others().await;
    let shop = Shop::v1(2).await;
    let (order, other) = (shop.place(&shop.cart()).await, shop.place(&shop.cart()).await);
    press(&shop, &other, "pay").await;
    // What follows a payment is written by the jobs, a moment later.
    shop.mails(&other.email, 1).await;
    let id = order.order_id.to_string();
    let (before, logs) = (shop.rows().await, "select count(*) from ops.webhook_logs where tenant_id = $1");
    let logged = shop.count(logs).await;
    let mut sent = 0;
    for out_sum in ["37.50", "38.89", "0.01"] {
        for more in unsigned(&other.bill_id) {
            assert_eq!(
                said(&payment_notice(&shop, out_sum, &id, &more).await),
                "noop",
                "{out_sum} {more:?}"
            );
            sent += 1;
        }
    }
    assert_eq!(
        (state(&shop, &order).await.as_str(), codes(&shop, &order).await),
        ("pending reserved", 0)
    );
    assert_eq!(shop.count(logs).await, logged + sent, "every one of them is logged");
    let mut after = shop.rows().await;
    for table in ["ops.webhook_logs", "ops.system_health_metrics"] {
        after.insert(table.to_owned(), before[table]);
    }
    assert_eq!(after, before, "and nothing else is written");
}

#[tokio::test]
async fn a_paid_bill_gives_one_code_whatever_the_unsigned_fields_say() {
    let _stack = among_others().await;
    for first in 0..unsigned("").len() {
        let shop = Shop::v1(3).await;
        let order = shop.place(&shop.cart()).await;
        // The provider's own notice gets lost: the first thing the shop hears is the forgery.
        pay_in_silence(&shop, &order).await;
        let id = order.order_id.to_string();
        let mut variants = unsigned(&order.bill_id);
        variants.rotate_left(first);
        for (number, more) in variants.iter().enumerate() {
            let expected = if number == 0 { "fulfilled" } else { "already_processed" };
            assert_eq!(said(&payment_notice(&shop, "0.01", &id, more).await), expected, "{more:?}");
        }
        assert_eq!(
            (state(&shop, &order).await.as_str(), sold(&shop).await, codes(&shop, &order).await),
            ("paid delivered", 1, 1)
        );
    }
}

/// Pays while the order's bill is somebody else's for the shop, so that the provider's own notice finds the order unpaid: it is
/// answered 404, parked, and repeated after ten seconds only.
async fn pay_in_silence(shop: &Shop, order: &Placed) {
    let set = "update shop.payments set bill_id = $2 where order_id = $1";
    shop.db.execute(set, &[&order.order_id, &None::<String>]).await.unwrap();
    press(shop, order, "pay").await;
    shop.db.execute(set, &[&order.order_id, &order.bill_id]).await.unwrap();
}

#[tokio::test]
async fn a_signature_serves_its_own_order_only() {
    let _stack = among_others().await;
    let shop = Shop::v1(2).await;
    let (paid, unpaid) = (shop.place(&shop.cart()).await, shop.place(&shop.cart()).await);
    let carried = press(&shop, &paid, "pay").await["return_form"].clone();
    let (out_sum, signature) = (carried["OutSum"].as_str().unwrap(), carried["SignatureValue"].as_str().unwrap());
    let form = [
        ("OutSum", out_sum),
        ("InvId", &unpaid.order_id.to_string()),
        ("Status", "SUCCESS"),
        ("SignatureValue", signature),
    ];
    post(&shop, NOTICE, &form).await.refused(401, "invalid_signature");
    let form = [
        ("OutSum", "37.5"),
        ("InvId", &paid.order_id.to_string()),
        ("SignatureValue", signature),
    ];
    post(&shop, NOTICE, &form).await.refused(401, "invalid_signature");
    assert_eq!(state(&shop, &unpaid).await, "pending reserved");
}
