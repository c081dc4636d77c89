//! Orders in the hands of staff.
//!
//! `GET /api/admin/orders?status=&fulfilment=&from=&to=&email=&min_amount=&max_amount=&limit=&cursor=`
//! 1. A filter that cannot be read: 400, each named. `status` may be `all`; `from` and `to` are days of the shop (`to` included) or RFC 3339
//!    times; `email` is part of the buyer's or recipient's address; amounts are of the whole order, both included.
//! 2. 200 `{orders, nextCursor}`, newest first, 50 or `limit` (at most 100) a page; `nextCursor` is null on the last.
//!
//! `POST /api/admin/orders/{id}/resend` (no body): the codes are mailed again, to the address of the order.
//! 1. Not of this shop, or no UUID: 404 `order_not_found`. Without codes: 409 `order_not_delivered`.
//! 2. 200 with the order. A new mail row is in the outbox; where one was still waiting, that one goes out now instead.
//!
//! `POST /api/admin/orders/{id}/resolve` `{action: "deliver" | "close", note}`: ends a `manual_review`.
//! 1. 404 as above. Not under review: 409 `order_not_in_review`.
//! 2. `deliver` accepts the payment as it came in: the order gets its codes, and the mail follows. Too few codes: 409 `out_of_stock`; all of
//!    the money is being given back: 409 `refund_pending`. Nothing changed then.
//! 3. `close` gives no codes and frees those reserved. The money stays booked; giving it back is [`crate::refund`].
//! 4. 200 with the order; its alert is closed.

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::read::{Fields, Query};
use crate::staff::Staff;
use crate::wire::Order;
use crate::{Config, wake};

const STAFF_ORDERS: Rpc = Rpc::idempotent("staff_orders");
// A second mail row, or a second decision, must not follow from a repeat.
const RESEND_ORDER: Rpc = Rpc::once("resend_order");
const RESOLVE_ORDER: Rpc = Rpc::once("resolve_order");
const STATUSES: [&str; 9] = [
    "all",
    "pending",
    "paid",
    "manual_review",
    "failed",
    "expired",
    "partially_refunded",
    "refunded",
    "chargeback",
];
const FULFILMENTS: [&str; 5] = ["none", "reserved", "waiting", "delivered", "revoked"];

#[derive(Debug, PartialEq, Serialize)]
struct Filter {
    status: Option<String>,
    fulfilment: Option<String>,
    from: Option<String>,
    to: Option<String>,
    email: Option<String>,
    min_amount: Option<Amount>,
    max_amount: Option<Amount>,
    limit: Option<u32>,
    after_us: Option<String>,
    after_id: Option<Uuid>,
}

#[derive(Deserialize)]
struct Found {
    orders: Vec<Order>,
    next: Option<Next>,
}

/// Where the next page begins: after the order created at this microsecond with this id.
#[derive(Deserialize)]
struct Next {
    us: String,
    id: Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    orders: Vec<Order>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Acted {
    Ok { order: Box<Order> },
    OrderNotFound,
    OrderNotDelivered,
    OrderNotInReview,
    RefundPending,
    OutOfStock,
}

pub async fn list(request: &Incoming, staff: &Staff) -> Result<Response<String>, ApiError> {
    let filter = filter(Query::of(request))?;
    let found: Found = staff.call(STAFF_ORDERS, &filter).await?;
    let next_cursor = found.next.map(|next| format!("{}_{}", next.us, next.id));
    edge::json(
        StatusCode::OK,
        &Page {
            orders: found.orders,
            next_cursor,
        },
    )
}

fn filter(mut query: Query) -> Result<Filter, ApiError> {
    let after = query.value("cursor", "must be the nextCursor of an answer", cursor);
    let filter = Filter {
        status: query.word("status", &STATUSES).filter(|status| status != "all"),
        fulfilment: query.word("fulfilment", &FULFILMENTS),
        from: query.day_or_time("from"),
        to: query.day_or_time("to"),
        email: query.value("email", "must be at most 254 characters", |text| {
            (text.len() <= 254 && !text.contains('\0')).then(|| text.to_owned())
        }),
        min_amount: query.amount("min_amount"),
        max_amount: query.amount("max_amount"),
        limit: query.limit(100),
        after_us: after.as_ref().map(|(us, _)| us.clone()),
        after_id: after.map(|(_, id)| id),
    };
    query.problems.check()?;
    Ok(filter)
}

fn cursor(text: &str) -> Option<(String, Uuid)> {
    let (us, id) = text.split_once('_')?;
    // Sixteen digits last until the year 2286, and never leave what the database can add.
    let plain = (1..=16).contains(&us.len()) && us.bytes().all(|b| b.is_ascii_digit());
    plain.then_some((us.to_owned(), id.parse().ok()?))
}

pub async fn resend(config: &Config, request: &Incoming, staff: &Staff, id: &str) -> Result<Response<String>, ApiError> {
    let id: Uuid = id.parse().map_err(|_| Code::OrderNotFound)?;
    answer(config, request, staff.call(RESEND_ORDER, &json!({"order_id": id})).await?)
}

pub async fn resolve(config: &Config, request: &Incoming, staff: &Staff, id: &str) -> Result<Response<String>, ApiError> {
    let id: Uuid = id.parse().map_err(|_| Code::OrderNotFound)?;
    let mut fields = Fields::of(request)?;
    fields.require(&["action", "note"]);
    let action = fields.word("action", &["deliver", "close"]);
    let note = fields.name("note", 500);
    fields.problems.check()?;
    answer(
        config,
        request,
        staff
            .call(RESOLVE_ORDER, &json!({"order_id": id, "action": action, "note": note}))
            .await?,
    )
}

fn answer(config: &Config, request: &Incoming, acted: Acted) -> Result<Response<String>, ApiError> {
    match acted {
        Acted::Ok { order } => {
            // Codes that were freed may serve an order that waits; a mail may be due.
            wake::jobs(config, request, &["fulfil_waiting", "outbox"]);
            edge::json(StatusCode::OK, &order)
        }
        Acted::OrderNotFound => Err(Code::OrderNotFound.into()),
        Acted::OrderNotDelivered => Err(Code::OrderNotDelivered.into()),
        Acted::OrderNotInReview => Err(Code::OrderNotInReview.into()),
        Acted::RefundPending => Err(Code::RefundPending.into()),
        Acted::OutOfStock => Err(Code::OutOfStock.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_passed_on_checked() {
        let id = Uuid::from_u128(7);
        let text = format!("status=paid&from=2026-01-01&email=Buyer%40&min_amount=10&limit=100&cursor=1789999999123456_{id}");
        let filter = filter(Query::parse(&text)).unwrap();
        assert_eq!(
            (filter.status.as_deref(), filter.from.as_deref(), filter.email.as_deref()),
            (Some("paid"), Some("2026-01-01"), Some("Buyer@"))
        );
        assert_eq!((filter.after_us.as_deref(), filter.after_id), (Some("1789999999123456"), Some(id)));
        assert_eq!(super::filter(Query::parse("status=all")).unwrap().status, None);
    }

    #[test]
    fn filters_that_cannot_be_read_are_named() {
        for (name, text) in [
            ("status", "status=lost"),
            ("fulfilment", "fulfilment=lost"),
            ("from", "from=yesterday"),
            ("to", "to=2026-13-01"),
            ("min_amount", "min_amount=-1"),
            ("max_amount", "max_amount=1,5"),
            ("limit", "limit=0"),
            ("limit", "limit=101"),
            ("cursor", "cursor=1"),
            ("cursor", "cursor=99999999999999999_00000000-0000-4000-8000-000000000001"),
        ] {
            let answer = filter(Query::parse(text)).unwrap_err().response("r");
            assert!(answer.body().contains(&format!("\"{name}\"")), "{text}: {}", answer.body());
        }
    }
}
