//! A mail from its row: HTML and text from templates compiled in, then the provider's request body. No clock: the same row always
//! gives the same bytes.

use askama::Template;
use serde::Serialize;
use shared::codes::CodeRef;

use super::Mail;
use super::row::{Kind, MailRow};
use super::words::{Words, words};
use crate::Config;

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
pub fn render(config: &Config, row: &MailRow) -> Result<Mail, String> {
    let content = content(config, row)?;
    let html = Html(&content).render().map_err(|e| format!("template: {e}"))?;
    let text = Text(&content).render().map_err(|e| format!("template: {e}"))?;
    let kind = match row.kind {
        Kind::Codes => "codes",
        Kind::Gift => "gift",
        Kind::Receipt => "receipt",
    };
    let mail = ResendMail {
        from: config.mail.from(),
        to: [&row.to],
        subject: content.w.subject,
        html,
        text,
        tags: [Tag { name: "kind", value: kind }],
    };
    Ok(Mail { body: serde_json::to_string(&mail).map_err(|e| e.to_string())? })
}

fn content<'a>(config: &Config, row: &'a MailRow) -> Result<Content<'a>, String> {
    if row.kind != Kind::Receipt && row.codes.is_empty() {
        return Err("the order has no codes to send".into());
    }
    let codes = row.codes.iter().filter(|_| row.kind != Kind::Receipt).map(|code| {
        let code_ref = CodeRef { code_id: code.id, product_id: code.product_id, nominal: code.nominal };
        let open = config.code_keys.open(&code_ref, &code.kid, &code.sealed);
        let open = open.map_err(|problem| format!("code {}: {problem}", code.id))?;
        Ok(OpenCode { product_name: &code.product_name, nominal: code.nominal.to_string(), code: open })
    });
    let buyer = row.kind != Kind::Gift;
    let token = if buyer { config.token_key.order_token(row.order.id) } else { config.token_key.gift_token(row.order.id) };
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
