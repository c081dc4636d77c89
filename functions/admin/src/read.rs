//! Reading bodies and query strings. Members are read from their raw text, so that amounts never pass through a binary float and one
//! answer names every wrong field. Unknown members are ignored; null equals absent.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use shared::edge::Incoming;
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::validate::Problems;

/// Years a report or an experiment can be about.
pub const YEARS: std::ops::RangeInclusive<i32> = 2000..=2100;

/// The members of a JSON object, and what was found wrong with them.
pub struct Fields<'a> {
    members: BTreeMap<String, &'a RawValue>,
    pub problems: Problems,
}

impl<'a> Fields<'a> {
    /// 415 for another content type, 400 for what is no JSON object.
    pub fn of(request: &'a Incoming) -> Result<Self, ApiError> {
        request.expect_content_type(&["application/json"])?;
        Self::parse(&request.body)
    }

    pub fn parse(body: &'a [u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body).map_err(|_| Code::InvalidJson)?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| Code::InvalidJson)?;
        let members =
            serde_json::from_str(raw.get()).map_err(|_| ApiError::new(Code::InvalidRequest).field("body", "must be an object"))?;
        Ok(Self {
            members,
            problems: Problems::default(),
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        self.members.get(name).map(|raw| raw.get()).filter(|text| *text != "null")
    }

    /// A member that `read` understands; `expected` says what it should have been.
    pub fn value<T>(&mut self, name: &str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = read(self.raw(name)?);
        if value.is_none() {
            self.problems.add(name, expected);
        }
        value
    }

    /// A trimmed text, which may be blank: that empties an optional member.
    pub fn text(&mut self, name: &str, limit: usize) -> Option<String> {
        let text = self.value(name, "must be a text", string)?.trim().to_owned();
        // Checked where there is something to check; the blank text itself is kept.
        self.problems.text(name, Some(text.clone()), limit);
        Some(text)
    }

    /// A text that must not be blank where it is given.
    pub fn name(&mut self, name: &str, limit: usize) -> Option<String> {
        let text = self.text(name, limit)?;
        if text.is_empty() {
            self.problems.add(name, "must not be blank");
        }
        Some(text)
    }

    /// One of a few words.
    pub fn word(&mut self, name: &str, words: &[&str]) -> Option<String> {
        self.value(name, &format!("must be one of {}", words.join(", ")), |raw| {
            string(raw).filter(|word| words.contains(&word.as_str()))
        })
    }

    pub fn amount(&mut self, name: &str, expected: &str, is_right: impl FnOnce(Amount) -> bool) -> Option<Amount> {
        self.value(name, expected, |raw| {
            Amount::from_json_token(raw).ok().filter(|amount| is_right(*amount))
        })
    }

    pub fn require(&mut self, names: &[&str]) {
        for name in names {
            if !self.has(name) {
                self.problems.add(name, "is missing");
            }
        }
    }
}

/// A JSON string.
pub fn string(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

/// A JSON value of some type.
pub fn typed<T: DeserializeOwned>(raw: &str) -> Option<T> {
    serde_json::from_str(raw).ok()
}

/// The parameters of a query string; a blank one is absent, of a repeated one the last counts.
pub struct Query {
    values: BTreeMap<String, String>,
    pub problems: Problems,
}

impl Query {
    pub fn of(request: &Incoming) -> Self {
        Self::parse(request.query.as_deref().unwrap_or_default())
    }

    pub fn parse(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        let values = pairs
            .map(|(name, value)| (name.into_owned(), value.trim().to_owned()))
            .filter(|(_, value)| !value.is_empty());
        Self {
            values: values.collect(),
            problems: Problems::default(),
        }
    }

    pub fn value<T>(&mut self, name: &str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = read(self.values.get(name)?);
        if value.is_none() {
            self.problems.add(name, expected);
        }
        value
    }

    pub fn word(&mut self, name: &str, words: &[&str]) -> Option<String> {
        self.value(name, &format!("must be one of {}", words.join(", ")), |text| {
            words.contains(&text).then(|| text.to_owned())
        })
    }

    pub fn amount(&mut self, name: &str) -> Option<Amount> {
        self.value(name, "must be an amount such as 49.99", |text| text.parse().ok())
    }

    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn limit(&mut self, max: u32) -> Option<u32> {
        self.whole("limit", 1, max)
    }

    /// A whole number between these two, both included.
    pub fn whole(&mut self, name: &str, min: u32, max: u32) -> Option<u32> {
        self.value(name, &format!("must be a whole number from {min} to {max}"), |text| {
            let plain = text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|number| plain && (min..=max).contains(number))
        })
    }

    /// A day or a time, passed on as it was given: whose day it is, the database knows.
    pub fn day_or_time(&mut self, name: &str) -> Option<String> {
        self.value(name, "must be a date such as 2026-01-31 or an RFC 3339 time", |text| {
            (plain_day(text).is_some() || DateTime::parse_from_rfc3339(text).is_ok()).then(|| text.to_owned())
        })
    }
}

/// A day in its one form. chrono alone would also take `2026-1-5` and `+02026-01-05`.
pub fn plain_day(text: &str) -> Option<NaiveDate> {
    let is_plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_unknown_members_are_absent_and_blank_is_kept() {
        let mut fields = Fields::parse(br#"{"a": null, "b": " ", "c": " x ", "unknown": {}}"#).unwrap();
        assert!(!fields.has("a"));
        assert_eq!(fields.text("b", 5).as_deref(), Some(""));
        assert_eq!(fields.text("c", 5).as_deref(), Some("x"));
        fields.problems.check().unwrap();
    }

    #[test]
    fn every_wrong_member_is_named() {
        let mut fields = Fields::parse(br#"{"a": 5, "b": "", "c": "toolong", "d": "red", "e": "1,5"}"#).unwrap();
        fields.text("a", 5);
        fields.name("b", 5);
        fields.text("c", 5);
        fields.word("d", &["blue"]);
        fields.amount("e", "must be an amount", |_| true);
        fields.require(&["f"]);
        let answer = fields.problems.check().unwrap_err().response("r");
        for name in ["a", "b", "c", "d", "e", "f"] {
            assert!(answer.body().contains(&format!("\"{name}\":")), "{name}: {}", answer.body());
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(Fields::parse(b"{").err().unwrap().code, Code::InvalidJson);
        assert_eq!(Fields::parse(b"[1]").err().unwrap().code, Code::InvalidRequest);
    }

    #[test]
    fn queries_are_decoded_and_checked() {
        let mut query = Query::parse("email=a%40b&status=&limit=7&from=2026-02-30&to=2026-02-28T10:00:00%2B03:00&min_amount=1e3");
        assert_eq!(query.value("email", "", |text| Some(text.to_owned())).as_deref(), Some("a@b"));
        assert_eq!(query.word("status", &["paid"]), None);
        assert_eq!(query.limit(100), Some(7));
        assert_eq!(query.day_or_time("to").as_deref(), Some("2026-02-28T10:00:00+03:00"));
        query.day_or_time("from");
        query.amount("min_amount");
        let answer = query.problems.check().unwrap_err().response("r");
        assert!(answer.body().contains("\"from\"") && answer.body().contains("\"min_amount\"") && !answer.body().contains("\"status\""));
    }
}
