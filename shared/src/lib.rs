//! What every function of lonieve-edge shares.
//!
//! In scope: rules that two or more functions (or the tools that test them) must agree on, and the few adapters through which a
//! function touches the outside. Out of scope: anything only one function needs; it lives in that function's crate.
//!
//! The crate is pure by default. The feature `edge` adds what names the `worker` crate or sends a request.

pub mod calls;
pub mod cardlink;
pub mod client_info;
pub mod codes;
pub mod error;
pub mod money;
pub mod secret;
pub mod tokens;
pub mod validate;

#[cfg(feature = "edge")]
pub mod cors;
#[cfg(feature = "edge")]
pub mod edge;
#[cfg(feature = "edge")]
pub mod outgoing;
#[cfg(feature = "edge")]
pub mod postgrest;
