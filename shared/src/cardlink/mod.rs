//! Cardlink's bill API as the functions speak it. Only the wire is here; who calls it when is up to the functions.
//!
//! Two contracts, and configuration says which one is spoken (`CARDLINK_API`); it is never guessed from a message. [`v1`] is the
//! provider's public API: forms, MD5, and notices that prove nothing alone. [`v2`] is the contract of the source documents: JSON,
//! and a signature over the whole notice.

pub mod refunds;
pub mod v1;
pub mod v2;

#[cfg(feature = "edge")]
pub mod client;

use serde::Serialize;

/// The binding `CARDLINK_API`. There is no default: the two contracts prove a payment in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    V1,
    V2,
}

impl Api {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "v1" => Some(Self::V1),
            "v2" => Some(Self::V2),
            _ => None,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// What a notice or a status poll says of a bill, in our words; `api.settle_payment` takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BillStatus {
    Paid,
    /// Paid with more than was asked for (v1 only).
    Overpaid,
    /// Something was paid, but too little (v1 only).
    Underpaid,
    Failed,
    Expired,
    Pending,
}

impl BillStatus {
    /// A v1 status word. `NEW`, `PROCESS` and words we do not know are not final: they change nothing. v1 has no word for an expired
    /// bill.
    pub fn from_v1(word: &str) -> Self {
        match word {
            "SUCCESS" => Self::Paid,
            "OVERPAID" => Self::Overpaid,
            "UNDERPAID" => Self::Underpaid,
            "FAIL" => Self::Failed,
            _ => Self::Pending,
        }
    }

    /// A v2 status word. Unknown words are not final: they change nothing.
    pub fn from_v2(word: &str) -> Self {
        match word {
            "PAID" => Self::Paid,
            "FAILED" => Self::Failed,
            "EXPIRED" => Self::Expired,
            _ => Self::Pending,
        }
    }

    /// Whether money has come in.
    pub const fn has_money(self) -> bool {
        match self {
            Self::Paid | Self::Overpaid | Self::Underpaid => true,
            Self::Failed | Self::Expired | Self::Pending => false,
        }
    }
}

/// A bill just made, whichever contract made it.
#[derive(Debug)]
pub struct Bill {
    pub bill_id: String,
    /// The hosted page the shopper is sent to.
    pub payment_url: String,
    /// When the provider says it ends; v1 does not say.
    pub expires_at: Option<String>,
}

impl Bill {
    /// A bill without id, or whose page is not an absolute http(s) address, is no bill.
    pub fn is_usable(&self) -> bool {
        let web = ["https://", "http://"].iter().any(|scheme| self.payment_url.starts_with(scheme));
        web && self.payment_url.len() <= 2000 && (1..=200).contains(&self.bill_id.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_has_no_default() {
        assert_eq!(Api::parse("v2"), Some(Api::V2));
        assert_eq!(Api::parse("v1"), Some(Api::V1));
        assert_eq!(Api::parse(""), None);
        assert_eq!(Api::parse("V2"), None);
        assert!([Api::V1, Api::V2].iter().all(|api| Api::parse(api.name()) == Some(*api)));
    }

    #[test]
    fn unusable_bills_are_recognised() {
        let bill = |id: &str, url: &str| Bill {
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
        for (word, status) in [
            ("SUCCESS", BillStatus::Paid),
            ("OVERPAID", BillStatus::Overpaid),
            ("UNDERPAID", BillStatus::Underpaid),
            ("FAIL", BillStatus::Failed),
            ("NEW", BillStatus::Pending),
            ("PROCESS", BillStatus::Pending),
            ("PAID", BillStatus::Pending),
            ("", BillStatus::Pending),
        ] {
            assert_eq!(BillStatus::from_v1(word), status, "{word}");
        }
    }
}
