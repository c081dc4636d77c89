//! Sending through Resend's HTTP API (or whatever speaks its shape at `MAIL_URL`).

use std::time::Duration;

use serde::Deserialize;
use shared::edge::{BindingError, Bindings};
use shared::outgoing::{Answer, Outgoing};
use shared::secret::Secret;
use uuid::Uuid;

use super::Mail;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Where and as whom mail is sent.
pub struct Sender {
    url: String,
    api_key: Secret,
    from: String,
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
    },
    /// The provider will never take this mail.
    Refused {
        error: String,
    },
}

#[derive(Deserialize)]
struct Accepted {
    id: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    name: Option<String>,
}

impl Sender {
    pub fn from_bindings(bindings: &Bindings) -> Result<Self, BindingError> {
        bindings.parsed("MAIL_PROVIDER", "resend", |text| (text == "resend").then_some(()))?;
        Ok(Self {
            url: bindings.required("MAIL_URL")?.trim_end_matches('/').to_owned(),
            api_key: bindings.secret("MAIL_API_KEY")?,
            from: bindings.required("MAIL_FROM")?,
        })
    }

    pub fn from(&self) -> &str {
        &self.from
    }

    /// `key` is the outbox row's id: Resend answers a repeat within 24 hours with the first answer and sends nothing twice.
    pub async fn send(&self, outgoing: &Outgoing, key: Uuid, mail: &Mail) -> Delivery {
        let url = format!("{}/emails", self.url);
        let key = key.to_string();
        let headers = [("idempotency-key", key.as_str())];
        match outgoing
            .post_json(&url, self.api_key.expose(), &headers, mail.body.clone(), TIMEOUT)
            .await
        {
            Ok(answer) => read(&answer),
            Err(problem) => Delivery::Retry {
                error: format!("no answer: {problem:?}"),
                after_s: None,
            },
        }
    }
}

fn read(answer: &Answer) -> Delivery {
    if answer.is_success() {
        return Delivery::Sent {
            provider_id: answer.json::<Accepted>().and_then(|accepted| accepted.id),
        };
    }
    // The provider's message may quote the address; its error name does not.
    let name = answer.json::<Problem>().and_then(|problem| problem.name).unwrap_or_default();
    let error = format!("HTTP {} {name}", answer.status).trim_end().to_owned();
    match (answer.status, name.as_str()) {
        // The same key with other bytes, a mail that breaks a rule: repeating cannot help.
        (409, "invalid_idempotent_request") | (400 | 413 | 422, _) => Delivery::Refused { error },
        // Wrong key, suspended account, used-up quota (401, 403, 429): the operator can mend it, so the row keeps trying.
        _ => Delivery::Retry {
            error,
            after_s: answer.retry_after,
        },
    }
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

    #[test]
    fn answers_are_sorted_into_sent_retry_and_refused() {
        assert_eq!(
            read(&answer(200, r#"{"id":"m1"}"#, None)),
            Delivery::Sent {
                provider_id: Some("m1".into())
            }
        );
        for (status, name) in [
            (422, "missing_required_field"),
            (400, "validation_error"),
            (409, "invalid_idempotent_request"),
        ] {
            let refused = read(&answer(status, &format!(r#"{{"name":"{name}","message":"a@example.com"}}"#), None));
            assert_eq!(
                refused,
                Delivery::Refused {
                    error: format!("HTTP {status} {name}")
                }
            );
        }
        for (status, name) in [
            (409, "concurrent_idempotent_requests"),
            (401, "missing_api_key"),
            (403, "email_above_quota"),
            (429, "rate_limit_exceeded"),
            (500, "application_error"),
        ] {
            let retry = read(&answer(status, &format!(r#"{{"name":"{name}"}}"#), Some(7)));
            assert_eq!(
                retry,
                Delivery::Retry {
                    error: format!("HTTP {status} {name}"),
                    after_s: Some(7)
                }
            );
        }
        assert_eq!(
            read(&answer(503, "<html>", None)),
            Delivery::Retry {
                error: "HTTP 503".into(),
                after_s: None
            }
        );
    }
}
