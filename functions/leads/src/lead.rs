//! What a landing form may send. Pure: a body becomes a checked lead or a list of wrong fields.
//!
//! Whether phone, source and stage mean something depends on the tenant's settings and is checked in `api.capture_lead`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use shared::error::{ApiError, Code};
use shared::validate::{Problems, label};

/// Largest `answers`, in bytes of JSON text.
pub const MAX_ANSWERS_BYTES: usize = 16 * 1024;
/// Deepest nesting of `answers`.
pub const MAX_ANSWERS_DEPTH: usize = 8;

const UTM: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"];

/// The body of `POST /api/leads`. Members are read one by one, so that one answer names every wrong field. Unknown members are ignored;
/// null equals absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    name: Option<Value>,
    email: Option<Value>,
    phone: Option<Value>,
    source: Option<Value>,
    stage: Option<Value>,
    utm: Option<Value>,
    answers: Option<Value>,
    consent: Option<Value>,
    turnstile_token: Option<Value>,
    website: Option<Value>,
}

/// Last non-direct click, lower-cased: the letter case of a link makes no second channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Utm {
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_content: Option<String>,
    pub utm_term: Option<String>,
}

/// What a person agreed to, word by word, and which edition of the text it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Consent {
    pub text: String,
    pub version: String,
}

/// A form whose fields are well-formed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lead {
    pub name: String,
    pub email: Option<String>,
    /// As typed.
    pub phone: Option<String>,
    pub source: String,
    pub stage: Option<String>,
    pub answers: Option<Value>,
    pub consent: Option<Consent>,
    #[serde(skip)]
    pub utm: Utm,
    #[serde(skip)]
    pub turnstile_token: Option<String>,
    /// The field that no person sees was filled in.
    #[serde(skip)]
    pub is_bot: bool,
}

impl Lead {
    pub fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body).map_err(|_| Code::InvalidJson)?;
        // First only whether it is JSON at all, then whether it is an object with each member once.
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| Code::InvalidJson)?;
        Self::check(serde_json::from_str(raw.get()).map_err(|_| not_an_object())?)
    }

    /// A form's fields are flat: objects are written `answers[goal]`, `consent[text]`, `utm[utm_source]` (or just `utm_source`).
    pub fn from_form(body: &[u8]) -> Result<Self, ApiError> {
        let mut members = Map::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            let inner = name.strip_suffix(']').and_then(|name| name.split_once('['));
            match (name.as_ref(), inner) {
                (_, Some((object @ ("answers" | "consent" | "utm"), key))) => put(object_of(&mut members, object), key, &value),
                (key, _) if UTM.contains(&key) => put(object_of(&mut members, "utm"), key, &value),
                // What Turnstile's own script adds to a form.
                ("cf-turnstile-response", _) => put(&mut members, "turnstileToken", &value),
                (key, _) => put(&mut members, key, &value),
            }
        }
        // A hidden version without the ticked box beside it: no consent was given.
        if members.get("consent").is_some_and(|consent| consent.get("text").is_none()) {
            members.remove("consent");
        }
        Self::check(serde_json::from_value(Value::Object(members)).map_err(|_| not_an_object())?)
    }

    fn check(body: Body) -> Result<Self, ApiError> {
        let mut problems = Problems::default();
        let p = &mut problems;
        let email = string(p, "email", body.email);
        let lead = Self {
            name: needed(p, "name", body.name, 200),
            email: p.email("email", email),
            phone: text(p, "phone", body.phone, 40),
            source: needed(p, "source", body.source, 64),
            stage: text(p, "stage", body.stage, 80),
            answers: answers(p, body.answers),
            consent: consent(p, body.consent),
            utm: utm(p, body.utm),
            turnstile_token: text(p, "turnstileToken", body.turnstile_token, 2048),
            is_bot: body.website.is_some_and(|value| value.as_str() != Some("")),
        };
        if lead.email.is_none() && lead.phone.is_none() {
            p.add("email", "is missing: give an e-mail address or a phone number");
            p.add("phone", "is missing: give an e-mail address or a phone number");
        }
        problems.check()?;
        Ok(lead)
    }
}

fn not_an_object() -> ApiError {
    ApiError::new(Code::InvalidRequest).field("body", "must be an object with each field once")
}

fn object_of<'a>(members: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let member = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if !member.is_object() {
        *member = Value::Object(Map::new());
    }
    match member {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

/// A name that repeats (boxes of one question) becomes a list.
fn put(members: &mut Map<String, Value>, name: &str, value: &str) {
    match members.get_mut(name) {
        None => drop(members.insert(name.to_owned(), value.into())),
        Some(Value::Array(values)) => values.push(value.into()),
        Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
    }
}

fn string(p: &mut Problems, field: &str, value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text),
        Some(_) => {
            p.add(field, "must be a text");
            None
        }
        None => None,
    }
}

fn text(p: &mut Problems, field: &str, value: Option<Value>, limit: usize) -> Option<String> {
    let value = string(p, field, value);
    p.text(field, value, limit)
}

fn needed(p: &mut Problems, field: &str, value: Option<Value>, limit: usize) -> String {
    let value = text(p, field, value, limit);
    if value.is_none() {
        // A problem noted before, such as a wrong type, stays.
        p.add(field, "is missing");
    }
    value.unwrap_or_default()
}

fn answers(p: &mut Problems, value: Option<Value>) -> Option<Value> {
    let value = value?;
    if !value.is_object() {
        p.add("answers", "must be an object");
    } else if value.to_string().len() > MAX_ANSWERS_BYTES {
        p.add("answers", format_args!("must be at most {MAX_ANSWERS_BYTES} bytes"));
    } else if depth(&value) > MAX_ANSWERS_DEPTH {
        p.add("answers", format_args!("must be nested at most {MAX_ANSWERS_DEPTH} levels"));
    } else if holds_nul(&value) {
        p.add("answers", "must not contain control characters");
    }
    Some(value)
}

fn consent(p: &mut Problems, value: Option<Value>) -> Option<Consent> {
    let Value::Object(mut members) = value? else {
        p.add("consent", "must be an object with text and version");
        return None;
    };
    let mut member = |name, limit| {
        let value = members.remove(name).filter(|value| !value.is_null());
        needed(p, &format!("consent.{name}"), value, limit)
    };
    Some(Consent {
        text: member("text", 5000),
        version: member("version", 64),
    })
}

fn utm(p: &mut Problems, value: Option<Value>) -> Utm {
    let mut members = match value {
        None => Map::new(),
        Some(Value::Object(members)) => members,
        Some(_) => {
            p.add("utm", "must be an object of texts");
            Map::new()
        }
    };
    let [utm_source, utm_medium, utm_campaign, utm_content, utm_term] = UTM.map(|name| {
        let value = members.remove(name).filter(|value| !value.is_null());
        let field = format!("utm.{name}");
        let value = string(p, &field, value).as_deref().and_then(label);
        p.text(&field, value, 255).map(|value| value.to_lowercase())
    });
    Utm {
        utm_source,
        utm_medium,
        utm_campaign,
        utm_content,
        utm_term,
    }
}

/// Nesting of arrays and objects. serde_json reads at most 127 levels, so the recursion is bounded.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Postgres stores no U+0000, neither in text nor in jsonb.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(key, item)| key.contains('\0') || holds_nul(item)),
        _ => false,
    }
}

#[cfg(test)]
#[path = "lead_tests.rs"]
mod tests;
