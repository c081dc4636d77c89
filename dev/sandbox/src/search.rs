//! Cardlink v1: `GET /cardlink/v1/bill/search` and `/payment/search`, the lists a shop compares its books with.
//!
//! `start_date` and `finish_date` (`YYYY-MM-DD HH:MM:SS`, UTC, both included), `shop_id`, `per_page` (at most 100) and `cursor`. Oldest first.
//! `{"data":[...],"links":{...},"meta":{"per_page","next_cursor"}}`; the last page has no `next_cursor`.
//!
//! `PUT /bills/{id}/lie {"hidden": true, "status": "NEW", "amount": "99.00"}`, for tests: what looks and lists of both contracts say of the bill from
//! then on, whatever is true. `{}` ends it.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, NaiveDateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bills::Bill;
use crate::cardlink;
use crate::cardlink_v1::{self, unauthenticated};
use crate::provider::{Pause, lock, refuse};
use crate::{Shared, clock};

const MAX_PAGE: usize = 100;

/// What a test has the provider say of a bill.
#[derive(Clone, Debug, Default)]
pub struct Lie {
    /// There is no such bill.
    pub hidden: bool,
    /// The contract's own word.
    pub status: Option<String>,
    pub amount: Option<Decimal>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NewLie {
    hidden: bool,
    status: Option<String>,
    amount: Option<String>,
}

pub async fn lie(State(app): State<Shared>, Path(bill_id): Path<String>, body: Bytes) -> Response {
    let Ok(new) = serde_json::from_slice::<NewLie>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "hidden, status and amount, or none of them.");
    };
    let amount = new.amount.as_deref().map(cardlink::amount);
    if amount.is_some_and(|amount| amount.is_none()) {
        return refuse(StatusCode::BAD_REQUEST, "The amount must be like 12.34.");
    }
    let mut bills = lock(&app.bills);
    let Some(bill) = bills.get_mut(&bill_id) else {
        return refuse(StatusCode::NOT_FOUND, "Bill not found.");
    };
    bill.lie = Lie {
        hidden: new.hidden,
        status: new.status,
        amount: amount.flatten(),
    };
    Json(bill.shown(clock::now())).into_response()
}

#[derive(Deserialize)]
pub struct Search {
    start_date: Option<String>,
    finish_date: Option<String>,
    shop_id: Option<String>,
    per_page: Option<usize>,
    cursor: Option<String>,
}

impl Search {
    /// `None` where a date cannot be read or the shop is another.
    fn checked(&self, app: &Shared) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let date = |text: &Option<String>, none: DateTime<Utc>| match text {
            Some(text) => NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok().map(|at| at.and_utc()),
            None => Some(none),
        };
        let own = self.shop_id.as_ref().is_none_or(|id| *id == app.cfg.cardlink_shop_id);
        let span = (
            date(&self.start_date, DateTime::<Utc>::MIN_UTC)?,
            date(&self.finish_date, DateTime::<Utc>::MAX_UTC)?,
        );
        own.then_some(span)
    }

    /// One page of the rows, each with its id, and where the next one begins: after the id that the cursor names.
    fn page<T>(&self, rows: Vec<(String, T)>) -> (Vec<T>, Option<String>) {
        let size = self.per_page.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        let start = self.cursor.as_ref().map_or(0, |cursor| {
            rows.iter()
                .position(|(id, _)| id == cursor)
                .map_or(rows.len(), |position| position + 1)
        });
        let more = rows.len() > start + size;
        let page: Vec<(String, T)> = rows.into_iter().skip(start).take(size).collect();
        let next = page.last().filter(|_| more).map(|(id, _)| id.clone());
        (page.into_iter().map(|(_, row)| row).collect(), next)
    }
}

#[derive(Serialize)]
struct Listed<T> {
    data: Vec<T>,
    links: Value,
    meta: Value,
    success: bool,
}

fn listed<T: Serialize>(data: Vec<T>, next_cursor: Option<String>) -> Response {
    Json(Listed {
        links: json!({ "first": null, "last": null, "prev": null, "next": null }),
        meta: json!({ "per_page": data.len(), "next_cursor": next_cursor }),
        data,
        success: true,
    })
    .into_response()
}

/// v1 bills that may be seen, oldest first.
fn seen(bills: &crate::bills::Bills) -> Vec<&Bill> {
    let mut found: Vec<&Bill> = bills.list().filter(|bill| bill.request.v1.is_some() && !bill.lie.hidden).collect();
    found.reverse();
    found
}

pub async fn bills(
    State(app): State<Shared>,
    Extension(pause): Extension<Pause>,
    Query(search): Query<Search>,
    headers: HeaderMap,
) -> Response {
    pause.0.pause().await;
    if let Some(refusal) = unauthenticated(&app, &headers) {
        return refusal;
    }
    let Some((from, to)) = search.checked(&app) else {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "The given data was invalid.");
    };
    let bills = lock(&app.bills);
    let rows: Vec<(String, Box<RawValue>)> = seen(&bills)
        .into_iter()
        .filter(|bill| (from..=to).contains(&bill.created_at))
        .filter_map(|bill| Some((bill.id.clone(), cardlink_v1::state_json(bill)?)))
        .collect();
    let (data, next) = search.page(rows);
    listed(data, next)
}

pub async fn payments(
    State(app): State<Shared>,
    Extension(pause): Extension<Pause>,
    Query(search): Query<Search>,
    headers: HeaderMap,
) -> Response {
    pause.0.pause().await;
    if let Some(refusal) = unauthenticated(&app, &headers) {
        return refusal;
    }
    let Some((from, to)) = search.checked(&app) else {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "The given data was invalid.");
    };
    let bills = lock(&app.bills);
    let rows: Vec<(String, Value)> = seen(&bills)
        .into_iter()
        .flat_map(|bill| bill.payments.iter().map(move |payment| (bill, payment)))
        .filter(|(_, payment)| (from..=to).contains(&payment.created_at))
        .map(|(bill, payment)| (payment.id.clone(), payment.shown(bill, false)))
        .collect();
    let (data, next) = search.page(rows);
    listed(data, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(per_page: usize, cursor: Option<&str>) -> Search {
        Search {
            start_date: None,
            finish_date: None,
            shop_id: None,
            per_page: Some(per_page),
            cursor: cursor.map(str::to_owned),
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let rows = || (0..5).map(|n| (format!("id{n}"), n)).collect::<Vec<_>>();
        assert_eq!(search(2, None).page(rows()), (vec![0, 1], Some("id1".to_owned())));
        assert_eq!(search(2, Some("id1")).page(rows()), (vec![2, 3], Some("id3".to_owned())));
        assert_eq!(search(2, Some("id3")).page(rows()), (vec![4], None));
        assert_eq!(search(5, None).page(rows()), (vec![0, 1, 2, 3, 4], None));
        assert_eq!(search(5, Some("gone")).page(rows()), (vec![], None));
    }
}
