//! The database and PostgREST are killed while shoppers order, pay and are mailed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use lonieve_tests::{Reply, Shop};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;
use stack::{Blow, CardlinkApi, Part, Stack};
use tokio::time::sleep;

use crate::buyers::{self, Purchase};
use crate::invariants;
use crate::stage::Stage;

/// What is done to the stack, one after the other.
const BLOWS: [&[(Part, Blow)]; 4] = [
    &[(Part::Postgrest, Blow::Kill)],
    &[(Part::Postgres, Blow::Immediate)],
    &[(Part::Postgres, Blow::Kill)],
    &[(Part::Postgres, Blow::Immediate), (Part::Postgrest, Blow::Kill)],
];

/// `rounds` of all four blows, each in an order of its own.
pub async fn run(cardlink: CardlinkApi, rounds: usize, seed: u64) {
    let buyers = 16 * rounds;
    let mut stage = Stage::start(cardlink, true, 4 * buyers).await;
    let mut rng = StdRng::seed_from_u64(seed);
    // A buyer at a time, from before the first blow until after the last.
    let starts: Vec<Duration> = (0..buyers as u64)
        .map(|n| Duration::from_millis(n * 500 + rng.random_range(0..500)))
        .collect();
    let mut order: Vec<_> = BLOWS.to_vec();
    let blows: Vec<_> = (0..rounds)
        .flat_map(|_| {
            order.shuffle(&mut rng);
            order.clone()
        })
        .collect();
    let (over, stack, shop) = (AtomicBool::new(false), &mut stage.stack, &stage.shop);
    let purchases = join_all(starts.iter().enumerate().map(async |(index, start)| {
        sleep(*start).await;
        buyers::purchase(shop, 1 + index as u64 % 3).await
    }));
    let ticks = async {
        while !over.load(Ordering::Relaxed) {
            // Whether it can be done at this moment or not.
            shop.job("tick", None).await;
            sleep(Duration::from_millis(200)).await;
        }
    };
    let both = async {
        let done = tokio::join!(purchases, strike(stack, shop, &blows, &mut rng));
        over.store(true, Ordering::Relaxed);
        [done.0, done.1].concat()
    };
    let (purchases, ()) = tokio::join!(both, ticks);
    stage.shop.reconnect().await;
    invariants::what_was_answered_is_kept(&stage, &purchases).await;
    heard(&stage, &purchases).await;
    stage.recover().await;
    invariants::hold(&stage, &purchases).await;
    stage.end().await;
}

async fn strike(stack: &mut Stack, shop: &Shop, blows: &[&[(Part, Blow)]], rng: &mut StdRng) -> Vec<Purchase> {
    let mut purchases = Vec::new();
    for blow in blows {
        let order = buyers::order(shop, 1).await;
        sleep(Duration::from_millis(rng.random_range(400..1200))).await;
        for (part, blow) in *blow {
            stack.stop_part(*part, *blow).await.unwrap();
        }
        refused_while_it_is_away(shop).await;
        // Paid while nobody can note it.
        let answers = buyers::pay(shop, &order).await;
        assert_eq!((answers.len(), &answers[0]["status"]), (1, &json!(503)), "{answers:?}");
        purchases.push(Purchase {
            order,
            units: 1,
            paid: true,
            answers,
        });
        sleep(Duration::from_millis(rng.random_range(0..500))).await;
        // Postgres before PostgREST, as the list has them.
        for (part, _) in *blow {
            stack.start_part(*part).await.unwrap();
        }
    }
    // What comes after the last blow goes well again.
    sleep(Duration::from_millis(500)).await;
    purchases
}

/// A genuine notice is answered 503 with a time to come again, never with a final answer; nobody is told an order exists.
async fn refused_while_it_is_away(shop: &Shop) {
    let notice = if shop.info.cardlink.api == "v1" {
        let id = uuid::Uuid::new_v4().to_string();
        let signature = lonieve_tests::md5_signature(&["37.50", &id], &shop.info.cardlink.token);
        let form = json!({"OutSum": "37.50", "InvId": id, "SignatureValue": signature});
        shop.request(reqwest::Method::POST, "cardlink", "/api/webhooks/cardlink")
            .form(&form)
    } else {
        let body = lonieve_tests::signed_notice(&shop.info.cardlink.secret, "unknown", "PAID", "37.50", "USD");
        let request = shop.request(reqwest::Method::POST, "cardlink", "/api/webhooks/cardlink");
        request.header("content-type", "application/json").body(body)
    };
    let cart = shop.cart();
    let (notice, order) = tokio::join!(Reply::of(notice), shop.create(&cart));
    notice.refused(503, "database_unavailable");
    order.refused(503, "database_unavailable");
}

/// The provider was never given a final answer for a notice that was not settled.
async fn heard(stage: &Stage, purchases: &[Purchase]) {
    let url = format!("{}/calls?route=cardlink.webhook", stage.shop.info.sandbox);
    let calls = Reply::of(stage.shop.http.get(url)).await.expect(200);
    let statuses: Vec<Option<u64>> = calls.as_array().unwrap().iter().map(|call| call["status"].as_u64()).collect();
    assert!(statuses.len() >= purchases.len());
    assert!(
        statuses.iter().all(|status| [Some(200), Some(503), None].contains(status)),
        "{statuses:?}"
    );
}
