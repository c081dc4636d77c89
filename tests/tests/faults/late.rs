//! Answers that come after their caller has given up: the work is done, or done later, and the caller went on without it.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use stack::CardlinkApi;

use crate::buyers;
use crate::invariants;
use crate::stage::Stage;

/// Longer than the Workers wait for the database (10 s), for the provider (8 s for a bill, 5 s for a look) and for the mail provider (10 s).
const TOO_LATE_MS: u64 = 10_500;

pub async fn run(cardlink: CardlinkApi) {
    let stage = Stage::start(cardlink, false, 60).await;
    let (mut proxy, mut sandbox) = (Vec::new(), Vec::new());
    for name in [
        "create_order",
        "attach_bill",
        "settle_payment",
        "claim_outbox",
        "begin_outbox",
        "finish_outbox",
    ] {
        proxy.push(json!({"rpc": name, "delay_ms": TOO_LATE_MS, "times": 1}));
    }
    for name in ["cardlink.create", "mail.send"] {
        sandbox.push(json!({"route": name, "delay_ms": TOO_LATE_MS, "times": 1}));
    }
    if cardlink == CardlinkApi::V1 {
        proxy.push(json!({"rpc": "find_bill", "delay_ms": TOO_LATE_MS, "times": 1}));
        sandbox.push(json!({"route": "cardlink.status", "delay_ms": TOO_LATE_MS, "times": 1}));
    }
    stage.faults(&proxy, &sandbox).await;
    // Each call is late for one of them.
    let purchases = join_all((0..8).map(|_| buyers::purchase(&stage.shop, 1))).await;
    for _ in 0..4 {
        stage.try_jobs(&["outbox"], "1 second").await;
        stage.try_jobs(&["outbox"], "5 minutes").await;
    }
    let hits = stage.hits().await;
    assert!(hits.iter().all(|hits| *hits > 0), "not met: {hits:?}");
    // The recovery turns the clock, not the time: what is still under way would be repeated for hours in a moment.
    tokio::time::sleep(Duration::from_millis(TOO_LATE_MS)).await;
    stage.recover().await;
    invariants::hold(&stage, &purchases).await;
    stage.end().await;
}
