//! v2 notices out of JSON tokens, signed from the text the test gives: nothing here reads JSON.

use lonieve_tests::{Placed, Shop};
use sha2::{Digest, Sha256};

use crate::attack::{NOTICE, Sent};

/// Members as they stand in the body: the name as JSON text without its quotes, the value as a JSON token.
pub type Members = Vec<(String, String)>;

/// How a sender may print the amount of 37.50 in the body, and in the text it signs.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub sent: &'static str,
    pub printed: &'static str,
    /// `signature_form` of the log.
    pub name: &'static str,
}

/// Every accepted form.
pub const FORMS: [Form; 4] = [
    Form {
        sent: "37.50",
        printed: "37.50",
        name: "raw_token",
    },
    Form {
        sent: "37.50",
        printed: "37.5",
        name: "java_script",
    },
    Form {
        sent: "37.5",
        printed: "37.50",
        name: "two_decimals",
    },
    Form {
        sent: "\"37.50\"",
        printed: "37.50",
        name: "raw_token",
    },
];

pub fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// The text that is signed, without the secret: names in byte order.
pub fn text_of(printed: &[(&str, &str)]) -> String {
    let mut sorted = printed.to_vec();
    sorted.sort_unstable();
    let pairs: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

pub fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

pub fn sign(shop: &Shop, printed: &[(&str, &str)]) -> String {
    sha256(&format!("{}{}", text_of(printed), shop.info.cardlink.secret))
}

/// The members of a notice that pays this order.
pub fn members(order: &Placed, form: Form) -> Members {
    [
        ("bill_id", quoted(&order.bill_id)),
        ("status", quoted("PAID")),
        ("amount", form.sent.to_owned()),
        ("currency", quoted("USD")),
    ]
    .map(|(name, token)| (name.to_owned(), token))
    .to_vec()
}

/// What the provider signs of that notice.
pub fn printed(order: &Placed, form: Form) -> Vec<(&str, &str)> {
    vec![
        ("bill_id", order.bill_id.as_str()),
        ("status", "PAID"),
        ("amount", form.printed),
        ("currency", "USD"),
    ]
}

/// A body of these members, and after them the signature, as a JSON token.
pub fn body(members: &[(String, String)], signature: &str) -> String {
    let members: String = members.iter().map(|(name, token)| format!("\"{name}\":{token},")).collect();
    format!("{{{members}\"signature\":{signature}}}")
}

pub fn json(body: impl Into<Vec<u8>>) -> Sent {
    Sent {
        path: NOTICE,
        content_type: Some("application/json"),
        header: None,
        body: body.into(),
    }
}

/// The notice of the provider.
pub fn genuine(shop: &Shop, order: &Placed, form: Form) -> String {
    body(&members(order, form), &quoted(&sign(shop, &printed(order, form))))
}

pub fn swapped_case(text: &str) -> String {
    let swap = |c: char| {
        if c.is_ascii_uppercase() {
            c.to_ascii_lowercase()
        } else {
            c.to_ascii_uppercase()
        }
    };
    text.chars().map(swap).collect()
}

/// The same text in the wide letters of Chinese and Japanese type.
pub fn wide(text: &str) -> String {
    let widen = |c: char| {
        if ('!'..='~').contains(&c) {
            char::from_u32(c as u32 + 0xfee0).unwrap()
        } else {
            c
        }
    };
    text.chars().map(widen).collect()
}

pub fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

pub fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// RFC 1952 with one stored block.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    });
    let length = u16::try_from(bytes.len()).unwrap();
    [
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        bytes,
        &(!crc).to_le_bytes(),
        &u32::from(length).to_le_bytes(),
    ]
    .concat()
}

#[test]
fn the_zip_of_the_tests_is_one() {
    // `printf hello | gzip -0n`, but for the operating system's byte.
    let expected = "1f8b08000000000000ff010500faff68656c6c6f86a6103605000000";
    assert_eq!(hex::encode(gzip(b"hello")), expected);
}
