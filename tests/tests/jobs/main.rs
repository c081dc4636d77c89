//! What happens by itself: the schedule and its leases, polling of bills, alerts, the daily reconciliation.
//!
//! Jobs serve all shops of a stack, and their rows in `ops.scheduled_jobs` belong to the installation: tests that run jobs take turns.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod alerts;
mod money;
mod polling;
mod purge;
mod reconcile;
mod schedule;
mod support;
