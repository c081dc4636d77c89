//! Cardlink v1: `POST /cardlink/v1/bill/create`, `GET /cardlink/v1/bill/status?id=`, `/bill/payments?id=`, `/payment/status?id=`.
//! The lists are in `search.rs`.
//!
//! 1. No or another bearer token: 401 `{"message":"Unauthenticated."}`.
//! 2. create takes a form. Another shop: 403 `{"success":false,"message":"api:error.shop_not_found"}`. A field that is wrong: 422
//!    `{"message","errors":{field:[sentence]}}`; among them an address outside the shop's domain.
//! 3. Unknown bill or payment: 404.
//! 4. Else 200: `success` is a string in the answer of create and a boolean elsewhere; amounts of bills are numbers, those of payments are
//!    strings: the provider's documents show both.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::bills::{Bill, NewBill, Status, V1Terms};
use crate::cardlink::{self, Errors};
use crate::payments::date;
use crate::provider::{Pause, bearer, lock, refuse};
use crate::{Config, Shared, clock};

const CURRENCIES: [&str; 4] = ["RUB", "USD", "EUR", "KZT"];

pub fn unauthenticated(app: &Shared, headers: &HeaderMap) -> Option<Response> {
    (bearer(headers) != Some(app.cfg.cardlink_token.as_str())).then(|| refuse(StatusCode::UNAUTHORIZED, "Unauthenticated."))
}

pub async fn create(State(app): State<Shared>, Extension(pause): Extension<Pause>, headers: HeaderMap, body: Bytes) -> Response {
    pause.0.pause().await;
    if let Some(refusal) = unauthenticated(&app, &headers) {
        return refusal;
    }
    let fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    if fields.get("shop_id").is_some_and(|id| *id != app.cfg.cardlink_shop_id) {
        let body = json!({ "success": false, "message": "api:error.shop_not_found" });
        return (StatusCode::FORBIDDEN, Json(body)).into_response();
    }
    match check(&fields, &app.cfg) {
        Ok(new_bill) => {
            let bill = lock(&app.bills).create(new_bill, clock::now());
            let page = format!("{}/pay/{}", app.cfg.public_url, bill.id);
            Json(json!({ "success": "true", "link_url": format!("{page}?qr=1"), "link_page_url": page, "bill_id": bill.id }))
                .into_response()
        }
        Err(errors) => {
            let body = json!({ "message": "The given data was invalid.", "errors": errors });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    }
}

fn check(fields: &HashMap<String, String>, cfg: &Config) -> Result<NewBill, Errors> {
    let mut errors = Errors::new();
    let field = |name: &str| fields.get(name).map(String::as_str);
    let mut wrong = |is_wrong: bool, name: &'static str, sentence: &'static str| {
        if is_wrong {
            errors.insert(name, [sentence]);
        }
    };
    let amount = field("amount").and_then(cardlink::amount);
    wrong(
        amount.is_none(),
        "amount",
        "The amount must be positive and have at most two decimals.",
    );
    wrong(field("shop_id").is_none(), "shop_id", "The shop id field is required.");
    wrong(
        field("order_id").is_some_and(|id| !cardlink::is_order_id(id)),
        "order_id",
        "The order id must have 1 to 255 characters.",
    );
    wrong(
        field("type").is_some_and(|kind| kind != "normal"),
        "type",
        "The sandbox makes bills of type normal only.",
    );
    wrong(
        field("currency_in").is_some_and(|code| !CURRENCIES.contains(&code)),
        "currency_in",
        "The currency must be RUB, USD, EUR or KZT.",
    );
    wrong(
        field("payer_pays_commission").is_some_and(|flag| !["0", "1"].contains(&flag)),
        "payer_pays_commission",
        "The flag must be 0 or 1.",
    );
    wrong(
        field("locale").is_some_and(|code| !["ru", "en"].contains(&code)),
        "locale",
        "The locale must be ru or en.",
    );
    wrong(
        field("payer_email").is_some_and(|email| !cardlink::is_email(email)),
        "payer_email",
        "The payer email must be an e-mail address.",
    );
    for name in ["success_url", "fail_url"] {
        let outside = field(name).is_some_and(|url| !cardlink::is_http_url(url) || host(url) != host(&cfg.shop_url));
        wrong(outside, name, "The address must belong to the domain of the shop.");
    }
    let ttl = field("ttl").map_or(Some(cardlink::DEFAULT_LIFETIME_S), |ttl| ttl.parse().ok());
    let ttl = ttl.filter(|seconds| (1..=cardlink::MAX_LIFETIME_S).contains(seconds));
    wrong(ttl.is_none(), "ttl", "The ttl must be 1 to 2592000 whole seconds.");
    let text = |name: &str| field(name).unwrap_or_default().to_owned();
    let page = |name: &str| field(name).unwrap_or(&cfg.shop_url).to_owned();
    match (amount, ttl) {
        (Some(amount), Some(ttl)) if errors.is_empty() => Ok(NewBill {
            amount,
            currency: field("currency_in").unwrap_or("RUB").to_owned(),
            order_id: text("order_id"),
            customer_email: field("payer_email").map(str::to_owned),
            return_url: page("success_url"),
            webhook_url: format!("{}/api/webhooks/cardlink", cfg.shop_url),
            lifetime: TimeDelta::seconds(ttl),
            v1: Some(V1Terms {
                fail_url: page("fail_url"),
                payer_pays_commission: field("payer_pays_commission") == Some("1"),
            }),
        }),
        _ => Err(errors),
    }
}

fn host(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_owned)
}

#[derive(Deserialize)]
pub struct Id {
    id: Option<String>,
    #[serde(default)]
    refunds: String,
    #[serde(default)]
    chargeback: String,
}

/// A struct, because the amount inside is a raw token that `json!` would turn into a float.
#[derive(Serialize)]
struct BillState<'a> {
    id: &'a str,
    order_id: &'a str,
    active: bool,
    status: String,
    r#type: &'static str,
    amount: Box<RawValue>,
    currency_in: &'a str,
    created_at: String,
    ttl: i64,
    success: bool,
}

/// A bill as `bill/status` and `bill/search` show it.
pub fn state_json(bill: &Bill) -> Option<Box<RawValue>> {
    let status = bill.status(clock::now());
    let (amount, currency) = bill.reported();
    let body = BillState {
        id: &bill.id,
        order_id: &bill.request.order_id,
        active: matches!(status, Status::Pending | Status::Processing | Status::Underpaid | Status::Failed),
        status: bill.said_status(clock::now()),
        r#type: "NORMAL",
        // As PHP prints it: 75, 37.5.
        amount: RawValue::from_string(amount.normalize().to_string()).unwrap_or_default(),
        currency_in: currency,
        created_at: date(bill.created_at),
        ttl: bill.request.lifetime.num_seconds(),
        success: true,
    };
    RawValue::from_string(serde_json::to_string(&body).ok()?).ok()
}

fn visible(bill: &&Bill) -> bool {
    bill.request.v1.is_some() && !bill.lie.hidden
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
    let bills = lock(&app.bills);
    match bills.get(&query.id.unwrap_or_default()).filter(visible) {
        Some(bill) => Json(state_json(bill)).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "Bill not found."),
    }
}

pub async fn payments(
    State(app): State<Shared>,
    Extension(pause): Extension<Pause>,
    Query(query): Query<Id>,
    headers: HeaderMap,
) -> Response {
    pause.0.pause().await;
    if let Some(refusal) = unauthenticated(&app, &headers) {
        return refusal;
    }
    let bills = lock(&app.bills);
    match bills.get(&query.id.unwrap_or_default()).filter(visible) {
        Some(bill) => {
            let data: Vec<Value> = bill.payments.iter().map(|payment| payment.shown(bill, false)).collect();
            let links = json!({ "first": null, "last": null, "prev": null, "next": null });
            Json(json!({ "data": data, "links": links, "meta": { "per_page": 100 }, "success": true })).into_response()
        }
        None => refuse(StatusCode::NOT_FOUND, "Bill not found."),
    }
}

pub async fn payment(
    State(app): State<Shared>,
    Extension(pause): Extension<Pause>,
    Query(query): Query<Id>,
    headers: HeaderMap,
) -> Response {
    pause.0.pause().await;
    if let Some(refusal) = unauthenticated(&app, &headers) {
        return refusal;
    }
    let details = query.refunds == "1" || query.chargeback == "1";
    let bills = lock(&app.bills);
    match bills.of_payment(&query.id.unwrap_or_default()) {
        Some((bill, payment)) => Json(payment.shown(bill, details)).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "Payment not found."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(changes: &[(&str, &str)]) -> Result<NewBill, Errors> {
        let cfg = Config {
            public_url: String::new(),
            cardlink_token: String::new(),
            cardlink_secret: String::new(),
            cardlink_shop_id: "shop".to_owned(),
            shop_url: "http://127.0.0.1:8787".to_owned(),
            mail_api_key: String::new(),
        };
        let mut fields: HashMap<String, String> = [
            ("amount", "16"),
            ("shop_id", "shop"),
            ("order_id", "Order 123"),
            ("type", "normal"),
            ("currency_in", "USD"),
            ("payer_pays_commission", "1"),
            ("ttl", "600"),
            ("success_url", "http://127.0.0.1:8787/pay/return/success"),
            ("fail_url", "http://127.0.0.1:8787/pay/return/fail"),
            ("locale", "en"),
            ("payer_email", "a@example.com"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for (name, value) in changes {
            fields.insert((*name).to_owned(), (*value).to_owned());
        }
        check(&fields, &cfg)
    }

    #[test]
    fn a_complete_form_makes_a_bill() {
        let bill = checked(&[]).unwrap();
        assert!(bill.v1.unwrap().payer_pays_commission);
        assert_eq!(bill.webhook_url, "http://127.0.0.1:8787/api/webhooks/cardlink");
        assert!(
            !checked(&[("payer_pays_commission", "0")])
                .unwrap()
                .v1
                .unwrap()
                .payer_pays_commission
        );
    }

    #[test]
    fn each_wrong_field_is_named_alone() {
        for (name, value) in [
            ("amount", "0"),
            ("order_id", ""),
            ("type", "multi"),
            ("currency_in", "GBP"),
            ("payer_pays_commission", "true"),
            ("locale", "de"),
            ("payer_email", "nobody"),
            ("success_url", "https://elsewhere.example/"),
            ("fail_url", "/relative"),
            ("ttl", "0"),
        ] {
            let errors = checked(&[(name, value)]).unwrap_err();
            assert_eq!(errors.keys().collect::<Vec<_>>(), [&name], "{value}");
        }
    }
}
