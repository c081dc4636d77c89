//! Secrets do not print themselves and are compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;

/// A token, key or password. `Debug` shows nothing of it, and there is no `Display` and no `PartialEq`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// `None` for an empty or blank text: a missing secret must never verify anything.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.trim().is_empty()).then_some(Self(text))
    }

    /// The text itself, for the one place that sends or hashes it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Equality whose duration depends on the lengths only.
    pub fn matches(&self, candidate: &str) -> bool {
        constant_time_eq(self.0.as_bytes(), candidate.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_matches_itself_only_and_does_not_print() {
        let secret = Secret::new("s3cret").unwrap();
        assert!(secret.matches("s3cret"));
        assert!(!secret.matches("s3creT") && !secret.matches("s3cret ") && !secret.matches(""));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn a_blank_secret_does_not_exist() {
        assert!(Secret::new("").is_none() && Secret::new(" \n").is_none());
    }
}
