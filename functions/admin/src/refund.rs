//! `POST /api/admin/orders/{id}/refund` `{reason, amount?, revokeUnused?}`: money of an order is to be given back
//!
//! 1. 400 with each wrong field: `reason` is 1 to 500 characters; `amount` is positive with at most two decimals, and without it all that is
//!    left goes back; `revokeUnused` overrides the shop's setting `refund_revoke_unused`.
//! 2. The shop speaks contract v2, which knows no refunds: 409 `refund_not_supported`.
//! 3. Not of this shop, or no UUID: 404 `order_not_found`. No money in, or none left: 409 `order_not_refundable`. More than is left, refunds on
//!    their way counted: 409 `refund_too_large`, with what is left in `fields.amount`. Nothing written.
//! 4. 200 with the order, its refund `approved`. Jobs asks the provider at once; the refund becomes `completed`, or `rejected` with an alert.

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use shared::cardlink::Api;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::read::{self, Fields};
use crate::staff::Staff;
use crate::wire::Order;
use crate::{Config, wake};

// A repeat would give money back twice.
const REFUND_ORDER: Rpc = Rpc::once("refund_order");

#[derive(Debug, PartialEq, Serialize)]
struct Wanted {
    order_id: Uuid,
    reason: Option<String>,
    amount: Option<Amount>,
    revoke_unused: Option<bool>,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Answer {
    Ok { order: Box<Order> },
    OrderNotFound,
    OrderNotRefundable,
    RefundTooLarge { left: Amount },
}

pub async fn order(config: &Config, request: &Incoming, staff: &Staff, id: &str) -> Result<Response<String>, ApiError> {
    let order_id: Uuid = id.parse().map_err(|_| Code::OrderNotFound)?;
    let wanted = wanted(order_id, Fields::of(request)?)?;
    match config.cardlink {
        Api::V1 => {}
        Api::V2 => return Err(Code::RefundNotSupported.into()),
    }
    match staff.call(REFUND_ORDER, &wanted).await? {
        Answer::Ok { order } => {
            wake::jobs(config, request, &["refunds"]);
            edge::json(StatusCode::OK, &order)
        }
        Answer::OrderNotFound => Err(Code::OrderNotFound.into()),
        Answer::OrderNotRefundable => Err(Code::OrderNotRefundable.into()),
        Answer::RefundTooLarge { left } => Err(ApiError::new(Code::RefundTooLarge).field("amount", format!("must be at most {left}"))),
    }
}

fn wanted(order_id: Uuid, mut fields: Fields<'_>) -> Result<Wanted, ApiError> {
    fields.require(&["reason"]);
    let wanted = Wanted {
        order_id,
        reason: fields.name("reason", 500),
        amount: fields.amount("amount", "must be a positive amount such as 12.50", |amount| !amount.is_zero()),
        revoke_unused: fields.value("revokeUnused", "must be true or false", read::typed),
    };
    fields.problems.check()?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Wanted, ApiError> {
        wanted(Uuid::nil(), Fields::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn only_the_reason_is_needed() {
        let whole = read(r#"{"reason": " Wrong card. ", "amount": null}"#).unwrap();
        assert_eq!(
            (whole.reason.as_deref(), whole.amount, whole.revoke_unused),
            (Some("Wrong card."), None, None)
        );
        let part = read(r#"{"reason": "Goodwill", "amount": "10.5", "revokeUnused": false}"#).unwrap();
        assert_eq!((part.amount, part.revoke_unused), (Some("10.50".parse().unwrap()), Some(false)));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (name, body) in [
            ("reason", "{}"),
            ("reason", r#"{"reason": "  "}"#),
            ("amount", r#"{"reason": "r", "amount": 0}"#),
            ("amount", r#"{"reason": "r", "amount": "0.00"}"#),
            ("amount", r#"{"reason": "r", "amount": -1}"#),
            ("amount", r#"{"reason": "r", "amount": "1.005"}"#),
            ("amount", r#"{"reason": "r", "amount": 1e2}"#),
            ("amount", r#"{"reason": "r", "amount": "all"}"#),
            ("revokeUnused", r#"{"reason": "r", "revokeUnused": "yes"}"#),
        ] {
            let answer = read(body).unwrap_err().response("r");
            assert!(answer.body().contains(&format!("\"{name}\":")), "{body}: {}", answer.body());
        }
    }
}
