//! Checks of request fields. Each takes what arrived and collects a sentence per wrong field, so that one answer names them all.

use std::collections::BTreeMap;
use std::fmt::Display;

use email_address::EmailAddress;

/// Longest e-mail address (RFC 5321: 254 characters in a mailbox path).
pub const MAX_EMAIL: usize = 254;

/// Problems found so far, by field name.
#[derive(Debug, Default)]
pub struct Problems(BTreeMap<String, String>);

impl Problems {
    pub fn add(&mut self, field: &str, problem: impl Display) {
        self.0.entry(field.to_owned()).or_insert_with(|| problem.to_string());
    }

    /// `Ok` when nothing was wrong, else 400 `invalid_request` with all fields.
    pub fn check(self) -> Result<(), crate::error::ApiError> {
        crate::error::ApiError::check_fields(self.0)
    }

    /// An optional text: blank becomes `None`; too long or with control characters (line breaks aside) is a problem.
    pub fn text(&mut self, field: &str, value: Option<String>, limit: usize) -> Option<String> {
        let value = value.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())?;
        if value.chars().count() > limit {
            self.add(field, format_args!("must be at most {limit} characters"));
        } else if value.chars().any(|c| c.is_control() && c != '\n' && c != '\r' && c != '\t') {
            self.add(field, "must not contain control characters");
        }
        Some(value)
    }

    /// An e-mail address in lower case; `None` and a problem when it is none.
    pub fn email(&mut self, field: &str, value: Option<String>) -> Option<String> {
        let value = value.map(|v| v.trim().to_lowercase()).filter(|v| !v.is_empty())?;
        if !is_email(&value) {
            self.add(field, "must be an e-mail address such as name@example.com");
        }
        Some(value)
    }
}

/// A label that came with a link (`utm_source` and the like): trimmed, without control characters; `None` when nothing is left. Nobody's order, form or
/// event is refused for what somebody wrote into a link.
pub fn label(value: &str) -> Option<String> {
    let seen: String = value.chars().filter(|c| !c.is_control()).collect();
    Some(seen.trim().to_owned()).filter(|label| !label.is_empty())
}

/// A plain deliverable address: `name@domain.tld`, no display name, no quoted local part, no bare or numeric host.
pub fn is_email(text: &str) -> bool {
    let options = email_address::Options::default()
        .with_required_tld()
        .without_display_text()
        .without_domain_literal();
    let plain = text.len() <= MAX_EMAIL && !text.contains(['"', '\\']) && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    plain && EmailAddress::parse_with_options(text, options).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_loses_what_cannot_be_seen() {
        assert_eq!(label(" go\u{8}og\tle\u{85} ").as_deref(), Some("google"));
        assert_eq!(label("весна 🎁").as_deref(), Some("весна 🎁"));
        assert_eq!(label(" \u{0}\n "), None);
    }

    #[test]
    fn addresses_are_accepted_or_refused() {
        for good in ["name@example.com", "first.last+tag@sub.example.co", "почта@пример.рф"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "name",
            "name@",
            "@example.com",
            "name@localhost",
            "a b@example.com",
            "Name <n@example.com>",
            "n@[127.0.0.1]",
            "\"a\"@example.com",
            "a@b.com\nbcc: c@d.com",
            "a@b..com",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
        assert!(!is_email(&format!("{}@example.com", "a".repeat(250))));
    }

    #[test]
    fn the_first_problem_of_a_field_is_kept_and_blank_is_absent() {
        let mut problems = Problems::default();
        assert_eq!(problems.text("name", Some("  ".into()), 5), None);
        assert_eq!(
            problems.email("email", Some(" Name@Example.COM ".into())).as_deref(),
            Some("name@example.com")
        );
        problems.text("name", Some("abcdef".into()), 5);
        problems.text("name", Some("a\u{0}b".into()), 5);
        let answer = problems.check().unwrap_err().response("r");
        assert!(
            answer.body().contains(r#""fields":{"name":"must be at most 5 characters"}"#),
            "{}",
            answer.body()
        );
    }
}
