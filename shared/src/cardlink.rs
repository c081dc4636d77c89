//! Cardlink's bill API as the functions speak it. Only the wire is here; who calls it when is up to the functions.
//!
//! `v2` is the contract of the source documents: JSON, bearer token, `bill/create` and `bill/status`. Which contract is spoken is
//! configuration (`CARDLINK_API`), never guessed from a message.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::money::Amount;

/// The binding `CARDLINK_API`. There is no default: the two contracts prove a payment in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    V2,
}

impl Api {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "v2" => Some(Self::V2),
            _ => None,
        }
    }
}

/// What a notice or a status poll says of a bill, in the provider's words and in ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BillStatus {
    Paid,
    Failed,
    Expired,
    Pending,
}

impl BillStatus {
    /// A v2 status word. Unknown words are not final: they change nothing.
    pub fn from_v2(word: &str) -> Self {
        match word {
            "PAID" => Self::Paid,
            "FAILED" => Self::Failed,
            "EXPIRED" => Self::Expired,
            _ => Self::Pending,
        }
    }
}

/// `POST {base}/bill/create`.
#[derive(Debug, Serialize)]
pub struct CreateBillV2<'a> {
    /// A JSON number with two decimals, as in the documents.
    pub amount: Box<serde_json::value::RawValue>,
    pub currency: &'a str,
    pub order_id: Uuid,
    pub customer_email: &'a str,
    pub return_url: String,
    pub webhook_url: String,
    /// Seconds until the bill expires.
    pub expires_in: u32,
}

impl CreateBillV2<'_> {
    /// `75.00` as a JSON number; every [`Amount`] prints as one.
    pub fn number(amount: Amount) -> Option<Box<serde_json::value::RawValue>> {
        serde_json::value::RawValue::from_string(amount.to_string()).ok()
    }
}

/// Answer of `bill/create`.
#[derive(Debug, Deserialize)]
pub struct BillV2 {
    pub bill_id: String,
    pub payment_url: String,
    pub expires_at: Option<String>,
}

impl BillV2 {
    /// A bill without id, or whose page is not an absolute http(s) address, is no bill.
    pub fn is_usable(&self) -> bool {
        let web = ["https://", "http://"].iter().any(|scheme| self.payment_url.starts_with(scheme));
        web && self.payment_url.len() <= 2000 && (1..=200).contains(&self.bill_id.len())
    }
}

/// Answer of `GET {base}/bill/status?bill_id=`.
#[derive(Debug, Deserialize)]
pub struct BillStatusV2 {
    pub bill_id: String,
    pub status: String,
    #[serde(default, deserialize_with = "crate::money::from_token")]
    pub amount: Option<Amount>,
    pub currency: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_has_no_default() {
        assert_eq!(Api::parse("v2"), Some(Api::V2));
        assert_eq!(Api::parse(""), None);
        assert_eq!(Api::parse("V2"), None);
    }

    #[test]
    fn a_bill_is_asked_for_with_an_exact_number() {
        let amount: Amount = "37.5".parse().unwrap();
        let bill = CreateBillV2 {
            amount: CreateBillV2::number(amount).unwrap(),
            currency: "USD",
            order_id: Uuid::nil(),
            customer_email: "a@example.com",
            return_url: "https://shop.example/r".into(),
            webhook_url: "https://shop.example/w".into(),
            expires_in: 3600,
        };
        assert!(
            serde_json::to_string(&bill)
                .unwrap()
                .starts_with(r#"{"amount":37.50,"currency":"USD","#)
        );
    }

    #[test]
    fn unusable_bills_are_recognised() {
        let bill = |id: &str, url: &str| BillV2 {
            bill_id: id.into(),
            payment_url: url.into(),
            expires_at: None,
        };
        assert!(bill("b", "https://pay.example/b").is_usable());
        assert!(!bill("", "https://pay.example/b").is_usable());
        assert!(!bill("b", "javascript:alert(1)").is_usable());
    }

    #[test]
    fn unknown_status_words_are_not_final() {
        assert_eq!(BillStatus::from_v2("PAID"), BillStatus::Paid);
        assert_eq!(BillStatus::from_v2("paid"), BillStatus::Pending);
        assert_eq!(BillStatus::from_v2("REFUNDED"), BillStatus::Pending);
    }
}
