//! v2, the contract of the source documents: JSON, bearer token, `bill/create` and `bill/status`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Bill;
use crate::money::Amount;

/// `POST {base}/bill/create`.
#[derive(Debug, Serialize)]
pub struct CreateBill<'a> {
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

impl CreateBill<'_> {
    /// `75.00` as a JSON number; every [`Amount`] prints as one.
    pub fn number(amount: Amount) -> Option<Box<serde_json::value::RawValue>> {
        serde_json::value::RawValue::from_string(amount.to_string()).ok()
    }
}

/// Answer of `bill/create`.
#[derive(Debug, Deserialize)]
pub struct Created {
    bill_id: String,
    payment_url: String,
    expires_at: Option<String>,
}

impl From<Created> for Bill {
    fn from(created: Created) -> Self {
        Self {
            bill_id: created.bill_id,
            payment_url: created.payment_url,
            expires_at: created.expires_at,
        }
    }
}

/// Answer of `GET {base}/bill/status?bill_id=`.
#[derive(Debug, Deserialize)]
pub struct BillState {
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
    fn a_bill_is_asked_for_with_an_exact_number() {
        let amount: Amount = "37.5".parse().unwrap();
        let bill = CreateBill {
            amount: CreateBill::number(amount).unwrap(),
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
}
