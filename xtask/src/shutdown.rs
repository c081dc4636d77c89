//! Ctrl-C, SIGTERM and a closed terminal: everything this command started ends with it.

use std::process::ExitCode;

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for the signals that ask a program to end.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    pub fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns the shell's exit code for the signal.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
            _ = self.hang_up.recv() => 129,
        }
    }
}

/// Runs blocking work (set-up, builds, tests); a signal ends it with every program it started.
pub async fn guarded<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let mut signals = Signals::listen()?;
    let task = tokio::task::spawn_blocking(work);
    tokio::select! {
        result = task => result?,
        code = signals.next() => {
            stack::process::kill_registered();
            // The blocked thread cannot be told; its programs are gone, and so are we.
            std::process::exit(i32::from(code));
        }
    }
}

pub fn exit_code(code: u8) -> ExitCode {
    ExitCode::from(code)
}
