//! Waiting for a server with a deadline; when it passes, the last answer is part of the error.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::process::Process;

const PAUSE: Duration = Duration::from_millis(50);

/// Repeats `attempt` until it succeeds. Ends early when the process behind it ends.
pub async fn wait_for<T, F>(what: &str, patience: Duration, process: &Process, mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let start = Instant::now();
    loop {
        let last = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if process.has_exited() {
            return Err(process.failure().await);
        }
        if start.elapsed() > patience {
            bail!(process.error(&format!(
                "{what} was not ready after {} s; its last answer: {last:#}",
                patience.as_secs()
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Succeeds when the address answers 2xx.
pub async fn answers_ok(client: &reqwest::Client, url: &str) -> Result<()> {
    let response = client.get(url).timeout(Duration::from_secs(5)).send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let body = response.text().await.unwrap_or_default();
    bail!("GET {url} answered {status}: {}", body.chars().take(300).collect::<String>())
}
