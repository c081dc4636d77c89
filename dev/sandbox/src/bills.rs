//! The bills and their states, of both contracts.
//!
//! A bill is PENDING until it is paid, failed or past its time. A failed or expired bill can still be paid, as with the real
//! provider; a paid one stays paid. What v1 adds (payments, too much, too little, refunds) stands in `payments.rs`.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use rand::distr::Alphanumeric;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock;
use crate::payments::Payment;
use crate::search::Lie;
use crate::signature::amount_number;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    /// v1 only: the payer has begun to pay.
    Processing,
    Paid,
    /// v1 only.
    Underpaid,
    /// v1 only.
    Overpaid,
    Failed,
    Expired,
}

impl Status {
    /// As v2 spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending | Self::Processing | Self::Underpaid => "PENDING",
            Self::Paid | Self::Overpaid => "PAID",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
        }
    }

    /// As v1 spells it. It has no word for a bill whose time is over: such a bill is NEW and not active.
    pub fn v1_name(self) -> &'static str {
        match self {
            Self::Pending | Self::Expired => "NEW",
            Self::Processing => "PROCESS",
            Self::Paid => "SUCCESS",
            Self::Underpaid => "UNDERPAID",
            Self::Overpaid => "OVERPAID",
            Self::Failed => "FAIL",
        }
    }
}

/// A checked request to create a bill.
#[derive(Clone, Debug)]
pub struct NewBill {
    pub amount: Decimal,
    pub currency: String,
    pub order_id: String,
    pub customer_email: Option<String>,
    pub return_url: String,
    pub webhook_url: String,
    pub lifetime: TimeDelta,
    /// What a v1 bill has besides; `return_url` is its success page then, `webhook_url` the shop's Result URL.
    pub v1: Option<V1Terms>,
}

#[derive(Clone, Debug)]
pub struct V1Terms {
    pub fail_url: String,
    pub payer_pays_commission: bool,
}

#[derive(Clone, Debug)]
pub struct Bill {
    pub id: String,
    pub request: NewBill,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub paid_at: Option<DateTime<Utc>>,
    /// What arrived, where a test paid another amount or currency than was asked for.
    pub received: Option<(Decimal, String)>,
    /// v1 only, oldest first.
    pub payments: Vec<Payment>,
    /// v1 only: refunds asked for through the API stay in progress until somebody ends them.
    pub slow_refunds: bool,
    /// What a test has the provider say instead.
    pub lie: Lie,
    pub(crate) status: Status,
}

impl Bill {
    /// The state at `now`: time alone expires a pending bill.
    pub fn status(&self, now: DateTime<Utc>) -> Status {
        if self.status == Status::Pending && now >= self.expires_at {
            Status::Expired
        } else {
            self.status
        }
    }

    /// Amount and currency that status answers and webhooks report.
    pub fn reported(&self) -> (Decimal, &str) {
        let (amount, currency) = match &self.received {
            Some((amount, currency)) => (*amount, currency),
            None => (self.request.amount, &self.request.currency),
        };
        (self.lie.amount.unwrap_or(amount), currency)
    }

    /// The word for its state, in its contract.
    pub fn said_status(&self, now: DateTime<Utc>) -> String {
        let status = self.status(now);
        let true_word = if self.request.v1.is_some() {
            status.v1_name()
        } else {
            status.name()
        };
        self.lie.status.clone().unwrap_or_else(|| true_word.to_owned())
    }

    /// Moves the bill where the state allows it.
    pub fn move_to(&mut self, status: Status, now: DateTime<Utc>) {
        let has_money = matches!(self.status, Status::Paid | Status::Underpaid | Status::Overpaid);
        if has_money || status == Status::Pending {
            return;
        }
        self.status = status;
        if status == Status::Paid {
            self.paid_at = Some(now);
        }
    }

    pub fn shown(&self, now: DateTime<Utc>) -> Shown {
        let (amount, currency) = self.reported();
        Shown {
            bill_id: self.id.clone(),
            status: self.said_status(now),
            amount: amount_number(amount),
            currency: currency.to_owned(),
            order_id: self.request.order_id.clone(),
            created_at: clock::text(self.created_at),
            expires_at: clock::text(self.expires_at),
            paid_at: self.paid_at.map(clock::text),
        }
    }
}

/// A bill as `GET /bill/status` and `GET /bills` show it.
#[derive(Serialize)]
pub struct Shown {
    pub bill_id: String,
    pub status: String,
    pub amount: Box<RawValue>,
    pub currency: String,
    pub order_id: String,
    pub created_at: String,
    pub expires_at: String,
    pub paid_at: Option<String>,
}

/// Twelve letters and digits, as for every thing the provider names.
pub fn new_id() -> String {
    rand::rng().sample_iter(Alphanumeric).take(12).map(char::from).collect()
}

#[derive(Default)]
pub struct Bills {
    by_id: HashMap<String, Bill>,
    order: Vec<String>,
}

impl Bills {
    /// Every call makes a bill: nothing says that Cardlink refuses a repeated `order_id`.
    pub fn create(&mut self, request: NewBill, now: DateTime<Utc>) -> Bill {
        let id = new_id();
        let expires_at = now + request.lifetime;
        let bill = Bill {
            id: id.clone(),
            request,
            created_at: now,
            expires_at,
            paid_at: None,
            received: None,
            payments: Vec::new(),
            slow_refunds: false,
            lie: Lie::default(),
            status: Status::Pending,
        };
        self.by_id.insert(id.clone(), bill.clone());
        self.order.push(id);
        bill
    }

    pub fn get(&self, id: &str) -> Option<&Bill> {
        self.by_id.get(id)
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut Bill> {
        self.by_id.get_mut(id)
    }

    /// The v1 bill a payment belongs to.
    pub fn of_payment(&self, payment_id: &str) -> Option<(&Bill, &Payment)> {
        self.by_id.values().find_map(|bill| {
            let payment = bill.payments.iter().find(|payment| payment.id == payment_id)?;
            Some((bill, payment))
        })
    }

    /// The same, to be changed.
    pub fn of_payment_mut(&mut self, payment_id: &str) -> Option<&mut Bill> {
        self.by_id
            .values_mut()
            .find(|bill| bill.payments.iter().any(|payment| payment.id == payment_id))
    }

    /// Newest first.
    pub fn list(&self) -> impl Iterator<Item = &Bill> {
        self.order.iter().rev().filter_map(|id| self.by_id.get(id))
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn request(webhook_url: &str) -> NewBill {
        NewBill {
            amount: Decimal::new(75, 0),
            currency: "USD".to_owned(),
            order_id: "order-1".to_owned(),
            customer_email: None,
            return_url: "http://127.0.0.1:1/return".to_owned(),
            webhook_url: webhook_url.to_owned(),
            lifetime: TimeDelta::seconds(60),
            v1: None,
        }
    }

    #[test]
    fn time_expires_a_pending_bill_and_a_late_payment_still_pays_it() {
        let now = DateTime::UNIX_EPOCH;
        let mut bill = Bills::default().create(request("http://x/"), now);
        assert_eq!(bill.status(now + TimeDelta::seconds(59)), Status::Pending);
        let late = now + TimeDelta::seconds(60);
        assert_eq!(bill.status(late), Status::Expired);
        bill.move_to(Status::Failed, late);
        assert_eq!(bill.status(late), Status::Failed);
        bill.move_to(Status::Paid, late);
        assert_eq!((bill.status(late), bill.paid_at), (Status::Paid, Some(late)));
    }

    #[test]
    fn nothing_moves_a_paid_bill() {
        let now = DateTime::UNIX_EPOCH;
        let mut bill = Bills::default().create(request("http://x/"), now);
        bill.move_to(Status::Paid, now);
        for status in [Status::Failed, Status::Expired, Status::Pending, Status::Paid] {
            bill.move_to(status, now + TimeDelta::seconds(5));
            assert_eq!((bill.status, bill.paid_at), (Status::Paid, Some(now)));
        }
    }
}
