//! Mail: what a row of the outbox becomes, and how it is sent.

mod render;
mod resend;
mod row;
mod words;

pub use render::{Renderer, render};
pub use resend::{Delivery, Sender};
pub use row::MailRow;

/// A mail as the provider takes it: the exact bytes of the request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub body: String,
}
