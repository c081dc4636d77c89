//! Several faults at once, several times each, chosen by a seed.

use std::ops::Range;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use stack::CardlinkApi;

use crate::buyers::{self, Purchase};
use crate::invariants;
use crate::sites::{SITES, Site, effects, rule};
use crate::stage::Stage;

const BUYERS: usize = 4;

pub async fn run(cardlink: CardlinkApi, seeds: Range<u64>) {
    let count = (seeds.end - seeds.start) as usize;
    let stage = Stage::start(cardlink, false, count * BUYERS * 3 * 2 + 100).await;
    let mut purchases = Vec::new();
    for seed in seeds {
        println!("seed {seed}");
        purchases.extend(under(&stage, seed).await);
    }
    stage.recover().await;
    invariants::hold(&stage, &purchases).await;
    stage.end().await;
}

async fn under(stage: &Stage, seed: u64) -> Vec<Purchase> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut proxy, mut sandbox) = (Vec::new(), Vec::new());
    for _ in 0..rng.random_range(2..=5) {
        let site = *SITES.choose(&mut rng).unwrap();
        let effect = effects(site).choose(&mut rng).unwrap().clone();
        let mut rule = rule(site, &effect, rng.random_range(1..=4));
        if rng.random_bool(0.3) {
            rule["delay_ms"] = rng.random_range(1..200).into();
        }
        match site {
            Site::Rpc(_) => proxy.push(rule),
            Site::Route(_) => sandbox.push(rule),
        }
    }
    stage.faults(&proxy, &sandbox).await;
    let choices: Vec<(u64, bool)> = (0..BUYERS).map(|_| (rng.random_range(1..=3), rng.random_bool(0.8))).collect();
    let purchases = join_all(choices.into_iter().map(async |(units, pays)| {
        let order = buyers::order(&stage.shop, units).await;
        let answers = if pays { buyers::pay(&stage.shop, &order).await } else { Vec::new() };
        Purchase {
            order,
            units,
            paid: pays,
            answers,
        }
    }));
    let jobs = async {
        for _ in 0..3 {
            stage.try_jobs(&["tick"], "1 second").await;
        }
    };
    let (purchases, ()) = tokio::join!(purchases, jobs);
    stage.try_jobs(&["outbox", "expire_orders"], "75 minutes").await;
    stage.try_jobs(&["outbox"], "80 minutes").await;
    stage.faults(&[], &[]).await;
    purchases
}
