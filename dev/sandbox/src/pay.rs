//! The hosted pay page and its three buttons.
//!
//! `GET /pay/{bill_id}` is what a shopper sees. `POST /pay/{bill_id}/{pay|fail|expire}` moves the bill and sends the webhook:
//! 1. unknown bill or action: 404; a query that does not make sense: 400;
//! 2. with `Accept: application/json`: waits for the webhook's first answer and reports it (200);
//! 3. otherwise: the webhook goes out in the background, the browser goes back to the shop (303 to the bill's `return_url`).
//!
//! A v1 bill has other buttons: see `pay_v1.rs`.
//!
//! For tests: `pending` sends a PENDING notice and moves nothing; `fail` and `expire` on a paid bill send their notice although the
//! bill stays paid (a notice that was overtaken on its way).

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bills::{Bill, Shown, Status};
use crate::cardlink::{amount, is_currency};
use crate::provider::lock;
use crate::signature::webhook_body;
use crate::webhook::{Delivery, Report, deliver};
use crate::{Shared, clock, pages, pay_v1};

const MAX_COPIES: u32 = 500;

pub async fn page(State(app): State<Shared>, Path(bill_id): Path<String>) -> Response {
    match lock(&app.bills).get(&bill_id) {
        Some(bill) => pages::pay(bill, clock::now()),
        None => pages::no_such_bill(&bill_id),
    }
}

#[derive(Deserialize)]
pub struct Options {
    /// Posts the webhook this many times at once.
    pub times: Option<u32>,
    /// `all`: the JSON answer waits for the retries too.
    pub wait: Option<String>,
    /// Pays another amount than the bill asks for; the bill's status reports it as well.
    pub amount: Option<String>,
    /// Pays in another currency; likewise.
    pub currency: Option<String>,
    /// v1: the commission of this payment instead of 2.9 % + 0.30.
    pub commission: Option<String>,
}

/// A struct, because the amount inside is a raw token (`75.00`) that `json!` would turn into a float.
#[derive(Serialize)]
struct Acted<'a> {
    bill: Shown,
    return_url: &'a str,
    webhook: Report,
}

pub async fn act(
    State(app): State<Shared>,
    Path((bill_id, action)): Path<(String, String)>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Response {
    let copies = options.times.unwrap_or(1);
    if !(1..=MAX_COPIES).contains(&copies) {
        return refuse(StatusCode::BAD_REQUEST, "times must be 1 to 500.");
    }
    if lock(&app.bills).get(&bill_id).is_some_and(|bill| bill.request.v1.is_some()) {
        return pay_v1::act(app, bill_id, action, options, copies, pages::wants_json(&headers)).await;
    }
    let status = match action.as_str() {
        "pay" => Status::Paid,
        "fail" => Status::Failed,
        "expire" => Status::Expired,
        "pending" => Status::Pending,
        _ => return refuse(StatusCode::NOT_FOUND, "The actions are pay, fail, expire and pending."),
    };
    let Ok(received) = received(&options) else {
        return refuse(StatusCode::BAD_REQUEST, "amount must be like 12.34 and currency like USD.");
    };
    let bill = {
        let mut bills = lock(&app.bills);
        let Some(bill) = bills.get_mut(&bill_id) else {
            return refuse(StatusCode::NOT_FOUND, "Bill not found.");
        };
        if received.0.is_some() || received.1.is_some() {
            let (amount, currency) = bill.reported();
            bill.received = Some((received.0.unwrap_or(amount), received.1.unwrap_or_else(|| currency.to_owned())));
        }
        bill.move_to(status, clock::now());
        bill.clone()
    };
    let delivery = Delivery {
        url: bill.request.webhook_url.clone(),
        body: notice(&app, &bill, status),
        content_type: "application/json",
        copies,
    };
    if pages::wants_json(&headers) {
        let webhook = deliver(app, delivery, options.wait.as_deref() == Some("all")).await;
        return Json(Acted {
            bill: bill.shown(clock::now()),
            return_url: &bill.request.return_url,
            webhook,
        })
        .into_response();
    }
    tokio::spawn(deliver(app, delivery, false));
    Redirect::to(&bill.request.return_url).into_response()
}

fn notice(app: &Shared, bill: &Bill, status: Status) -> String {
    let (amount, currency) = bill.reported();
    webhook_body(&bill.id, status.name(), amount, currency, &app.cfg.cardlink_secret)
}

pub fn received(options: &Options) -> Result<(Option<Decimal>, Option<String>), ()> {
    let amount = options.amount.as_deref().map(|text| amount(text).ok_or(())).transpose()?;
    let currency = options
        .currency
        .as_deref()
        .map(|text| is_currency(text).then(|| text.to_owned()).ok_or(()))
        .transpose()?;
    Ok((amount, currency))
}

pub fn refuse(status: StatusCode, sentence: &str) -> Response {
    (status, Json(json!({ "error": sentence }))).into_response()
}
