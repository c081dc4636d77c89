//! Resend's HTTP API (or whatever speaks its shape at `MAIL_URL`).
//!
//! `POST /emails` with the outbox row's id as `Idempotency-Key`: a repeat within 24 hours gets the first answer and sends nothing twice.
//! What an error means stands in its `name`; its message may quote the address and is never kept.

use serde::{Deserialize, Serialize};
use shared::outgoing::Answer;

use super::sender::{may_pass, why};
use super::{Delivery, Mail, Message, Why};

#[derive(Serialize)]
struct Body<'a> {
    from: &'a str,
    to: [&'a str; 1],
    subject: &'a str,
    html: &'a str,
    text: &'a str,
    tags: [Tag<'a>; 2],
}

#[derive(Serialize)]
struct Tag<'a> {
    name: &'static str,
    value: &'a str,
}

#[derive(Deserialize)]
struct Accepted {
    id: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    name: Option<String>,
}

pub fn encode(message: &Message) -> Result<Mail, String> {
    let id = message.id.to_string();
    let tag = |name, value| Tag { name, value };
    let body = Body {
        from: &message.from,
        to: [&message.to],
        subject: message.subject,
        html: &message.html,
        text: &message.text,
        tags: [tag("kind", message.kind), tag("outbox_id", &id)],
    };
    Ok(Mail {
        content_type: "application/json".to_owned(),
        body: serde_json::to_string(&body).map_err(|e| e.to_string())?,
    })
}

pub fn read(answer: &Answer) -> Delivery {
    if answer.is_success() {
        return Delivery::Sent {
            provider_id: answer.json::<Accepted>().and_then(|accepted| accepted.id),
        };
    }
    let name = answer.json::<Problem>().and_then(|problem| problem.name).unwrap_or_default();
    let error = format!("HTTP {} {}", answer.status, plain(&name)).trim_end().to_owned();
    let retry = |why| Delivery::Retry {
        error: error.clone(),
        after_s: answer.retry_after,
        why,
    };
    match (answer.status, name.as_str()) {
        // Another request under this key is at work, perhaps our own of a moment ago.
        (409, "concurrent_idempotent_requests" | "resource_locked") => retry(Why::Unanswered),
        // The provider says: do not try again. Staff are told, and replay the mails when the quota is back.
        (_, "daily_quota_exceeded" | "monthly_quota_exceeded") => Delivery::Refused { error, never_taken: false },
        (status, _) if may_pass(status) => retry(why(status)),
        // The mail breaks a rule, or its key was used for other bytes: repeating cannot help.
        _ => Delivery::Refused { error, never_taken: true },
    }
}

/// A name that is none is not repeated: it might quote something.
fn plain(name: &str) -> &str {
    let is_word = name.len() <= 60 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_word { name } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, retry_after: Option<u32>) -> Answer {
        Answer {
            status,
            retry_after,
            body: body.into(),
        }
    }

    fn named(status: u16, name: &str) -> Delivery {
        read(&answer(
            status,
            &format!(r#"{{"statusCode":{status},"name":"{name}","message":"a@example.com"}}"#),
            Some(7),
        ))
    }

    #[test]
    fn an_accepted_mail_has_the_providers_id() {
        let sent = |id: Option<&str>| Delivery::Sent {
            provider_id: id.map(str::to_owned),
        };
        assert_eq!(read(&answer(200, r#"{"id":"m1"}"#, None)), sent(Some("m1")));
        // The mail is out, whatever the rest of the answer is.
        for body in ["", "<html>", "[]", r#"{"id":5}"#] {
            assert_eq!(read(&answer(200, body, None)), sent(None), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_mail_or_the_quota_is_never_tried_again() {
        for (status, name) in [
            (400, "validation_error"),
            (400, "invalid_idempotency_key"),
            (404, "not_found"),
            (405, "method_not_allowed"),
            (409, "invalid_idempotent_request"),
            (413, ""),
            (422, "invalid_attachment"),
            (422, "invalid_parameter"),
            (422, "missing_required_field"),
            (429, "daily_quota_exceeded"),
            (429, "monthly_quota_exceeded"),
            (451, "unheard_of"),
        ] {
            let error = format!("HTTP {status} {name}").trim_end().to_owned();
            let never_taken = !name.ends_with("quota_exceeded");
            assert_eq!(named(status, name), Delivery::Refused { error, never_taken }, "{status} {name}");
        }
    }

    #[test]
    fn what_may_pass_or_can_be_mended_is_tried_again_no_sooner_than_asked() {
        for (status, name, why) in [
            (401, "missing_api_key", Why::Passing),
            (401, "restricted_api_key", Why::Passing),
            (403, "suspended_api_key", Why::Passing),
            (403, "email_above_quota", Why::Passing),
            (409, "concurrent_idempotent_requests", Why::Unanswered),
            (409, "resource_locked", Why::Unanswered),
            (429, "rate_limit_exceeded", Why::Busy),
            (500, "application_error", Why::Unanswered),
            (503, "service_unavailable", Why::Unanswered),
        ] {
            let retry = Delivery::Retry {
                error: format!("HTTP {status} {name}"),
                after_s: Some(7),
                why,
            };
            assert_eq!(named(status, name), retry, "{status} {name}");
        }
        let nameless = Delivery::Retry {
            error: "HTTP 503".into(),
            after_s: None,
            why: Why::Unanswered,
        };
        assert_eq!(read(&answer(503, "<html>", None)), nameless);
    }

    #[test]
    fn an_error_never_quotes_what_might_be_an_address() {
        let Delivery::Refused { error, .. } = named(422, "a@example.com is invalid") else {
            panic!()
        };
        assert_eq!(error, "HTTP 422");
    }

    #[test]
    fn the_body_names_its_row_in_a_tag_the_provider_takes() {
        let message = Message {
            id: uuid::Uuid::from_u128(9),
            kind: "gift",
            from: "Shop <shop@example.com>".into(),
            to: "a@example.com".into(),
            subject: "S",
            html: "<p>".into(),
            text: "T".into(),
        };
        assert_eq!(
            encode(&message).unwrap().body,
            r#"{"from":"Shop <shop@example.com>","to":["a@example.com"],"subject":"S","html":"<p>","text":"T","tags":[{"name":"kind","value":"gift"},{"name":"outbox_id","value":"00000000-0000-0000-0000-000000000009"}]}"#
        );
    }
}
