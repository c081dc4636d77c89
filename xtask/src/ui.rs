//! What goes to the screen: steps with their times on standard error, results on standard output.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A step that has begun.
pub fn step(text: &str) {
    eprintln!("==> {text}");
}

pub fn note(text: &str) {
    eprintln!("    {text}");
}

pub fn error(error: &anyhow::Error) {
    eprintln!("\nerror: {error:#}");
}

pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 60 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{:.1}s", time.as_secs_f64()),
    }
}

/// Shows every ten seconds that a silent program is still at work, until dropped.
pub struct Heartbeat(Arc<AtomicBool>);

impl Heartbeat {
    pub fn start(what: &str) -> Self {
        let (stop, what, begun) = (Arc::new(AtomicBool::new(false)), what.to_owned(), Instant::now());
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let mut shown = 1;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(200));
                if begun.elapsed().as_secs() >= 10 * shown {
                    note(&format!("{what} ({} s)", 10 * shown));
                    shown += 1;
                }
            }
        });
        Self(stop)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(seconds(Duration::from_millis(1234)), "1.2s");
        assert_eq!(seconds(Duration::from_secs(125)), "2m05s");
    }
}
