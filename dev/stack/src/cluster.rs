//! A Postgres server and nothing else: for tests that need another version, or a cluster whose roles nobody has made yet.

use std::path::Path;

use anyhow::Result;

use crate::{
    Config, Running, Runtime, keys,
    layout::Layout,
    leftovers::{self, Claim},
    ports::Ports,
    postgres,
};

/// A running server with throw-away data. [`Cluster::stop`] ends it in order; dropping it ends it too.
pub struct Cluster {
    url: String,
    running: Running,
}

impl Cluster {
    /// Starts the embedded Postgres that npm has installed in `<root>/node_modules`. Data and log lie in `<root>/.local`.
    pub async fn start(root: &Path) -> Result<Self> {
        leftovers::sweep_ephemeral(root);
        let config = Config::ephemeral(root.to_owned(), Runtime::Workerd);
        let layout = Layout::new(root, &config.name)?;
        layout.create()?;
        let (claim, _) = Claim::take(&layout)?;
        let mut running = Running::new(layout, config.ephemeral, config.durable, claim);
        let ports = Ports::choose(config.ports, &[])?;
        let url = postgres::start(&mut running, ports.postgres, &keys::random_text()).await?;
        Ok(Self { url, running })
    }

    /// The superuser's address of an empty database.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn stop(self) -> Result<()> {
        self.running.stop().await
    }
}
