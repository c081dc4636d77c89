//! A mail from its row: HTML and text from templates compiled in, then the provider's request body. No clock: the same row always
//! gives the same bytes.

use askama::Template;
use serde::Serialize;
use shared::codes::{CodeKeys, CodeRef};
use shared::tokens::OrderTokenKey;

use super::Mail;
use super::row::{Kind, MailRow};
use super::words::{Words, words};

/// What rendering needs beside the row.
pub struct Renderer<'a> {
    pub code_keys: &'a CodeKeys,
    pub token_key: &'a OrderTokenKey,
    /// Sender, as `Name <address>`.
    pub from: &'a str,
}

#[derive(Template)]
#[template(path = "order.html")]
struct Html<'a>(&'a Content<'a>);

#[derive(Template)]
#[template(path = "order.txt")]
struct Text<'a>(&'a Content<'a>);

/// What both templates show.
struct Content<'a> {
    w: Words,
    shop: &'a str,
    primary: String,
    background: String,
    first_name: Option<&'a str>,
    gift_message: Option<&'a str>,
    codes: Vec<OpenCode<'a>>,
    lines: Vec<Line<'a>>,
    order_id: String,
    date: String,
    /// Only the buyer sees prices.
    total: Option<String>,
    currency: &'a str,
    order_url: String,
    support_email: Option<&'a str>,
}

struct OpenCode<'a> {
    product_name: &'a str,
    nominal: String,
    code: String,
}

struct Line<'a> {
    product_name: &'a str,
    nominal: String,
    quantity: u32,
    price: Option<String>,
}

/// The request body of Resend's `POST /emails`.
#[derive(Serialize)]
struct ResendMail<'a> {
    from: &'a str,
    to: [&'a str; 1],
    subject: &'a str,
    html: String,
    text: String,
    tags: [Tag; 1],
}

#[derive(Serialize)]
struct Tag {
    name: &'static str,
    value: &'static str,
}

/// An error is a sentence for the log and the alert: without address and without code.
pub fn render(renderer: &Renderer, row: &MailRow) -> Result<Mail, String> {
    let content = content(renderer, row)?;
    let html = Html(&content).render().map_err(|e| format!("template: {e}"))?;
    let text = Text(&content).render().map_err(|e| format!("template: {e}"))?;
    let kind = match row.kind {
        Kind::Codes => "codes",
        Kind::Gift => "gift",
        Kind::Receipt => "receipt",
    };
    let mail = ResendMail {
        from: renderer.from,
        to: [&row.to],
        subject: content.w.subject,
        html,
        text,
        tags: [Tag { name: "kind", value: kind }],
    };
    Ok(Mail {
        body: serde_json::to_string(&mail).map_err(|e| e.to_string())?,
    })
}

fn content<'a>(renderer: &Renderer, row: &'a MailRow) -> Result<Content<'a>, String> {
    if row.kind != Kind::Receipt && row.codes.is_empty() {
        return Err("the order has no codes to send".into());
    }
    let codes = row.codes.iter().filter(|_| row.kind != Kind::Receipt).map(|code| {
        let code_ref = CodeRef {
            code_id: code.id,
            product_id: code.product_id,
            nominal: code.nominal,
        };
        let open = renderer.code_keys.open(&code_ref, &code.kid, &code.sealed);
        let open = open.map_err(|problem| format!("code {}: {problem}", code.id))?;
        Ok(OpenCode {
            product_name: &code.product_name,
            nominal: code.nominal.to_string(),
            code: open,
        })
    });
    let buyer = row.kind != Kind::Gift;
    let token = if buyer {
        renderer.token_key.order_token(row.order.id)
    } else {
        renderer.token_key.gift_token(row.order.id)
    };
    Ok(Content {
        w: words(row.kind, row.locale.as_deref()),
        shop: &row.tenant.name,
        primary: row.tenant.colour("primary", "#D4AF37"),
        background: row.tenant.colour("background", "#0A0A0A"),
        first_name: row.order.first_name.as_deref().filter(|_| buyer),
        gift_message: row.order.gift_message.as_deref(),
        codes: codes.collect::<Result<_, String>>()?,
        lines: row
            .order
            .items
            .iter()
            .map(|item| Line {
                product_name: &item.product_name,
                nominal: item.nominal.to_string(),
                quantity: item.quantity,
                price: item.price.filter(|_| buyer).map(|price| price.to_string()),
            })
            .collect(),
        order_id: row.order.id.to_string(),
        date: row.order.created_at.format("%Y-%m-%d").to_string(),
        total: row.order.amount.filter(|_| buyer).map(|amount| amount.to_string()),
        currency: &row.order.currency,
        // The token stays behind the `#`: it reaches no server and no log.
        order_url: format!("{}/pending?orderId={}#t={token}", row.tenant.site_url, row.order.id),
        support_email: row.tenant.support_email.as_deref(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    fn keys() -> (CodeKeys, OrderTokenKey) {
        // base64 of 32 zero bytes
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        (
            CodeKeys::parse(&format!(r#"{{"k1":"{key}"}}"#), Some("k1")).unwrap(),
            OrderTokenKey::parse(key).unwrap(),
        )
    }

    fn mail(kind: &str, locale: &str) -> Value {
        let (code_keys, token_key) = keys();
        let code_ref = CodeRef {
            code_id: Uuid::from_u128(1),
            product_id: Uuid::from_u128(2),
            nominal: "50".parse().unwrap(),
        };
        let sealed = code_keys.seal(&code_ref, "ABCD-1234").unwrap();
        let row = json!({
            "id": Uuid::from_u128(9), "kind": kind, "to": "to@example.com", "locale": locale, "codes": [{
                "id": code_ref.code_id, "product_id": code_ref.product_id, "product_name": "Nimbus", "nominal": "50.00",
                "sealed": sealed.text, "kid": sealed.kid,
            }],
            "tenant": {"name": "Shop & Co", "site_url": "https://shop.example", "support_email": "help@shop.example",
                       "theme": {"colors": {"primary": "#112233", "background": "red;}</style>"}}},
            "order": {"id": Uuid::from_u128(7), "created_at": "2026-01-15T23:30:00Z", "amount": "37.50", "currency": "USD", "first_name": "Sam",
                      "gift_message": "<script>alert(1)</script>", "items": [
                          {"product_name": "Nimbus", "nominal": "50.00", "price": "37.50", "quantity": 1}]},
        });
        let row: MailRow = serde_json::from_value(row).unwrap();
        let renderer = Renderer {
            code_keys: &code_keys,
            token_key: &token_key,
            from: "Shop <shop@example.com>",
        };
        let once = render(&renderer, &row).unwrap();
        assert_eq!(once, render(&renderer, &row).unwrap(), "the same row gives the same bytes");
        serde_json::from_str(&once.body).unwrap()
    }

    #[test]
    fn the_buyer_gets_codes_amount_and_the_order_token() {
        let mail = mail("mail.codes", "en");
        assert_eq!(
            (mail["to"].clone(), mail["subject"].as_str()),
            (json!(["to@example.com"]), Some("Your Gift Cards Are Ready!"))
        );
        let (_, token_key) = keys();
        for part in ["html", "text"] {
            let text = mail[part].as_str().unwrap();
            for expected in [
                "ABCD-1234",
                "Hello, Sam!",
                "37.50 USD",
                "2026-01-15",
                "help@shop.example",
                &token_key.order_token(Uuid::from_u128(7)),
            ] {
                assert!(text.contains(expected), "{part} lacks {expected}: {text}");
            }
        }
    }

    #[test]
    fn the_recipient_of_a_gift_sees_neither_price_nor_buyer() {
        let mail = mail("mail.gift", "en");
        let (_, token_key) = keys();
        for part in ["html", "text"] {
            let text = mail[part].as_str().unwrap();
            assert!(
                text.contains("ABCD-1234") && text.contains(&token_key.gift_token(Uuid::from_u128(7))),
                "{text}"
            );
            for hidden in ["37.50", "Sam", &token_key.order_token(Uuid::from_u128(7))] {
                assert!(!text.contains(hidden), "{part} shows {hidden}: {text}");
            }
        }
    }

    #[test]
    fn the_receipt_of_a_gift_holds_no_code() {
        let mail = mail("mail.receipt", "ru");
        for part in ["html", "text"] {
            let text = mail[part].as_str().unwrap();
            assert!(
                !text.contains("ABCD-1234") && text.contains("37.50") && text.contains("Здравствуйте, Sam!"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_people_wrote_cannot_become_markup() {
        let mail = mail("mail.codes", "en");
        let html = mail["html"].as_str().unwrap();
        assert!(!html.contains("<script>") && html.contains("&#60;script&#62;"), "{html}");
        assert!(
            !html.contains("red;}") && html.contains("#0A0A0A") && html.contains("#112233"),
            "{html}"
        );
        assert!(html.contains("Shop &#38; Co"), "{html}");
        assert!(
            mail["text"].as_str().unwrap().contains("<script>alert(1)</script>"),
            "plain text is not escaped"
        );
    }
}
