//! The provider takes no idempotency key: whatever gets lost on the way, one refund of ours is one refund there.

use lonieve_tests::{Placed, Shop};
use serde_json::json;
use uuid::Uuid;

use crate::support::{ask, at_provider, calls, columns, deaf, faults, paid, refund_rows, refund_status, run, state, text, turn, until};

/// One refund of all, done, here and there.
async fn done_once(shop: &Shop, order: &Placed, refund: Uuid) {
    assert_eq!(at_provider(shop, order).await, "37.50 SUCCESS");
    assert_eq!(refund_status(shop, refund).await, "completed");
    assert_eq!(refund_rows(shop, order).await, "refund 37.50 full completed");
    assert_eq!(
        (state(shop, order).await.as_str(), columns(shop, order).await.as_str()),
        ("refunded revoked", "1.39 37.50 -31.39 none")
    );
    // Whatever runs later finds nothing to do.
    for minutes in [0, 30, 600] {
        run(shop, minutes).await;
    }
    assert_eq!(
        (at_provider(shop, order).await.as_str(), refund_rows(shop, order).await.as_str()),
        ("37.50 SUCCESS", "refund 37.50 full completed")
    );
}

async fn last_error(shop: &Shop, order: &Placed) -> String {
    text(shop, order, "select last_error from ops.refund_calls where order_id = $1").await
}

#[tokio::test]
async fn the_answer_is_lost_and_the_notice_comes() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    let refund = ask(&shop, &order, None).await;
    faults(
        &shop.info.sandbox,
        json!([{"route": "cardlink.refund", "drop_after": true, "match": refund}]),
    )
    .await;
    run(&shop, 0).await;
    until("the notice completes the refund", async || {
        refund_status(&shop, refund).await == "completed"
    })
    .await;
    assert_eq!(calls(&shop, refund).await, 1);
    done_once(&shop, &order, refund).await;
}

#[tokio::test]
async fn the_answer_and_the_notice_are_lost() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    let refund = ask(&shop, &order, None).await;
    faults(
        &shop.info.sandbox,
        json!([{"route": "cardlink.refund", "drop_after": true, "match": refund}, deaf()]),
    )
    .await;
    let ran = run(&shop, 0).await;
    assert_eq!(ran["refunds_open"], 1, "{ran}");
    assert_eq!(
        (
            refund_status(&shop, refund).await.as_str(),
            last_error(&shop, &order).await.as_str()
        ),
        ("approved", "refund/create: the connection broke")
    );
    // The next look finds it; nothing is asked for again, although the fault would let it through now.
    run(&shop, 2).await;
    assert_eq!(calls(&shop, refund).await, 1);
    done_once(&shop, &order, refund).await;
}

#[tokio::test]
async fn the_answer_does_not_come_in_time() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    let refund = ask(&shop, &order, None).await;
    // The provider makes it after we have given up waiting, and its notice is lost.
    faults(
        &shop.info.sandbox,
        json!([{"route": "cardlink.refund", "delay_ms": 12_000, "match": refund}, deaf()]),
    )
    .await;
    run(&shop, 0).await;
    assert_eq!(last_error(&shop, &order).await, "refund/create: no answer in time");
    // Not there yet: it is looked for, and not asked for again.
    run(&shop, 2).await;
    assert_eq!(
        (calls(&shop, refund).await <= 1, refund_status(&shop, refund).await.as_str()),
        (true, "approved")
    );
    until("the provider has made it", async || {
        at_provider(&shop, &order).await == "37.50 SUCCESS"
    })
    .await;
    run(&shop, 8).await;
    assert_eq!(calls(&shop, refund).await, 1);
    done_once(&shop, &order, refund).await;
}

#[tokio::test]
async fn a_call_that_never_arrived_is_made_again_after_ten_minutes_and_not_sooner() {
    let _turn = turn().await;
    for fault in [
        json!({"drop": true}),
        json!({"status": 500}),
        json!({"status": 401}),
        json!({"status": 429, "headers": {"retry-after": "5"}}),
    ] {
        let (shop, order) = paid(1).await;
        let refund = ask(&shop, &order, None).await;
        let mut rule = fault.clone();
        (rule["route"], rule["match"], rule["times"]) = (json!("cardlink.refund"), json!(refund), json!(1));
        faults(&shop.info.sandbox, json!([rule])).await;
        run(&shop, 0).await;
        for minutes in [2, 5, 9] {
            run(&shop, minutes).await;
            assert_eq!(
                (calls(&shop, refund).await, at_provider(&shop, &order).await.as_str()),
                (1, ""),
                "{fault} {minutes}"
            );
        }
        run(&shop, 30).await;
        assert_eq!(calls(&shop, refund).await, 2, "{fault}");
        done_once(&shop, &order, refund).await;
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_looked_at_is_not_asked() {
    let _turn = turn().await;
    for route in ["cardlink.payments", "cardlink.payment"] {
        let (shop, order) = paid(1).await;
        let refund = ask(&shop, &order, None).await;
        faults(&shop.info.sandbox, json!([{"route": route, "status": 502}])).await;
        run(&shop, 0).await;
        assert_eq!(
            (calls(&shop, refund).await, refund_status(&shop, refund).await.as_str()),
            (0, "approved"),
            "{route}"
        );
        faults(&shop.info.sandbox, json!([])).await;
        run(&shop, 2).await;
        assert_eq!(calls(&shop, refund).await, 1, "{route}");
        done_once(&shop, &order, refund).await;
    }
}

#[tokio::test]
async fn runs_at_the_same_time_ask_once() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    let refund = ask(&shop, &order, None).await;
    faults(
        &shop.info.sandbox,
        json!([{"route": "cardlink.refund", "delay_ms": 1500, "match": refund}]),
    )
    .await;
    futures::future::join_all((0..5).map(|_| run(&shop, 0))).await;
    assert_eq!(calls(&shop, refund).await, 1);
    done_once(&shop, &order, refund).await;
}

#[tokio::test]
async fn a_run_whose_lease_is_over_is_followed_by_one_that_looks_and_does_not_ask() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    let refund = ask(&shop, &order, None).await;
    faults(
        &shop.info.sandbox,
        json!([{"route": "cardlink.refund", "delay_ms": 4000, "match": refund}, deaf()]),
    )
    .await;
    let late = async {
        // While the first waits for its answer, a second believes its lease over (180 s).
        until("the first has asked", async || {
            let asked = "select count(*) from ops.refund_calls where tenant_id = $1 and called_at is not null";
            shop.count(asked).await == 1
        })
        .await;
        run(&shop, 5).await
    };
    let (_, second) = futures::future::join(run(&shop, 0), late).await;
    assert_eq!(second["refunds_open"], 1, "{second}");
    assert_eq!(calls(&shop, refund).await, 1);
    // The first run's word counts although its lease was over.
    done_once(&shop, &order, refund).await;
}

#[tokio::test]
async fn a_run_that_died_before_or_after_its_call_leaves_no_second_refund() {
    let _turn = turn().await;
    // Before: the call was noted and never made.
    let (shop, order) = paid(1).await;
    let refund = ask(&shop, &order, None).await;
    let jobs = &shop.info.tokens["jobs"];
    let mut mine = None;
    for _ in 0..20 {
        let claimed = shop
            .rpc(jobs, "claim_refunds", json!({"limit": 10, "lease_s": 60}))
            .await
            .expect(200);
        mine = claimed["rows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["refund_id"] == json!(refund))
            .cloned();
        if mine.is_some() {
            break;
        }
    }
    let mine = mine.expect("the refund is due");
    let payments = shop
        .http
        .get(format!("{}/cardlink/v1/bill/payments?id={}", shop.info.sandbox, order.bill_id))
        .bearer_auth(&shop.info.cardlink.token);
    let payment = lonieve_tests::Reply::of(payments).await.expect(200)["data"][0]["id"].clone();
    let begin = json!({"refund_id": refund, "lease": mine["lease"], "payment_id": payment, "seen": [], "seen_amount": "0.00"});
    for (lease, outcome) in [
        (json!(Uuid::new_v4()), "lost"),
        (mine["lease"].clone(), "call"),
        (mine["lease"].clone(), "too_early"),
    ] {
        let mut p = begin.clone();
        p["lease"] = lease;
        assert_eq!(shop.rpc(jobs, "begin_refund", p).await.expect(200)["outcome"], outcome);
    }
    run(&shop, 4).await;
    assert_eq!(
        (calls(&shop, refund).await, refund_status(&shop, refund).await.as_str()),
        (0, "approved")
    );
    run(&shop, 15).await;
    assert_eq!(calls(&shop, refund).await, 1);
    done_once(&shop, &order, refund).await;

    // After: the provider has done it, and nobody could write that down.
    let (shop, order) = paid(1).await;
    let refund = ask(&shop, &order, None).await;
    faults(&shop.info.sandbox, json!([deaf()])).await;
    faults(&shop.info.proxy, json!([{"rpc": "finish_refund", "drop": true}])).await;
    shop.job("refunds", None).await.refused(503, "database_unavailable");
    assert_eq!(
        (
            at_provider(&shop, &order).await.as_str(),
            refund_status(&shop, refund).await.as_str()
        ),
        ("37.50 SUCCESS", "approved")
    );
    faults(&shop.info.proxy, json!([])).await;
    run(&shop, 5).await;
    assert_eq!(calls(&shop, refund).await, 1);
    done_once(&shop, &order, refund).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_looked_into() {
    let _turn = turn().await;
    let (shop, order) = paid(1).await;
    let refund = ask(&shop, &order, None).await;
    // A page instead of an answer, and nothing was made.
    let rule = json!({"route": "cardlink.refund", "status": 200, "body": "<html>", "match": refund, "times": 1});
    faults(&shop.info.sandbox, json!([rule])).await;
    run(&shop, 0).await;
    assert_eq!(last_error(&shop, &order).await, "refund/create: an answer that cannot be read");
    run(&shop, 15).await;
    assert_eq!(calls(&shop, refund).await, 2);
    done_once(&shop, &order, refund).await;
}
