//! Money that goes back: refunds in whole and in part, and chargebacks.

use lonieve_tests::{Placed, Shop, md5_signature};
use serde_json::json;

use crate::support::{
    NOTICE, alerts, alone, among_others, faults, ledger, ledger_is_sound, no_faults, outcome, outcomes, payment_notice, post, press, said,
    sold, state, text,
};

async fn paid(codes: usize) -> (Shop, Placed) {
    let shop = Shop::v1(codes).await;
    let order = shop.place(&shop.cart()).await;
    // Without commission on top, so that sums are easy to read.
    assert_eq!(outcome(&press(&shop, &order, "pay?commission=0").await), "fulfilled");
    (shop, order)
}

/// Rows of money that went back: kind, amount, type.
async fn reversals(shop: &Shop, order: &Placed) -> String {
    let sql = "select coalesce(string_agg(concat_ws(' ', kind, refund_amount, refund_type, status), ', ' order by processed_at, refund_amount), '') \
               from shop.refunds where order_id = $1";
    text(shop, order, sql).await.unwrap()
}

/// What the order says went back, and what is left of its profit: 37.50 - 30.00 cost - 1.39 fee - refunds.
async fn money(shop: &Shop, order: &Placed) -> String {
    let sql = "select o.refund_amount || ' ' || coalesce(o.true_profit::text, 'unknown') || ' ' || y.status \
               from shop.orders o join shop.payments y on y.order_id = o.id where o.id = $1";
    text(shop, order, sql).await.unwrap()
}

async fn shown_codes(shop: &Shop, order: &Placed) -> usize {
    shop.order(order.order_id, &order.token).await.expect(200)["codes"]
        .as_array()
        .unwrap()
        .len()
}

#[tokio::test]
async fn a_full_refund_takes_the_code_out_of_circulation() {
    let _stack = among_others().await;
    let (shop, order) = paid(2).await;
    assert_eq!(
        (money(&shop, &order).await.as_str(), shown_codes(&shop, &order).await),
        ("0.00 6.11 paid", 1)
    );
    assert_eq!(outcome(&press(&shop, &order, "refund").await), "refunded");
    assert_eq!(state(&shop, &order).await, "refunded revoked");
    assert_eq!(reversals(&shop, &order).await, "refund 37.50 full completed");
    assert_eq!(money(&shop, &order).await, "37.50 -31.39 refunded");
    assert_eq!(
        (ledger(&shop, &order).await.as_str(), shown_codes(&shop, &order).await),
        ("reserved sold revealed revoked", 0)
    );
    assert_eq!(
        shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'")
            .await,
        1
    );
    ledger_is_sound(&shop).await;

    // The bill still says SUCCESS at the provider: no later notice brings the code back.
    assert_eq!(outcome(&press(&shop, &order, "pay").await), "already_processed");
    assert_eq!((state(&shop, &order).await.as_str(), sold(&shop).await), ("refunded revoked", 0));
}

#[tokio::test]
async fn a_refunds_notice_counts_once_however_often_it_comes() {
    let _stack = among_others().await;
    let (shop, order) = paid(1).await;
    let mut expected = vec!["already_processed".to_owned(); 19];
    expected.push("refunded".to_owned());
    assert_eq!(outcomes(&press(&shop, &order, "refund?times=20").await), expected);
    assert_eq!(reversals(&shop, &order).await, "refund 37.50 full completed");
    assert_eq!(ledger(&shop, &order).await, "reserved sold revoked");
}

#[tokio::test]
async fn parts_add_up_to_the_whole() {
    let _stack = among_others().await;
    let (shop, order) = paid(1).await;
    assert_eq!(outcome(&press(&shop, &order, "refund?amount=10").await), "partially_refunded");
    assert_eq!(
        (state(&shop, &order).await.as_str(), money(&shop, &order).await.as_str()),
        ("partially_refunded delivered", "10.00 -3.89 paid")
    );
    let second = press(&shop, &order, "refund?amount=5").await;
    assert_eq!(outcome(&second), "partially_refunded");
    assert_eq!(
        (shown_codes(&shop, &order).await, money(&shop, &order).await.as_str()),
        (1, "15.00 -8.89 paid")
    );

    // The same notice again, as the provider would repeat it.
    let body = second["webhook"]["body"].as_str().unwrap();
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(said(&post(&shop, &format!("{NOTICE}/refund"), &fields).await), "already_processed");
    assert_eq!(
        reversals(&shop, &order).await,
        "refund 10.00 partial completed, refund 5.00 partial completed"
    );

    assert_eq!(outcome(&press(&shop, &order, "refund").await), "refunded");
    assert_eq!(
        (state(&shop, &order).await.as_str(), money(&shop, &order).await.as_str()),
        ("refunded revoked", "37.50 -31.39 refunded")
    );
    ledger_is_sound(&shop).await;
}

#[tokio::test]
async fn a_chargeback_takes_order_code_and_money() {
    let _stack = among_others().await;
    let (shop, order) = paid(1).await;
    assert_eq!(outcome(&press(&shop, &order, "refund?amount=7.50").await), "partially_refunded");
    assert_eq!(outcome(&press(&shop, &order, "chargeback").await), "chargeback");
    assert_eq!(state(&shop, &order).await, "chargeback revoked");
    assert_eq!(
        reversals(&shop, &order).await,
        "refund 7.50 partial completed, chargeback 30.00 partial completed"
    );
    assert_eq!(
        (money(&shop, &order).await.as_str(), alerts(&shop, &order).await.as_str()),
        ("37.50 -31.39 chargeback", "chargeback critical 1")
    );
    assert_eq!(ledger(&shop, &order).await, "reserved sold revoked");

    assert_eq!(outcome(&press(&shop, &order, "chargeback").await), "already_processed");
    assert_eq!(outcome(&press(&shop, &order, "refund?amount=1").await), "ignored");
    assert_eq!(outcome(&press(&shop, &order, "pay").await), "already_processed");
    assert_eq!(state(&shop, &order).await, "chargeback revoked");
    ledger_is_sound(&shop).await;
}

#[tokio::test]
async fn after_a_full_refund_a_chargeback_moves_nothing() {
    let _stack = among_others().await;
    let (shop, order) = paid(1).await;
    press(&shop, &order, "refund").await;
    let before = shop.rows().await["shop.refunds"];
    assert_eq!(outcome(&press(&shop, &order, "chargeback").await), "ignored");
    assert_eq!(
        (state(&shop, &order).await.as_str(), shop.rows().await["shop.refunds"]),
        ("refunded revoked", before)
    );
}

#[tokio::test]
async fn codes_nobody_has_seen_go_back_to_the_shelf() {
    let _stack = among_others().await;
    for (button, status) in [("refund", "refunded"), ("chargeback", "chargeback")] {
        let shop = Shop::v1(1).await;
        let order = shop.place(&shop.cart()).await;
        assert_eq!(
            outcome(&press(&shop, &order, "underpay?amount=20&commission=0").await),
            "manual_review"
        );
        assert_eq!(outcome(&press(&shop, &order, button).await), status);
        assert_eq!(state(&shop, &order).await, format!("{status} none"));
        assert_eq!(ledger(&shop, &order).await, "reserved released");
        assert_eq!(
            shop.count("select count(*) from shop.gift_codes where tenant_id = $1 and status = 'available'")
                .await,
            1
        );
        let open = alerts(&shop, &order).await;
        assert!(!open.contains("underpaid"), "{open}");
        ledger_is_sound(&shop).await;
    }
}

#[tokio::test]
async fn a_part_that_goes_back_during_a_review_leaves_the_case_open() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "underpay?amount=20&commission=0").await;
    assert_eq!(outcome(&press(&shop, &order, "refund?amount=5").await), "partially_refunded");
    assert_eq!(state(&shop, &order).await, "manual_review reserved underpaid");
    // Money has been given back, so a person is at it: the rest does not deliver by itself any more.
    assert_eq!(outcome(&press(&shop, &order, "pay?commission=0").await), "already_processed");
    assert_eq!(
        (state(&shop, &order).await.as_str(), sold(&shop).await),
        ("manual_review reserved underpaid", 0)
    );
}

#[tokio::test]
async fn a_surplus_given_back_is_no_refund_of_the_price() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    press(&shop, &order, "overpay?amount=42.50&commission=0").await;
    press(&shop, &order, "refund?amount=5").await;
    assert_eq!(state(&shop, &order).await, "paid delivered");
    assert_eq!(reversals(&shop, &order).await, "refund 5.00 partial completed");
    assert!(money(&shop, &order).await.starts_with("0.00 "), "{}", money(&shop, &order).await);
}

#[tokio::test]
async fn a_lost_refund_notice_is_made_up_for_by_the_next() {
    let _stack = alone().await;
    let (shop, order) = paid(1).await;
    faults(&shop.info.sandbox, json!([{"route": "cardlink.webhook", "drop": true, "times": 1}])).await;
    press(&shop, &order, "refund?amount=10").await;
    assert_eq!(money(&shop, &order).await, "0.00 6.11 paid");
    no_faults().await;
    assert_eq!(outcome(&press(&shop, &order, "refund?amount=5").await), "partially_refunded");
    assert_eq!(
        reversals(&shop, &order).await,
        "refund 5.00 partial completed, refund 10.00 partial completed"
    );
    assert_eq!(money(&shop, &order).await, "15.00 -8.89 paid");
}

#[tokio::test]
async fn money_we_never_heard_of_and_that_went_back_buys_nothing() {
    let _stack = alone().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    faults(&shop.info.sandbox, json!([{"route": "cardlink.webhook", "drop": true, "times": 1}])).await;
    let lost = press(&shop, &order, "pay?commission=0").await;
    assert_eq!(state(&shop, &order).await, "pending reserved");
    assert_eq!(outcome(&press(&shop, &order, "refund").await), "refunded");
    assert_eq!(
        (state(&shop, &order).await.as_str(), ledger(&shop, &order).await.as_str()),
        ("refunded none", "reserved released")
    );
    // The provider repeats the payment's notice, and its bill says SUCCESS.
    let out_sum = lost["return_form"]["OutSum"].as_str().unwrap();
    assert_eq!(
        said(&payment_notice(&shop, out_sum, &order.order_id.to_string(), &[]).await),
        "already_processed"
    );
    shop.repeat_job("expire_orders", &shop.time("2 hours").await, 3).await;
    assert_eq!((state(&shop, &order).await.as_str(), sold(&shop).await), ("refunded none", 0));
}

#[tokio::test]
async fn a_signed_reversal_the_provider_does_not_know_moves_nothing() {
    let _stack = among_others().await;
    let (shop, order) = paid(1).await;
    let payment = press(&shop, &order, "refund?amount=1").await;
    let sent = payment["webhook"]["body"].as_str().unwrap().to_owned();
    let payment_id = url::form_urlencoded::parse(sent.as_bytes())
        .find(|(name, _)| name == "PaymentId")
        .unwrap()
        .1
        .into_owned();
    let (token, bill) = (&shop.info.cardlink.token, order.bill_id.as_str());
    let before = (money(&shop, &order).await, reversals(&shop, &order).await);

    let signature = md5_signature(&["37.50", "USD", bill, &payment_id, "made-up"], token);
    let refund = [
        ("Amount", "37.50"),
        ("Currency", "USD"),
        ("BillId", bill),
        ("PaymentId", &payment_id),
        ("Id", "made-up"),
        ("Status", "SUCCESS"),
        ("SignatureValue", &signature),
    ];
    // What the provider has given back is booked already.
    assert_eq!(said(&post(&shop, &format!("{NOTICE}/refund"), &refund).await), "already_processed");
    let signature = md5_signature(&[bill, &payment_id, "made-up"], token);
    let chargeback = [
        ("BillId", bill),
        ("PaymentId", &payment_id),
        ("Id", "made-up"),
        ("Status", "SUCCESS"),
        ("SignatureValue", &signature),
    ];
    assert_eq!(said(&post(&shop, &format!("{NOTICE}/chargeback"), &chargeback).await), "ignored");
    assert_eq!((money(&shop, &order).await, reversals(&shop, &order).await), before);
    assert_eq!(state(&shop, &order).await, "partially_refunded delivered");

    // A payment of another bill confirms nothing.
    let other = shop.add_codes("50.00", 1).await;
    assert_eq!(other.len(), 1);
    let unpaid = shop.place(&shop.cart()).await;
    let signature = md5_signature(&[&unpaid.bill_id, &payment_id, "made-up"], token);
    let crossed = [
        ("BillId", unpaid.bill_id.as_str()),
        ("PaymentId", &payment_id),
        ("Id", "made-up"),
        ("SignatureValue", &signature),
    ];
    post(&shop, &format!("{NOTICE}/chargeback"), &crossed)
        .await
        .refused(503, "provider_unavailable");
    assert_eq!(state(&shop, &unpaid).await, "pending reserved");
}

#[tokio::test]
async fn a_mail_that_is_still_to_be_sent_is_cancelled() {
    let _stack = among_others().await;
    let (shop, order) = paid(1).await;
    shop.mails(&order.email, 1).await;
    press(&shop, &order, "refund").await;
    let again =
        "insert into ops.outbox (tenant_id, kind, aggregate_id, next_attempt_at, created_at) values ($1, 'mail.codes', $2, now(), now())";
    shop.db.execute(again, &[&shop.tenant, &order.order_id]).await.unwrap();
    let mut last = shop.outbox().await.pop();
    // A run takes a batch of all tenants' rows.
    for _ in 0..60 {
        if last.as_ref().is_some_and(|(_, status)| status != "pending") {
            break;
        }
        shop.job("outbox", None).await.expect(200);
        last = shop.outbox().await.pop();
    }
    assert_eq!(last, Some(("mail.codes".to_owned(), "cancelled".to_owned())));
    assert_eq!(shop.mailbox(&order.email).await.len(), 1);
}

#[tokio::test]
async fn an_order_that_waits_for_stock_remembers_what_went_back() {
    let _stack = among_others().await;
    let shop = Shop::v1(1).await;
    let order = shop.place(&shop.cart()).await;
    shop.expire_reservations().await;
    assert_eq!(state(&shop, &order).await, "expired none");
    shop.place(&shop.cart()).await;
    assert_eq!(outcome(&press(&shop, &order, "pay?commission=0").await), "manual_review");
    assert_eq!(outcome(&press(&shop, &order, "refund?amount=10").await), "partially_refunded");
    assert_eq!(state(&shop, &order).await, "manual_review waiting no_codes_available");
    shop.add_codes("50.00", 1).await;
    shop.job("fulfil_waiting", None).await.expect(200);
    assert_eq!(
        (state(&shop, &order).await.as_str(), money(&shop, &order).await.as_str()),
        ("partially_refunded delivered", "10.00 -3.89 paid")
    );
    assert_eq!(outcome(&press(&shop, &order, "refund").await), "refunded");
    assert_eq!(state(&shop, &order).await, "refunded revoked");
}

#[tokio::test]
async fn a_total_without_its_parts_is_booked_by_the_difference() {
    let _stack = among_others().await;
    let (shop, order) = paid(1).await;
    let told = async |id: &str, total: &str, currency: &str| {
        let p = json!({
            "source": "cardlink", "provider_api": "v1", "bill_id": order.bill_id, "payment_id": "pay-1", "refund_id": id, "refunded_amount": total,
            "currency": currency, "raw_status": "SUCCESS",
        });
        shop.rpc(&shop.info.tokens["cardlink"], "settle_refund", p).await.expect(200)["outcome"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(told("r1", "0.00", "USD").await, "ignored");
    assert_eq!(told("r1", "10.00", "USD").await, "partially_refunded");
    assert_eq!(told("r1", "10.00", "USD").await, "already_processed");
    assert_eq!(told("r1", "12.50", "USD").await, "partially_refunded");
    assert_eq!(told("r2", "15.00", "EUR").await, "ignored");
    assert_eq!(alerts(&shop, &order).await, "currency_mismatch critical 1");
    assert_eq!(
        reversals(&shop, &order).await,
        "refund 10.00 partial completed, refund 2.50 partial completed"
    );
    assert_eq!(
        (money(&shop, &order).await.as_str(), state(&shop, &order).await.as_str()),
        ("12.50 -6.39 paid", "partially_refunded delivered")
    );
}
