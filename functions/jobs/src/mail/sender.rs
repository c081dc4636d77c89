//! The provider of the binding `MAIL_PROVIDER`, behind one face.

use std::time::Duration;

use shared::edge::{BindingError, Bindings};
use shared::outgoing::{Answer, NoAnswer, Outgoing};
use shared::secret::Secret;
use uuid::Uuid;

use super::{Delivery, Mail, Message, Provider, Why, mailgun, resend};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Where and as whom mail is sent.
pub struct Sender {
    pub provider: Provider,
    /// The provider's address: another one for Mailgun's customers in the EU.
    url: String,
    api_key: Secret,
    from: String,
}

impl Sender {
    pub fn from_bindings(bindings: &Bindings) -> Result<Self, BindingError> {
        let provider = bindings.parsed("MAIL_PROVIDER", "resend or mailgun", Provider::parse)?;
        let base = bindings.required("MAIL_URL")?.trim_end_matches('/').to_owned();
        Ok(Self {
            provider,
            url: match provider {
                Provider::Resend => format!("{base}/emails"),
                Provider::Mailgun => format!("{base}/v3/{}/messages", bindings.parsed("MAIL_DOMAIN", "a domain name", domain)?),
            },
            api_key: bindings.secret("MAIL_API_KEY")?,
            from: bindings.required("MAIL_FROM")?,
        })
    }

    pub fn from(&self) -> &str {
        &self.from
    }

    /// An error is a sentence for the log and the alert: without address and without code.
    pub fn encode(&self, message: &Message) -> Result<Mail, String> {
        match self.provider {
            Provider::Resend => resend::encode(message),
            Provider::Mailgun => mailgun::encode(message),
        }
    }

    /// `key` is the outbox row's id.
    pub async fn send(&self, outgoing: &Outgoing, key: Uuid, mail: &Mail) -> Delivery {
        let body = mail.body.clone();
        let answer = match self.provider {
            Provider::Resend => {
                let key = key.to_string();
                let headers = [("idempotency-key", key.as_str())];
                outgoing.post_json(&self.url, self.api_key.expose(), &headers, body, TIMEOUT).await
            }
            Provider::Mailgun => {
                let user = ("api", self.api_key.expose());
                outgoing.post_basic(&self.url, user, &mail.content_type, body, TIMEOUT).await
            }
        };
        self.read(answer)
    }

    fn read(&self, answer: Result<Answer, NoAnswer>) -> Delivery {
        match (self.provider, answer) {
            (Provider::Resend, Ok(answer)) => resend::read(&answer),
            (Provider::Mailgun, Ok(answer)) => mailgun::read(&answer),
            (Provider::Resend, Err(problem)) => unanswered(problem, None),
            (Provider::Mailgun, Err(problem)) => unanswered(problem, Some(mailgun::WAIT_FOR_NOTICE_S)),
        }
    }
}

fn unanswered(problem: NoAnswer, after_s: Option<u32>) -> Delivery {
    Delivery::Retry {
        error: format!("no answer: {problem:?}"),
        after_s,
        why: Why::Unanswered,
    }
}

fn domain(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (text.contains('.') && text.bytes().all(plain)).then(|| text.to_owned())
}

/// Statuses about the account or the moment, not about this mail: a wrong key, a suspended account (401, 403), a timeout at the other
/// side, too many requests. The operator or time can mend them.
pub fn may_pass(status: u16) -> bool {
    matches!(status, 401 | 403 | 408 | 425 | 429 | 500..)
}

/// Why to try again after an answer with this status. A fault of the provider may have struck after it took the mail.
pub fn why(status: u16) -> Why {
    match status {
        429 => Why::Busy,
        408 | 500.. => Why::Unanswered,
        _ => Why::Passing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(provider: Provider) -> Sender {
        Sender {
            provider,
            url: String::new(),
            api_key: Secret::new("key").unwrap(),
            from: String::new(),
        }
    }

    #[test]
    fn a_lost_answer_waits_for_the_providers_notice_only_where_a_repeat_would_be_a_second_mail() {
        let retry = |after_s| Delivery::Retry {
            error: "no answer: Timeout".into(),
            after_s,
            why: Why::Unanswered,
        };
        assert_eq!(sender(Provider::Resend).read(Err(NoAnswer::Timeout)), retry(None));
        assert_eq!(sender(Provider::Mailgun).read(Err(NoAnswer::Timeout)), retry(Some(600)));
    }

    #[test]
    fn a_domain_is_only_a_domain() {
        assert_eq!(domain("mg.shop.example").as_deref(), Some("mg.shop.example"));
        for bad in [
            "",
            "localhost",
            "mg.shop.example/x",
            "../shop.example",
            "mg.shop.example?x=1",
            "a b.example",
        ] {
            assert_eq!(domain(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_provider_is_named_exactly() {
        assert_eq!(
            (Provider::parse("resend"), Provider::parse("mailgun")),
            (Some(Provider::Resend), Some(Provider::Mailgun))
        );
        for bad in ["", "Resend", "mailgun ", "ses"] {
            assert_eq!(Provider::parse(bad), None, "{bad}");
        }
    }
}
