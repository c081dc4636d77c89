//! What v1 knows of a bill beyond its state: payments, refunds, chargebacks.
//!
//! A payment has two amounts. `price` is what of it counts for the bill; `amount` is what the payer paid, which is more where the
//! payer bears the commission. The bill's status follows from the sum of the prices.

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::bills::{Bill, Status, new_id};
use crate::signature::amount_text;

#[derive(Clone, Debug)]
pub struct Payment {
    pub id: String,
    pub succeeded: bool,
    pub price: Decimal,
    pub amount: Decimal,
    pub commission: Decimal,
    pub created_at: DateTime<Utc>,
    pub refunds: Vec<Reversal>,
    pub chargeback: Option<Reversal>,
}

/// A refund or a chargeback.
#[derive(Clone, Debug)]
pub struct Reversal {
    pub id: String,
    pub amount: Decimal,
    pub state: State,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The provider is working on it.
    Processing,
    Done,
    Failed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Processing => "PROCESS",
            Self::Done => "SUCCESS",
            Self::Failed => "FAIL",
        }
    }
}

impl Reversal {
    /// As every answer shows it. The caller's own reference is not repeated: the documents do not list it.
    pub fn shown(&self, payment_id: &str, currency: &str) -> Value {
        json!({
            "id": self.id, "status": self.state.name(), "amount": amount_text(self.amount), "currency": currency, "entity_type": "payment",
            "entity_id": payment_id, "created_at": date(self.created_at),
        })
    }
}

/// The v1 form of a time.
pub fn date(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// What the provider keeps of a payment where a test names nothing else: 2.9 % + 0.30.
pub fn usual_commission(price: Decimal) -> Decimal {
    (price * Decimal::new(29, 3) + Decimal::new(30, 2)).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

impl Payment {
    /// What has been given back.
    pub fn refunded(&self) -> Decimal {
        self.sum(|state| state == State::Done)
    }

    /// What can still be given back: what is on its way counts as gone.
    pub fn left(&self) -> Decimal {
        self.amount - self.sum(|state| state != State::Failed)
    }

    fn sum(&self, counts: impl Fn(State) -> bool) -> Decimal {
        self.refunds
            .iter()
            .filter(|refund| counts(refund.state))
            .map(|refund| refund.amount)
            .sum()
    }

    /// As `bill/payments` and `payment/status` show it; `details` adds the refunds and the chargeback.
    pub fn shown(&self, bill: &Bill, details: bool) -> Value {
        let (_, currency) = bill.reported();
        let credited = self.amount - self.commission;
        let mut shown = json!({
            "id": self.id, "bill_id": bill.id, "status": if self.succeeded { "SUCCESS" } else { "FAIL" },
            "amount": amount_text(self.amount), "commission": amount_text(self.commission),
            "account_amount": amount_text(if self.succeeded { credited } else { Decimal::ZERO }), "account_currency_code": currency,
            "refunded_amount": amount_text(self.refunded()), "from_card": "411111******1111", "account_bank": null, "currency_in": currency,
            "created_at": date(self.created_at), "payer_phone": null, "payer_email": null, "payer_name": null, "payer_comment": null,
            "error_code": if self.succeeded { Value::Null } else { json!(5) },
            "error_message": if self.succeeded { Value::Null } else { json!("Insufficient funds") },
        });
        if details {
            let entry = |reversal: &Reversal| reversal.shown(&self.id, currency);
            shown["refunds"] = self.refunds.iter().map(entry).collect();
            shown["chargeback"] = self.chargeback.as_ref().map_or(Value::Null, entry);
        }
        shown
    }
}

impl Bill {
    /// What has been paid of the bill's own amount.
    fn price_paid(&self) -> Decimal {
        self.payments
            .iter()
            .filter(|payment| payment.succeeded)
            .map(|payment| payment.price)
            .sum()
    }

    /// What is still to be paid, zero once it is all there.
    pub fn rest(&self) -> Decimal {
        (self.request.amount - self.price_paid()).max(Decimal::ZERO)
    }

    pub fn take_payment(&mut self, price: Decimal, commission: Decimal, now: DateTime<Utc>) -> &Payment {
        self.add_payment(true, price, commission, now);
        let paid = self.price_paid();
        self.status = match paid.cmp(&self.request.amount) {
            std::cmp::Ordering::Less => Status::Underpaid,
            std::cmp::Ordering::Equal => Status::Paid,
            std::cmp::Ordering::Greater => Status::Overpaid,
        };
        self.paid_at.get_or_insert(now);
        &self.payments[self.payments.len() - 1]
    }

    /// An attempt that failed; it takes nothing from a bill that is paid. It names the very sum that a success would have named.
    pub fn fail_payment(&mut self, now: DateTime<Utc>) -> &Payment {
        let price = if self.rest().is_zero() { self.request.amount } else { self.rest() };
        self.add_payment(false, price, usual_commission(price), now);
        if self.price_paid().is_zero() {
            self.status = Status::Failed;
        }
        &self.payments[self.payments.len() - 1]
    }

    fn add_payment(&mut self, succeeded: bool, price: Decimal, commission: Decimal, now: DateTime<Utc>) {
        let payer_pays = self.request.v1.as_ref().is_some_and(|terms| terms.payer_pays_commission);
        let on_top = if payer_pays { commission } else { Decimal::ZERO };
        self.payments.push(Payment {
            id: new_id(),
            succeeded,
            price,
            amount: price + on_top,
            commission,
            created_at: now,
            refunds: Vec::new(),
            chargeback: None,
        });
    }

    /// The last payment that brought money.
    pub fn last_paid(&self) -> Option<&Payment> {
        self.payments.iter().rev().find(|payment| payment.succeeded)
    }

    /// Gives back this much of the last payment, or what is left of it. The bill's status stays: v1 has no word for it.
    pub fn refund(&mut self, amount: Option<Decimal>, now: DateTime<Utc>) -> Option<(String, Reversal)> {
        let payment_id = self.last_paid()?.id.clone();
        let refund = self.refund_payment(&payment_id, amount, State::Done, now)?;
        Some((payment_id, refund))
    }

    /// The same of a payment that is named, done or begun.
    pub fn refund_payment(&mut self, payment_id: &str, amount: Option<Decimal>, state: State, now: DateTime<Utc>) -> Option<Reversal> {
        let payment = self
            .payments
            .iter_mut()
            .find(|payment| payment.succeeded && payment.id == payment_id)?;
        let amount = amount.unwrap_or(payment.left());
        if amount > payment.left() || amount.is_zero() {
            return None;
        }
        let refund = Reversal {
            id: new_id(),
            amount,
            state,
            created_at: now,
        };
        payment.refunds.push(refund.clone());
        Some(refund)
    }

    /// Ends the oldest refund that the provider is working on.
    pub fn end_refund(&mut self, state: State) -> Option<(String, Reversal)> {
        self.payments.iter_mut().find_map(|payment| {
            let refund = payment.refunds.iter_mut().find(|refund| refund.state == State::Processing)?;
            refund.state = state;
            Some((payment.id.clone(), refund.clone()))
        })
    }

    /// The payer's bank takes the last payment back; once.
    pub fn charge_back(&mut self, now: DateTime<Utc>) -> Option<(String, Reversal)> {
        let payment = self.payments.iter_mut().rev().find(|payment| payment.succeeded)?;
        let amount = payment.amount;
        let chargeback = payment.chargeback.get_or_insert_with(|| Reversal {
            id: new_id(),
            amount,
            state: State::Done,
            created_at: now,
        });
        Some((payment.id.clone(), chargeback.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bills::tests::request;
    use crate::bills::{Bills, V1Terms};

    fn bill(payer_pays_commission: bool) -> Bill {
        let mut new = request("http://x/");
        new.amount = Decimal::new(16, 0);
        new.v1 = Some(V1Terms {
            fail_url: "http://x/fail".to_owned(),
            payer_pays_commission,
        });
        Bills::default().create(new, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_status_follows_from_what_was_paid() {
        let now = DateTime::UNIX_EPOCH;
        let mut bill = bill(false);
        bill.fail_payment(now);
        assert_eq!(bill.status(now).v1_name(), "FAIL");
        for (price, status) in [(10, "UNDERPAID"), (6, "SUCCESS"), (1, "OVERPAID")] {
            bill.take_payment(Decimal::new(price, 0), Decimal::ZERO, now);
            assert_eq!(bill.status(now).v1_name(), status);
        }
        let attempt = bill.fail_payment(now);
        assert_eq!((attempt.succeeded, amount_text(attempt.amount).as_str()), (false, "16.00"));
        assert_eq!(bill.status(now).v1_name(), "OVERPAID");
    }

    #[test]
    fn the_payer_pays_the_commission_on_top_where_the_bill_says_so() {
        let mut bill = bill(true);
        let payment = bill.take_payment(Decimal::new(16, 0), Decimal::new(254, 2), DateTime::UNIX_EPOCH);
        assert_eq!(amount_text(payment.amount), "18.54");
        assert_eq!(bill.status(DateTime::UNIX_EPOCH).v1_name(), "SUCCESS");
        assert_eq!(usual_commission(Decimal::new(75, 0)), Decimal::new(248, 2));
    }

    #[test]
    fn no_more_goes_back_than_came_in() {
        let now = DateTime::UNIX_EPOCH;
        let mut bill = bill(false);
        assert!(bill.refund(None, now).is_none() && bill.charge_back(now).is_none());
        bill.take_payment(Decimal::new(16, 0), Decimal::ZERO, now);
        assert!(bill.refund(Some(Decimal::new(17, 0)), now).is_none());
        assert!(bill.refund(Some(Decimal::new(6, 0)), now).is_some());
        assert_eq!(bill.refund(None, now).unwrap().1.amount, Decimal::new(10, 0));
        assert!(bill.refund(None, now).is_none());
        let first = bill.charge_back(now).unwrap().1.id;
        assert_eq!(bill.charge_back(now).unwrap().1.id, first);
    }
}
