//! The sandbox as its users meet it: over HTTP, on a port of its own.

mod mail;
mod payments;
mod support;
mod switchboard;
