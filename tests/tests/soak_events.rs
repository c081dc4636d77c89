//! A million events: a fifth of them twice, in disorder, a tenth of the requests failing, Postgres killed and started once on the way.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

#[path = "events/flood.rs"]
mod flood;

use std::sync::Arc;
use std::time::Duration;

use lonieve_tests::Shop;
use stack::{Blow, Config, Part, Runtime, Stack};

const EVENTS: usize = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_events_are_stored_once_each_though_postgres_is_killed() {
    let root = stack::layout::workspace_root().unwrap();
    let config = Config {
        durable: true,
        ..Config::ephemeral(root, Runtime::Workerd)
    };
    let mut stack = Stack::start(config, Arc::new(|_| {})).await.unwrap();
    let info = Box::leak(Box::new(stack.info().clone()));
    let (sender, mut watcher) = (Shop::on(info).await, Shop::on(info).await);
    let agents = flood::Agents::of(&sender);
    let rules = serde_json::json!({ "rules": agents.rules() });
    lonieve_tests::Reply::of(sender.http.put(format!("{}/faults", info.proxy)).json(&rules))
        .await
        .expect(200);
    let kill = async {
        // A third of the way.
        let count = "select count(*) from analytics.events where tenant_id = $1";
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let stored: i64 = watcher.db.query_one(count, &[&sender.tenant]).await.unwrap().get(0);
            if stored > EVENTS as i64 / 3 {
                println!("Postgres is killed with {stored} events stored");
                break;
            }
        }
        stack.stop_part(Part::Postgres, Blow::Kill).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        stack.start_part(Part::Postgres).await.unwrap();
        watcher.reconnect().await;
    };
    let ((sent, seen), ()) = tokio::join!(flood::send(&sender, EVENTS, 2, &agents), kill);
    // The sender's own connection to the database ended with the server.
    watcher.tenant = sender.tenant;
    println!("{}", flood::look(&watcher, sent, seen).await);
    stack.stop().await.unwrap();
}
