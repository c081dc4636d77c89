//! The random schedules of `interleavings`, more of them: 1,000 seeds, or as many as `INTERLEAVING_SEEDS` says, from
//! `INTERLEAVING_FROM` on. A line for each promise.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use lonieve_tests::interleaving::{PROMISES, play_seeds};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_schedules_keep_every_promise() {
    let (from, count) = (number("INTERLEAVING_FROM", 1000), number("INTERLEAVING_SEEDS", 1000));
    let tally = play_seeds(from..from + count, 5).await;
    println!(
        "{} seeds from {from}, {} calls on eight connections, {} made again, {} deadlocks",
        tally.seeds, tally.calls, tally.retries, tally.deadlocks
    );
    for (promise, sentence) in PROMISES {
        println!("{:>6} breaches of: {sentence} ({promise})", tally.breaches(promise));
    }
    tally.assert_kept();
}
