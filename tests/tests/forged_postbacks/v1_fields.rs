//! v1: what can be done to any field that a notice needs.

use crate::attack::{Expected, Row};
use crate::v1_wire::{Fields, added, encoded, form, renamed, value, with, without};
use Expected::{Accepted, BadSignature};

pub const MALFORMED: Expected = Expected::Malformed(None);
pub const SIGNATURE: &str = "SignatureValue";

pub fn row(what: &str, path: &'static str, fields: &[(String, String)], expected: Expected) -> Row {
    (what.to_owned(), form(path, encoded(fields)), expected)
}

pub fn raw(what: &str, path: &'static str, body: impl Into<Vec<u8>>, expected: Expected) -> Row {
    (what.to_owned(), form(path, body), expected)
}

/// `name` as it stands in the form, once.
pub fn in_form(fields: &[(String, String)], name: &str) -> String {
    encoded(&[(name.to_owned(), value(fields, name).to_owned())])
}

pub fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// What can be done to a field that the notice needs.
pub fn any_field(path: &'static str, good: &Fields, name: &str) -> Vec<Row> {
    // Without a signed field there is nothing to verify; without the signature nothing that verifies.
    let missing = if name == SIGNATURE { BadSignature } else { MALFORMED };
    let unreadable = missing.clone();
    let is = value(good, name).to_owned();
    let body = encoded(good);
    let (plain, spelled) = (in_form(good, name), format!("{name}={}", percent(&is)));
    let mut rows = vec![
        row("dropped", path, &without(good, name), missing.clone()),
        row("empty", path, &with(good, name, ""), missing.clone()),
        raw("without a value", path, body.replace(&plain, name), missing.clone()),
        row("twice, alike", path, &added(good, name, &is), MALFORMED),
        row("twice, another one last", path, &added(good, name, "x"), MALFORMED),
        row(
            "twice, another one first",
            path,
            &[&[(name.to_owned(), "x".to_owned())], &good[..]].concat(),
            MALFORMED,
        ),
        row("as a list", path, &renamed(good, name, &format!("{name}[]")), missing.clone()),
        row(
            "name in small letters",
            path,
            &renamed(good, name, &name.to_lowercase()),
            missing.clone(),
        ),
        row(
            "name in capitals",
            path,
            &renamed(good, name, &name.to_uppercase()),
            missing.clone(),
        ),
        row(
            "name with a space",
            path,
            &renamed(good, name, &format!("{name} ")),
            missing.clone(),
        ),
        row(
            "name in look-alike letters",
            path,
            &renamed(good, name, &look_alike(name)),
            missing.clone(),
        ),
        raw(
            "name encoded twice",
            path,
            body.replace(&format!("{name}="), &format!("{}=", percent(name).replace('%', "%25"))),
            missing,
        ),
        row("with a space after", path, &with(good, name, &format!("{is} ")), BadSignature),
        raw(
            "with a plus before",
            path,
            body.replace(&plain, &format!("{name}=+{is}")),
            BadSignature,
        ),
        row(
            "with a line break after",
            path,
            &with(good, name, &format!("{is}\r\n")),
            BadSignature,
        ),
        row(
            "with a zero-width space",
            path,
            &with(good, name, &format!("{is}\u{200b}")),
            BadSignature,
        ),
        row("with U+0000", path, &with(good, name, &format!("{is}\0")), unreadable.clone()),
        row("encoded twice", path, &with(good, name, &percent(&is)), BadSignature),
        raw(
            "in bytes of another code page",
            path,
            body.replace(&plain, &format!("{plain}%C7")),
            unreadable.clone(),
        ),
        raw(
            "in an overlong encoding",
            path,
            body.replace(&plain, &format!("{name}=%C0%B7")),
            unreadable.clone(),
        ),
        raw("encoded byte by byte", path, body.replace(&plain, &spelled), Accepted),
        raw(
            "name encoded byte by byte",
            path,
            body.replace(&format!("{name}="), &format!("{}=", percent(name))),
            Accepted,
        ),
    ];
    let first = is.chars().next().unwrap();
    let wide = char::from_u32(first as u32 + 0xfee0).unwrap();
    rows.push(row(
        "in wide letters",
        path,
        &with(good, name, &is.replacen(first, &wide.to_string(), 1)),
        BadSignature,
    ));
    rows.push(row("too long", path, &with(good, name, &"1".repeat(256)), unreadable.clone()));
    rows.into_iter()
        .map(|(what, sent, expected)| (format!("{name} {what}"), sent, expected))
        .collect()
}

/// A name with one letter of another alphabet.
fn look_alike(name: &str) -> String {
    let letters = [('u', "υ"), ('n', "ո"), ('d', "ԁ")];
    let (latin, other) = letters.into_iter().find(|(latin, _)| name.contains(*latin)).unwrap();
    name.replacen(latin, other, 1)
}
