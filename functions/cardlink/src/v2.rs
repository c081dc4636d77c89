//! The v2 notice: JSON whose `signature` is the lower-case hex SHA-256 over all other members, sorted, as `key=value` joined by `&`,
//! with the secret appended.
//!
//! The sender's own printing of a number is unknown: `75.00` may have been hashed as `75.00`, `75` (a JavaScript sender) or with two
//! decimals. So the raw token is kept, and the notice is accepted if any of the three forms matches; which one did is logged. What
//! the form cannot express unambiguously is refused before hashing: nested values (JavaScript prints `[object Object]`), a key twice,
//! keys that are not ASCII (their order differs between languages), and `&` in a text: nothing is escaped in the signed string, so
//! `note=x&status=PAID` could be read in two ways.
//!
//! The contract has no time stamp, so an old notice verifies for ever: the settle is idempotent per bill and status.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shared::cardlink::BillStatus;
use shared::money::Amount;
use shared::secret::{Secret, constant_time_eq};

/// Most members a notice may have. The provider sends five.
const MAX_MEMBERS: usize = 50;

/// How the numbers were printed when the signature matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureForm {
    RawToken,
    JavaScript,
    TwoDecimals,
}

const FORMS: [SignatureForm; 3] = [SignatureForm::RawToken, SignatureForm::JavaScript, SignatureForm::TwoDecimals];

/// Why a notice is refused. Nothing of it has been stored then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not a flat JSON object that can be hashed, or a required member is missing or of the wrong type.
    Malformed(&'static str),
    InvalidSignature,
}

/// A notice whose signature has been checked; it can be made by [`verify`] only.
#[derive(Debug, PartialEq)]
pub struct Verified {
    pub bill_id: String,
    pub status: BillStatus,
    pub raw_status: String,
    pub amount: Amount,
    pub currency: String,
    pub form: SignatureForm,
    /// All members but the signature, for the log.
    pub members: BTreeMap<String, serde_json::Value>,
}

/// Checks the signature over the strings as sent, then reads the members.
pub fn verify(secret: &Secret, body: &[u8]) -> Result<Verified, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed("body is not UTF-8"))?;
    let Members(mut raw) =
        serde_json::from_str(text).map_err(|_| Refusal::Malformed("body is not a flat JSON object with each key once"))?;
    let given = match raw.remove("signature") {
        Some(Token::Text(given)) => given,
        _ => return Err(Refusal::InvalidSignature),
    };
    let form = FORMS.into_iter().find(|form| {
        let digest = hex::encode(Sha256::digest(signed_text(&raw, *form, secret)));
        constant_time_eq(digest.as_bytes(), given.as_bytes())
    });
    let form = form.ok_or(Refusal::InvalidSignature)?;
    read(&raw, form)
}

fn read(raw: &BTreeMap<String, Token>, form: SignatureForm) -> Result<Verified, Refusal> {
    let text = |name: &str| match raw.get(name) {
        Some(Token::Text(value)) if (1..=200).contains(&value.len()) && !value.contains('\0') => Some(value.clone()),
        _ => None,
    };
    let raw_status = text("status").ok_or(Refusal::Malformed("status is missing"))?;
    let amount = match raw.get("amount") {
        Some(Token::Number(token) | Token::Text(token)) => token.parse().ok(),
        _ => None,
    };
    Ok(Verified {
        bill_id: text("bill_id").ok_or(Refusal::Malformed("bill_id is missing"))?,
        status: BillStatus::from_v2(&raw_status),
        raw_status,
        amount: amount.ok_or(Refusal::Malformed("amount is missing or no amount"))?,
        currency: text("currency").ok_or(Refusal::Malformed("currency is missing"))?,
        form,
        members: raw.iter().map(|(key, token)| (key.clone(), token.logged())).collect(),
    })
}

/// `key=value&key=value` + secret, the keys in byte order (equal to JavaScript's order for ASCII).
fn signed_text(members: &BTreeMap<String, Token>, form: SignatureForm, secret: &Secret) -> String {
    let pairs: Vec<String> = members
        .iter()
        .map(|(key, token)| format!("{key}={}", token.printed(key, form)))
        .collect();
    pairs.join("&") + secret.expose()
}

/// A member's value as sent.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// The token of a number, character for character.
    Number(String),
    Text(String),
    /// `true`, `false` or `null`.
    Word(&'static str),
}

impl Token {
    fn read(raw: &RawValue) -> Option<Self> {
        let token = raw.get();
        match token.bytes().next()? {
            b'"' => serde_json::from_str(token).ok().map(Self::Text),
            b't' => Some(Self::Word("true")),
            b'f' => Some(Self::Word("false")),
            b'n' => Some(Self::Word("null")),
            b'-' | b'0'..=b'9' => Some(Self::Number(token.to_owned())),
            _ => None,
        }
    }

    fn printed(&self, key: &str, form: SignatureForm) -> String {
        match (self, form) {
            (Self::Text(text), _) => text.clone(),
            (Self::Word(word), _) => (*word).to_owned(),
            (Self::Number(token), SignatureForm::RawToken) => token.clone(),
            (Self::Number(token), SignatureForm::JavaScript) => as_javascript(token),
            (Self::Number(token), SignatureForm::TwoDecimals) if key == "amount" => {
                token.parse::<Amount>().map_or_else(|_| token.clone(), |amount| amount.to_string())
            }
            (Self::Number(token), SignatureForm::TwoDecimals) => token.clone(),
        }
    }

    fn logged(&self) -> serde_json::Value {
        match self {
            // Numbers are logged as text: a log that rounds `75.00` to `75.0` could not be checked again. U+0000 cannot be stored.
            Self::Number(text) | Self::Text(text) => {
                serde_json::Value::String(text.chars().take(500).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect())
            }
            Self::Word("null") => serde_json::Value::Null,
            Self::Word(word) => serde_json::Value::Bool(*word == "true"),
        }
    }
}

/// `String(value)` of JavaScript: the number as a double, in its shortest form.
fn as_javascript(token: &str) -> String {
    match token.parse::<f64>() {
        Ok(value) => ryu_js::Buffer::new().format(value).to_owned(),
        Err(_) => token.to_owned(),
    }
}

/// A flat JSON object with ASCII keys, each once.
#[derive(Debug)]
struct Members(BTreeMap<String, Token>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((key, raw)) = map.next_entry::<String, Box<RawValue>>()? {
                    let token = Token::read(&raw).ok_or_else(|| A::Error::custom("nested value"))?;
                    let ambiguous = key.contains(['&', '=']) || matches!(&token, Token::Text(text) if text.contains('&'));
                    if ambiguous
                        || !key.is_ascii()
                        || key.contains('\0')
                        || members.len() >= MAX_MEMBERS
                        || members.insert(key, token).is_some()
                    {
                        return Err(A::Error::custom("key not ASCII, twice, or one too many, or `&` in a text"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret() -> Secret {
        Secret::new("whsec_spec_secret").unwrap()
    }

    /// The project's vectors: digests of `amount=<A>&bill_id=bill_001&currency=USD&status=PAID` + `whsec_spec_secret`.
    const OVER_75_00: &str = "557e43e611f1b14f1182310746d64c4c9c6d7f5426de676f581fdbacdb355844";
    const OVER_75: &str = "59c296c3402d901aec4c9a1b39de5725ec777d9ad2c45676dbe34c78063e921b";
    const OVER_75_0: &str = "ebae9f622a536601a299fcc29e35491645af03cdcf77703d4ea285056929a239";
    const OVER_75_5: &str = "3e247851bbc5e2125bfb6a19055ca308f8c05d423d9763c64d3b785629c7c20b";
    const OVER_75_50: &str = "d4cf3c906cd5299f2edf3758efdabc0823ebbfa13b9732c012e8aac792e660b4";

    fn notice(amount: &str, signature: &str) -> String {
        format!(r#"{{"status":"PAID","bill_id":"bill_001","amount":{amount},"currency":"USD","signature":"{signature}"}}"#)
    }

    fn outcome(body: &str) -> Result<SignatureForm, Refusal> {
        verify(&secret(), body.as_bytes()).map(|verified| verified.form)
    }

    fn signed(members: &str) -> String {
        let Members(raw) = serde_json::from_str(&format!("{{{members}}}")).unwrap();
        let digest = hex::encode(Sha256::digest(signed_text(&raw, SignatureForm::RawToken, &secret())));
        format!(r#"{{{members},"signature":"{digest}"}}"#)
    }

    #[test]
    fn the_published_digests_verify_in_the_three_forms() {
        use SignatureForm::*;
        for (token, digest, form) in [
            ("75.00", OVER_75_00, RawToken),
            ("\"75.00\"", OVER_75_00, RawToken),
            ("75", OVER_75, RawToken),
            ("75.00", OVER_75, JavaScript),
            ("75.0", OVER_75, JavaScript),
            ("75.0", OVER_75_00, TwoDecimals),
            ("75", OVER_75_00, TwoDecimals),
            ("75.50", OVER_75_5, JavaScript),
            ("75.5", OVER_75_50, TwoDecimals),
            ("75.0", OVER_75_0, RawToken),
        ] {
            assert_eq!(outcome(&notice(token, digest)), Ok(form), "{token}");
        }
    }

    #[test]
    fn other_digests_do_not() {
        for (token, digest) in [
            ("75.00", OVER_75_0),
            ("\"75.00\"", OVER_75),
            ("75.01", OVER_75_00),
            ("75.00", OVER_75_50),
            ("75.00", &OVER_75_00.to_uppercase()),
            ("75.00", &OVER_75_00[..63]),
            ("75.00", ""),
        ] {
            assert_eq!(outcome(&notice(token, digest)), Err(Refusal::InvalidSignature), "{token} {digest}");
        }
        let other = Secret::new("another").unwrap();
        assert_eq!(
            verify(&other, notice("75.00", OVER_75_00).as_bytes()),
            Err(Refusal::InvalidSignature)
        );
    }

    #[test]
    fn a_missing_signature_is_a_bad_one() {
        for body in [
            r#"{"bill_id":"b","status":"PAID","amount":1,"currency":"USD"}"#,
            r#"{"signature":null}"#,
            r#"{"signature":5}"#,
            "{}",
        ] {
            assert_eq!(outcome(body), Err(Refusal::InvalidSignature), "{body}");
        }
    }

    #[test]
    fn what_cannot_be_hashed_without_doubt_is_malformed() {
        for body in [
            "",
            "[]",
            "5",
            "null",
            "{",
            "\"x\"",
            &notice("{}", OVER_75_00),
            &notice("[75]", OVER_75_00),
            r#"{"note":"x&status=PAID","signature":"x"}"#,
            r#"{"a=b":"x","signature":"x"}"#,
            r#"{"amount":1,"amount":2,"signature":"x"}"#,
            r#"{"ключ":1,"signature":"x"}"#,
            r#"{"a":"\ud800","signature":"x"}"#,
        ] {
            assert!(matches!(outcome(body), Err(Refusal::Malformed(_))), "{body}");
        }
        assert!(matches!(verify(&secret(), b"{\"a\":\"\xff\"}"), Err(Refusal::Malformed(_))));
        let many: Vec<String> = (0..60).map(|i| format!("\"k{i}\":1")).collect();
        assert!(matches!(outcome(&format!("{{{}}}", many.join(","))), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn a_signed_notice_still_needs_its_members() {
        assert!(
            outcome(&signed(
                r#""bill_id":"b","status":"PAID","amount":1,"currency":"USD","extra":true,"none":null"#
            ))
            .is_ok()
        );
        for members in [
            r#""status":"PAID","amount":1,"currency":"USD""#,
            r#""bill_id":"","status":"PAID","amount":1,"currency":"USD""#,
            r#""bill_id":"b","amount":1,"currency":"USD""#,
            r#""bill_id":"b","status":5,"amount":1,"currency":"USD""#,
            r#""bill_id":"b","status":"PAID","currency":"USD""#,
            r#""bill_id":"b","status":"PAID","amount":-1,"currency":"USD""#,
            r#""bill_id":"b","status":"PAID","amount":1e2,"currency":"USD""#,
            r#""bill_id":"b","status":"PAID","amount":1.001,"currency":"USD""#,
            r#""bill_id":"b","status":"PAID","amount":1"#,
        ] {
            assert!(matches!(outcome(&signed(members)), Err(Refusal::Malformed(_))), "{members}");
        }
    }

    #[test]
    fn numbers_print_as_in_javascript() {
        for (token, printed) in [
            ("75.00", "75"),
            ("75.50", "75.5"),
            ("1e21", "1e+21"),
            ("-0", "0"),
            ("0.1", "0.1"),
            ("1E-7", "1e-7"),
            ("12345678901234567890", "12345678901234567000"),
        ] {
            assert_eq!(as_javascript(token), printed);
        }
    }

    #[test]
    fn the_log_copy_holds_no_signature() {
        let verified = verify(&secret(), notice("75.00", OVER_75_00).as_bytes()).unwrap();
        assert_eq!(verified.amount.to_string(), "75.00");
        assert!(!verified.members.contains_key("signature"));
        assert_eq!(verified.members["amount"], "75.00");
    }

    proptest! {
        #[test]
        fn any_altered_byte_of_the_signed_part_is_noticed(index in 0usize..80, byte in any::<u8>()) {
            let body = notice("75.00", OVER_75_00).into_bytes();
            let signed_part = body.windows(12).position(|w| w == b"\"signature\":").unwrap();
            let index = index % signed_part;
            prop_assume!(body[index] != byte);
            let mut altered = body.clone();
            altered[index] = byte;
            // White space outside the strings is not signed, and `75.0` is `75.00` in the form of two decimals; every other change must
            // not verify, and whatever verifies is the same payment.
            if let Ok(verified) = verify(&secret(), &altered) {
                let genuine = verify(&secret(), &body).unwrap();
                prop_assert_eq!(
                    (verified.bill_id, verified.raw_status, verified.amount, verified.currency),
                    (genuine.bill_id, genuine.raw_status, genuine.amount, genuine.currency)
                );
            }
        }

        #[test]
        fn any_bytes_are_verified_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(verify(&secret(), &body).is_err());
        }
    }
}
