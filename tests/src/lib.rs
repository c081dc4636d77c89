//! What the end-to-end tests share: a running stack, and shops of their own in it.
//!
//! In scope: real requests against the built Workers, real rows read back as superuser. Out of scope: rules; a test that needs a rule
//! to know what is right would repeat the code it tests. `cargo xtask test` starts the stacks and names them in `LONIEVE_STACK`
//! and, for Cardlink v1, `LONIEVE_STACK_V1`.
//!
//! Every test makes a [`Shop`], a tenant with its own host, so that tests run side by side in one database. "Nothing was written" is
//! asserted with [`Shop::rows`], which counts the tenant's rows in every table that has a `tenant_id`.
#![expect(clippy::unwrap_used, reason = "a test harness: a failed step is a failed test")]

pub mod interleaving;
mod leaks;
mod own_worker;
mod probe;
pub mod reference;
mod reply;
mod shop;
mod sign;
mod staff;

pub use leaks::{dump, logs, places};
pub use own_worker::OwnWorker;
pub use reply::Reply;
pub use shop::{Placed, Shop, fresh_code};
pub use sign::{mailgun_notice, md5_signature, signed_notice, svix_signature};
pub use staff::new_product;

use std::path::PathBuf;
use std::sync::OnceLock;

use stack::Info;

/// The stack under test.
pub fn stack() -> &'static Info {
    static INFO: OnceLock<Info> = OnceLock::new();
    INFO.get_or_init(|| load("LONIEVE_STACK"))
}

/// The stack whose Workers speak Cardlink v1.
pub fn stack_v1() -> &'static Info {
    static INFO: OnceLock<Info> = OnceLock::new();
    INFO.get_or_init(|| load("LONIEVE_STACK_V1"))
}

fn load(variable: &str) -> Info {
    let path = std::env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| {
        panic!("{variable} is not set: run the end-to-end tests with `cargo xtask test`, or point it at a running stack's stack.json")
    });
    Info::load(&path).unwrap()
}
