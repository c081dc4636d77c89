//! The numbers of `docs/analytics.md`, computed a second time: out of plain values, with code that is not SQL, written from that page and
//! without a look at the functions it is compared with.
//!
//! 1. [`generate`] makes a shop's history out of a seed, [`load`] writes it into the tables.
//! 2. [`Books`] groups it: visits, sessions, customers. [`reports`] computes a [`Table`] for each function of the page.
//! 3. [`Table::difference`] compares it with what the server answers, row by row and to the last digit.
//!
//! In scope: every number. Out of scope: the words of titles, advice and descriptions, of which only a presence is asked; who may call.

mod books;
mod calendar;
pub mod generate;
pub mod load;
mod model;
pub mod reports;
mod table;

pub use books::{Books, Visit};
pub use calendar::{Period, day_begins, day_of};
pub use generate::{Size, fixed_end, generate};
pub use model::{Event, History, Moment, Order, Payment};
pub use table::{Cell, Table};

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The id under which the server writes its event of this type for an order, as `analytics.server_event_id` has it.
pub fn server_event_id(kind: &str, order: Uuid) -> Uuid {
    let hash = hex::encode(Sha256::digest(format!("lonieve.event|{kind}|{order}")));
    let text = format!("{}8{}a{}", &hash[..12], &hash[13..16], &hash[17..32]);
    text.parse().unwrap()
}
