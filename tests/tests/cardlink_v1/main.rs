//! Cardlink's public API (v1), end to end: a notice is a hint, the provider's answer is the proof.
//!
//! The stack lets the payer bear the commission, so the sum a notice names (`OutSum`) is never the order's price here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

mod forged;
mod payments;
mod refusals;
mod reversals;
mod support;
