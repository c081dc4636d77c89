//! The state machine, pair by pair: each state an order can be in, each thing the provider can say, and exactly what comes of it; and
//! that docs/state-machine.md, the tables in the database and these tests say the same.
//!
//! In scope: `api.settle_payment`, `api.settle_refund`, `api.settle_chargeback`, `api.resolve_order` and the tables that restrict changes.
//! Out of scope: who may call them, signatures, and what happens at the same instant (`interleavings`).
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod document;
mod expected;
mod looks;
mod named;
mod pairs;
mod restricted;
mod snapshot;
mod states;
