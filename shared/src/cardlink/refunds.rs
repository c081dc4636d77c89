//! Giving money back under v1: the call, what its answer means, and how to find a refund whose answer was lost.
//!
//! The provider takes no idempotency key, so a refund must never be asked for twice because an answer did not come. Before it is asked for,
//! the refunds its payment has already are noted ([`Before`]); afterwards [`find`] tells this one from those.

use serde::{Deserialize, Serialize};
use url::form_urlencoded::Serializer;

use super::BillStatus;
use super::v1::{Flag, Payment, Payments, Refused, Reversal};
use crate::money::Amount;

/// `POST {base}/refund/full/create` or `/refund/partial/create`.
#[derive(Debug)]
pub struct Create<'a> {
    pub payment_id: &'a str,
    /// Our refund's id; whether the provider shows it again its documents do not say.
    pub order_id: &'a str,
    /// `None`: all of the payment.
    pub amount: Option<Amount>,
}

impl Create<'_> {
    pub fn path(&self) -> &'static str {
        match self.amount {
            Some(_) => "refund/partial/create",
            None => "refund/full/create",
        }
    }

    pub fn form(&self) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("payment_id", self.payment_id)
            .append_pair("order_id", self.order_id);
        if let Some(amount) = self.amount {
            form.append_pair("amount", &amount.to_string());
        }
        form.finish()
    }
}

/// How far a refund is. `NEW`, `PROCESS` and words we do not know are not final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    InProgress,
    Done,
    Failed,
}

impl Stage {
    pub fn of(refund: &Reversal) -> Self {
        match refund.status.as_str() {
            "SUCCESS" => Self::Done,
            "FAIL" => Self::Failed,
            _ => Self::InProgress,
        }
    }
}

/// What an answer to the call means.
#[derive(Debug, PartialEq, Eq)]
pub enum Called {
    /// There is a refund with this id.
    Made { id: String, stage: Stage },
    /// There is none, and asking again would not help. The sentence is for staff.
    Refused(String),
    /// There may be one. It has to be looked for.
    Unknown(String),
}

/// Reads the answer to a [`Create`] about this payment. No answer at all is [`Called::Unknown`] too.
pub fn called(status: u16, body: &str, payment_id: &str) -> Called {
    match status {
        200..=299 => match serde_json::from_str::<Reversal>(body) {
            Ok(made) if made.entity_id.as_deref().is_none_or(|id| id == payment_id) => Called::Made {
                stage: Stage::of(&made),
                id: made.id,
            },
            Ok(_) => Called::Unknown("an answer about another payment".into()),
            Err(_) if serde_json::from_str::<Success>(body).is_ok_and(|said| !said.success.0) => Called::Refused(refusal(status, body)),
            Err(_) => Called::Unknown("an answer that cannot be read".into()),
        },
        400 | 403 | 404 | 422 => Called::Refused(refusal(status, body)),
        // 401 (our token), 408, 429 and 5xx may pass; whether anything was done then is not for us to guess.
        _ => Called::Unknown(format!("HTTP {status}")),
    }
}

#[derive(Deserialize)]
struct Success {
    success: Flag,
}

/// Without what the provider quotes of the request.
fn refusal(status: u16, body: &str) -> String {
    let summary = serde_json::from_str::<Refused>(body)
        .map(|refused| refused.summary())
        .unwrap_or_default();
    let advice = match (status, summary.as_str()) {
        (403, "api:error.invalid_amount") => " It is more than can be given back there.",
        (403, _) => " Refunds may have to be enabled for the shop by Cardlink's support.",
        (404, _) => " It does not know the payment, or refunds are not enabled for the shop.",
        _ => "",
    };
    let summary = if summary.is_empty() { summary } else { format!(" {summary}") };
    format!("Cardlink refused it: HTTP {status}{summary}.{advice}")
}

/// A refund as it was before it was asked for.
#[derive(Debug)]
pub struct Before<'a> {
    /// Our id of it.
    pub order_id: &'a str,
    pub amount: Amount,
    /// Refunds the payment had already.
    pub seen: &'a [String],
    /// What had been given back of it.
    pub seen_amount: Amount,
}

/// Where a refund that may have been made is.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Nowhere,
    /// The total says so, and there is no list.
    DoneWithoutId,
    Made {
        id: String,
        stage: Stage,
    },
}

/// Looks for it on its payment: the one with our reference, else one of this amount that was not there before. One that has not failed is
/// preferred.
pub fn find(payment: &Payment, before: &Before<'_>) -> Found {
    let ours = |refund: &&Reversal| match refund.order_id.as_deref() {
        Some(named) => named == before.order_id,
        None => !before.seen.contains(&refund.id) && refund.amount == Some(before.amount),
    };
    let mut fitting: Vec<&Reversal> = payment.refunds.iter().filter(ours).collect();
    fitting.sort_by_key(|refund| match Stage::of(refund) {
        Stage::Done => 0,
        Stage::InProgress => 1,
        Stage::Failed => 2,
    });
    if let Some(refund) = fitting.first() {
        return Found::Made {
            id: refund.id.clone(),
            stage: Stage::of(refund),
        };
    }
    let with_it = before.seen_amount.checked_add(before.amount);
    match (payment.refunded_amount, with_it) {
        (Some(total), Some(with_it)) if payment.refunds.is_empty() && total >= with_it => Found::DoneWithoutId,
        _ => Found::Nowhere,
    }
}

/// What is left of a payment: refunds on their way count as gone.
pub fn left(payment: &Payment) -> Amount {
    let listed = payment
        .refunds
        .iter()
        .filter(|refund| Stage::of(refund) != Stage::Failed)
        .filter_map(|refund| refund.amount)
        .try_fold(Amount::ZERO, Amount::checked_add)
        .unwrap_or(Amount::ZERO);
    let gone = payment.refunded_amount.unwrap_or(Amount::ZERO).max(listed);
    payment.amount.unwrap_or(Amount::ZERO).saturating_sub(gone)
}

/// The payment of a bill to give this much back of: the one that has most left, if that is enough.
pub fn choose(payments: &Payments, amount: Amount) -> Option<&Payment> {
    payments
        .data
        .iter()
        .filter(|payment| BillStatus::from_v1(&payment.status).has_money() && left(payment) >= amount)
        .max_by_key(|payment| left(payment))
}

/// A refund that is done, as `api.settle_refund` and `api.finish_refund` take it.
#[derive(Debug, Serialize)]
pub struct Done<'a> {
    pub id: &'a str,
    pub amount: Amount,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<&'a str>,
}

/// The refunds of a payment that are done.
pub fn done(payment: &Payment) -> Vec<Done<'_>> {
    payment
        .refunds
        .iter()
        .filter(|refund| refund.is_done())
        .filter_map(|refund| {
            Some(Done {
                id: &refund.id,
                amount: refund.amount?,
                reference: refund.order_id.as_deref(),
            })
        })
        .collect()
}

/// All that has been given back of a payment: the provider's total, else the sum of its list.
pub fn total(payment: &Payment) -> Option<Amount> {
    let listed = done(payment)
        .iter()
        .try_fold(Amount::ZERO, |sum, refund| sum.checked_add(refund.amount));
    payment.refunded_amount.or(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn payment(members: &str) -> Payment {
        serde_json::from_str(&format!(
            r#"{{"id":"p","bill_id":"b","status":"SUCCESS","amount":"37.50"{members}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn a_part_names_its_amount_and_the_whole_does_not() {
        let create = |amount| Create {
            payment_id: "pay 1",
            order_id: "r-1",
            amount,
        };
        let part = create(Some(money("7.5")));
        assert_eq!(
            (part.path(), part.form().as_str()),
            ("refund/partial/create", "payment_id=pay+1&order_id=r-1&amount=7.50")
        );
        let whole = create(None);
        assert_eq!(
            (whole.path(), whole.form().as_str()),
            ("refund/full/create", "payment_id=pay+1&order_id=r-1")
        );
    }

    #[test]
    fn only_a_clear_answer_says_whether_there_is_a_refund() {
        let made = |stage| Called::Made { id: "r1".into(), stage };
        let body = |status: &str| format!(r#"{{"id":"r1","status":"{status}","amount":"7.50","entity_type":"payment","entity_id":"p"}}"#);
        for (status, stage) in [
            ("SUCCESS", Stage::Done),
            ("FAIL", Stage::Failed),
            ("NEW", Stage::InProgress),
            ("PROCESS", Stage::InProgress),
            ("WAITING", Stage::InProgress),
        ] {
            assert_eq!(called(200, &body(status), "p"), made(stage), "{status}");
        }
        for (status, body) in [
            (200, "<html>"),
            (200, r#"{"id":"r1","status":"SUCCESS","entity_id":"another"}"#),
            (200, "{}"),
            (200, r#"{"success":true}"#),
            (401, "{}"),
            (408, ""),
            (429, ""),
            (500, ""),
            (502, r#"{"success":false}"#),
        ] {
            assert!(matches!(called(status, body, "p"), Called::Unknown(_)), "{status} {body}");
        }
        for (status, body) in [(200, r#"{"success":"false","message":"no"}"#), (400, ""), (404, "{}"), (422, "{}")] {
            assert!(matches!(called(status, body, "p"), Called::Refused(_)), "{status} {body}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do_and_quotes_nothing() {
        let sentence = |status, body: &str| match called(status, body, "p") {
            Called::Refused(sentence) => sentence,
            other => panic!("{other:?}"),
        };
        let not_enabled = sentence(403, r#"{"success":false,"message":"api:error.access_denied"}"#);
        assert_eq!(
            not_enabled,
            "Cardlink refused it: HTTP 403 api:error.access_denied. Refunds may have to be enabled for the shop by Cardlink's support."
        );
        assert_eq!(
            sentence(403, r#"{"success":false,"message":"api:error.invalid_amount"}"#),
            "Cardlink refused it: HTTP 403 api:error.invalid_amount. It is more than can be given back there."
        );
        assert_eq!(
            sentence(422, r#"{"message":"a@example.com is wrong","errors":{"amount":["9"]}}"#),
            "Cardlink refused it: HTTP 422 amount."
        );
    }

    #[test]
    fn a_refund_is_found_among_those_that_were_not_there_before() {
        let seen = ["old".to_owned()];
        let before = Before {
            order_id: "ours",
            amount: money("10.00"),
            seen: &seen,
            seen_amount: money("10.00"),
        };
        let made = |id: &str, stage| Found::Made { id: id.into(), stage };
        let old = r#"{"id":"old","status":"SUCCESS","amount":"10.00"}"#;
        for (refunds, found) in [
            (String::new(), Found::Nowhere),
            (old.to_owned(), Found::Nowhere),
            (
                format!(r#"{old},{{"id":"new","status":"SUCCESS","amount":"10.00"}}"#),
                made("new", Stage::Done),
            ),
            (
                format!(r#"{old},{{"id":"new","status":"PROCESS","amount":"10.00"}}"#),
                made("new", Stage::InProgress),
            ),
            (
                format!(r#"{old},{{"id":"new","status":"FAIL","amount":"10.00"}}"#),
                made("new", Stage::Failed),
            ),
            (
                format!(r#"{old},{{"id":"f","status":"FAIL","amount":"10.00"}},{{"id":"s","status":"SUCCESS","amount":"10.00"}}"#),
                made("s", Stage::Done),
            ),
            // Of another amount, or with another reference: somebody else's.
            (
                format!(r#"{old},{{"id":"new","status":"SUCCESS","amount":"9.99"}}"#),
                Found::Nowhere,
            ),
            (
                format!(r#"{old},{{"id":"new","status":"SUCCESS","amount":"10.00","order_id":"theirs"}}"#),
                Found::Nowhere,
            ),
            (
                format!(r#"{old},{{"id":"new","status":"SUCCESS","amount":"10.00","order_id":"ours"}}"#),
                made("new", Stage::Done),
            ),
        ] {
            let payment = payment(&format!(r#","refunded_amount":"10.00","refunds":[{refunds}]"#));
            assert_eq!(find(&payment, &before), found, "{refunds}");
        }
        // A provider that names totals only.
        assert_eq!(find(&payment(r#","refunded_amount":"19.99""#), &before), Found::Nowhere);
        assert_eq!(find(&payment(r#","refunded_amount":"20.00""#), &before), Found::DoneWithoutId);
    }

    #[test]
    fn the_payment_with_most_left_is_chosen_where_it_has_enough() {
        let payments: Payments = serde_json::from_str(
            r#"{"data":[{"id":"failed","status":"FAIL","amount":"100"},
                        {"id":"half","status":"UNDERPAID","amount":"20.00"},
                        {"id":"rest","status":"SUCCESS","amount":"30.00","refunded_amount":"5.00"}]}"#,
        )
        .unwrap();
        let chosen = |amount| choose(&payments, money(amount)).map(|payment| payment.id.as_str());
        assert_eq!(
            (chosen("20.00"), chosen("25.00"), chosen("25.01")),
            (Some("rest"), Some("rest"), None)
        );
        let in_progress = payment(
            r#","refunded_amount":"0.00","refunds":[{"id":"r","status":"PROCESS","amount":"10"},{"id":"f","status":"FAIL","amount":"20"}]"#,
        );
        assert_eq!(left(&in_progress), money("27.50"));
    }
}
