//! Exact amounts of money: non-negative, at most two decimals, at most `9999999999.99` (`numeric(12,2)` of the database).
//!
//! Requests carry an amount as a JSON string or number; it is read from the raw token, so that `0.1` never passes through a
//! binary float. Answers carry it as a string with two decimals.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// An amount of money or a face value, in units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(Decimal);

/// Why a text is not an [`Amount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountError {
    NotANumber,
    Negative,
    TooPrecise,
    TooLarge,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "must be an amount such as 50 or \"49.99\"",
            Self::Negative => "must not be negative",
            Self::TooPrecise => "must have at most two decimals",
            Self::TooLarge => "must be at most 9999999999.99",
        })
    }
}

impl std::error::Error for AmountError {}

const MAX: Decimal = Decimal::from_parts(0xD4A5_0FFF, 0xE8, 0, false, 2);

impl Amount {
    pub const ZERO: Self = Self(Decimal::from_parts(0, 0, 0, false, 2));

    /// Reads a JSON token, `75.00` or `"75.00"`, as it was sent.
    pub fn from_json_token(token: &str) -> Result<Self, AmountError> {
        if token.starts_with('"') {
            let text: String = serde_json::from_str(token).map_err(|_| AmountError::NotANumber)?;
            text.parse()
        } else {
            token.parse()
        }
    }

    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// `None` where the sum is larger than any amount may be.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = self.0 + other.0;
        (sum <= MAX).then_some(Self(sum))
    }

    /// The difference, or zero where `other` is the larger one.
    pub fn saturating_sub(self, other: Self) -> Self {
        if other.0 < self.0 { Self(self.0 - other.0) } else { Self::ZERO }
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Digits with an optional point and one or two decimals (more only if they are zeros); no sign, exponent or white space.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        if text.starts_with('-') {
            return Err(AmountError::Negative);
        }
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !plain || !text.starts_with(|c: char| c.is_ascii_digit()) || text.ends_with('.') {
            return Err(AmountError::NotANumber);
        }
        // Longer than any amount: also keeps Decimal from rounding a text with more digits than it holds.
        if text.len() > 24 {
            return Err(AmountError::TooLarge);
        }
        let value = Decimal::from_str_exact(text).map_err(|_| AmountError::NotANumber)?;
        if value > MAX {
            return Err(AmountError::TooLarge);
        }
        let mut normal = value.normalize();
        if normal.scale() > 2 {
            return Err(AmountError::TooPrecise);
        }
        normal.rescale(2);
        Ok(Self(normal))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From a string only: that is how the database answers. A number would already have been a binary float here; where one is
/// allowed, [`from_token`] reads it.
impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// For `#[serde(deserialize_with)]`: an optional amount as a JSON string or number, read from its raw token. Not inside tagged enums,
/// whose members serde has parsed before.
pub fn from_token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Amount>, D::Error> {
    match Option::<Box<RawValue>>::deserialize(deserializer)? {
        Some(token) => Amount::from_json_token(token.get()).map(Some).map_err(serde::de::Error::custom),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_print_with_two_decimals() {
        for (text, printed) in [
            ("50", "50.00"),
            ("37.5", "37.50"),
            ("0.01", "0.01"),
            ("0", "0.00"),
            ("007.10", "7.10"),
            ("75.000", "75.00"),
        ] {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), printed);
        }
        assert_eq!("9999999999.99".parse::<Amount>().unwrap().to_string(), "9999999999.99");
    }

    #[test]
    fn sums_stay_amounts() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        assert_eq!(amount("0.10").checked_add(amount("0.20")), Some(amount("0.30")));
        assert_eq!(amount("9999999999.99").checked_add(amount("0.01")), None);
        assert_eq!(amount("18.54").saturating_sub(amount("2.54")), amount("16"));
        assert_eq!(amount("1").saturating_sub(amount("2")), Amount::ZERO);
    }

    #[test]
    fn what_is_not_an_amount_is_refused_with_its_reason() {
        use AmountError::*;
        for (text, reason) in [
            ("", NotANumber),
            (".5", NotANumber),
            ("5.", NotANumber),
            ("1.2.3", NotANumber),
            ("1e2", NotANumber),
            ("100abc", NotANumber),
            ("1,000", NotANumber),
            ("75,50", NotANumber),
            (" 5", NotANumber),
            ("+5", NotANumber),
            ("NaN", NotANumber),
            ("٥", NotANumber),
            ("-1", Negative),
            ("0.001", TooPrecise),
            ("10000000000", TooLarge),
            ("10000000000.00", TooLarge),
            ("99999999999999999999999999", TooLarge),
        ] {
            assert_eq!(text.parse::<Amount>(), Err(reason), "{text}");
        }
    }

    #[test]
    fn json_strings_and_numbers_are_read_from_the_raw_token() {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(deserialize_with = "from_token")]
            a: Option<Amount>,
        }
        let read = |json: &str| serde_json::from_str::<Wire>(json).map(|wire| wire.a.map(|amount| amount.to_string()));
        assert_eq!(read(r#"{"a": 4503599627.37}"#).unwrap().as_deref(), Some("4503599627.37"));
        assert_eq!(read(r#"{"a": "0.10"}"#).unwrap().as_deref(), Some("0.10"));
        assert_eq!(read(r#"{"a": null}"#).unwrap(), None);
        assert!(read(r#"{"a": 1e2}"#).is_err() && read(r#"{"a": true}"#).is_err());
    }

    #[test]
    fn the_database_answers_with_strings_also_inside_tagged_outcomes() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(tag = "outcome", rename_all = "snake_case")]
        enum Outcome {
            PriceChanged { price: Amount },
        }
        let outcome: Outcome = serde_json::from_str(r#"{"outcome": "price_changed", "price": "37.50"}"#).unwrap();
        assert_eq!(
            outcome,
            Outcome::PriceChanged {
                price: "37.5".parse().unwrap()
            }
        );
        assert!(serde_json::from_str::<Amount>("37.5").is_err());
    }

    proptest! {
        #[test]
        fn every_number_of_cents_survives_print_and_parse(cents in 0u64..=999_999_999_999) {
            let text = format!("{}.{:02}", cents / 100, cents % 100);
            let amount: Amount = text.parse().unwrap();
            prop_assert_eq!(amount.to_string(), text);
        }

        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in ".{0,40}") {
            if let Ok(amount) = text.parse::<Amount>() {
                prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
            }
        }
    }
}
