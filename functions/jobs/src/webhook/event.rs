//! An event of a mail, whoever reports it. Types nobody knows yet are [`Kind::Ignored`]: providers add to theirs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

#[derive(Debug, PartialEq)]
pub struct Event {
    /// What a repeat of the call has in common with it.
    pub id: String,
    pub kind: Kind,
    /// The row the mail was sent for, as it travelled with the mail.
    pub outbox_id: Option<Uuid>,
    pub provider_id: Option<String>,
    /// A word or two such as `Permanent/NoEmail`.
    pub reason: Option<String>,
    pub occurred_at: Option<DateTime<Utc>>,
}

/// What `api.record_mail_event` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Accepted,
    /// Not delivered yet; the provider goes on trying.
    Delayed,
    Delivered,
    Complained,
    /// For good.
    Bounced,
    Failed,
    /// The provider has stopped sending to this address.
    Suppressed,
    Ignored,
}

/// A text member, by its path.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value, |value, name| value.get(name))?.as_str()
}

/// The provider's words, where they are words: sentences quote addresses.
pub fn reason(words: &[Option<&str>]) -> Option<String> {
    let is_word = |word: &&str| (1..=40).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let words: Vec<&str> = words.iter().copied().flatten().filter(is_word).collect();
    (!words.is_empty()).then(|| words.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_made_of_words_only() {
        assert_eq!(reason(&[Some("Permanent"), Some("NoEmail")]).as_deref(), Some("Permanent/NoEmail"));
        assert_eq!(
            reason(&[Some("Permanent"), Some("550 5.1.1 <a@example.com> unknown")]).as_deref(),
            Some("Permanent")
        );
        assert_eq!(reason(&[None, Some(""), Some("a@example.com")]), None);
    }
}
