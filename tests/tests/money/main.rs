//! Money to the cent: fees, profit, commissions, counters, and refunds that staff start.
//!
//! Expected sums are worked out by hand, or by a model of whole cents that shares no line with the SQL under test.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod codes;
mod commissions;
mod counters;
mod lost_answers;
mod random;
mod refunds;
mod refusals;
mod rows;
mod support;
