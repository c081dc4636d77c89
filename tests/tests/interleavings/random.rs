use lonieve_tests::interleaving::play_seeds;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_schedules_keep_every_promise() {
    let tally = play_seeds(1..=200, 1).await;
    tally.assert_kept();
    println!("{} seeds, {} calls, {} made again", tally.seeds, tally.calls, tally.retries);
}
