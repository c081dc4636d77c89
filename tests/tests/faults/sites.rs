//! One call fails, in every way in which a call can, at every place between an order and its mail.

use futures::future::join;
use serde_json::{Value, json};
use stack::CardlinkApi;

use crate::buyers::{self, Purchase};
use crate::invariants;
use crate::stage::Stage;

/// A function of the database, or a call from or to the provider.
#[derive(Clone, Copy, Debug)]
pub enum Site {
    Rpc(&'static str),
    Route(&'static str),
}

/// The calls of the path, in its order. Those of expiry are part of it: it finds the money whose notice got lost.
pub const SITES: [Site; 16] = [
    Site::Rpc("create_order"),
    Site::Route("cardlink.create"),
    Site::Rpc("attach_bill"),
    Site::Route("cardlink.webhook"),
    Site::Rpc("find_bill"),
    Site::Route("cardlink.status"),
    Site::Rpc("settle_payment"),
    Site::Rpc("claim_outbox"),
    Site::Rpc("begin_outbox"),
    Site::Route("mail.send"),
    Site::Rpc("finish_outbox"),
    Site::Rpc("expirable_orders"),
    Site::Rpc("expire_orders"),
    Site::Rpc("fail_order"),
    Site::Rpc("fulfil_waiting"),
    Site::Rpc("due_bills"),
];

/// What happens there.
pub fn effects(site: Site) -> Vec<Value> {
    let mut effects = vec![
        json!({"status": 503}),
        json!({"drop": true}),
        // It is done, and nobody hears of it.
        json!({"drop_after": true}),
    ];
    match site {
        Site::Rpc(_) => effects.extend([
            json!({"status": 500, "body": {"code": "40P01", "message": "deadlock detected"}}),
            json!({"status": 504}),
        ]),
        Site::Route("cardlink.webhook") => effects.extend([json!({"duplicate": 3}), json!({"reorder": true})]),
        Site::Route("mail.send") => effects.push(json!({"status": 429, "headers": {"retry-after": "7"}})),
        Site::Route(_) => effects.push(json!({"status": 200, "body": {}})),
    }
    effects
}

/// The rule of a fault, `times` over.
pub fn rule(site: Site, effect: &Value, times: u64) -> Value {
    let mut rule = effect.clone();
    match site {
        Site::Rpc(name) => rule["rpc"] = name.into(),
        Site::Route(name) => rule["route"] = name.into(),
    }
    rule["times"] = times.into();
    rule
}

/// Whether the path comes by there under this contract, with nothing else failing.
fn is_on_the_path(site: Site, cardlink: CardlinkApi) -> bool {
    match site {
        Site::Rpc("find_bill") => cardlink == CardlinkApi::V1,
        // Called where a bill cannot be made, or by a tick; see the combinations.
        Site::Rpc("fail_order" | "fulfil_waiting" | "due_bills") => false,
        Site::Rpc(_) | Site::Route(_) => true,
    }
}

pub async fn run(cardlink: CardlinkApi) {
    let stage = Stage::start(cardlink, false, 400).await;
    let mut purchases = Vec::new();
    for site in SITES {
        if !is_on_the_path(site, cardlink) {
            continue;
        }
        for effect in effects(site) {
            purchases.extend(under(&stage, site, &effect).await);
        }
    }
    stage.recover().await;
    invariants::hold(&stage, &purchases).await;
    stage.end().await;
}

/// One sale as usual, one whose notice gets lost and that is found when its time is over, and an order that nobody pays. Somewhere on the
/// way the call fails.
async fn under(stage: &Stage, site: Site, effect: &Value) -> Vec<Purchase> {
    let (lost, unpaid) = join(buyers::order(&stage.shop, 1), buyers::order(&stage.shop, 1)).await;
    // What a notice names: v1 our order, v2 the bill.
    let named = match stage.shop.info.cardlink.api.as_str() {
        "v1" => lost.order_id.to_string(),
        _ => lost.bill_id.clone(),
    };
    let mut sandbox = vec![json!({"route": "cardlink.webhook", "match": named, "drop": true})];
    let mut proxy = Vec::new();
    let fault = rule(site, effect, 1);
    match site {
        Site::Rpc(_) => proxy.push(fault),
        Site::Route(_) => sandbox.push(fault),
    }
    stage.faults(&proxy, &sandbox).await;
    let (usual, answers) = join(buyers::purchase(&stage.shop, 1), buyers::pay(&stage.shop, &lost)).await;
    stage.try_jobs(&["outbox"], "1 second").await;
    stage.try_jobs(&["expire_orders", "expire_orders", "outbox"], "75 minutes").await;
    let hits = stage.hits().await;
    assert!(hits.iter().all(|hits| *hits > 0), "{site:?} {effect}: not met, {hits:?}");
    stage.faults(&[], &[]).await;
    let lost = Purchase {
        order: lost,
        units: 1,
        paid: true,
        answers,
    };
    let unpaid = Purchase {
        order: unpaid,
        units: 1,
        paid: false,
        answers: Vec::new(),
    };
    vec![usual, lost, unpaid]
}
