//! The daily reconciliation: reads what the provider lists, page by page, and lets the database compare (`api.begin_reconciliation`).
//!
//! Where the reading stands is kept there, so that a run goes on where the one before had used up its requests. Under v1 the provider
//! lists its bills and payments; v2 has no list, so each bill of the days is asked about.
//!
//! A provider that does not answer fails the run, which is tried again later; one bill it gives no usable answer about does not.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::calls::Allowance;
use shared::cardlink::BillStatus;
use shared::cardlink::client::{Span, Unconfirmed};
use shared::cardlink::v1;
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::bills::{self, Bill};
use crate::handler::Now;

/// Bills asked about at once (v2).
const BATCH: u32 = 10;
const BEGIN: Rpc = Rpc::idempotent("begin_reconciliation");
const CONTINUE: Rpc = Rpc::idempotent("continue_reconciliation");

#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Reports written, one for each shop and day.
    pub reports: u64,
    pub differences: u64,
    /// The reading is not at its end.
    pub more: bool,
}

#[derive(Deserialize)]
struct Told {
    #[serde(flatten)]
    step: Step,
    #[serde(default)]
    reports: u64,
    #[serde(default)]
    differences: u64,
}

#[derive(Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
enum Step {
    Bills(Page),
    Payments(Page),
    Ask { run_id: Uuid, bills: Vec<Asked> },
    Report { run_id: Uuid },
    Done,
}

#[derive(Deserialize)]
struct Page {
    run_id: Uuid,
    from: String,
    to: String,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    bill_id: String,
    order_id: Uuid,
}

pub async fn run(config: &Config, now: Now, allowance: &Allowance) -> Result<Report, ApiError> {
    let mut report = Report::default();
    let begin = json!({"now": now, "api": config.cardlink.api().name(), "limit": BATCH});
    let mut told: Told = config.db.call(BEGIN, &begin).await?;
    loop {
        report.reports += told.reports;
        report.differences += told.differences;
        let mut p = match told.step {
            Step::Done => return Ok(report),
            // A page and the call that keeps it.
            _ if allowance.left() < 2 => break,
            Step::Bills(page) => bills_page(config, &page).await?,
            Step::Payments(page) => payments_page(config, &page).await?,
            Step::Ask { run_id, bills } => ask(config, run_id, bills, allowance).await?,
            Step::Report { run_id } => json!({"run_id": run_id, "step": "report"}),
        };
        p["now"] = json!(now);
        p["limit"] = json!(BATCH);
        told = config.db.call(CONTINUE, &p).await?;
    }
    report.more = true;
    Ok(report)
}

fn span<'a>(config: &'a Config, page: &'a Page) -> Span<'a> {
    Span {
        from: &page.from,
        to: &page.to,
        shop_id: config.cardlink_shop_id.as_deref(),
        cursor: page.cursor.as_deref(),
    }
}

fn no_list(error: Unconfirmed) -> ApiError {
    ApiError::new(Code::ProviderUnavailable).detail(format!("the provider's list: {error}"))
}

async fn bills_page(config: &Config, page: &Page) -> Result<Value, ApiError> {
    let found = config.cardlink.bills_between(span(config, page)).await.map_err(no_list)?;
    let bills: Vec<Value> = found.data.iter().map(bill_row).collect();
    Ok(json!({"run_id": page.run_id, "step": "bills", "cursor": page.cursor, "next_cursor": found.next_cursor(), "bills": bills}))
}

async fn payments_page(config: &Config, page: &Page) -> Result<Value, ApiError> {
    let found = config.cardlink.payments_between(span(config, page)).await.map_err(no_list)?;
    let payer_pays = config.cardlink.payer_pays_commission();
    let payments: Vec<Value> = found.data.iter().filter_map(|payment| payment_row(payment, payer_pays)).collect();
    Ok(json!({"run_id": page.run_id, "step": "payments", "cursor": page.cursor, "next_cursor": found.next_cursor(), "payments": payments}))
}

fn bill_row(bill: &v1::BillState) -> Value {
    // The documents' times are UTC.
    let created_at = bill.created_at.as_deref().map(|at| at.replacen(' ', "T", 1) + "Z");
    json!({"bill_id": bill.id, "order_ref": bill.order_id, "status": BillStatus::from_v1(&bill.status), "amount": bill.amount,
           "currency": bill.currency_in, "created_at": created_at})
}

/// `None` for a payment that brought nothing.
fn payment_row(payment: &v1::Payment, payer_pays_commission: bool) -> Option<Value> {
    if !BillStatus::from_v1(&payment.status).has_money() {
        return None;
    }
    let received = match (payment.amount, payment.commission) {
        (Some(amount), Some(commission)) if payer_pays_commission => Some(amount.saturating_sub(commission)),
        (_, None) if payer_pays_commission => None,
        (amount, _) => amount,
    };
    Some(
        json!({"payment_id": payment.id, "bill_id": payment.bill_id, "received": received, "refunded": payment.refunded_amount,
                "commission": payment.commission}),
    )
}

async fn ask(config: &Config, run_id: Uuid, asked: Vec<Asked>, allowance: &Allowance) -> Result<Value, ApiError> {
    let fits = allowance.fits(1, 1) as usize;
    let looks = join_all(asked.into_iter().take(fits).map(async |bill| {
        let bill = Bill {
            order_id: bill.order_id,
            bill_id: bill.bill_id,
            amount: shared::money::Amount::ZERO,
            currency: String::new(),
        };
        let state = bills::look(config, &bill).await;
        (bill.bill_id, state)
    }))
    .await;
    let silent = |error: &Unconfirmed| matches!(error, Unconfirmed::NoAnswer(_) | Unconfirmed::Status(500..));
    if let Some((_, Err(error))) = looks.first()
        && looks.iter().all(|(_, look)| look.as_ref().is_err_and(silent))
    {
        return Err(no_list(*error));
    }
    let bills: Vec<Value> = looks
        .into_iter()
        .map(|(bill_id, look)| match look {
            Ok(state) => json!({"bill_id": bill_id, "status": state.status, "amount": state.amount, "currency": state.currency}),
            Err(Unconfirmed::NotFound) => json!({"bill_id": bill_id, "status": "unknown"}),
            Err(_) => json!({"bill_id": bill_id, "status": "unanswered"}),
        })
        .collect();
    Ok(json!({"run_id": run_id, "step": "ask", "bills": bills}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_with_what_was_done_before_it() {
        let told: Told = serde_json::from_str(
            r#"{"run_id":"00000000-0000-0000-0000-000000000000","step":"bills","from":"2026-11-19 23:00:00","to":"x","cursor":null,"reports":2,"differences":1}"#,
        )
        .unwrap();
        assert!(matches!(told.step, Step::Bills(Page { cursor: None, .. })));
        assert_eq!((told.reports, told.differences), (2, 1));
        let done: Told = serde_json::from_str(r#"{"step":"done"}"#).unwrap();
        assert!(matches!(done.step, Step::Done));
    }

    #[test]
    fn a_listed_payment_counts_without_the_commission_its_payer_bore() {
        let payment = |json: &str| serde_json::from_str::<v1::Payment>(json).unwrap();
        let paid = payment(r#"{"id":"p","bill_id":"b","status":"SUCCESS","amount":"38.89","commission":"1.39","refunded_amount":"7.5"}"#);
        assert_eq!(payment_row(&paid, true).unwrap()["received"], "37.50");
        assert_eq!(payment_row(&paid, false).unwrap()["received"], "38.89");
        assert_eq!(payment_row(&paid, true).unwrap()["refunded"], "7.50");
        let unreadable = payment(r#"{"id":"p","bill_id":"b","status":"SUCCESS","amount":"38.89"}"#);
        assert_eq!(payment_row(&unreadable, true).unwrap()["received"], Value::Null);
        assert_eq!(
            payment_row(&payment(r#"{"id":"p","bill_id":"b","status":"FAIL","amount":"38.89"}"#), true),
            None
        );
    }

    #[test]
    fn a_listed_bill_is_told_in_our_words() {
        let bill = r#"{"id":"b","order_id":"o","status":"OVERPAID","amount":37.5,"currency_in":"USD","created_at":"2026-11-19 10:00:00"}"#;
        assert_eq!(
            bill_row(&serde_json::from_str(bill).unwrap()),
            json!({"bill_id": "b", "order_ref": "o", "status": "overpaid", "amount": "37.50", "currency": "USD", "created_at": "2026-11-19T10:00:00Z"})
        );
    }
}
