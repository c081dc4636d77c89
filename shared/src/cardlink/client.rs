//! The calls to Cardlink that two functions make: look at a bill, look at a payment.
//!
//! Under v1 these looks, not the notices, prove a payment. An answer that is not about the very bill that was asked for counts as none.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Api, BillStatus, refunds, v1, v2};
use crate::calls::Calls;
use crate::edge::{BindingError, Bindings};
use crate::money::Amount;
use crate::outgoing::{Answer, NoAnswer, Outgoing};
use crate::secret::Secret;

/// A provider's notice waits for this.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Nobody waits for a refund, and an answer that comes saves looking for it.
const REFUND_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Client {
    api: Api,
    url: String,
    token: Secret,
    payer_pays_commission: bool,
    outgoing: Outgoing,
}

/// What the provider says of a bill.
#[derive(Debug, Serialize)]
pub struct BillState {
    pub status: BillStatus,
    /// The provider's own word.
    pub raw_status: String,
    /// v1: what was asked for. v2: what was paid. `None` where the answer names none, or none that can be read.
    pub amount: Option<Amount>,
    pub currency: Option<String>,
    /// v1, for an over- or underpaid bill: what came in, where that could be found out.
    pub received: Option<Amount>,
}

/// Why the provider's word is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconfirmed {
    NoAnswer(NoAnswer),
    /// The provider knows no such bill or payment.
    NotFound,
    Status(u16),
    /// The answer could not be read, or is about something else.
    Unusable,
}

impl std::fmt::Display for Unconfirmed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer(NoAnswer::Timeout) => f.write_str("no answer in time"),
            Self::NoAnswer(NoAnswer::Unreachable) => f.write_str("not reached"),
            Self::NotFound => f.write_str("not known there"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Unusable => f.write_str("an answer that is not about it"),
        }
    }
}

impl Client {
    pub fn from_bindings(bindings: &Bindings) -> Result<Self, BindingError> {
        Ok(Self {
            api: bindings.parsed("CARDLINK_API", "v1 or v2", Api::parse)?,
            url: bindings.required("CARDLINK_URL")?.trim_end_matches('/').to_owned(),
            token: bindings.secret("CARDLINK_TOKEN")?,
            payer_pays_commission: bindings.flag("CARDLINK_PAYER_PAYS_COMMISSION")?,
            outgoing: Outgoing::default(),
        })
    }

    /// The same provider; the calls to it are counted there.
    pub fn counting(self, calls: Calls) -> Self {
        Self {
            outgoing: Outgoing::counting(calls),
            ..self
        }
    }

    pub fn api(&self) -> Api {
        self.api
    }

    /// Under v1 the key of the notices too.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    pub fn payer_pays_commission(&self) -> bool {
        self.payer_pays_commission
    }

    /// `POST {base}/bill/create` under v1.
    pub async fn create_v1(&self, bill: &v1::CreateBill<'_>, timeout: Duration) -> Result<Answer, NoAnswer> {
        let url = format!("{}/bill/create", self.url);
        self.outgoing.post_form(&url, self.token.expose(), bill.form(), timeout).await
    }

    /// `POST {base}/bill/create` under v2.
    pub async fn create_v2(&self, body: String, idempotency_key: &str, timeout: Duration) -> Result<Answer, NoAnswer> {
        let url = format!("{}/bill/create", self.url);
        self.outgoing
            .post_json(&url, self.token.expose(), &[("idempotency-key", idempotency_key)], body, timeout)
            .await
    }

    /// What the provider says of a bill now. `order_id` is ours; an answer that names another one is not taken.
    pub async fn bill_state(&self, bill_id: &str, order_id: &str) -> Result<BillState, Unconfirmed> {
        match self.api {
            Api::V1 => self.bill_state_v1(bill_id, order_id).await,
            Api::V2 => self.bill_state_v2(bill_id).await,
        }
    }

    async fn bill_state_v1(&self, bill_id: &str, order_id: &str) -> Result<BillState, Unconfirmed> {
        let bill: v1::BillState = self.get("bill/status", &[("id", bill_id)]).await?;
        if bill.id != bill_id || bill.order_id.is_some_and(|named| named != order_id) {
            return Err(Unconfirmed::Unusable);
        }
        let status = BillStatus::from_v1(&bill.status);
        // Only here the bill's amount does not say what came in. Without the list the order is still settled; the alert then names no sum.
        let received = match status {
            BillStatus::Overpaid | BillStatus::Underpaid => self.received(bill_id).await,
            BillStatus::Paid | BillStatus::Failed | BillStatus::Expired | BillStatus::Pending => None,
        };
        Ok(BillState {
            status,
            raw_status: short(bill.status),
            amount: bill.amount,
            currency: bill.currency_in,
            received,
        })
    }

    async fn received(&self, bill_id: &str) -> Option<Amount> {
        self.payments(bill_id).await.ok()?.received(self.payer_pays_commission)
    }

    /// The payments of a bill (v1).
    pub async fn payments(&self, bill_id: &str) -> Result<v1::Payments, Unconfirmed> {
        self.get("bill/payments", &[("id", bill_id), ("per_page", "100")]).await
    }

    async fn bill_state_v2(&self, bill_id: &str) -> Result<BillState, Unconfirmed> {
        let bill: v2::BillState = self.get("bill/status", &[("bill_id", bill_id)]).await?;
        if bill.bill_id != bill_id {
            return Err(Unconfirmed::Unusable);
        }
        let status = BillStatus::from_v2(&bill.status);
        Ok(BillState {
            status,
            raw_status: short(bill.status),
            amount: bill.amount,
            currency: bill.currency,
            received: None,
        })
    }

    /// A payment with its refunds and its chargeback (v1).
    pub async fn payment(&self, payment_id: &str, bill_id: &str) -> Result<v1::Payment, Unconfirmed> {
        let query = [("id", payment_id), ("refunds", "1"), ("chargeback", "1")];
        let payment: v1::Payment = self.get("payment/status", &query).await?;
        let is_it = payment.id == payment_id && payment.bill_id.as_deref() == Some(bill_id);
        is_it.then_some(payment).ok_or(Unconfirmed::Unusable)
    }

    /// A refund by the provider's id (v1).
    pub async fn refund(&self, refund_id: &str) -> Result<v1::Reversal, Unconfirmed> {
        let refund: v1::Reversal = self.get("refund/status", &[("id", refund_id)]).await?;
        (refund.id == refund_id).then_some(refund).ok_or(Unconfirmed::Unusable)
    }

    /// Gives money back (v1). Every call that arrives makes a refund: the provider takes no idempotency key.
    pub async fn create_refund(&self, refund: &refunds::Create<'_>) -> Result<Answer, NoAnswer> {
        let url = format!("{}/{}", self.url, refund.path());
        self.outgoing
            .post_form(&url, self.token.expose(), refund.form(), REFUND_TIMEOUT)
            .await
    }

    /// One page of the bills made in a span of time (v1). Times as the provider writes them, UTC.
    pub async fn bills_between(&self, span: Span<'_>) -> Result<v1::Page<v1::BillState>, Unconfirmed> {
        self.get("bill/search", &span.query()).await
    }

    /// One page of the payments made in a span of time (v1).
    pub async fn payments_between(&self, span: Span<'_>) -> Result<v1::Page<v1::Payment>, Unconfirmed> {
        self.get("payment/search", &span.query()).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Unconfirmed> {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let url = format!("{}/{path}?{query}", self.url);
        let answer = self
            .outgoing
            .get(&url, self.token.expose(), TIMEOUT)
            .await
            .map_err(Unconfirmed::NoAnswer)?;
        match answer.status {
            404 => Err(Unconfirmed::NotFound),
            200..=299 => answer.json().ok_or(Unconfirmed::Unusable),
            status => Err(Unconfirmed::Status(status)),
        }
    }
}

/// A page of the provider's list: which days, and where to go on.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    /// `YYYY-MM-DD HH:MM:SS`.
    pub from: &'a str,
    pub to: &'a str,
    /// Of one shop only, where the account has several.
    pub shop_id: Option<&'a str>,
    pub cursor: Option<&'a str>,
}

impl<'a> Span<'a> {
    fn query(&self) -> Vec<(&'static str, &'a str)> {
        let mut query = vec![("start_date", self.from), ("finish_date", self.to), ("per_page", "100")];
        query.extend(self.shop_id.map(|id| ("shop_id", id)));
        query.extend(self.cursor.map(|cursor| ("cursor", cursor)));
        query
    }
}

/// A status word is kept for people; it must not become a way to fill the log.
fn short(mut word: String) -> String {
    if let Some((end, _)) = word.char_indices().nth(32) {
        word.truncate(end);
    }
    word
}
