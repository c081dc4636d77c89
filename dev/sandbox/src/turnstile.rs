//! `POST /turnstile/v0/siteverify`, Cloudflare Turnstile's check of a token.
//!
//! 1. JSON (the real one takes forms too) with `secret`, `response`, and optionally `remoteip`, `idempotency_key`. Always 200 with
//!    `success` and `error-codes`.
//! 2. No secret: `missing-input-secret`; another than [`SECRET`]: `invalid-input-secret`. No token: `missing-input-response`.
//! 3. A token is what a test writes, `<hostname>|<action>|<anything>`: it was solved on that host for that action. Any other text:
//!    `invalid-input-response`.
//! 4. A token passes once: again with the same `idempotency_key` the same answer, with another or none `timeout-or-duplicate`.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::provider::{Pause, lock};
use crate::{Shared, clock};

/// The one secret the stand-in knows. It protects nothing.
pub const SECRET: &str = "sandbox-turnstile-secret";

/// Spent tokens, each with the idempotency key it was spent under.
pub type Spent = HashMap<String, Option<String>>;

#[derive(Default, Deserialize)]
struct Question {
    #[serde(default)]
    secret: String,
    #[serde(default)]
    response: String,
    idempotency_key: Option<String>,
}

pub(crate) async fn verify(State(app): State<Shared>, Extension(pause): Extension<Pause>, body: Bytes) -> Response {
    let answer = match serde_json::from_slice(&body) {
        Ok(question) => judge(&mut lock(&app.turnstile), question),
        Err(_) => refused("bad-request"),
    };
    pause.0.pause().await;
    Json(answer).into_response()
}

fn judge(spent: &mut Spent, question: Question) -> Value {
    if question.secret.is_empty() {
        return refused("missing-input-secret");
    }
    if question.secret != SECRET {
        return refused("invalid-input-secret");
    }
    if question.response.is_empty() {
        return refused("missing-input-response");
    }
    let [hostname, action, _] = question.response.splitn(3, '|').collect::<Vec<_>>()[..] else {
        return refused("invalid-input-response");
    };
    let answer = json!({
        "success": true, "challenge_ts": clock::text(clock::now()), "hostname": hostname, "action": action, "cdata": "", "error-codes": [],
    });
    match spent.get(&question.response) {
        Some(key) if key.is_none() || *key != question.idempotency_key => return refused("timeout-or-duplicate"),
        _ => {}
    }
    spent.insert(question.response.clone(), question.idempotency_key);
    answer
}

fn refused(code: &str) -> Value {
    json!({ "success": false, "error-codes": [code] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(spent: &mut Spent, secret: &str, response: &str, key: Option<&str>) -> Value {
        judge(
            spent,
            Question {
                secret: secret.into(),
                response: response.into(),
                idempotency_key: key.map(str::to_owned),
            },
        )
    }

    #[test]
    fn a_token_passes_once_unless_it_is_the_same_question() {
        let mut spent = Spent::new();
        let first = ask(&mut spent, SECRET, "shop.example|lead|1", Some("k1"));
        assert_eq!(
            (&first["success"], &first["hostname"], &first["action"]),
            (&json!(true), &json!("shop.example"), &json!("lead"))
        );
        assert_eq!(ask(&mut spent, SECRET, "shop.example|lead|1", Some("k1"))["success"], true);
        for key in [Some("k2"), None] {
            assert_eq!(ask(&mut spent, SECRET, "shop.example|lead|1", key), refused("timeout-or-duplicate"));
        }
        assert_eq!(ask(&mut spent, SECRET, "shop.example|lead|2", None)["success"], true);
        assert_eq!(
            ask(&mut spent, SECRET, "shop.example|lead|2", None),
            refused("timeout-or-duplicate")
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut spent = Spent::new();
        for (secret, response, code) in [
            ("", "a|b|c", "missing-input-secret"),
            ("other", "a|b|c", "invalid-input-secret"),
            (SECRET, "", "missing-input-response"),
            (SECRET, "nonsense", "invalid-input-response"),
        ] {
            assert_eq!(ask(&mut spent, secret, response, None), refused(code));
        }
        assert!(spent.is_empty());
    }
}
