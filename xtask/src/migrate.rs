//! `cargo xtask migrate`: brings a database up to date.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};
use stack::{database, migrate};

use crate::ui;

#[derive(clap::Args)]
pub struct Options {
    /// postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=ca.pem. A session of its own: not the
    /// transaction pooler (port 6543) of a hosted project
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

pub async fn run(root: &Path, options: Options) -> Result<ExitCode> {
    let url = &options.database_url;
    if database::is_unchecked_remote(url)? {
        ui::note(
            "the server's identity is not checked with this sslmode: use sslmode=verify-full, with sslrootcert=<file> for an \
             authority of its own (hosted Supabase: the certificate of the project's database settings)",
        );
    }
    ui::step("Migrating");
    let report = migrate::run(url, &root.join("migrations"), &ui::note)
        .await
        .context("the database was not migrated")?;
    println!(
        "{} migrations applied, {} were there already",
        report.applied.len(),
        report.already_there
    );
    Ok(ExitCode::SUCCESS)
}
