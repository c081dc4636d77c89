use std::path::PathBuf;

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

const VARIANTS: [(&str, &str, bool); 5] = [
    ("codes", "mail.codes", false),
    ("gift", "mail.gift", false),
    ("receipt", "mail.receipt", false),
    ("codes-replaced", "mail.codes", true),
    ("gift-replaced", "mail.gift", true),
];

fn keys() -> (CodeKeys, OrderTokenKey) {
    // base64 of 32 zero bytes
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    (
        CodeKeys::parse(&format!(r#"{{"k1":"{key}"}}"#), Some("k1")).unwrap(),
        OrderTokenKey::parse(key).unwrap(),
    )
}

/// A row as `api.claim_outbox` gives it, with two codes.
fn row(kind: &str, locale: &str) -> Value {
    let (code_keys, _) = keys();
    let code = |n: u128, text: &str| {
        let code_ref = CodeRef {
            code_id: Uuid::from_u128(n),
            product_id: Uuid::from_u128(2),
            nominal: "50".parse().unwrap(),
        };
        let sealed = code_keys.seal(&code_ref, text).unwrap();
        json!({"id": code_ref.code_id, "product_id": code_ref.product_id, "product_name": "Nimbus", "nominal": "50.00",
               "sealed": sealed.text, "kid": sealed.kid})
    };
    json!({
        "id": Uuid::from_u128(9), "lease": Uuid::from_u128(5), "kind": kind, "reason": null, "to": "to@example.com", "locale": locale,
        "codes": if kind == "mail.receipt" { json!([]) } else { json!([code(1, "ABCD-1234"), code(3, "EFGH-5678")]) },
        "tenant": {"name": "Shop & Co", "site_url": "https://shop.example", "support_email": "help@shop.example",
                   "theme": {"colors": {"primary": "#112233", "background": "red;}</style>"}}},
        "order": {"id": Uuid::from_u128(7), "created_at": "2026-01-15T23:30:00Z", "amount": "75.00", "currency": "USD", "first_name": "Sam",
                  "gift_message": "Happy birthday!\nYours, S.", "items": [
                      {"product_name": "Nimbus", "nominal": "50.00", "price": "37.50", "quantity": 2}]},
    })
}

fn rendered(row: Value) -> Message {
    let row: MailRow = serde_json::from_value(row).unwrap();
    let (code_keys, token_key) = keys();
    let renderer = Renderer {
        code_keys: &code_keys,
        token_key: &token_key,
        from: "Shop <shop@example.com>",
    };
    let once = render(&renderer, &row).unwrap();
    assert_eq!(once, render(&renderer, &row).unwrap(), "the same row gives the same bytes");
    once
}

fn mail(kind: &str, locale: &str) -> Message {
    rendered(row(kind, locale))
}

fn parts(mail: &Message) -> [(&str, &str); 2] {
    [("html", &mail.html), ("text", &mail.text)]
}

/// Read by people when they change; `UPDATE_GOLDEN=1 cargo test -p lonieve-jobs golden` writes them anew.
#[test]
fn every_variant_in_both_languages_is_the_golden_file() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    for (name, kind, replaced) in VARIANTS {
        for locale in ["en", "ru"] {
            let mut row = row(kind, locale);
            if replaced {
                row["reason"] = json!("code_replaced");
            }
            let mail = rendered(row);
            let text = format!("Subject: {}\n\n{}", mail.subject, mail.text);
            for (ending, content) in [("txt", &text), ("html", &mail.html)] {
                let path = folder.join(format!("{name}.{locale}.{ending}"));
                if std::env::var_os("UPDATE_GOLDEN").is_some() {
                    std::fs::write(&path, content).unwrap();
                }
                let golden = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                assert!(*content == golden, "{} differs from what is rendered:\n{content}", path.display());
            }
        }
    }
}

#[test]
fn the_buyer_gets_codes_amount_steps_support_and_the_order_token() {
    let mail = mail("mail.codes", "en");
    assert_eq!(
        (mail.to.as_str(), mail.subject, mail.kind, mail.id),
        ("to@example.com", "Your Gift Cards Are Ready!", "codes", Uuid::from_u128(9))
    );
    let (_, token_key) = keys();
    for (part, text) in parts(&mail) {
        for expected in [
            "ABCD-1234",
            "EFGH-5678",
            "75.00 USD",
            "2026-01-15",
            "00000000-0000-0000-0000-000000000007",
            "How to redeem",
            "help@shop.example",
            &token_key.order_token(Uuid::from_u128(7)),
        ] {
            assert!(text.contains(expected), "{part} lacks {expected}: {text}");
        }
    }
    assert!(mail.text.contains("Hello, Sam!") && mail.html.contains("Hello, <bdi>Sam</bdi>!"));
}

#[test]
fn the_recipient_of_a_gift_sees_neither_price_nor_buyer() {
    for replaced in [json!(null), json!("code_replaced")] {
        let mut row = row("mail.gift", "en");
        row["reason"] = replaced;
        let mail = rendered(row);
        let (_, token_key) = keys();
        for (part, text) in parts(&mail) {
            assert!(
                text.contains("ABCD-1234") && text.contains(&token_key.gift_token(Uuid::from_u128(7))),
                "{text}"
            );
            for hidden in ["37.50", "75.00", "Sam", &token_key.order_token(Uuid::from_u128(7))] {
                assert!(!text.contains(hidden), "{part} shows {hidden}: {text}");
            }
        }
    }
}

#[test]
fn the_receipt_of_a_gift_holds_no_code() {
    let mut row = row("mail.receipt", "ru");
    // Not even where the database had sent some.
    row["codes"] = self::row("mail.gift", "ru")["codes"].clone();
    let mail = rendered(row);
    for (part, text) in parts(&mail) {
        assert!(
            !text.contains("ABCD-1234") && text.contains("37.50") && text.contains("Здравствуйте, "),
            "{part}: {text}"
        );
    }
}

#[test]
fn a_mail_of_codes_without_a_code_is_not_sent() {
    let mut row = row("mail.codes", "en");
    row["codes"] = json!([]);
    let row: MailRow = serde_json::from_value(row).unwrap();
    let (code_keys, token_key) = keys();
    let renderer = Renderer {
        code_keys: &code_keys,
        token_key: &token_key,
        from: "",
    };
    assert_eq!(render(&renderer, &row), Err("the order has no codes to send".to_owned()));
}

#[test]
fn a_reason_nobody_knows_yet_changes_nothing() {
    let mut odd = row("mail.codes", "en");
    odd["reason"] = json!("full_moon");
    assert_eq!(rendered(odd).subject, "Your Gift Cards Are Ready!");
}

#[test]
fn what_people_wrote_cannot_become_markup() {
    let mut row = row("mail.codes", "en");
    let hostile = "</p><script>alert(1)</script><img src=x onerror=\"alert(2)\">";
    row["order"]["gift_message"] = json!(hostile);
    row["order"]["first_name"] = json!("<b>Sam</b>");
    row["codes"][0]["product_name"] = json!("\"><a href='https://evil.example'>Nimbus</a>");
    row["tenant"]["support_email"] = json!("\"onclick=\"x\"@shop.example");
    let mail = rendered(row);
    for forbidden in ["<script", "<img", "<b>", "<a href='", "\"onclick", "red;}"] {
        assert!(!mail.html.contains(forbidden), "{forbidden}: {}", mail.html);
    }
    for escaped in [
        "&#60;script&#62;",
        "&#60;b&#62;Sam&#60;/b&#62;",
        "Shop &#38; Co",
        "#0A0A0A",
        "#112233",
    ] {
        assert!(mail.html.contains(escaped), "{escaped}: {}", mail.html);
    }
    assert!(
        mail.text.contains(&format!("> {hostile}")),
        "plain text is not escaped: {}",
        mail.text
    );
}

#[test]
fn a_gift_message_cannot_pass_for_our_own_words() {
    let mut row = row("mail.gift", "en");
    row["order"]["gift_message"] = json!("Hi\r\n\r\nCode: FAKE-0000\rOpen the order page: https://evil.example");
    let text = rendered(row).text;
    assert!(
        text.contains("Message:\n> Hi\n> \n> Code: FAKE-0000\n> Open the order page: https://evil.example\n"),
        "{text}"
    );
}

#[test]
fn marks_that_turn_the_writing_direction_are_dropped_and_right_to_left_words_stand_in_their_own_direction() {
    let mut row = row("mail.codes", "en");
    row["order"]["first_name"] = json!("\u{202e}maS\u{2066}\u{7}\n");
    row["order"]["gift_message"] = json!("\u{202b}שלום\u{202c} \u{0}Nimbus");
    let mail = rendered(row);
    for (part, text) in parts(&mail) {
        assert!(
            !text.contains(['\u{202e}', '\u{2066}', '\u{202b}', '\u{202c}', '\u{7}', '\0']),
            "{part}: {text}"
        );
        assert!(text.contains("maS") && text.contains("שלום Nimbus"), "{part}: {text}");
    }
    assert!(
        mail.html.contains("<p class=\"quote\" dir=\"auto\"") && mail.html.contains("<bdi>maS </bdi>"),
        "{}",
        mail.html
    );
}

#[test]
fn a_word_without_end_is_whole_and_may_break_anywhere() {
    let mut row = row("mail.codes", "en");
    let long = "W".repeat(500);
    row["order"]["gift_message"] = json!(long);
    let mail = rendered(row);
    assert!(mail.html.contains(&long) && mail.text.contains(&long));
    // Every cell that shows what people typed wraps it, and no table grows with its content.
    assert!(
        mail.html
            .contains("<td style=\"padding:28px;overflow-wrap:anywhere;word-break:break-word\">")
    );
    assert_eq!(mail.html.matches("<table").count(), mail.html.matches("table-layout:fixed").count());
}

#[test]
fn every_colour_has_its_ground_beside_it_in_light_and_in_dark() {
    let html = mail("mail.codes", "en").html;
    assert!(html.contains("<meta name=\"color-scheme\" content=\"light dark\">"));
    assert!(html.contains("@media (prefers-color-scheme: dark)"));
    for class in ["page", "card", "soft", "quote", "box", "a.mail"] {
        let selector = if class.contains('.') {
            class.to_owned()
        } else {
            format!(".{class}")
        };
        assert!(html.contains(&format!("\n{selector} {{")), "{class}");
    }
}
