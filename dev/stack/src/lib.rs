//! Starts and stops the whole system on one machine: Postgres, PostgREST, the counting proxy, the sandbox, and the
//! Workers under `wrangler dev` or plain `workerd`. Used by `cargo xtask dev`, `cargo xtask test` and the tests.
//!
//! In scope: everything between "the programs are installed and the Workers built" and a ready `stack.json`, and the
//! way back. Out of scope: installing and building (xtask), and anything that runs in production.

pub mod bindings;
pub mod cluster;
pub mod database;
pub mod demo;
pub mod functions;
pub mod info;
pub mod jwt;
pub mod keys;
pub mod layout;
pub mod leftovers;
pub mod migrate;
pub mod ports;
pub mod process;
pub mod proxy;

mod account;
mod parts;
mod postgres;
mod postgrest;
mod ready;
mod sql;
mod start;
mod tick;
mod tls;
mod workerd;
mod wrangler;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures::future::select_all;
use tokio::task::JoinSet;

pub use crate::info::Info;
pub use crate::parts::{Blow, Part};
use crate::{
    layout::Layout,
    leftovers::Claim,
    process::{Process, Spec},
};
/// Which of Cardlink's contracts a stack speaks.
pub use shared::cardlink::Api as CardlinkApi;

/// Receives one line for each step of a start.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// What runs the Workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Wrangler,
    Workerd,
}

impl Runtime {
    pub fn name(self) -> &'static str {
        match self {
            Self::Wrangler => "wrangler",
            Self::Workerd => "workerd",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Config {
    /// The root of the clone, see [`layout::workspace_root`].
    pub root: PathBuf,
    pub name: String,
    pub runtime: Runtime,
    /// The contract the Workers and the sandbox speak.
    pub cardlink: CardlinkApi,
    pub ports: ports::Wanted,
    /// Throw-away data: nothing is synced to disk, everything is removed at the end.
    pub ephemeral: bool,
    /// An ephemeral stack whose database nevertheless keeps what it has committed when it is killed; slower.
    pub durable: bool,
    /// Binds TEST_CLOCK=1, so that jobs take their time from a header.
    pub test_clock: bool,
    /// Binds a queue to the events Worker. Under wrangler only: plain `workerd` has none.
    pub events_queue: bool,
    /// Runs the jobs as cron would; tests run them by hand.
    pub tick: Option<Duration>,
}

impl Config {
    /// A throw-away stack with a name and ports of its own.
    pub fn ephemeral(root: PathBuf, runtime: Runtime) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        Self {
            root,
            name: format!("{}{}", layout::EPHEMERAL_PREFIX, &id[..8]),
            runtime,
            cardlink: CardlinkApi::V2,
            ports: ports::Wanted {
                any_free: true,
                ..ports::Wanted::default()
            },
            ephemeral: true,
            durable: false,
            test_clock: false,
            events_queue: false,
            tick: None,
        }
    }
}

/// A running stack. [`Stack::stop`] ends it in order; dropping it ends it too, blocking the thread for a moment.
pub struct Stack {
    info: Info,
    path: PathBuf,
    running: Running,
    ports: ports::Ports,
    http: reqwest::Client,
}

impl Stack {
    /// Starts everything and returns when every function answers its health check.
    pub async fn start(config: Config, progress: Progress) -> Result<Self> {
        start::start(config, progress).await
    }

    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The path of the stack's `stack.json`.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The folder with the output of every process.
    pub fn logs(&self) -> PathBuf {
        self.running.layout.logs()
    }

    /// Returns when a part of the stack has ended by itself, with the error that says which and why.
    pub async fn failure(&mut self) -> anyhow::Error {
        let running = &mut self.running;
        let processes = [&running.workers, &running.postgrest, &running.postgres];
        let watched: Vec<_> = processes.into_iter().flatten().map(|process| Box::pin(process.failure())).collect();
        tokio::select! {
            (error, ..) = select_all(watched) => error,
            Some(ended) = running.tasks.join_next() => match ended {
                Ok(Err(error)) => error,
                Ok(Ok(())) => anyhow::anyhow!("the sandbox or the proxy ended"),
                Err(error) => anyhow::anyhow!("the sandbox or the proxy failed: {error}"),
            },
        }
    }

    pub async fn stop(self) -> Result<()> {
        self.running.stop().await
    }
}

/// What has been started so far. The fields are dropped in the order in which things must stop.
struct Running {
    layout: Layout,
    ephemeral: bool,
    /// Whether the embedded database syncs to disk.
    durable: bool,
    tasks: JoinSet<Result<()>>,
    workers: Option<Process>,
    postgrest: Option<Process>,
    postgres: Option<Process>,
    /// How the parts that can be started again were started (see `parts`).
    specs: std::collections::BTreeMap<Part, Spec>,
    /// A database made on somebody else's server for this run: (superuser's address, name).
    scratch: Option<(String, String)>,
    claim: Option<Claim>,
}

impl Running {
    /// Nothing is started yet.
    fn new(layout: Layout, ephemeral: bool, durable: bool, claim: Claim) -> Self {
        Self {
            layout,
            ephemeral,
            durable,
            tasks: JoinSet::new(),
            workers: None,
            postgrest: None,
            postgres: None,
            specs: std::collections::BTreeMap::new(),
            scratch: None,
            claim: Some(claim),
        }
    }

    /// Starts a process and records it, so that a later run can find it if this one is killed.
    fn spawn(&mut self, spec: Spec) -> Result<Process> {
        let claim = self.claim.as_mut().context("the stack is being stopped")?;
        let process = Process::spawn(spec, &self.layout.logs(), &claim.run.id)?;
        claim.add(process.name(), process.pid())?;
        Ok(process)
    }

    async fn stop(mut self) -> Result<()> {
        let _ = std::fs::remove_file(self.layout.stack_json());
        self.tasks.abort_all();
        for (process, seconds) in [(self.workers.take(), 10), (self.postgrest.take(), 5), (self.postgres.take(), 20)] {
            if let Some(process) = process {
                process.stop(Duration::from_secs(seconds)).await;
            }
        }
        if let Some((url, name)) = self.scratch.take() {
            database::drop_database(&url, &name).await?;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.layout.stack_json());
        for process in [&mut self.workers, &mut self.postgrest, &mut self.postgres] {
            drop(process.take());
        }
        if let Some(claim) = self.claim.take() {
            let outside = claim.run.outside.clone();
            claim.release();
            if self.ephemeral {
                // The files' owner may be another account (see `account`), but we are root then.
                for path in outside.iter().chain([&self.layout.dir]) {
                    let _ = std::fs::remove_dir_all(path);
                }
            }
        }
    }
}
