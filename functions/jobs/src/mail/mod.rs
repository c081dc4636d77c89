//! Mail: what a row of the outbox becomes, and how it is sent.
//!
//! A row is rendered into a [`Message`], the message becomes the exact bytes of a provider's request ([`Mail`]), and a [`Sender`] sends
//! those. The provider is chosen by the binding `MAIL_PROVIDER`, never by looking at an address or a key.

mod mailgun;
mod multipart;
mod render;
mod resend;
mod row;
mod sender;
mod words;

use serde::Serialize;
use uuid::Uuid;

pub use mailgun::bare as bare_message_id;
pub use render::{Renderer, render};
pub use row::MailRow;
pub use sender::Sender;

/// A company that sends mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Resend,
    Mailgun,
}

impl Provider {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "resend" => Some(Self::Resend),
            "mailgun" => Some(Self::Mailgun),
            _ => None,
        }
    }

    /// Whether a repeat under the same key is sent once. Mailgun knows no such key: a mail may repeat after a crash.
    pub fn has_idempotency_keys(self) -> bool {
        match self {
            Self::Resend => true,
            Self::Mailgun => false,
        }
    }
}

/// A rendered mail, whoever sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The outbox row; travels with the mail, so that the provider's notices name it.
    pub id: Uuid,
    /// What the provider's statistics sort by.
    pub kind: &'static str,
    /// As `Name <address>`.
    pub from: String,
    pub to: String,
    pub subject: &'static str,
    pub html: String,
    pub text: String,
}

/// A mail as the provider takes it: the exact bytes of the request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub content_type: String,
    pub body: String,
}

/// What became of one attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    Sent {
        provider_id: Option<String>,
    },
    /// Worth another attempt under the same key.
    Retry {
        error: String,
        after_s: Option<u32>,
        why: Why,
    },
    /// The provider will never take this mail.
    Refused {
        error: String,
        /// Under this key it took none before, either; else its answer would have been that one.
        never_taken: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nobody knows whether the provider took the mail.
    Unanswered,
    /// Too many requests: the others of this run would hear the same.
    Busy,
    /// Something else that may pass, or that the operator can mend.
    Passing,
}
