//! The migrations as a deployment runs them: as a database owner without superuser rights, twice, two at once, with a changed file, and on
//! the oldest server they support.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod documented;
mod reports;
mod runner;
mod sale;
mod servers;

use std::path::PathBuf;

use lonieve_tests::stack;
use stack::{database, layout};

/// The repository's migrations.
fn migrations() -> PathBuf {
    layout::workspace_root().unwrap().join("migrations")
}

/// A database of the running stack's server for one test.
struct Scratch {
    url: String,
    name: String,
}

impl Scratch {
    async fn new() -> Self {
        let name = format!("t_{}", uuid::Uuid::new_v4().simple());
        let superuser = database::connect(&stack().database_url).await.unwrap();
        database::create(&superuser, &name).await.unwrap();
        let url = database::with_database(&stack().database_url, &name).unwrap();
        Self { url, name }
    }

    /// Not in `drop`: the server, and all its databases with it, ends with the test run anyway.
    async fn remove(self) {
        database::drop_database(&stack().database_url, &self.name).await.unwrap();
    }
}
