//! Refunds at Cardlink v1: `POST /cardlink/v1/refund/full/create`, `/refund/partial/create`, `GET /refund/status?id=`, `/refund/search`.
//!
//! 1. No or another bearer token: 401 `{"message":"Unauthenticated."}`.
//! 2. create takes a form: `payment_id`, `order_id?`, and for a part `amount`. A field that is missing or wrong: 422. No such payment,
//!    or one that brought nothing: 404. More than is left of it: 403 `{"success":false,"message":"api:error.invalid_amount"}`.
//! 3. 200 with the refund, and its notice to the shop's Refund URL afterwards. Every call makes a refund, whatever its `order_id`: there
//!    is no idempotency key. After the button `slow-refunds` it is `PROCESS` until somebody ends it, and so is its notice late.
//!
//! A shop whose refunds support has not enabled is played by a fault rule: `cardlink.refund`, status 403.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::cardlink::amount;
use crate::cardlink_v1::unauthenticated;
use crate::payments::{self, Reversal};
use crate::provider::{Pause, lock, refuse};
use crate::webhook::{Delivery, deliver};
use crate::{Shared, clock, postback};

pub async fn full(State(app): State<Shared>, Extension(pause): Extension<Pause>, headers: HeaderMap, body: Bytes) -> Response {
    pause.0.pause().await;
    create(&app, &headers, &body, true)
}

pub async fn partial(State(app): State<Shared>, Extension(pause): Extension<Pause>, headers: HeaderMap, body: Bytes) -> Response {
    pause.0.pause().await;
    create(&app, &headers, &body, false)
}

fn create(app: &Shared, headers: &HeaderMap, body: &[u8], whole: bool) -> Response {
    if let Some(refusal) = unauthenticated(app, headers) {
        return refusal;
    }
    let fields: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    let Some(payment_id) = fields.get("payment_id").filter(|id| !id.is_empty()) else {
        return invalid("payment_id", "The payment id field is required.");
    };
    let sum: Option<Decimal> = match fields.get("amount").map(|text| amount(text)) {
        _ if whole => None,
        Some(Some(sum)) => Some(sum),
        _ => return invalid("amount", "The amount must be positive and have at most two decimals."),
    };
    let (answer, notice) = {
        let mut bills = lock(&app.bills);
        let Some(bill) = bills.of_payment_mut(payment_id).filter(|bill| bill.last_paid().is_some()) else {
            return refuse(StatusCode::NOT_FOUND, "Payment not found.");
        };
        let state = if bill.slow_refunds {
            payments::State::Processing
        } else {
            payments::State::Done
        };
        let Some(refund) = bill.refund_payment(payment_id, sum, state, clock::now()) else {
            let body = json!({ "success": false, "message": "api:error.invalid_amount" });
            return (StatusCode::FORBIDDEN, Json(body)).into_response();
        };
        let notice = (!bill.slow_refunds).then(|| Delivery {
            url: format!("{}/refund", bill.request.webhook_url),
            body: postback::refund(bill, payment_id, &refund, &app.cfg.cardlink_token),
            content_type: postback::CONTENT_TYPE,
            copies: 1,
        });
        (refund.shown(payment_id, bill.reported().1), notice)
    };
    if let Some(notice) = notice {
        tokio::spawn(deliver(app.clone(), notice, false));
    }
    Json(answer).into_response()
}

fn invalid(field: &str, sentence: &str) -> Response {
    let body = json!({ "message": "The given data was invalid.", "errors": { field: [sentence] } });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

#[derive(Deserialize)]
pub struct Id {
    #[serde(default)]
    id: String,
}

pub async fn status(
    State(app): State<Shared>,
    Extension(pause): Extension<Pause>,
    Query(query): Query<Id>,
    headers: HeaderMap,
) -> Response {
    pause.0.pause().await;
    if let Some(refusal) = unauthenticated(&app, &headers) {
        return refusal;
    }
    match all(&app, |refund| refund.id == query.id).pop() {
        Some(refund) => Json(refund).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "Refund not found."),
    }
}

pub async fn search(State(app): State<Shared>, Extension(pause): Extension<Pause>, headers: HeaderMap) -> Response {
    pause.0.pause().await;
    if let Some(refusal) = unauthenticated(&app, &headers) {
        return refusal;
    }
    Json(json!({ "data": all(&app, |_| true), "success": true })).into_response()
}

fn all(app: &Shared, fits: impl Fn(&Reversal) -> bool) -> Vec<Value> {
    let bills = lock(&app.bills);
    let mut shown = Vec::new();
    for bill in bills.list() {
        for payment in &bill.payments {
            shown.extend(
                payment
                    .refunds
                    .iter()
                    .filter(|refund| fits(refund))
                    .map(|refund| refund.shown(&payment.id, bill.reported().1)),
            );
        }
    }
    shown
}
