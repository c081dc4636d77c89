//! Cloudflare Turnstile: whether the form was sent by a person's browser. Closed when in doubt: no token, no answer, an answer that is not
//! understood, or one made for another site never lets a form through.
//!
//! A token is good for one look. When the answer is lost, the second request carries the same idempotency key, which makes it the same look.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::error::{ApiError, Code};
use shared::outgoing::{NoAnswer, Outgoing};
use shared::secret::Secret;
use uuid::Uuid;

const SITEVERIFY: &str = "https://challenges.cloudflare.com/turnstile/v0/siteverify";
const TIMEOUT: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 2;
/// `data-action` of the widget on a landing form; a token made with another action is for another form.
const ACTION: &str = "lead";

/// The bindings `TURNSTILE_SECRET` and `TURNSTILE_URL`.
#[derive(Debug, Clone)]
pub struct Turnstile {
    secret: Secret,
    url: String,
}

/// What a browser sent along.
pub struct Solved<'a> {
    pub token: Option<&'a str>,
    pub ip: Option<&'a str>,
    /// Hosts of the pages the form may stand on.
    pub hosts: [Option<&'a str>; 2],
}

#[derive(Serialize)]
struct Question<'a> {
    secret: &'a str,
    response: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remoteip: Option<&'a str>,
    idempotency_key: Uuid,
}

#[derive(Deserialize)]
struct Answer {
    success: bool,
    hostname: Option<String>,
    action: Option<String>,
    #[serde(rename = "error-codes", default)]
    error_codes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Person,
    Refused(&'static str),
    /// No verdict; asking again may help.
    Again(&'static str),
    /// Our secret is wrong: nobody can pass.
    Misconfigured,
}

impl Turnstile {
    pub fn new(secret: Secret, url: Option<String>) -> Self {
        Self {
            secret,
            url: url.unwrap_or_else(|| SITEVERIFY.to_owned()),
        }
    }

    /// 400 without a token, 403 for one that is not good, 503 when nobody can tell.
    pub async fn check(&self, outgoing: &Outgoing, solved: &Solved<'_>, key: Uuid) -> Result<(), ApiError> {
        let token = solved
            .token
            .ok_or_else(|| ApiError::new(Code::InvalidRequest).field("turnstileToken", "is missing"))?;
        let question = Question {
            secret: self.secret.expose(),
            response: token,
            remoteip: solved.ip,
            idempotency_key: key,
        };
        let body = serde_json::to_string(&question).map_err(|_| Code::InternalError)?;
        let mut attempt = 1;
        loop {
            let verdict = match outgoing.post_json_without_token(&self.url, body.clone(), TIMEOUT).await {
                Ok(answer) => judge(answer.status, &answer.body, &solved.hosts),
                Err(NoAnswer::Timeout) => Verdict::Again("no answer in time"),
                Err(NoAnswer::Unreachable) => Verdict::Again("not reached"),
            };
            match verdict {
                Verdict::Person => return Ok(()),
                Verdict::Refused(why) => return Err(ApiError::new(Code::ChallengeFailed).detail(format_args!("siteverify: {why}"))),
                Verdict::Misconfigured => {
                    return Err(ApiError::new(Code::Misconfigured).detail("siteverify does not know TURNSTILE_SECRET"));
                }
                Verdict::Again(_) if attempt < ATTEMPTS => attempt += 1,
                Verdict::Again(why) => return Err(ApiError::new(Code::ChallengeUnavailable).detail(format_args!("siteverify: {why}"))),
            }
        }
    }
}

fn judge(status: u16, body: &str, hosts: &[Option<&str>]) -> Verdict {
    if status >= 500 || status == 429 {
        return Verdict::Again("HTTP error");
    }
    let Ok(answer) = serde_json::from_str::<Answer>(body) else {
        return Verdict::Again("answer not understood");
    };
    let says = |code: &str| answer.error_codes.iter().any(|said| said == code);
    if says("missing-input-secret") || says("invalid-input-secret") {
        return Verdict::Misconfigured;
    }
    if says("internal-error") {
        return Verdict::Again("internal-error");
    }
    if !answer.success || status != 200 {
        return Verdict::Refused("token not accepted");
    }
    let host = answer.hostname.unwrap_or_default().to_ascii_lowercase();
    if !hosts.iter().flatten().any(|known| *known == host) {
        return Verdict::Refused("solved on another site");
    }
    match answer.action.as_deref() {
        None | Some("" | ACTION) => Verdict::Person,
        Some(_) => Verdict::Refused("solved for another form"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: [Option<&str>; 2] = [Some("shop.example"), None];

    #[test]
    fn only_a_success_for_this_site_and_form_is_a_person() {
        for (body, verdict) in [
            (
                r#"{"success":true,"hostname":"Shop.Example","action":"lead","error-codes":[]}"#,
                Verdict::Person,
            ),
            (r#"{"success":true,"hostname":"shop.example","action":""}"#, Verdict::Person),
            (r#"{"success":true,"hostname":"shop.example"}"#, Verdict::Person),
            (
                r#"{"success":true,"hostname":"evil.example"}"#,
                Verdict::Refused("solved on another site"),
            ),
            (r#"{"success":true}"#, Verdict::Refused("solved on another site")),
            (r#"{"success":true,"hostname":""}"#, Verdict::Refused("solved on another site")),
            (
                r#"{"success":true,"hostname":"shop.example","action":"login"}"#,
                Verdict::Refused("solved for another form"),
            ),
            (
                r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#,
                Verdict::Refused("token not accepted"),
            ),
            (
                r#"{"success":false,"error-codes":["invalid-input-response"],"hostname":"shop.example"}"#,
                Verdict::Refused("token not accepted"),
            ),
            (r#"{"success":false}"#, Verdict::Refused("token not accepted")),
            (
                r#"{"success":false,"error-codes":["invalid-input-secret"]}"#,
                Verdict::Misconfigured,
            ),
            (
                r#"{"success":false,"error-codes":["internal-error"]}"#,
                Verdict::Again("internal-error"),
            ),
            (
                r#"{"success":"true","hostname":"shop.example"}"#,
                Verdict::Again("answer not understood"),
            ),
            (r#"{"hostname":"shop.example"}"#, Verdict::Again("answer not understood")),
            ("<html>ok</html>", Verdict::Again("answer not understood")),
            ("", Verdict::Again("answer not understood")),
        ] {
            assert_eq!(judge(200, body, &HOSTS), verdict, "{body}");
        }
    }

    #[test]
    fn a_success_under_an_error_status_is_none() {
        let body = r#"{"success":true,"hostname":"shop.example"}"#;
        assert_eq!(judge(503, body, &HOSTS), Verdict::Again("HTTP error"));
        assert_eq!(judge(400, body, &HOSTS), Verdict::Refused("token not accepted"));
    }

    #[test]
    fn the_secret_does_not_print() {
        let turnstile = Turnstile::new(Secret::new("s3cret").unwrap(), None);
        assert!(!format!("{turnstile:?}").contains("s3cret"));
        assert_eq!(turnstile.url, SITEVERIFY);
    }
}
