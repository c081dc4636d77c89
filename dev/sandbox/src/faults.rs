//! The switchboard: rules that make a stand-in late, wrong or silent.
//!
//! `PUT /faults {"rules":[...], "retry_base_ms":1000}` replaces all rules, `GET /faults` shows them with their counters,
//! `DELETE /faults` removes them. The sandbox names a rule's target `route`, the PostgREST proxy names it `rpc`.
//! For one call the first rule that fits, and is not used up, applies; rules do not add up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The target that stands for every call.
pub const ANY: &str = "*";
const DEFAULT_RETRY_BASE_MS: u64 = 1000;

/// What the rules of one switchboard may name.
#[derive(Clone, Copy)]
pub enum Targets {
    /// `route`, one of these or `*`.
    Routes(&'static [&'static str]),
    /// `rpc`, the name of an `api` function or `*`.
    Rpc,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc: Option<String>,
    /// Only calls whose body contains this text.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// How many calls the rule applies to; absent: until it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Wait before the call is handled. Combines with every other effect.
    #[serde(skip_serializing_if = "is_default")]
    pub delay_ms: u64,
    /// Answer this status instead of handling the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Body of that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Headers of that answer, e.g. `{"retry-after":"3"}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Close the connection; the call is not handled.
    #[serde(skip_serializing_if = "is_default")]
    pub drop: bool,
    /// Handle the call, then close the connection instead of answering.
    #[serde(skip_serializing_if = "is_default")]
    pub drop_after: bool,
    /// Webhooks only: send this many copies at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<u32>,
    /// Webhooks only: hold them, then send them in reverse when `times` are held or the rules change.
    #[serde(skip_serializing_if = "is_default")]
    pub reorder: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Rule {
    fn target(&self) -> &str {
        self.route.as_deref().or(self.rpc.as_deref()).unwrap_or_default()
    }

    fn check(&self, targets: Targets) -> Result<(), String> {
        let target = self.target();
        match targets {
            Targets::Routes(names) if self.rpc.is_some() || !(target == ANY || names.contains(&target)) => {
                return Err(format!("`route` must be one of {}, {ANY}", names.join(", ")));
            }
            Targets::Rpc if self.route.is_some() || target.is_empty() => {
                return Err(format!("`rpc` must name an api function, or {ANY} for all"));
            }
            Targets::Routes(_) | Targets::Rpc => {}
        }
        if (self.duplicate.is_some() || self.reorder) && !target.ends_with("webhook") {
            return Err("`duplicate` and `reorder` are for webhooks".to_owned());
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err("`status` must be 200 to 599".to_owned());
        }
        if self.status.is_none() && (self.body.is_some() || !self.headers.is_empty()) {
            return Err("`body` and `headers` belong to an answer: give its `status` too".to_owned());
        }
        let idle = self.delay_ms == 0 && self.status.is_none() && !self.drop && !self.drop_after;
        if idle && self.duplicate.is_none() && !self.reorder {
            return Err("the rule does nothing: give delay_ms, status, drop, drop_after, duplicate or reorder".to_owned());
        }
        Ok(())
    }

    /// Waits as long as the rule says.
    pub async fn pause(&self) {
        if self.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
        }
    }

    /// The answer the rule gives in place of the real one; `None` when it gives none.
    pub fn answer(&self, default_body: impl FnOnce(u16) -> Value) -> Option<Response> {
        let status = self.status?;
        let body = self.body.clone().unwrap_or_else(|| default_body(status));
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                headers.insert(name, value);
            }
        }
        Some(response)
    }
}

/// A rule that applies to the call at hand.
#[derive(Clone, Debug)]
pub struct Hit {
    pub rule: Rule,
    /// This call was the last of the rule's `times`.
    pub last: bool,
}

#[derive(Serialize)]
struct Live {
    #[serde(flatten)]
    rule: Rule,
    hits: u64,
}

struct Board {
    rules: Vec<Live>,
    retry_base_ms: u64,
}

pub struct Faults {
    targets: Targets,
    board: Mutex<Board>,
    changes: watch::Sender<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    rules: Vec<Rule>,
    retry_base_ms: Option<u64>,
}

impl Faults {
    pub fn new(targets: Targets) -> Self {
        let board = Board {
            rules: Vec::new(),
            retry_base_ms: DEFAULT_RETRY_BASE_MS,
        };
        Self {
            targets,
            board: Mutex::new(board),
            changes: watch::channel(0).0,
        }
    }

    /// The rule for this call, counted as used. `body` is what a rule's `match` looks into.
    pub fn take(&self, target: &str, body: &[u8]) -> Option<Hit> {
        let mut board = self.lock();
        let live = board.rules.iter_mut().find(|live| live.fits(target) && live.matches(body))?;
        live.hits += 1;
        Some(Hit {
            rule: live.rule.clone(),
            last: live.used_up(),
        })
    }

    /// Whether a rule for this target looks into the body, so that the body has to be read before [`Faults::take`].
    pub fn reads_body(&self, target: &str) -> bool {
        self.lock()
            .rules
            .iter()
            .any(|live| live.fits(target) && live.rule.matches.is_some())
    }

    /// First wait of a webhook's retries is ten times this.
    pub fn retry_base(&self) -> Duration {
        Duration::from_millis(self.lock().retry_base_ms)
    }

    /// Wakes whenever the rules are replaced or removed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn replace(&self, change: Change) {
        let retry_base_ms = change.retry_base_ms.unwrap_or(DEFAULT_RETRY_BASE_MS);
        let rules = change.rules.into_iter().map(|rule| Live { rule, hits: 0 }).collect();
        *self.lock() = Board { rules, retry_base_ms };
        self.changes.send_modify(|version| *version += 1);
    }

    fn shown(&self) -> Value {
        let board = self.lock();
        json!({ "rules": board.rules, "retry_base_ms": board.retry_base_ms })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn used_up(&self) -> bool {
        self.rule.times.is_some_and(|times| self.hits >= times)
    }

    fn fits(&self, target: &str) -> bool {
        !self.used_up() && (self.rule.target() == ANY || self.rule.target() == target)
    }

    fn matches(&self, body: &[u8]) -> bool {
        self.rule
            .matches
            .as_deref()
            .is_none_or(|text| String::from_utf8_lossy(body).contains(text))
    }
}

/// `GET`, `PUT` and `DELETE /faults`. Every answer is the board after the change.
pub fn routes(faults: Arc<Faults>) -> Router {
    Router::new().route("/faults", get(show).put(put).delete(remove)).with_state(faults)
}

async fn show(State(faults): State<Arc<Faults>>) -> Json<Value> {
    Json(faults.shown())
}

async fn put(State(faults): State<Arc<Faults>>, body: Bytes) -> Response {
    let refuse = |sentence: String| (StatusCode::BAD_REQUEST, Json(json!({ "error": sentence }))).into_response();
    let change: Change = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => return refuse(format!("The body is not a list of rules: {error}.")),
    };
    for (index, rule) in change.rules.iter().enumerate() {
        if let Err(sentence) = rule.check(faults.targets) {
            return refuse(format!("Rule {index}: {sentence}."));
        }
    }
    faults.replace(change);
    Json(faults.shown()).into_response()
}

async fn remove(State(faults): State<Arc<Faults>>) -> Json<Value> {
    faults.replace(Change {
        rules: Vec::new(),
        retry_base_ms: None,
    });
    Json(faults.shown())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(targets: Targets, rules: Value) -> Faults {
        let faults = Faults::new(targets);
        let change: Change = serde_json::from_value(json!({ "rules": rules })).unwrap();
        for rule in &change.rules {
            rule.check(targets).unwrap();
        }
        faults.replace(change);
        faults
    }

    const ROUTES: Targets = Targets::Routes(&["mail.send", "cardlink.webhook"]);

    #[test]
    fn a_rule_applies_as_often_as_it_says_and_then_the_next_one_does() {
        let faults = board(
            ROUTES,
            json!([{"route":"mail.send","status":503,"times":2}, {"route":"mail.send","status":429}]),
        );
        let statuses: Vec<_> = (0..4)
            .map(|_| faults.take("mail.send", b"").unwrap().rule.status.unwrap())
            .collect();
        assert_eq!(statuses, [503, 503, 429, 429]);
        assert!(faults.take("cardlink.webhook", b"").is_none());
    }

    #[test]
    fn only_the_call_that_uses_a_rule_up_is_its_last() {
        let faults = board(ROUTES, json!([{"route":"cardlink.webhook","reorder":true,"times":2}]));
        assert!(!faults.take("cardlink.webhook", b"").unwrap().last);
        assert!(faults.take("cardlink.webhook", b"").unwrap().last);
        assert!(faults.take("cardlink.webhook", b"").is_none());
    }

    #[test]
    fn a_rule_with_match_leaves_other_bodies_alone() {
        let faults = board(Targets::Rpc, json!([{"rpc":"*","drop":true,"match":"order-7"}]));
        assert!(faults.reads_body("settle_payment"));
        assert!(faults.take("settle_payment", b"order-8").is_none());
        assert!(faults.take("settle_payment", b"{order-7}").unwrap().rule.drop);
    }

    #[test]
    fn rules_that_cannot_work_are_refused_with_a_sentence() {
        for (targets, rule, words) in [
            (ROUTES, json!({"route":"mail.sent","drop":true}), "must be one of"),
            (ROUTES, json!({"rpc":"x","drop":true}), "must be one of"),
            (Targets::Rpc, json!({"drop":true}), "must name an api function"),
            (ROUTES, json!({"route":"mail.send"}), "does nothing"),
            (ROUTES, json!({"route":"mail.send","duplicate":2}), "for webhooks"),
            (ROUTES, json!({"route":"mail.send","status":99}), "200 to 599"),
            (ROUTES, json!({"route":"mail.send","drop":true,"body":{}}), "belong to an answer"),
        ] {
            let rule: Rule = serde_json::from_value(rule).unwrap();
            let refusal = rule.check(targets).unwrap_err();
            assert!(refusal.contains(words), "{refusal}");
        }
        assert!(serde_json::from_value::<Rule>(json!({"route":"mail.send","dealy_ms":5})).is_err());
    }

    #[test]
    fn replacing_the_rules_wakes_who_waits_for_a_change() {
        let faults = Faults::new(ROUTES);
        let changes = faults.changes();
        faults.replace(Change {
            rules: Vec::new(),
            retry_base_ms: Some(5),
        });
        assert!(changes.has_changed().unwrap());
        assert_eq!(faults.retry_base(), Duration::from_millis(5));
    }
}
