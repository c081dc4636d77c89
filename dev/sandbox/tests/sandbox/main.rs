//! The sandbox as its users meet it: over HTTP, on a port of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

mod mail;
mod payments;
mod payments_v1;
mod support;
mod switchboard;
