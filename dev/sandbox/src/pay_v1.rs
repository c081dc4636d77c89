//! The buttons of a v1 bill.
//!
//! `pay` pays what is still open, `overpay` and `underpay` too much and too little (`?amount=` names the sum), `fail` fails an attempt.
//! Each sends its notice, and takes the browser to the shop's success or fail page the way v1 does it: by a form that the page submits,
//! which carries `OutSum`, `InvId` and a signature of the very formula of a payment notice. `refund` (`?amount=`, else all that is
//! left) and `chargeback` act on the last payment and send theirs. `expire` and `pending` send nothing: v1 has no notice for them.
//! After `slow-refunds` a refund asked for through the API stays in progress, until `end-refund` or `fail-refund` ends it with its notice.
//!
//! With `Accept: application/json` the answer waits for the notice's first answer and names what the browser would carry in
//! `return_form`. `pay?amount=&currency=` makes the bill itself report another amount or currency than was asked for.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::bills::{Bill, Shown, Status};
use crate::cardlink::amount;
use crate::pay::{Options, received, refuse};
use crate::payments::{State, usual_commission};
use crate::provider::lock;
use crate::webhook::{Delivery, Report, deliver};
use crate::{Shared, clock, pages, postback};

/// What a button did, before anything is sent.
struct Done {
    /// Below the Result URL, and the form.
    notice: Option<(&'static str, String)>,
    /// Where the browser goes, and what it carries there.
    back: Option<(String, Vec<(&'static str, String)>)>,
}

#[derive(Serialize)]
struct Acted {
    bill: Shown,
    return_url: Option<String>,
    return_form: Option<BTreeMap<&'static str, String>>,
    webhook: Option<Report>,
}

pub async fn act(app: Shared, bill_id: String, action: String, options: Options, copies: u32, as_json: bool) -> Response {
    let (done, bill) = {
        let mut bills = lock(&app.bills);
        let Some(bill) = bills.get_mut(&bill_id) else {
            return refuse(StatusCode::NOT_FOUND, "Bill not found.");
        };
        match press(bill, &action, &options, &app.cfg.cardlink_token) {
            Ok(done) => (done, bill.clone()),
            Err((status, sentence)) => return refuse(status, sentence),
        }
    };
    let delivery = done.notice.map(|(path, body)| Delivery {
        url: format!("{}{path}", bill.request.webhook_url),
        body,
        content_type: postback::CONTENT_TYPE,
        copies,
    });
    if as_json {
        let webhook = match delivery {
            Some(delivery) => Some(deliver(app, delivery, options.wait.as_deref() == Some("all")).await),
            None => None,
        };
        let (return_url, return_form) = done.back.map(|(url, fields)| (url, fields.into_iter().collect())).unzip();
        return Json(Acted {
            bill: bill.shown(clock::now()),
            return_url,
            return_form,
            webhook,
        })
        .into_response();
    }
    if let Some(delivery) = delivery {
        tokio::spawn(deliver(app, delivery, false));
    }
    match done.back {
        Some((url, fields)) => pages::back_to_shop(&url, &fields),
        None => Redirect::to(&format!("/pay/{bill_id}")).into_response(),
    }
}

fn press(bill: &mut Bill, action: &str, options: &Options, token: &str) -> Result<Done, (StatusCode, &'static str)> {
    let bad = |sentence| (StatusCode::BAD_REQUEST, sentence);
    let sum = received(options).map_err(|()| bad("amount must be like 12.34 and currency like USD."))?;
    let commission = match options.commission.as_deref() {
        Some(text) => Some(Decimal::from_str_exact(text).map_err(|_| bad("commission must be like 2.54."))?),
        None => None,
    };
    let now = clock::now();
    match action {
        "pay" => {
            if sum.0.is_some() || sum.1.is_some() {
                let (amount, currency) = bill.reported();
                bill.received = Some((sum.0.unwrap_or(amount), sum.1.unwrap_or_else(|| currency.to_owned())));
            }
            // A bill that is paid already sends its notice again.
            if !bill.rest().is_zero() {
                pay(bill, bill.rest(), commission);
            }
        }
        "overpay" => pay(bill, sum.0.unwrap_or(bill.rest() + Decimal::new(5, 0)), commission),
        "underpay" => {
            let less = sum.0.unwrap_or((bill.rest() / Decimal::TWO).round_dp(2));
            if less >= bill.rest() || less.is_zero() {
                return Err(bad("nothing less than that is open."));
            }
            pay(bill, less, commission);
        }
        "fail" => {
            let payment = bill.fail_payment(now).clone();
            let fail_url = bill.request.v1.as_ref().map(|terms| terms.fail_url.clone()).unwrap_or_default();
            return Ok(Done {
                notice: Some(("", postback::payment(bill, &payment, "FAIL", token))),
                back: Some((fail_url, postback::carried(bill, &payment, token))),
            });
        }
        "refund" => {
            let (payment, refund) = bill.refund(sum.0, now).ok_or_else(|| bad("there is not that much to give back."))?;
            return Ok(Done {
                notice: Some(("/refund", postback::refund(bill, &payment, &refund, token))),
                back: None,
            });
        }
        "slow-refunds" => {
            bill.slow_refunds = true;
            return Ok(Done { notice: None, back: None });
        }
        "end-refund" | "fail-refund" => {
            let state = if action == "end-refund" { State::Done } else { State::Failed };
            let (payment, refund) = bill.end_refund(state).ok_or_else(|| bad("no refund is in progress."))?;
            return Ok(Done {
                notice: Some(("/refund", postback::refund(bill, &payment, &refund, token))),
                back: None,
            });
        }
        "chargeback" => {
            let (payment, chargeback) = bill.charge_back(now).ok_or_else(|| bad("nothing was paid."))?;
            return Ok(Done {
                notice: Some(("/chargeback", postback::chargeback(bill, &payment, &chargeback, token))),
                back: None,
            });
        }
        "expire" | "pending" => {
            bill.move_to(if action == "expire" { Status::Expired } else { Status::Processing }, now);
            return Ok(Done { notice: None, back: None });
        }
        _ => {
            let sentence = "The actions are pay, overpay, underpay, fail, expire, pending, refund, chargeback, slow-refunds, end-refund and fail-refund.";
            return Err((StatusCode::NOT_FOUND, sentence));
        }
    }
    let payment = bill.last_paid().cloned().ok_or_else(|| bad("nothing was paid."))?;
    Ok(Done {
        notice: Some(("", postback::payment(bill, &payment, bill.status(now).v1_name(), token))),
        back: Some((bill.request.return_url.clone(), postback::carried(bill, &payment, token))),
    })
}

fn pay(bill: &mut Bill, price: Decimal, commission: Option<Decimal>) {
    let commission = commission.unwrap_or_else(|| usual_commission(price));
    bill.take_payment(price, commission, clock::now());
}

/// Half of what is left of the last payment, for the button; `None` where there is nothing to halve.
pub fn half_refund(bill: &Bill) -> Option<Decimal> {
    let payment = bill.last_paid()?;
    amount(&(payment.left() / Decimal::TWO).round_dp(2).to_string())
}
