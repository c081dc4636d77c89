//! v2: what can be done to the signature, and to the notice as a whole.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

use crate::attack::{Expected, Row};
use crate::v2_members::{FLAT, NOT_UTF8, Scene};
use crate::v2_wire::{body, escaped, gzip, json, percent, printed, quoted, sha256, sign, swapped_case, text_of, wide};
use Expected::{Accepted, BadSignature, WrongType};

pub fn signatures(s: &Scene) -> Vec<Row> {
    let (secret, signed) = (&s.shop.info.cardlink.secret, printed(s.order, s.form));
    let text = text_of(&signed);
    let digest = sign(s.shop, &signed);
    let other = sign(s.shop, &printed(s.other, s.form));
    let hmac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    };
    let bad = [
        ("in capitals", digest.to_uppercase()),
        ("half in capitals", digest[..32].to_uppercase() + &digest[32..]),
        ("a digit short", digest[..63].to_owned()),
        ("a digit long", format!("{digest}0")),
        ("its first half", digest[..32].to_owned()),
        ("doubled", digest.repeat(2)),
        ("empty", String::new()),
        ("a space", " ".to_owned()),
        ("with a space before", format!(" {digest}")),
        ("with a line break after", format!("{digest}\\n")),
        ("with U+0000 after", format!("{digest}\\u0000")),
        ("with 0x before", format!("0x{digest}")),
        ("with its algorithm before", format!("sha256={digest}")),
        ("in wide letters", wide(&digest)),
        ("in base64", STANDARD.encode(hex::decode(&digest).unwrap())),
        ("reversed", digest.chars().rev().collect()),
        ("all zeros", "0".repeat(64)),
        ("of nothing", sha256("")),
        ("of the secret alone", sha256(secret)),
        ("the secret itself", secret.clone()),
        ("of another order", other),
        ("without the secret", sha256(&text)),
        ("with another secret", sha256(&format!("{text}another secret"))),
        ("with the secret in capitals", sha256(&format!("{text}{}", swapped_case(secret)))),
        ("with the secret before", sha256(&format!("{secret}{text}"))),
        ("with a separator before the secret", sha256(&format!("{text}&{secret}"))),
        ("with the secret as a member", sha256(&format!("{text}&secret={secret}"))),
        ("with a line break after the secret", sha256(&format!("{text}{secret}\n"))),
        ("in the order of sending", {
            let pairs: Vec<String> = signed.iter().map(|(name, value)| format!("{name}={value}")).collect();
            sha256(&format!("{}{secret}", pairs.join("&")))
        }),
        ("of the body", sha256(&format!("{}{secret}", body(&s.members(), "\"\"")))),
        ("as an HMAC", hmac(secret.as_bytes(), &text)),
        ("as an HMAC of text and secret", hmac(secret.as_bytes(), &format!("{text}{secret}"))),
        ("of the digest", sha256(&digest)),
        ("in MD5", hex::encode(Md5::digest(format!("{text}{secret}")))),
        ("in SHA-512", hex::encode(Sha512::digest(format!("{text}{secret}")))),
        (
            "of v1's formula",
            hex::encode_upper(Md5::digest(format!("37.50:{}:{}", s.order.order_id, s.shop.info.cardlink.token))),
        ),
    ];
    let mut rows: Vec<Row> = bad
        .into_iter()
        .map(|(what, signature)| {
            (
                format!("signature {what}"),
                json(body(&s.members(), &quoted(&signature))),
                BadSignature,
            )
        })
        .collect();
    for (what, token, expected) in [
        ("null", "null".to_owned(), BadSignature),
        ("true", "true".to_owned(), BadSignature),
        ("a number", "0".to_owned(), BadSignature),
        ("in a list", format!("[\"{digest}\"]"), FLAT),
        ("in an object", format!("{{\"sha256\":\"{digest}\"}}"), FLAT),
        ("twice", format!("\"{digest}\",\"signature\":\"{digest}\""), FLAT),
        ("twice, a wrong one first", format!("\"x\",\"signature\":\"{digest}\""), FLAT),
        ("escaped", quoted(&escaped(&digest)), Accepted),
    ] {
        rows.push((format!("signature {what}"), json(body(&s.members(), &token)), expected));
    }
    let unsigned = s.genuine().replace(&format!(",\"signature\":\"{digest}\""), "");
    rows.push(("signature left out".into(), json(unsigned.clone()), BadSignature));
    for header in ["signature", "x-signature", "x-cardlink-signature", "authorization"] {
        let sent = json(unsigned.clone()).with_header(header, digest.clone());
        rows.push((format!("signature in the header {header}"), sent, BadSignature));
    }
    let renamed = |to: &str| json(s.genuine().replace("\"signature\"", &quoted(to)));
    for name in ["Signature", "SIGNATURE", "SignatureValue", "sign", "signature "] {
        rows.push((format!("signature called {name}"), renamed(name), BadSignature));
    }
    rows.push(("signature called in look-alike letters".into(), renamed("ѕignature"), FLAT));
    rows
}

/// Bytes that other programs would read as the same notice.
pub fn encodings(s: &Scene) -> Vec<Row> {
    let good = s.genuine();
    let utf16 = |bytes: fn(u16) -> [u8; 2], mark: bool| {
        let text = if mark { format!("\u{feff}{good}") } else { good.clone() };
        json(text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>())
    };
    let pairs = s.members();
    let form: String = pairs
        .iter()
        .map(|(name, token)| format!("{name}={}&", token.trim_matches('"')))
        .collect();
    let form = format!("{form}signature={}", s.signature().trim_matches('"'));
    let form_type = Some("application/x-www-form-urlencoded");
    let wrapped = format!("{}", serde_json::Value::String(good.clone()));
    let spaced = good
        .replace(':', " : ")
        .replace(',', " ,\r\n\t")
        .replace('{', "\n{ ")
        .replace('}', " }\n");
    let mut reversed = pairs.clone();
    reversed.reverse();
    [
        ("a byte order mark before it", json(format!("\u{feff}{good}")), FLAT),
        ("UTF-16, little end first", utf16(u16::to_le_bytes, false), FLAT),
        ("UTF-16, big end first", utf16(u16::to_be_bytes, false), FLAT),
        ("UTF-16 with its mark, little end first", utf16(u16::to_le_bytes, true), NOT_UTF8),
        ("UTF-16 with its mark, big end first", utf16(u16::to_be_bytes, true), NOT_UTF8),
        ("an overlong quote", json(overlong(&good)), NOT_UTF8),
        (
            "gzip",
            json(gzip(good.as_bytes())).with_header("content-encoding", "gzip"),
            NOT_UTF8,
        ),
        ("gzip that does not say so", json(gzip(good.as_bytes())), NOT_UTF8),
        ("base64", json(STANDARD.encode(&good)), FLAT),
        ("percent encoding", json(percent(&good)), FLAT),
        ("a form", json(form.clone()).typed(form_type), WrongType),
        ("a form that calls itself JSON", json(form), FLAT),
        ("JSON that calls itself a form", json(good.clone()).typed(form_type), WrongType),
        (
            "JSON that calls itself multipart",
            json(good.clone()).typed(Some("multipart/form-data; boundary=x")),
            WrongType,
        ),
        ("JSON of another name", json(good.clone()).typed(Some("text/json")), WrongType),
        (
            "JSON of a longer name",
            json(good.clone()).typed(Some("application/json-patch+json")),
            WrongType,
        ),
        (
            "JSON of two names",
            json(good.clone()).typed(Some("application/json, text/plain")),
            WrongType,
        ),
        ("JSON in a JSON text", json(wrapped), FLAT),
        ("a list of one", json(format!("[{good}]")), FLAT),
        ("two of them", json(format!("{good}\n{good}")), FLAT),
        ("a comment", json(format!("/* */{good}")), FLAT),
        ("a comma too many", json(good.replace('}', ",}")), FLAT),
        ("single quotes", json(good.replace('"', "'")), FLAT),
        ("names without quotes", json(good.replace("\"status\"", "status")), FLAT),
        ("U+0000 after it", json(format!("{good}\0")), FLAT),
        ("cut short", json(good[..good.len() - 1].to_owned()), FLAT),
        ("a prefix against scripts", json(format!(")]}}',\n{good}")), FLAT),
        ("white space between the tokens", json(spaced), Accepted),
        ("members the other way round", json(body(&reversed, &s.signature())), Accepted),
        (
            "the type in capitals, with a parameter",
            json(good).typed(Some("APPLICATION/JSON; charset=utf-16")),
            Accepted,
        ),
    ]
    .map(|(what, sent, expected)| (what.to_owned(), sent, expected))
    .to_vec()
}

/// The first quote as two bytes.
fn overlong(text: &str) -> Vec<u8> {
    let (before, after) = text.split_once('"').unwrap();
    [before.as_bytes(), &[0xc0, 0xa2], after.as_bytes()].concat()
}
