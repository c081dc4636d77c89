//! How many requests one run of a function has made.
//!
//! The platform limits the requests a Worker may make while it serves one event. [`crate::postgrest::Db`] and
//! [`crate::outgoing::Outgoing`] count each attempt, repeats included, on the counter they are given; whoever has more work than fits
//! asks it before going on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A shared counter: clones count together.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<AtomicU32>);

impl Calls {
    /// Requests made so far.
    pub fn made(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// A limit of this many requests from here on.
    pub fn allow(&self, calls: u32) -> Allowance {
        Allowance {
            calls: self.clone(),
            end: self.made().saturating_add(calls),
        }
    }
}

/// What is left of a limit.
#[derive(Debug, Clone)]
pub struct Allowance {
    calls: Calls,
    end: u32,
}

impl Allowance {
    pub fn left(&self) -> u32 {
        self.end.saturating_sub(self.calls.made())
    }

    /// How many things of at most `each` requests can be begun, when `reserved` must be left for what comes after them.
    pub fn fits(&self, each: u32, reserved: u32) -> u32 {
        self.left().saturating_sub(reserved) / each.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_shrinks_with_every_call_of_every_clone() {
        let calls = Calls::default();
        calls.note();
        let allowance = calls.allow(10);
        assert_eq!((allowance.left(), allowance.fits(3, 2)), (10, 2));
        calls.clone().note();
        assert_eq!((calls.made(), allowance.left(), allowance.fits(3, 1)), (2, 9, 2));
        for _ in 0..20 {
            calls.note();
        }
        assert_eq!((allowance.left(), allowance.fits(1, 0), allowance.fits(0, 5)), (0, 0, 0));
    }
}
