//! Random schedules on the money path, on a real Postgres: many connections, each as its own role, calling the `api.*` functions that the
//! Workers call, at the same time.
//!
//! In scope: what a schedule can do to orders, codes and money, without the Workers in between. Out of scope: HTTP, signatures, mail.
//!
//! 1. [`plan`] makes a small world and its steps out of a seed: the same seed is the same plan. When two steps meet is up to the machine.
//! 2. [`run`] carries the steps out on the lines (connections) of a [`ground`], then lets the jobs finish what is left.
//! 3. [`check`] asks `promises.sql` and the answers of the run whether every promise held. It uses no function of the product
//!    but the ledger's own check, so that a mistake there cannot hide one here.
//!
//! Worlds are tenants, one after the other in one database of their own: `fulfil_waiting` and its kind work for all tenants.

pub mod check;
pub mod ground;
mod jobs;
pub mod plan;
pub mod run;
mod story;
pub mod till;
pub mod world;

pub use check::{PROMISES, Verdict};
pub use ground::{Ground, Line, Refused, Who};
pub use run::play;

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub seeds: usize,
    pub calls: usize,
    pub retries: usize,
    pub deadlocks: i64,
    /// The seeds that broke a promise, with everything about each.
    pub broken: Vec<(u64, Verdict)>,
    /// What the product's own checks found at the end.
    pub own: Verdict,
}

impl Tally {
    /// How often a promise was broken.
    pub fn breaches(&self, promise: &str) -> usize {
        let all = self.broken.iter().map(|(_, verdict)| verdict).chain([&self.own]);
        all.filter_map(|verdict| verdict.breaches.get(promise)).map(Vec::len).sum()
    }

    /// Panics with the first broken seed's whole story.
    pub fn assert_kept(&self) {
        if let Some((seed, verdict)) = self.broken.first() {
            panic!("INTERLEAVING_SEED={seed}: {:#?}\n{}", verdict.breaches, verdict.story);
        }
        assert!(self.own.is_good(), "{:#?}", self.own.breaches);
        assert_eq!(self.deadlocks, 0, "deadlocks, by the server's own count");
        // A busy machine may make a call wait for two seconds; the statements themselves must not.
        let share = self.retries * 1000 <= self.calls;
        assert!(share, "{} of {} calls had to be made again", self.retries, self.calls);
    }
}

/// Plays these seeds one after the other on eight lines. Stops after as many broken ones as `patience`.
/// `INTERLEAVING_SEED` names one to be played a hundred times instead, since the same plan need not meet in the same way.
pub async fn play_seeds(seeds: impl Iterator<Item = u64>, patience: usize) -> Tally {
    let ground = Ground::new().await;
    let lines: Vec<Line> = futures::future::join_all((0..plan::LINES).map(|_| ground.line())).await;
    let replay: Option<u64> = std::env::var("INTERLEAVING_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds: Vec<u64> = replay.map_or_else(|| seeds.collect(), |seed| vec![seed; 100]);
    let mut tally = Tally::default();
    for seed in seeds {
        if tally.seeds % 20 == 10 {
            // The tables grow quickly: without figures of them the checks would read them whole.
            ground.admin.batch_execute("analyze").await.unwrap();
        }
        let verdict = play(&ground, &lines, &plan::plan(seed)).await;
        tally.seeds += 1;
        tally.calls += verdict.calls;
        tally.retries += verdict.retries;
        if !verdict.is_good() {
            tally.broken.push((seed, verdict));
            if tally.broken.len() >= patience {
                break;
            }
        }
    }
    tally.own = check::own_checks(&ground).await;
    tally.deadlocks = ground.deadlocks().await;
    ground.stop().await;
    tally
}
