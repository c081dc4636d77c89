//! Notices somebody made up or tampered with, against the real Worker, under both of Cardlink's contracts.
//!
//! Each forgery ([`attack::Case`]) has an order of its own, and beside it the twin that differs in exactly that one thing: the forgery
//! must get its exact refusal and leave exactly its rows, then the twin must be accepted and deliver. So no forgery was refused for a
//! reason of the test's own making.
//!
//! Elsewhere, and not repeated here: limits of size, type and method (`refusals_cardlink/notice.rs`, `cardlink_v1/refusals.rs`); other
//! amounts under a genuine signature (`refusals_cardlink/outcomes.rs`); the fail page's signature, and eight sets of unsigned fields
//! (`cardlink_v1/forged.rs`); a reversal the provider does not know (`cardlink_v1/reversals.rs`); digests and parsers as unit tests
//! (`functions/cardlink/src/{v1,v2}.rs`). That the comparison takes constant time is for a reader to see (`shared::secret`).
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod attack;
mod replays;
mod v1_fields;
mod v1_payments;
mod v1_reversals;
mod v1_unsigned;
mod v1_wire;
mod v2_bytes;
mod v2_envelope;
mod v2_members;
mod v2_numbers;
mod v2_table;
mod v2_wire;
