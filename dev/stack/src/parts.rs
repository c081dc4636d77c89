//! For tests of outages: the database or PostgREST of a running stack is ended without warning, and started again.
//!
//! The Workers, the proxy and the sandbox stay up meanwhile, as they would. A part that was stopped on purpose is not watched by
//! [`Stack::failure`].

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::{
    Running, Stack, postgres, postgrest,
    process::{Process, Spec},
};

/// How long a part that ends again at once is started again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A part that can be stopped alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Postgres,
    Postgrest,
}

/// How a part ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL, to it and to everything it started.
    Kill,
    /// What `pg_ctl stop -m immediate` sends: Postgres ends without a checkpoint and recovers at its next start.
    Immediate,
}

impl Stack {
    /// Ends a part at once; returns when it has ended.
    pub async fn stop_part(&mut self, part: Part, blow: Blow) -> Result<()> {
        let signal = match blow {
            Blow::Kill => Signal::KILL,
            Blow::Immediate => Signal::QUIT,
        };
        let process = self.running.part(part).take().with_context(|| format!("{part:?} is not running"))?;
        process.strike(signal).await
    }

    /// Starts a stopped part again, on its port, with its data; returns when the database can be reached through PostgREST.
    pub async fn start_part(&mut self, part: Part) -> Result<()> {
        let spec = self.running.specs.get(&part).cloned();
        let spec = spec.with_context(|| format!("{part:?} is not run by this stack"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let process = self.running.spawn_again(part, spec.clone())?;
            let process = self.running.part(part).insert(process);
            let ready = match part {
                Part::Postgres => postgres::answers(process, &self.info.database_url).await,
                Part::Postgrest => postgrest::wait(process, &self.ports, &self.http).await,
            };
            match ready {
                Ok(()) => break,
                // Postgres refuses to start while a child of the killed server has not quite ended.
                Err(_) if process.has_exited() && Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => return Err(error),
            }
        }
        // PostgREST finds a database that is back by itself, after a pause; one that was away at its start it does not serve.
        if let Some(postgrest) = &self.running.postgrest
            && self.running.postgres.is_some()
        {
            postgrest::wait(postgrest, &self.ports, &self.http).await?;
        }
        Ok(())
    }
}

impl Running {
    fn part(&mut self, part: Part) -> &mut Option<Process> {
        match part {
            Part::Postgres => &mut self.postgres,
            Part::Postgrest => &mut self.postgrest,
        }
    }

    /// Starts a part, and keeps how it was started. What it printed before is kept beside its log.
    pub(crate) fn spawn_again(&mut self, part: Part, spec: Spec) -> Result<Process> {
        let log = self.layout.logs().join(format!("{}.log", spec.name));
        if self.specs.insert(part, spec.clone()).is_some() {
            let _ = std::fs::rename(&log, log.with_extension("before.log"));
        }
        self.spawn(spec)
    }
}
