//! What people see in a browser. The programs' side of each route is JSON.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::bills::{Bill, Shown, Status};
use crate::calls::Call;
use crate::mail::Message;
use crate::provider::lock;
use crate::signature::amount_text;
use crate::{Shared, clock, pay_v1};

/// A table of more rows than this is no help to a person.
const MAX_ROWS: usize = 200;

pub fn wants_html(headers: &HeaderMap) -> bool {
    accepts(headers, "text/html")
}

pub fn wants_json(headers: &HeaderMap) -> bool {
    accepts(headers, "application/json")
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains(kind))
}

fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[derive(Template)]
#[template(path = "index.html")]
struct Index {
    mails: usize,
    bills: usize,
    calls: usize,
}

pub async fn index(State(app): State<Shared>) -> Response {
    let index = Index {
        mails: lock(&app.mail).messages.len(),
        bills: lock(&app.bills).len(),
        calls: lock(&app.calls).len(),
    };
    render(StatusCode::OK, &index)
}

pub async fn health() -> Response {
    Json(json!({ "status": "ok", "service": "sandbox" })).into_response()
}

#[derive(Template)]
#[template(path = "pay.html")]
struct Pay<'a> {
    bill_id: &'a str,
    amount: String,
    currency: &'a str,
    shop: String,
    order_id: &'a str,
    email: &'a str,
    state: &'static str,
    expires_at: String,
    return_url: &'a str,
    is_v1: bool,
    /// v1: half of what is left of the payment, for a refund.
    half: Option<String>,
    /// v1: what has gone back so far.
    gone: Option<String>,
}

pub fn pay(bill: &Bill, now: DateTime<Utc>) -> Response {
    let (amount, currency) = bill.reported();
    let shop = bill
        .request
        .return_url
        .parse::<Uri>()
        .ok()
        .and_then(|uri| uri.authority().map(ToString::to_string));
    let state = match bill.status(now) {
        Status::Pending | Status::Processing => "pending",
        Status::Paid => "paid",
        Status::Underpaid => "underpaid",
        Status::Overpaid => "overpaid",
        Status::Failed => "failed",
        Status::Expired => "expired",
    };
    let paid = bill.last_paid();
    let gone = paid.and_then(|payment| match (&payment.chargeback, payment.refunded()) {
        (Some(_), _) => Some("Charged back.".to_owned()),
        (None, refunded) if refunded.is_zero() => None,
        (None, refunded) => Some(format!("{} {currency} given back.", amount_text(refunded))),
    });
    let page = Pay {
        bill_id: &bill.id,
        amount: amount_text(amount),
        currency,
        shop: shop.unwrap_or_default(),
        order_id: &bill.request.order_id,
        email: bill.request.customer_email.as_deref().unwrap_or_default(),
        state,
        expires_at: bill.expires_at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        return_url: &bill.request.return_url,
        is_v1: bill.request.v1.is_some(),
        half: pay_v1::half_refund(bill).map(amount_text),
        gone,
    };
    render(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "back.html")]
struct Back<'a> {
    url: &'a str,
    fields: &'a [(&'static str, String)],
}

/// v1 sends the browser back to the shop with a form it posts.
pub fn back_to_shop(url: &str, fields: &[(&'static str, String)]) -> Response {
    render(StatusCode::OK, &Back { url, fields })
}

#[derive(Template)]
#[template(path = "missing.html")]
struct Missing<'a> {
    bill_id: &'a str,
}

pub fn no_such_bill(bill_id: &str) -> Response {
    render(StatusCode::NOT_FOUND, &Missing { bill_id })
}

#[derive(Template)]
#[template(path = "bills.html")]
struct Bills {
    bills: Vec<Shown>,
}

/// `GET /bills`: a JSON array, newest first.
pub async fn bills(State(app): State<Shared>, headers: HeaderMap) -> Response {
    let now = clock::now();
    let html = wants_html(&headers);
    let limit = if html { MAX_ROWS } else { usize::MAX };
    let bills: Vec<Shown> = lock(&app.bills).list().take(limit).map(|bill| bill.shown(now)).collect();
    if html {
        render(StatusCode::OK, &Bills { bills })
    } else {
        Json(bills).into_response()
    }
}

#[derive(Template)]
#[template(path = "calls.html")]
struct Calls<'a> {
    calls: Vec<&'a Call>,
    total: usize,
}

pub fn calls(calls: &[Call]) -> Response {
    render(
        StatusCode::OK,
        &Calls {
            calls: calls.iter().rev().take(MAX_ROWS).collect(),
            total: calls.len(),
        },
    )
}

#[derive(Template)]
#[template(path = "mailbox.html")]
struct Mailbox<'a> {
    messages: Vec<&'a Message>,
    total: usize,
    to: &'a str,
    open: Option<&'a Message>,
    /// The mail's HTML with its links leaving the frame.
    framed: String,
}

pub fn mailbox(messages: &[Message], to: &str, id: Option<&str>) -> Response {
    let open = match id {
        Some(id) => messages.iter().find(|message| message.id == id),
        None => messages.last(),
    };
    let html = open.and_then(|message| message.html.as_deref());
    let framed = html.map(|html| format!("<base target=\"_blank\">{html}")).unwrap_or_default();
    let messages_shown = messages.iter().rev().take(MAX_ROWS).collect();
    render(
        StatusCode::OK,
        &Mailbox {
            messages: messages_shown,
            total: messages.len(),
            to,
            open,
            framed,
        },
    )
}
