//! A mail from its row: HTML and text from templates compiled in. No clock: the same row always gives the same bytes.
//!
//! What people typed is shown as typed, less what could disguise it: control characters and marks that turn the writing direction. In HTML it
//! stands in an element of its own direction; in the text a message is quoted line by line, so that it cannot pass for our words.

use askama::Template;
use shared::codes::{CodeKeys, CodeRef};
use shared::tokens::OrderTokenKey;

use super::Message;
use super::row::{Kind, MailRow};
use super::words::{Topic, Words, words};

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
    first_name: Option<String>,
    gift_message: Option<String>,
    codes: Vec<OpenCode>,
    lines: Vec<Line>,
    order_id: String,
    date: String,
    /// Only the buyer sees prices.
    total: Option<String>,
    currency: &'a str,
    order_url: String,
    support_email: Option<&'a str>,
}

impl Content<'_> {
    /// The message as quoted lines.
    fn quoted(&self) -> Option<String> {
        let message = self.gift_message.as_ref()?;
        Some(message.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n"))
    }
}

struct OpenCode {
    product_name: String,
    nominal: String,
    code: String,
}

struct Line {
    product_name: String,
    nominal: String,
    quantity: u32,
    price: Option<String>,
}

/// An error is a sentence for the log and the alert: without address and without code.
pub fn render(renderer: &Renderer, row: &MailRow) -> Result<Message, String> {
    let content = content(renderer, row)?;
    let html = Html(&content).render().map_err(|e| format!("template: {e}"))?;
    let text = Text(&content).render().map_err(|e| format!("template: {e}"))?;
    Ok(Message {
        id: row.id,
        kind: match row.kind {
            Kind::Codes => "codes",
            Kind::Gift => "gift",
            Kind::Receipt => "receipt",
        },
        from: renderer.from.to_owned(),
        to: row.to.clone(),
        subject: content.w.subject,
        html,
        text,
    })
}

/// Without control characters (but line breaks) and without the marks that turn the direction of what follows them.
fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| (!c.is_control() || *c == '\n') && !turns(*c)).collect()
}

/// The same for what is one line.
fn clean_line(text: &str) -> String {
    clean(text).replace('\n', " ")
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
            product_name: clean_line(&code.product_name),
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
        w: words(Topic::of(row.kind, row.is_replacement()), row.locale.as_deref()),
        shop: &row.tenant.name,
        primary: row.tenant.colour("primary", "#D4AF37"),
        background: row.tenant.colour("background", "#0A0A0A"),
        first_name: row.order.first_name.as_deref().filter(|_| buyer).map(clean_line),
        gift_message: row.order.gift_message.as_deref().map(clean),
        codes: codes.collect::<Result<_, String>>()?,
        lines: row
            .order
            .items
            .iter()
            .map(|item| Line {
                product_name: clean_line(&item.product_name),
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
mod tests;
