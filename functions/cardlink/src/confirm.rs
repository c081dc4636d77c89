//! A v1 notice, from its form to the answer
//!
//! 1. Nothing in the body (the provider's test call): 200 `ping`. Not a form: 415. A signed field missing, one twice, not UTF-8: 400.
//!    Nothing written.
//! 2. Signature wrong or missing: 401 `invalid_signature`; one counter row per minute, no body kept.
//! 3. `api.find_bill`: which bill is this about? Not known: 404 `payment_not_found`; the notice is parked.
//! 4. The provider is asked: `GET bill/status` for a payment, `GET payment/status` for a refund or chargeback. From here on only its
//!    answer counts; the notice was a hint. Not reached, or no usable answer: 503 `provider_unavailable` with `Retry-After`, and a log row.
//! 5. `api.settle_payment`, `api.settle_refund` or `api.settle_chargeback`, one transaction. 200 with the outcome.
//! 6. Database not reached in 3 or 5: 503 `database_unavailable` with `Retry-After`.
//!
//! Two calls to the database, one or two to the provider.

use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::cardlink::client::{Client, Unconfirmed};
use shared::cardlink::refunds;
use shared::cardlink::v1::Payment;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;

use crate::Config;
use crate::handler::{self, Outcome};
use crate::v1::{self, Kind, Verified};

const FIND_BILL: Rpc = Rpc::idempotent("find_bill");
const SETTLE_REFUND: Rpc = Rpc::idempotent("settle_refund");
const SETTLE_CHARGEBACK: Rpc = Rpc::idempotent("settle_chargeback");

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Found {
    Found { order_id: String, bill_id: String },
    PaymentNotFound,
}

pub async fn notice(config: &Config, client: &Client, request: &Incoming, kind: Kind) -> Result<Response<String>, ApiError> {
    if v1::is_empty_call(&request.body) {
        return edge::json(StatusCode::OK, &json!({"outcome": "ping", "requestId": request.request_id}));
    }
    request.expect_content_type(&["application/x-www-form-urlencoded"])?;
    let notice = match v1::verify(kind, client.token(), &request.body) {
        Ok(notice) => notice,
        Err(refusal) => return Err(handler::refuse(config, refusal).await),
    };
    let Found::Found { order_id, bill_id } = find_bill(config, request, &notice).await? else {
        return Err(Code::PaymentNotFound.into());
    };
    let settled = match kind {
        Kind::Payment => payment(config, client, request, &notice, &order_id, &bill_id).await?,
        Kind::Refund | Kind::Chargeback => reversal(config, client, request, &notice, &bill_id).await?,
    };
    handler::answer(config, request, settled)
}

async fn find_bill(config: &Config, request: &Incoming, notice: &Verified) -> Result<Found, ApiError> {
    let p = json!({
        "source": "cardlink", "kind": notice.kind().name(), "ref": notice.reference(), "raw_status": raw_status(notice.field("Status")),
        "headers": handler::logged_headers(request), "body": notice.logged(), "elapsed_ms": handler::elapsed_ms(request),
    });
    match config.db.call(FIND_BILL, &p).await {
        Ok(found) => Ok(found),
        Err(error) => Err(handler::not_settled(config, None, raw_status(notice.field("Status")), error).await),
    }
}

async fn payment(
    config: &Config,
    client: &Client,
    request: &Incoming,
    notice: &Verified,
    order_id: &str,
    bill_id: &str,
) -> Result<Outcome, ApiError> {
    let state = match client.bill_state(bill_id, order_id).await {
        Ok(state) => state,
        Err(problem) => return Err(unconfirmed(config, bill_id, "bill/status", problem).await),
    };
    let p = json!({
        "source": "cardlink", "provider_api": "v1", "origin": "webhook", "bill_id": bill_id, "status": state.status, "raw_status": state.raw_status,
        "amount": state.amount, "received": state.received, "currency": state.currency, "signature_form": "md5",
        "headers": handler::logged_headers(request), "body": {"notice": notice.logged(), "confirmed": state}, "elapsed_ms": handler::elapsed_ms(request),
    });
    handler::settle(config, handler::SETTLE_PAYMENT, bill_id, &state.raw_status, &p).await
}

async fn reversal(config: &Config, client: &Client, request: &Incoming, notice: &Verified, bill_id: &str) -> Result<Outcome, ApiError> {
    let payment = match client.payment(notice.field("PaymentId"), bill_id).await {
        Ok(payment) => payment,
        Err(problem) => return Err(unconfirmed(config, bill_id, "payment/status", problem).await),
    };
    let mut p = match notice.kind() {
        Kind::Chargeback => confirmed_chargeback(&payment, notice.field("Id")),
        Kind::Payment | Kind::Refund => confirmed_refund(&payment, notice.field("Id")),
    };
    let confirmed = p.clone();
    let common = json!({
        "source": "cardlink", "provider_api": "v1", "bill_id": bill_id, "payment_id": payment.id, "raw_status": raw_status(notice.field("Status")),
        "signature_form": "md5", "headers": handler::logged_headers(request), "body": {"notice": notice.logged(), "confirmed": confirmed},
        "elapsed_ms": handler::elapsed_ms(request),
    });
    if let (Value::Object(p), Value::Object(common)) = (&mut p, common) {
        p.extend(common);
    }
    let rpc = if notice.kind() == Kind::Chargeback {
        SETTLE_CHARGEBACK
    } else {
        SETTLE_REFUND
    };
    handler::settle(config, rpc, bill_id, raw_status(notice.field("Status")), &p).await
}

/// What has been given back of a payment: in all, and refund by refund where the provider lists them.
fn confirmed_refund(payment: &Payment, refund_id: &str) -> Value {
    json!({
        "refund_id": refund_id, "refunded_amount": refunds::total(payment), "refunds": refunds::done(payment), "currency": payment.currency_in,
    })
}

/// Whether the provider has this chargeback, and has it as done: one that is only claimed, or was won by the shop, moves nothing.
fn confirmed_chargeback(payment: &Payment, chargeback_id: &str) -> Value {
    json!({
        "chargeback_id": chargeback_id, "confirmed": payment.chargeback.iter().any(|found| found.id == chargeback_id && found.is_done()),
    })
}

/// The notice is genuine as far as we can tell, but the provider's word is missing: it must come again.
async fn unconfirmed(config: &Config, bill_id: &str, call: &str, problem: Unconfirmed) -> ApiError {
    let detail = format!("{call}: {problem}");
    handler::log_failure(config, Some(bill_id), "503", &detail).await;
    ApiError::new(Code::ProviderUnconfirmed).detail(detail)
}

/// The notice's own word, for the log. It is signed by nobody, so it is cut short.
fn raw_status(word: &str) -> &str {
    let end = word.char_indices().nth(32).map_or(word.len(), |(end, _)| end);
    if word.contains('\0') { "" } else { &word[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(members: &str) -> Payment {
        serde_json::from_str(&format!(r#"{{"id":"p","bill_id":"b","status":"SUCCESS"{members}}}"#)).unwrap()
    }

    #[test]
    fn a_refund_is_what_the_provider_has_done_not_what_it_plans() {
        let p = confirmed_refund(
            &payment(
                r#","currency_in":"USD","refunded_amount":"7.50","refunds":[{"id":"r1","status":"SUCCESS","amount":"7.50"},{"id":"r2","status":"PROCESS","amount":"30"}]"#,
            ),
            "r2",
        );
        assert_eq!(
            p,
            json!({"refund_id": "r2", "refunded_amount": "7.50", "refunds": [{"id": "r1", "amount": "7.50"}], "currency": "USD"})
        );
    }

    #[test]
    fn the_total_and_the_list_each_serve_alone() {
        let total_only = confirmed_refund(&payment(r#","refunded_amount":7.5"#), "r1");
        assert_eq!(
            (&total_only["refunded_amount"], &total_only["refunds"]),
            (&json!("7.50"), &json!([]))
        );
        let list_only = confirmed_refund(
            &payment(r#","refunds":[{"id":"r1","status":"SUCCESS","amount":5},{"id":"r2","status":"SUCCESS","amount":2.5}]"#),
            "r1",
        );
        assert_eq!(list_only["refunded_amount"], "7.50");
        assert_eq!(confirmed_refund(&payment(""), "r1")["refunded_amount"], "0.00");
    }

    #[test]
    fn a_chargeback_counts_when_the_provider_has_this_one_as_done() {
        for (members, confirmed) in [
            (r#","chargeback":{"id":"c1","status":"SUCCESS"}"#, true),
            (
                r#","chargeback":[{"id":"c0","status":"FAIL"},{"id":"c1","status":"SUCCESS"}]"#,
                true,
            ),
            (r#","chargeback":{"id":"c2","status":"SUCCESS"}"#, false),
            (r#","chargeback":{"id":"c1","status":"PROCESS"}"#, false),
            (r#","chargeback":null"#, false),
            ("", false),
        ] {
            assert_eq!(confirmed_chargeback(&payment(members), "c1")["confirmed"], confirmed, "{members}");
        }
    }
}
