//! Cardlink v2: `POST /cardlink/v2/bill/create` and `GET /cardlink/v2/bill/status?bill_id=`.
//!
//! 1. No or another bearer token: 401 `{"message":"Unauthenticated."}`.
//! 2. A body or a field that is wrong: 422 `{"message", "errors": {field: [sentence]}}`.
//! 3. create: 200 `{"bill_id","payment_url","expires_at"}`.
//! 4. status: 200 with `bill_id, status, amount, currency, order_id, created_at, expires_at, paid_at`; 404 for an unknown bill.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bills::NewBill;
use crate::provider::{Pause, bearer, lock, refuse};
use crate::{Shared, clock};

/// Name of the outgoing webhook in fault rules and calls.
pub const WEBHOOK: &str = "cardlink.webhook";

pub const DEFAULT_LIFETIME_S: i64 = 3600;
pub const MAX_LIFETIME_S: i64 = 30 * 24 * 3600;

pub type Errors = BTreeMap<&'static str, [&'static str; 1]>;

#[derive(Deserialize)]
struct CreateRequest {
    /// Raw, so that `75.00` is read as written and not as a float.
    amount: Option<Box<RawValue>>,
    currency: Option<Value>,
    order_id: Option<Value>,
    customer_email: Option<Value>,
    return_url: Option<Value>,
    webhook_url: Option<Value>,
    expires_in: Option<Value>,
}

pub async fn create(State(app): State<Shared>, Extension(pause): Extension<Pause>, headers: HeaderMap, body: Bytes) -> Response {
    pause.0.pause().await;
    if bearer(&headers) != Some(app.cfg.cardlink_token.as_str()) {
        return refuse(StatusCode::UNAUTHORIZED, "Unauthenticated.");
    }
    let request = match serde_json::from_slice::<CreateRequest>(&body) {
        Ok(request) => request,
        Err(_) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, "The body is not a JSON object."),
    };
    match check(&request) {
        Ok(new_bill) => {
            let bill = lock(&app.bills).create(new_bill, clock::now());
            Json(json!({
                "bill_id": bill.id,
                "payment_url": format!("{}/pay/{}", app.cfg.public_url, bill.id),
                "expires_at": clock::text(bill.expires_at),
            }))
            .into_response()
        }
        Err(errors) => {
            let body = json!({ "message": "The given data was invalid.", "errors": errors });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    }
}

fn check(request: &CreateRequest) -> Result<NewBill, Errors> {
    let mut errors = Errors::new();
    let mut text = |name: &'static str, value: &Option<Value>, fits: fn(&str) -> bool, sentence: &'static str| {
        let found = value.as_ref().and_then(Value::as_str).filter(|text| fits(text)).map(str::to_owned);
        if found.is_none() {
            errors.insert(name, [sentence]);
        }
        found.unwrap_or_default()
    };
    let currency = text(
        "currency",
        &request.currency,
        is_currency,
        "The currency must be three upper-case letters.",
    );
    let order_id = text(
        "order_id",
        &request.order_id,
        is_order_id,
        "The order id must have 1 to 255 characters.",
    );
    let return_url = text(
        "return_url",
        &request.return_url,
        is_http_url,
        "The return url must be an http or https address.",
    );
    let webhook_url = text(
        "webhook_url",
        &request.webhook_url,
        is_http_url,
        "The webhook url must be an http or https address.",
    );
    let customer_email = request.customer_email.is_some().then(|| {
        text(
            "customer_email",
            &request.customer_email,
            is_email,
            "The customer email must be an e-mail address.",
        )
    });
    let seconds = match &request.expires_in {
        None => Some(DEFAULT_LIFETIME_S),
        Some(value) => value.as_i64().filter(|seconds| (1..=MAX_LIFETIME_S).contains(seconds)),
    };
    let amount = request.amount.as_deref().and_then(|raw| amount(raw.get().trim_matches('"')));
    if amount.is_none() {
        errors.insert("amount", ["The amount must be positive and have at most two decimals."]);
    }
    if seconds.is_none() {
        errors.insert("expires_in", ["The lifetime must be 1 to 2592000 whole seconds."]);
    }
    match (amount, seconds) {
        (Some(amount), Some(seconds)) if errors.is_empty() => Ok(NewBill {
            amount,
            currency,
            order_id,
            customer_email,
            return_url,
            webhook_url,
            lifetime: TimeDelta::seconds(seconds),
            v1: None,
        }),
        _ => Err(errors),
    }
}

/// A positive amount of at most two decimals, from its text.
pub fn amount(text: &str) -> Option<Decimal> {
    let amount = Decimal::from_str_exact(text).ok()?.normalize();
    (amount > Decimal::ZERO && amount < Decimal::new(10_000_000, 0) && amount.scale() <= 2).then_some(amount)
}

pub fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

pub fn is_order_id(text: &str) -> bool {
    (1..=255).contains(&text.chars().count())
}

pub fn is_http_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
}

pub fn is_email(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

#[derive(Deserialize)]
pub struct StatusQuery {
    bill_id: Option<String>,
}

pub async fn status(
    State(app): State<Shared>,
    Extension(pause): Extension<Pause>,
    Query(query): Query<StatusQuery>,
    headers: HeaderMap,
) -> Response {
    pause.0.pause().await;
    if bearer(&headers) != Some(app.cfg.cardlink_token.as_str()) {
        return refuse(StatusCode::UNAUTHORIZED, "Unauthenticated.");
    }
    let Some(bill_id) = query.bill_id else {
        let body = json!({ "message": "The given data was invalid.", "errors": { "bill_id": ["The bill id is required."] } });
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response();
    };
    let shown = lock(&app.bills)
        .get(&bill_id)
        .filter(|bill| !bill.lie.hidden)
        .map(|bill| bill.shown(clock::now()));
    match shown {
        Some(shown) => Json(shown).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "Bill not found."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: Value) -> Result<NewBill, Errors> {
        let mut body = json!({
            "amount": "75.00", "currency": "USD", "order_id": "o1", "customer_email": "a@example.com",
            "return_url": "http://127.0.0.1:8787/pay/return/success", "webhook_url": "http://127.0.0.1:8787/api/webhooks/cardlink",
            "expires_in": 3600
        });
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        check(&serde_json::from_str(&body.to_string()).unwrap())
    }

    #[test]
    fn a_complete_request_makes_a_bill_and_the_optional_fields_may_be_null() {
        assert_eq!(checked(json!({})).unwrap().amount, Decimal::new(7500, 2));
        assert_eq!(checked(json!({"amount": 37.5})).unwrap().amount, Decimal::new(375, 1));
        let bill = checked(json!({"customer_email": null, "expires_in": null})).unwrap();
        assert_eq!((bill.customer_email, bill.lifetime), (None, TimeDelta::seconds(3600)));
    }

    #[test]
    fn each_wrong_field_is_named_alone() {
        for (field, value) in [
            ("amount", json!("0")),
            ("amount", json!("-1.00")),
            ("amount", json!("1.001")),
            ("amount", json!(null)),
            ("amount", json!([75])),
            ("currency", json!("usd")),
            ("currency", json!("USDT")),
            ("order_id", json!("")),
            ("order_id", json!(7)),
            ("customer_email", json!("nobody")),
            ("return_url", json!("/relative")),
            ("webhook_url", json!("ftp://x/")),
            ("webhook_url", json!(null)),
            ("expires_in", json!(0)),
            ("expires_in", json!("3600")),
        ] {
            let errors = checked(json!({ field: value })).unwrap_err();
            assert_eq!(errors.keys().collect::<Vec<_>>(), [&field], "{value}");
        }
    }
}
