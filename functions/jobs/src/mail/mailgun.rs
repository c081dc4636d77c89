//! Mailgun's HTTP API: `POST {MAIL_URL}/v3/{MAIL_DOMAIN}/messages`, a form, HTTP Basic as `api`.
//!
//! Mailgun knows no idempotency key: **a mail may repeat after a crash**. What keeps that rare:
//!
//! - each mail's verdict is booked before the next is sent, and booked again when the database is away for a moment;
//! - the row's id travels with the mail (`v:outbox_id`). After an attempt without an answer the next one waits ten minutes, and Mailgun's
//!   own notice of the mail, which comes within seconds where it was taken, closes the row before that.

use serde::Deserialize;
use shared::outgoing::Answer;

use super::sender::{may_pass, why};
use super::{Delivery, Mail, Message, multipart};

/// Seconds Mailgun's notice has to arrive in before a mail whose answer was lost is sent again.
pub const WAIT_FOR_NOTICE_S: u32 = 600;

#[derive(Deserialize)]
struct Accepted {
    id: Option<String>,
}

pub fn encode(message: &Message) -> Result<Mail, String> {
    // `to` is a list: one address must not become two.
    if message.to.contains([',', ';', '<', '>', '"']) || message.to.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("the address has characters Mailgun would read as several addresses".into());
    }
    let id = message.id.to_string();
    let fields = [
        ("from", message.from.as_str()),
        ("to", &message.to),
        ("subject", message.subject),
        ("text", &message.text),
        ("html", &message.html),
        ("o:tag", message.kind),
        ("v:outbox_id", &id),
    ];
    multipart::encode(message.id, &fields).ok_or_else(|| "the text holds the form's boundary".into())
}

pub fn read(answer: &Answer) -> Delivery {
    if answer.is_success() {
        return Delivery::Sent {
            provider_id: answer
                .json::<Accepted>()
                .and_then(|accepted| accepted.id)
                .map(|id| bare(&id).to_owned()),
        };
    }
    // Mailgun's errors have a message only, which may quote the address.
    let error = format!("HTTP {}", answer.status);
    if may_pass(answer.status) {
        Delivery::Retry {
            error,
            after_s: answer.retry_after,
            why: why(answer.status),
        }
    } else {
        Delivery::Refused { error, never_taken: false }
    }
}

/// Answers have a message id in angle brackets, notices have it without.
pub fn bare(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Why;
    use uuid::Uuid;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            retry_after: Some(3),
            body: body.into(),
        }
    }

    fn message(to: &str) -> Message {
        Message {
            id: Uuid::from_u128(9),
            kind: "codes",
            from: "Shop <shop@example.com>".into(),
            to: to.into(),
            subject: "Your Gift Cards Are Ready!",
            html: "<p>".into(),
            text: "T".into(),
        }
    }

    #[test]
    fn answers_are_sorted_into_sent_retry_and_refused() {
        assert_eq!(
            read(&answer(200, r#"{"id":"<2026@mg.shop.example>","message":"Queued. Thank you."}"#)),
            Delivery::Sent {
                provider_id: Some("2026@mg.shop.example".into())
            }
        );
        for status in [400, 402, 404, 413, 422] {
            let error = format!("HTTP {status}");
            let refused = Delivery::Refused { error, never_taken: false };
            assert_eq!(read(&answer(status, r#"{"message":"a@example.com"}"#)), refused);
        }
        for (status, why) in [
            (401, Why::Passing),
            (403, Why::Passing),
            (408, Why::Unanswered),
            (429, Why::Busy),
            (500, Why::Unanswered),
            (502, Why::Unanswered),
        ] {
            let retry = Delivery::Retry {
                error: format!("HTTP {status}"),
                after_s: Some(3),
                why,
            };
            assert_eq!(read(&answer(status, "Forbidden")), retry);
        }
    }

    #[test]
    fn the_form_has_every_field_once_and_the_row_with_it() {
        let body = encode(&message("a@example.com")).unwrap().body;
        for (name, value) in [
            ("from", "Shop <shop@example.com>"),
            ("to", "a@example.com"),
            ("subject", "Your Gift Cards Are Ready!"),
            ("text", "T"),
            ("html", "<p>"),
            ("o:tag", "codes"),
            ("v:outbox_id", "00000000-0000-0000-0000-000000000009"),
        ] {
            let part = format!("form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            assert_eq!(body.matches(&part).count(), 1, "{name}: {body}");
        }
        assert_eq!(body.matches("form-data; name=").count(), 7);
    }

    #[test]
    fn one_address_cannot_become_two() {
        assert!(encode(&message("o'neil+tag@example.com")).is_ok());
        for bad in [
            "a@example.com,b@example.com",
            "a@example.com; b@example.com",
            "x <a@example.com>",
            "a@example.com\r\nbcc: b@example.com",
        ] {
            assert!(encode(&message(bad)).is_err(), "{bad}");
        }
    }
}
