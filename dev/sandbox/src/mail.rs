//! `POST /mail/emails`, in the shape of Resend's send call.
//!
//! 1. No bearer token: 401 `missing_api_key`; another one: 403 `invalid_api_key`.
//! 2. Not a JSON object: 400 `validation_error`; a missing field: 422 `missing_required_field`; a wrong one: 422 `validation_error`.
//! 3. `Idempotency-Key` of more than 256 characters or none at all in it: 400 `invalid_idempotency_key`.
//! 4. A known key (24 h): the same body gives the same answer and no second mail, another body 409 `invalid_idempotent_request`,
//!    and while the first request is at work 409 `concurrent_idempotent_requests`.
//! 5. Otherwise the mail is in the mailbox: 200 `{"id"}`.
//!
//! Every address and sender domain is accepted; quotas and rate limits come from fault rules.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Duration, Instant};

use crate::provider::{Pause, bearer, lock};
use crate::{Shared, clock};

const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const MAX_RECIPIENTS: usize = 50;

#[derive(Clone, Debug, Serialize)]
pub struct Message {
    pub id: String,
    pub to: Vec<String>,
    pub from: String,
    pub subject: String,
    pub html: Option<String>,
    pub text: Option<String>,
    /// Custom mail headers the caller asked for.
    pub headers: Map<String, Value>,
    pub reply_to: Vec<String>,
    pub idempotency_key: Option<String>,
    pub created_at: String,
}

struct Key {
    body: [u8; 32],
    /// None while the request that brought the key is at work.
    mail_id: Option<String>,
    since: Instant,
}

#[derive(Default)]
pub struct Mail {
    /// In the order of arrival; all of them.
    pub messages: Vec<Message>,
    keys: HashMap<String, Key>,
}

enum Claim {
    New,
    Replay(String),
    OtherBody,
    InProgress,
}

impl Mail {
    fn claim(&mut self, key: &str, body: [u8; 32], now: Instant) -> Claim {
        self.keys.retain(|_, known| now.duration_since(known.since) < KEY_LIFETIME);
        match self.keys.get(key) {
            None => {
                self.keys.insert(
                    key.to_owned(),
                    Key {
                        body,
                        mail_id: None,
                        since: now,
                    },
                );
                Claim::New
            }
            Some(known) if known.body != body => Claim::OtherBody,
            Some(Key { mail_id: Some(id), .. }) => Claim::Replay(id.clone()),
            Some(_) => Claim::InProgress,
        }
    }

    pub fn deliver(&mut self, message: Message) {
        if let Some(known) = message.idempotency_key.as_ref().and_then(|key| self.keys.get_mut(key)) {
            known.mail_id = Some(message.id.clone());
        }
        self.messages.push(message);
    }
}

type Refusal = (u16, &'static str, String);

pub async fn send(State(app): State<Shared>, Extension(pause): Extension<Pause>, headers: HeaderMap, body: Bytes) -> Response {
    let message = match accept(&app.cfg.mail_api_key, &headers, &body) {
        Ok(message) => message,
        Err(refusal) => return refuse(refusal),
    };
    if let Some(key) = &message.idempotency_key {
        let claim = lock(&app.mail).claim(key, Sha256::digest(&body).into(), Instant::now());
        let conflict = |name, sentence: &str| refuse((409, name, sentence.to_owned()));
        match claim {
            Claim::New => {}
            Claim::Replay(id) => return Json(json!({ "id": id })).into_response(),
            Claim::OtherBody => {
                let sentence = "Same idempotency key used with a different request payload.";
                return conflict("invalid_idempotent_request", sentence);
            }
            Claim::InProgress => {
                let sentence = "Same idempotency key used while original request is still in progress.";
                return conflict("concurrent_idempotent_requests", sentence);
            }
        }
    }
    pause.0.pause().await;
    let answer = json!({ "id": message.id });
    lock(&app.mail).deliver(message);
    Json(answer).into_response()
}

/// Steps 1 to 3: everything that is refused without looking at earlier requests.
fn accept(api_key: &str, headers: &HeaderMap, body: &[u8]) -> Result<Message, Refusal> {
    match bearer(headers) {
        Some(token) if token == api_key => {}
        Some(token) if !token.is_empty() => return Err((403, "invalid_api_key", "API key is invalid.".to_owned())),
        _ => return Err((401, "missing_api_key", "Missing API key in the authorization header.".to_owned())),
    }
    let idempotency_key = match headers.get("idempotency-key").map(|value| value.to_str().unwrap_or_default()) {
        Some(key) if !(1..=256).contains(&key.len()) => {
            return Err((400, "invalid_idempotency_key", "The key must be between 1-256 chars.".to_owned()));
        }
        key => key.map(str::to_owned),
    };
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err((400, "validation_error", "The request body must be a JSON object.".to_owned()));
    };
    let fields = Fields(fields);
    let from = fields.addresses("from", true)?.swap_remove(0);
    let to = fields.addresses("to", true)?;
    let subject = fields.text("subject")?.ok_or_else(|| missing("`subject`"))?;
    let (html, text) = (fields.text("html")?, fields.text("text")?);
    if html.is_none() && text.is_none() {
        return Err(missing("`html` or `text`"));
    }
    let custom = match fields.0.get("headers") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(custom)) => custom.clone(),
        Some(_) => return Err(invalid("headers", "It must be an object.")),
    };
    let reply_to = fields.addresses("reply_to", false)?;
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let created_at = clock::text(clock::now());
    Ok(Message {
        id,
        to,
        from,
        subject,
        html,
        text,
        headers: custom,
        reply_to,
        idempotency_key,
        created_at,
    })
}

struct Fields(Map<String, Value>);

impl Fields {
    fn text(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok((!text.is_empty()).then(|| text.clone())),
            Some(_) => Err(invalid(name, "It must be a string.")),
        }
    }

    /// One address or a list of them; never empty when `required`.
    fn addresses(&self, name: &'static str, required: bool) -> Result<Vec<String>, Refusal> {
        let values = match self.0.get(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) if name != "from" => values.clone(),
            Some(value) => vec![value.clone()],
        };
        if required && values.is_empty() {
            return Err(missing(&format!("`{name}`")));
        }
        if values.len() > MAX_RECIPIENTS {
            return Err(invalid(name, "At most 50 addresses."));
        }
        let wrong = || {
            invalid(
                name,
                "The email address needs to follow the `email@example.com` or `Name <email@example.com>` format.",
            )
        };
        values
            .iter()
            .map(|value| value.as_str().filter(|text| is_address(text)).map(str::to_owned).ok_or_else(wrong))
            .collect()
    }
}

/// The address inside `Name <email@example.com>`, or the text itself.
pub fn bare_address(text: &str) -> &str {
    match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((_, address)) => address.trim(),
        None => text.trim(),
    }
}

pub fn is_address(text: &str) -> bool {
    let parts = bare_address(text).rsplit_once('@');
    let whole = |part: &str| !part.is_empty() && !part.contains([' ', '<', '>', ',', '\r', '\n', '@']);
    parts.is_some_and(|(name, host)| whole(name) && whole(host) && host.contains('.')) && !text.contains(['\r', '\n'])
}

fn missing(name: &str) -> Refusal {
    (422, "missing_required_field", format!("Missing {name} field."))
}

fn invalid(name: &str, sentence: &str) -> Refusal {
    (422, "validation_error", format!("Invalid `{name}` field. {sentence}"))
}

fn refuse((status, name, sentence): Refusal) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, Json(error_body(status, name, &sentence))).into_response()
}

pub fn error_body(status: u16, name: &str, sentence: &str) -> Value {
    json!({ "statusCode": status, "name": name, "message": sentence })
}

/// The error name Resend uses with this status, for answers that a fault rule injects without a body.
pub fn name_of(status: u16) -> &'static str {
    match status {
        401 => "missing_api_key",
        403 => "invalid_api_key",
        404 => "not_found",
        409 => "concurrent_idempotent_requests",
        422 | 400 => "validation_error",
        429 => "rate_limit_exceeded",
        503 => "service_unavailable",
        _ => "application_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(headers: &[(&'static str, &str)], body: Value) -> (u16, &'static str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        accept("re_key", &map, body.to_string().as_bytes())
            .map(|_| (200, ""))
            .unwrap_or_else(|(status, name, _)| (status, name))
    }

    #[test]
    fn every_refusal_has_the_status_and_name_of_the_provider() {
        let good = || json!({"from": "Shop <shop@example.com>", "to": ["a@example.com"], "subject": "S", "text": "T"});
        let with = |field: &str, value: Value| {
            let mut body = good();
            body[field] = value;
            body
        };
        let key = ("authorization", "Bearer re_key");
        assert_eq!(refusal(&[key], good()), (200, ""));
        assert_eq!(refusal(&[], good()), (401, "missing_api_key"));
        assert_eq!(refusal(&[("authorization", "Bearer other")], good()), (403, "invalid_api_key"));
        assert_eq!(refusal(&[key, ("idempotency-key", "")], good()), (400, "invalid_idempotency_key"));
        assert_eq!(
            refusal(&[key, ("idempotency-key", &"k".repeat(257))], good()),
            (400, "invalid_idempotency_key")
        );
        assert_eq!(refusal(&[key], json!([])), (400, "validation_error"));
        for field in ["from", "to", "subject", "text"] {
            assert_eq!(
                refusal(&[key], with(field, Value::Null)),
                (422, "missing_required_field"),
                "{field}"
            );
        }
        for (field, value) in [
            ("from", json!("nobody")),
            ("to", json!(["a@example.com", "b@"])),
            ("to", json!(vec!["a@example.com"; 51])),
            ("subject", json!(5)),
            ("headers", json!("x")),
            ("reply_to", json!("x")),
        ] {
            assert_eq!(refusal(&[key], with(field, value)), (422, "validation_error"), "{field}");
        }
    }

    #[test]
    fn a_key_is_replayed_guarded_and_forgotten_after_a_day() {
        let mut mail = Mail::default();
        let now = Instant::now();
        assert!(matches!(mail.claim("k", [1; 32], now), Claim::New));
        assert!(matches!(mail.claim("k", [1; 32], now), Claim::InProgress));
        let headers = HeaderMap::from_iter([("authorization".parse().unwrap(), "Bearer x".parse().unwrap())]);
        let body = br#"{"from":"s@example.com","to":"a@example.com","subject":"S","html":"H"}"#;
        let mut message = accept("x", &headers, body).unwrap();
        message.idempotency_key = Some("k".to_owned());
        let id = message.id.clone();
        mail.deliver(message);
        assert!(matches!(mail.claim("k", [1; 32], now), Claim::Replay(first) if first == id));
        assert!(matches!(mail.claim("k", [2; 32], now), Claim::OtherBody));
        assert!(matches!(mail.claim("k", [2; 32], now + KEY_LIFETIME), Claim::New));
    }

    #[test]
    fn the_address_is_found_inside_a_name() {
        assert_eq!(bare_address("Ann <ann@example.com>"), "ann@example.com");
        assert_eq!(bare_address(" ann@example.com "), "ann@example.com");
    }
}
