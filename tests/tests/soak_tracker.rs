//! A thousand pages closed in every way, in headless Chromium: each must have told its page_view and its leave event, once.

#[path = "pages/browser.rs"]
mod browser;
#[path = "pages/tracked.rs"]
mod tracked;

use std::sync::Arc;

use browser::{Run, Status};
use stack::{Config, Runtime, Stack};
use tokio_postgres::NoTls;

const CASE: &str = "pages_that_close_lose_nothing";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pages_that_close_lose_nothing() {
    let root = stack::layout::workspace_root().unwrap();
    let stack = Stack::start(Config::ephemeral(root, Runtime::Workerd), Arc::new(|_: &str| {}))
        .await
        .unwrap();
    let run = Run {
        stack: stack.path().to_owned(),
        closes: Some(1000),
    };
    let reports = browser::run(run, &[CASE], async |report| report).await.unwrap();
    let [report] = &reports[..] else {
        panic!("one report, not {reports:?}")
    };
    match &report.status {
        Status::Passed => {}
        Status::Failed(reason) | Status::Skipped(reason) => panic!("{reason}"),
    }
    let (db, connection) = tokio_postgres::connect(&stack.info().database_url, NoTls).await.unwrap();
    tokio::spawn(connection);
    tracked::check(&db, &report.facts).await;
    drop(db);
    stack.stop().await.unwrap();
}
