//! v2: what can be done to the members of a notice, under the genuine signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lonieve_tests::{Placed, Shop};

use crate::attack::{Expected, Row, Sent};
use crate::v2_wire::{Form, Members, body, escaped, genuine, json, members, percent, printed, quoted, sign, swapped_case, wide};

pub const FLAT: Expected = Expected::Malformed(Some("body is not a flat JSON object with each key once"));
pub const NOT_UTF8: Expected = Expected::Malformed(Some("body is not UTF-8"));
use Expected::{Accepted, BadSignature};

/// An order and another one, whose genuine notice is at hand.
pub struct Scene<'a> {
    pub shop: &'a Shop,
    pub order: &'a Placed,
    pub other: &'a Placed,
    pub form: Form,
}

impl Scene<'_> {
    pub fn members(&self) -> Members {
        members(self.order, self.form)
    }

    pub fn signature(&self) -> String {
        quoted(&sign(self.shop, &printed(self.order, self.form)))
    }

    /// The genuine members with one of them changed by `change`, under the genuine signature.
    pub fn with(&self, change: impl FnOnce(&mut Members)) -> Sent {
        let mut members = self.members();
        change(&mut members);
        json(body(&members, &self.signature()))
    }

    /// The genuine notice with one token replaced.
    pub fn token(&self, name: &str, token: &str) -> Sent {
        self.with(|members| value_of(members, name).clone_from(&token.to_owned()))
    }

    pub fn renamed(&self, name: &str, to: &str) -> Sent {
        self.with(|members| name_of(members, name).clone_from(&to.to_owned()))
    }

    pub fn genuine(&self) -> String {
        genuine(self.shop, self.order, self.form)
    }
}

pub fn value_of<'m>(members: &'m mut Members, name: &str) -> &'m mut String {
    &mut members.iter_mut().find(|(n, _)| n == name).unwrap().1
}

fn name_of<'m>(members: &'m mut Members, name: &str) -> &'m mut String {
    &mut members.iter_mut().find(|(n, _)| n == name).unwrap().0
}
/// What can be done to any member.
pub fn any_member(s: &Scene, name: &str) -> Vec<Row> {
    let token = value_of(&mut s.members(), name).clone();
    let nested = |form: &str| s.token(name, &form.replace('?', &token));
    let wide_key = format!("{}{}", wide(&name[..1]), &name[1..]);
    let cyrillic_key = name.replacen('a', "а", 1).replacen('c', "с", 1).replacen('i', "і", 1);
    let cases = [
        ("dropped", s.with(|m| m.retain(|(n, _)| n != name)), BadSignature),
        ("null", s.token(name, "null"), BadSignature),
        ("true", s.token(name, "true"), BadSignature),
        ("another number", s.token(name, "5"), BadSignature),
        ("empty", s.token(name, "\"\""), BadSignature),
        ("in an object", nested("{\"value\":?}"), FLAT),
        ("in a list", nested("[?]"), FLAT),
        ("twice, alike", s.with(|m| m.push((name.to_owned(), token.clone()))), FLAT),
        (
            "twice, null first",
            s.with(|m| m.insert(0, (name.to_owned(), "null".to_owned()))),
            FLAT,
        ),
        ("twice, once escaped", s.with(|m| m.push((escaped(name), token.clone()))), FLAT),
        ("name in capitals", s.renamed(name, &name.to_uppercase()), BadSignature),
        ("name with a space", s.renamed(name, &format!("{name} ")), BadSignature),
        ("name in wide letters", s.renamed(name, &wide_key), FLAT),
        ("name in look-alike letters", s.renamed(name, &cyrillic_key), FLAT),
        ("name in percent encoding", s.renamed(name, &percent(name)), BadSignature),
        ("name with a zero-width space", s.renamed(name, &format!("{name}\u{200b}")), FLAT),
        ("name escaped", s.renamed(name, &escaped(name)), Accepted),
        ("renamed with an equals sign", s.renamed(name, &format!("{name}=")), FLAT),
        ("joined to the next with an ampersand", s.renamed(name, &format!("x&{name}")), FLAT),
    ];
    cases
        .into_iter()
        .map(|(what, sent, expected)| (format!("{name} {what}"), sent, expected))
        .collect()
}

/// What can be done to a member that is a text.
pub fn text_member(s: &Scene, name: &str, value: &str, others: &[&str], look_alike: &str) -> Vec<Row> {
    let text = |value: &str| s.token(name, &quoted(value));
    let mut cases = vec![
        ("in another case", text(&swapped_case(value)), BadSignature),
        ("with a space before", text(&format!(" {value}")), BadSignature),
        ("with a space after", text(&format!("{value} ")), BadSignature),
        ("with a tab after", text(&format!("{value}\\t")), BadSignature),
        ("with a line break after", text(&format!("{value}\\r\\n")), BadSignature),
        ("with a raw line break after", text(&format!("{value}\n")), FLAT),
        ("with a no-break space", text(&format!("{value}\u{a0}")), BadSignature),
        ("with a zero-width space", text(&format!("{value}\u{200b}")), BadSignature),
        ("with U+0000", text(&format!("{value}\\u0000")), BadSignature),
        ("in wide letters", text(&wide(value)), BadSignature),
        ("in look-alike letters", text(look_alike), BadSignature),
        ("in percent encoding", text(&percent(value)), BadSignature),
        ("in base64", text(&STANDARD.encode(value)), BadSignature),
        ("escaped twice", text(&escaped(value).replace('\\', "\\\\")), BadSignature),
        (
            "as an HTML entity",
            text(&format!("&#{};{}", value.as_bytes()[0], &value[1..])),
            FLAT,
        ),
        ("with half a character", text(&format!("{value}\\ud800")), FLAT),
        ("with what follows it in the signed text", text(&format!("{value}&x=1")), FLAT),
        ("escaped", text(&escaped(value)), Accepted),
    ];
    cases.extend(others.iter().map(|other| ("swapped", text(other), BadSignature)));
    cases
        .into_iter()
        .map(|(what, sent, expected)| (format!("{name} {what}"), sent, expected))
        .collect()
}

pub fn amount_member(s: &Scene) -> Vec<Row> {
    // Forms of the same sum stand in `v2_numbers`.
    let bad = [
        "0.01",
        "37.49",
        "37.51",
        "375.0",
        "3750",
        "0",
        "-37.50",
        "\"37,50\"",
        "\" 37.50\"",
        "\"37.50 \"",
        "\"+37.50\"",
        "\"$37.50\"",
        "\"３７.５０\"",
        "\"37.50\\u0000\"",
        "\"0x25.8\"",
        "\"%33%37.50\"",
        "1e400",
    ];
    let broken = [
        "+37.50",
        ".5",
        "37.",
        "0x25",
        "037.50",
        "37,50",
        "37_50",
        "NaN",
        "Infinity",
        "'37.50'",
        "37.50f",
        "３７.５０",
    ];
    let bad = bad.map(|token| (token, BadSignature)).into_iter();
    bad.chain(broken.map(|token| (token, FLAT)))
        .map(|(token, expected)| (format!("amount {token}"), s.token("amount", token), expected))
        .collect()
}

pub fn further_members(s: &Scene) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, token, value) in [
        ("aaa", "\"first\"", "first"),
        ("zzz", "\"last\"", "last"),
        ("paid_at", "1700000000", "1700000000"),
        ("test", "true", "true"),
        ("note", "null", "null"),
        ("empty", "\"\"", ""),
        ("Amount", "1", "1"),
        ("secret", "\"x\"", "x"),
    ] {
        let mut more = printed(s.order, s.form);
        more.push((name, value));
        let signature = quoted(&sign(s.shop, &more));
        let mut longer = s.members();
        longer.insert(1, (name.to_owned(), token.to_owned()));
        rows.push((format!("{name} added"), json(body(&longer, &s.signature())), BadSignature));
        rows.push((
            format!("{name}, which is signed, left out"),
            json(body(&s.members(), &signature)),
            BadSignature,
        ));
        rows.push((format!("{name}, signed"), json(body(&longer, &signature)), Accepted));
    }
    for (what, token) in [("an object", "{}"), ("a list", "[]")] {
        rows.push((format!("{what} added"), s.with(|m| m.push(("more".into(), token.into()))), FLAT));
    }
    rows
}
