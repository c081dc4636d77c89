//! JSON that the staff page and this Worker exchange (camelCase), and what the `api.ask_*` functions answer (snake_case).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use shared::error::{ApiError, Code};
use shared::validate::Problems;
use uuid::Uuid;

use crate::parse::Reason;
use crate::plan::{Intent, Plan};

/// Longest question, in characters.
pub const MAX_QUERY: usize = 500;

/// Language of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    En,
    Ru,
}

impl Locale {
    /// The language a question seems to be in: Russian as soon as there is a Cyrillic letter.
    pub fn of(question: &str) -> Self {
        if question.chars().any(|c| ('\u{400}'..='\u{4ff}').contains(&c)) {
            Self::Ru
        } else {
            Self::En
        }
    }

    pub fn pick<T>(self, english: T, russian: T) -> T {
        match self {
            Self::En => english,
            Self::Ru => russian,
        }
    }
}

/// A request whose fields are well-formed.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    pub query: String,
    pub conversation_id: Option<Uuid>,
    pub locale: Locale,
}

/// The body of `POST /api/ai/copilot`. Read from raw text, so that one answer names every wrong field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    query: Option<&'a RawValue>,
    conversation_id: Option<&'a RawValue>,
    locale: Option<&'a RawValue>,
}

impl Ask {
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body).map_err(|_| Code::InvalidJson)?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| Code::InvalidJson)?;
        let body: Body = serde_json::from_str(raw.get())
            .map_err(|_| ApiError::new(Code::InvalidRequest).field("body", "must be an object with each field once"))?;
        let mut problems = Problems::default();
        let query = query(&mut problems, body.query);
        let conversation_id = optional(&mut problems, "conversationId", body.conversation_id, "must be a UUID");
        let locale = optional(&mut problems, "locale", body.locale, "must be \"en\" or \"ru\"");
        problems.check()?;
        Ok(Self {
            locale: locale.unwrap_or_else(|| Locale::of(&query)),
            query,
            conversation_id,
        })
    }
}

fn query(problems: &mut Problems, raw: Option<&RawValue>) -> String {
    let Some(text) = raw
        .filter(|raw| raw.get() != "null")
        .map(|raw| serde_json::from_str::<String>(raw.get()))
    else {
        problems.add("query", "is missing");
        return String::new();
    };
    let text = text.map(|text| text.trim().to_owned()).unwrap_or_else(|_| {
        problems.add("query", "must be a text");
        String::new()
    });
    if text.is_empty() {
        problems.add("query", "is empty");
    } else if text.chars().count() > MAX_QUERY {
        problems.add("query", format_args!("must be at most {MAX_QUERY} characters"));
    } else if text.chars().any(char::is_control) {
        problems.add("query", "must be one line without control characters");
    }
    text
}

fn optional<'a, T: Deserialize<'a>>(problems: &mut Problems, field: &str, raw: Option<&'a RawValue>, problem: &str) -> Option<T> {
    let raw = raw.filter(|raw| raw.get() != "null")?;
    let value = serde_json::from_str(raw.get()).ok();
    if value.is_none() {
        problems.add(field, problem);
    }
    value
}

/// A row of a report: amounts are texts with two decimals, counts are numbers, what is not known is null.
pub type Row = Map<String, Value>;

/// What an `api.ask_*` function answers.
#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Asked {
    Ok(Report),
    PeriodInFuture,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    pub period: Dates,
    pub currency: String,
    pub rows: Vec<Row>,
    /// Alerts in all, of which `rows` has the gravest.
    pub total: Option<u64>,
}

/// The days a report covers, both ends included.
#[derive(Debug, Clone, Deserialize)]
pub struct Dates {
    pub from: String,
    pub to: String,
    pub time_zone: String,
    pub ends_in_future: bool,
}

/// 200 of `POST /api/ai/copilot` (L-129, with plan, evidence and conversation).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    pub query: &'a str,
    pub intent: Intent,
    pub result: Shown,
    pub plan: Option<Plan>,
    pub evidence: Option<Evidence>,
    pub conversation_id: Uuid,
    /// Milliseconds.
    pub response_time: i64,
}

/// The call behind an answer. Every number of the answer is a cell of `rows`, or part of the plan.
#[derive(Debug, Clone, Serialize)]
pub struct Evidence {
    pub function: String,
    pub parameters: Value,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Metric,
    Table,
    Alerts,
    Unknown,
}

/// What the page shows: the five members of L-129, then what belongs to them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The name of what `value` is, or the title of the table.
    pub metric: Option<&'static str>,
    /// An amount as text, a count as number; null for tables, for what is not known, and always for `unknown`.
    pub value: Value,
    /// The period in words, with its dates.
    pub period: Option<String>,
    pub formatted: String,
    #[serde(flatten)]
    pub days: Option<Days>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Sentences without which the value could be taken for something else.
    pub notes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<Row>>,
    #[serde(flatten)]
    pub doubt: Option<Unclear>,
}

/// The dates of the period, both included.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Days {
    pub from: String,
    pub to: String,
    pub time_zone: String,
    /// The question named no period.
    pub period_assumed: bool,
}

/// Why there is no answer, and what could be asked.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unclear {
    pub reason: Reason,
    pub words: Vec<String>,
    pub suggestions: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Column {
    pub key: &'static str,
    pub label: &'static str,
    pub kind: CellKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CellKind {
    Text,
    Count,
    Money,
    Percent,
    Ratio,
    Time,
    /// As the row's `unit` says.
    Unit,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        Ask::read(body.as_bytes()).unwrap_err().response("r").body().clone()
    }

    #[test]
    fn a_question_is_read_and_its_language_guessed() {
        let ask = Ask::read(r#"{"query": "  выручка ", "more": 1, "conversationId": null}"#.as_bytes()).unwrap();
        assert_eq!(
            ask,
            Ask {
                query: "выручка".into(),
                conversation_id: None,
                locale: Locale::Ru
            }
        );
        let ask = Ask::read(r#"{"query": "выручка", "locale": "en", "conversationId": "00000000-0000-4000-8000-000000000001"}"#.as_bytes())
            .unwrap();
        assert_eq!(
            (ask.locale, ask.conversation_id),
            (Locale::En, Some(Uuid::from_u128(0x4000_8000_0000_0000_0001)))
        );
    }

    #[test]
    fn wrong_fields_are_named_together() {
        let body = refused(r#"{"query": 5, "conversationId": "x", "locale": "de"}"#);
        for problem in [
            r#""query":"must be a text""#,
            r#""conversationId":"must be a UUID""#,
            r#""locale":"must be \"en\" or \"ru\"""#,
        ] {
            assert!(body.contains(problem), "{body}");
        }
        for (body, code) in [
            ("{", "invalid_json"),
            ("[]", "invalid_request"),
            ("{}", "is missing"),
            (r#"{"query":" \n "}"#, "is empty"),
        ] {
            assert!(refused(body).contains(code), "{body}");
        }
        for control in ["\\u0000", "\\n", "\\u0085", "\\u001b[0m"] {
            assert!(
                refused(&format!(r#"{{"query": "revenue{control}today"}}"#)).contains("control characters"),
                "{control}"
            );
        }
    }

    #[test]
    fn the_limit_counts_characters_not_bytes() {
        let question = |length: usize| format!(r#"{{"query": "{}"}}"#, "я".repeat(length));
        assert!(Ask::read(question(500).as_bytes()).is_ok());
        assert!(refused(&question(501)).contains("at most 500 characters"));
    }
}
