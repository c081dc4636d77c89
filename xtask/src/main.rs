//! `cargo xtask`: everything a developer of this repository runs.

mod build;
mod check;
mod command;
mod dev;
mod environment;
mod gate;
mod keys;
mod migrate;
mod npm;
mod programs;
mod setup;
mod shutdown;
mod soak;
mod tally;
mod tools;
mod tracker;
mod trouble;
mod ui;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Runs, tests and builds lonieve-edge on this machine"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the whole system on localhost (needs Rust, Node and npm; installs the rest)
    Dev(dev::Options),
    /// The gate: formatting, lints, unit tests and the end-to-end tests
    Test(gate::Options),
    /// Formatting, lints and the dependency rules of deny.toml
    Check,
    /// Build the Workers and show their sizes
    Build(build::Options),
    /// Bring a database up to date with migrations/
    Migrate(migrate::Options),
    /// Mint the Workers' database tokens and make random keys, for a deployment
    Keys(keys::Options),
    /// Renew the list of programs that the events Worker tags
    Programs(programs::Options),
    /// The tests that take longer than the gate may
    Soak(soak::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command).await {
        Ok(code) => code,
        Err(error) => {
            ui::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    let root = stack::layout::workspace_root()?;
    match command {
        Command::Dev(options) => dev::run(root, options).await,
        Command::Test(options) => gate::run(root, options).await,
        Command::Check => shutdown::guarded(move || check::run(&root)).await,
        Command::Build(options) => shutdown::guarded(move || build::run(&root, &options)).await,
        Command::Migrate(options) => migrate::run(&root, options).await,
        Command::Keys(options) => keys::run(&root, &options),
        Command::Programs(options) => programs::run(&root, &options),
        Command::Soak(options) => shutdown::guarded(move || soak::run(&root, &options)).await,
    }
}
