//! `POST /api/webhooks/mail`: what the mail provider says became of a mail.
//!
//! 1. Another method: 405. Over 64 KB: 413. Not `application/json`: 415. Nothing written.
//! 2. Not verified ([`svix`] for Resend, [`mailgun`]): 401 `invalid_signature`; Mailgun's signature without JSON to find it in: 400. A right
//!    signature over something that is no event: 400. 406 `notice_refused` where Mailgun's signature is right but too old: its word for "do
//!    not send this again". 401 and 406 leave one counter row per minute, 400 nothing.
//! 3. `api.record_mail_event`, one transaction. 200 with the outcome: `recorded` (the mail's delivery moved), `noted` (it did not: an older
//!    event, a bounce that may pass), `duplicate`, `ignored` (a type that says nothing here, also one nobody knows yet), `unknown_mail` (not
//!    sent by this shop).
//! 4. Mailgun's token came before, with another body: 406 and the counter.
//! 5. Database not reached: 503 with `Retry-After`, so that the provider repeats.
//!
//! Only a [`Verified`] event is stored, and only the verifying functions make one. Bodies and addresses are neither stored nor logged.

mod event;
mod mailgun;
mod svix;

use http::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::edge::{self, BindingError, Bindings, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::{DbError, Rpc};
use shared::secret::Secret;

use crate::Config;
use crate::handler::{self, Now};
use crate::mail::Provider;
use event::Event;

pub const PATH: &str = "/api/webhooks/mail";
pub const MAX_BODY: usize = 64 * 1024;
// The event's own id makes a repeat of it nothing.
const RECORD_MAIL_EVENT: Rpc = Rpc::idempotent("record_mail_event");
const RECORD_REJECTED: Rpc = Rpc::once("record_rejected_webhook");

/// The binding `MAIL_WEBHOOK_SECRET`.
pub enum Key {
    Resend(svix::Key),
    Mailgun(Secret),
}

impl Key {
    pub fn from_bindings(bindings: &Bindings, provider: Provider) -> Result<Self, BindingError> {
        const NAME: &str = "MAIL_WEBHOOK_SECRET";
        Ok(match provider {
            Provider::Resend => Self::Resend(bindings.parsed(NAME, "whsec_ and base64 of at least 24 bytes", svix::Key::parse)?),
            Provider::Mailgun => Self::Mailgun(bindings.secret(NAME)?),
        })
    }

    fn provider(&self) -> Provider {
        match self {
            Self::Resend(_) => Provider::Resend,
            Self::Mailgun(_) => Provider::Mailgun,
        }
    }
}

/// Comes from the provider: its signature was checked.
#[derive(Debug, PartialEq)]
pub struct Verified<T>(T);

/// Why a call is not believed or not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No signature to check, or no part of one.
    Unsigned,
    WrongSignature,
    TooOld,
    /// The time signed is further ahead than clocks differ.
    InFuture,
    /// Not JSON in UTF-8.
    NotJson,
    /// Signed, but no event.
    NoEvent,
}

impl Refusal {
    fn reason(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::WrongSignature => "invalid_signature",
            Self::TooOld => "too_old",
            Self::InFuture => "in_future",
            Self::NotJson => "not_json",
            Self::NoEvent => "no_event",
        }
    }

    fn error(self, provider: Provider) -> ApiError {
        match (self, provider) {
            (Self::TooOld | Self::InFuture | Self::NoEvent, Provider::Mailgun) => Code::NoticeRefused.into(),
            (Self::Unsigned | Self::WrongSignature, _) | (Self::TooOld | Self::InFuture, Provider::Resend) => Code::InvalidSignature.into(),
            (Self::NotJson, _) => Code::InvalidJson.into(),
            (Self::NoEvent, Provider::Resend) => ApiError::new(Code::InvalidRequest).field("body", "must be an event with a type"),
        }
    }
}

#[derive(Deserialize)]
struct Recorded {
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Recorded,
    Noted,
    Ignored,
    UnknownMail,
    Duplicate,
    Replayed,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    outcome: Outcome,
    request_id: &'a str,
}

pub async fn handle(config: &Config, request: &Incoming) -> Result<Response<String>, ApiError> {
    if request.method != Method::POST {
        return Err(ApiError::method_not_allowed("POST"));
    }
    request.expect_content_type(&["application/json"])?;
    let clock = handler::clock(config, request)?;
    let now = clock.unwrap_or(request.now);
    let verified = match &config.mail_webhook {
        Key::Resend(key) => svix::verify(key, &request.body, &request.headers, now),
        Key::Mailgun(key) => mailgun::verify(key, &request.body, now),
    };
    let outcome = match verified {
        Ok(event) => store(config, &event, &request.body, clock).await?,
        Err(refusal) => return Err(refuse(config, refusal, clock).await),
    };
    if outcome == Outcome::Replayed {
        count(config, "replayed", clock).await;
        return Err(Code::NoticeRefused.into());
    }
    edge::json(
        StatusCode::OK,
        &Answer {
            outcome,
            request_id: &request.request_id,
        },
    )
}

async fn store(config: &Config, Verified(event): &Verified<Event>, body: &[u8], now: Now) -> Result<Outcome, ApiError> {
    let p = json!({
        "provider": config.mail_webhook.provider(), "event_id": event.id, "fingerprint": config.token_key.payload_hash(body), "type": event.kind,
        "outbox_id": event.outbox_id, "provider_id": event.provider_id, "reason": event.reason, "occurred_at": event.occurred_at, "now": now,
    });
    match config.db.call::<_, Recorded>(RECORD_MAIL_EVENT, &p).await {
        Ok(recorded) => Ok(recorded.outcome),
        // Whatever went wrong on our side, the provider must repeat the notice: 503, never a final answer.
        Err(DbError::Unavailable(detail) | DbError::Refused(detail) | DbError::Failed(detail)) => {
            Err(ApiError::new(Code::DatabaseUnavailable).detail(detail))
        }
        Err(error) => Err(error.into()),
    }
}

async fn refuse(config: &Config, refusal: Refusal, now: Now) -> ApiError {
    let error = refusal.error(config.mail_webhook.provider());
    if matches!(error.code, Code::InvalidSignature | Code::NoticeRefused) {
        count(config, refusal.reason(), now).await;
    }
    error.detail(refusal.reason())
}

/// Best effort: the answer is the same without it.
async fn count(config: &Config, reason: &str, now: Now) {
    let row = json!({"source": "mail", "reason": reason, "now": now});
    let _ = config.db.call::<_, Value>(RECORD_REJECTED, &row).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_the_answer_its_provider_understands() {
        for (refusal, resend, mailgun) in [
            (Refusal::Unsigned, 401, 401),
            (Refusal::WrongSignature, 401, 401),
            (Refusal::TooOld, 401, 406),
            (Refusal::InFuture, 401, 406),
            (Refusal::NotJson, 400, 400),
            (Refusal::NoEvent, 400, 406),
        ] {
            let status = |provider| refusal.error(provider).code.status().as_u16();
            assert_eq!(
                (status(Provider::Resend), status(Provider::Mailgun)),
                (resend, mailgun),
                "{refusal:?}"
            );
        }
    }
}
