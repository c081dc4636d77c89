//! The promises are only worth something if a fault breaks them: each of these is put into the database, and must be found.

use futures::future::join_all;
use lonieve_tests::interleaving::{Ground, Line, plan, play};

/// A fault: what it is, the function, its right text and the wrong one, and the promises of which at least one must break.
const FAULTS: &[(&str, &str, &str, &str, &[&str])] = &[
    (
        "free codes are taken without a lock",
        "shop.take_free_codes",
        "for update skip locked",
        "",
        &["sold_once"],
    ),
    (
        "late money takes codes that are reserved for others",
        "shop.take_free_codes",
        "g.status = 'available'",
        "g.status in ('available', 'reserved')",
        &["sold_once", "reserved"],
    ),
    (
        "a notice does not lock its order",
        "shop.settle_notice",
        "select * into o from shop.orders where id = v_order for update",
        "select * into o from shop.orders where id = v_order",
        &["outbox"],
    ),
    (
        "an expired order keeps its codes",
        "shop.expire_order",
        "perform shop.release_codes(o.id, p_now);",
        "",
        &["reserved"],
    ),
    (
        "the fee is booked a second time, a cent above",
        "shop.book_gateway_fee",
        "do nothing",
        "do nothing; insert into shop.transaction_fees (tenant_id, order_id, payment_id, fee_type, fee_amount, currency, created_at) \
         select y.tenant_id, y.order_id, null, 'payment_gateway', 0.01, y.currency, p_now from shop.payments y where y.id = p_payment_id",
        &["fees"],
    ),
    (
        "fees are cut, not rounded",
        "shop.book_gateway_fee",
        "round(p_amount",
        "trunc(p_amount",
        &["fees"],
    ),
    (
        "the job locks codes before their order",
        "shop.expire_order",
        "begin\n",
        "begin perform from shop.order_items i join shop.gift_codes g on g.order_item_id = i.id where i.order_id = p_order_id for update of g; \
         perform pg_sleep(0.002); perform from shop.orders where id = p_order_id for update;\n",
        &["errors"],
    ),
    (
        "a bill is attached without looking for its parked notices under the lock",
        "api.attach_bill",
        "perform ops.settle_parked(v_bill, v_now);",
        "",
        &["notices"],
    ),
    (
        "two refund notices may count at once",
        "api.settle_refund",
        "where bill_id = p ->> 'bill_id') for update",
        "where bill_id = p ->> 'bill_id')",
        &["refunds", "errors"],
    ),
    (
        "a refunded order keeps its codes",
        "shop.apply_reversal",
        "perform shop.revoke_sold_codes(o.id, v_status, p_now);",
        "",
        &["finished"],
    ),
    (
        "a delivery is written to the outbox twice",
        "shop.mark_delivered",
        "perform ops.enqueue(v_tenant, 'order.delivered', p_order_id, jsonb_build_object('order_id', p_order_id), p_now);",
        "perform ops.enqueue(v_tenant, 'order.delivered', p_order_id, jsonb_build_object('order_id', p_order_id), p_now) from generate_series(1, 2);",
        &["outbox"],
    ),
    (
        "the alert of an order that waited stays open",
        "shop.fulfil_order",
        "perform ops.resolve_notification(o.tenant_id, 'no_codes_available', 'order:' || o.id, p_now);",
        "",
        &["alerts"],
    ),
    (
        "an order waits although there is just enough for it",
        "shop.could_be_filled",
        "it.quantity, p_now",
        "it.quantity + 1, p_now",
        &["waiting"],
    ),
    (
        "the batch job fails silently for one order",
        "shop.fulfil_order",
        "perform from shop.payments where order_id = o.id order by id for update;",
        "raise exception 'planted';",
        &["errors"],
    ),
    (
        "a refund is counted into the profit the wrong way",
        "shop.compute_totals",
        "t.fees - o.refund_amount",
        "t.fees + o.refund_amount",
        &["totals"],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_planted_fault_breaks_a_promise() {
    let ground = Ground::new().await;
    let lines: Vec<Line> = join_all((0..plan::LINES).map(|_| ground.line())).await;
    let mut missed = Vec::new();
    for (fault, function, right, wrong, promises) in FAULTS {
        let text = ground.plant(function, right, wrong).await;
        let mut found = Vec::new();
        let mut seeds = 0;
        for seed in 1..=120 {
            seeds = seed;
            let verdict = play(&ground, &lines, &plan::plan(seed)).await;
            found = verdict.breaches.into_keys().collect();
            if found.iter().any(|promise| promises.contains(&promise.as_str())) {
                break;
            }
        }
        ground.restore(&text).await;
        println!("{fault}: {found:?} after {seeds} seeds");
        if !found.iter().any(|promise| promises.contains(&promise.as_str())) {
            missed.push(*fault);
        }
    }
    assert!(missed.is_empty(), "nothing was broken by: {missed:#?}");
    ground.stop().await;
}
