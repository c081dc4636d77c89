//! Signs notices as the provider does, independently of the Worker's code: from the text given here, not from parsed JSON.

use md5::Md5;
use sha2::{Digest, Sha256};

/// A `PAID`-like notice whose amount stands in the JSON, and in the signed text, exactly as given.
pub fn signed_notice(secret: &str, bill_id: &str, status: &str, amount: &str, currency: &str) -> String {
    let signed = format!("amount={amount}&bill_id={bill_id}&currency={currency}&status={status}{secret}");
    let signature = hex::encode(Sha256::digest(signed));
    format!(r#"{{"bill_id":"{bill_id}","status":"{status}","amount":{amount},"currency":"{currency}","signature":"{signature}"}}"#)
}

/// The signature of a v1 notice over these fields, in the order of its formula.
pub fn md5_signature(fields: &[&str], token: &str) -> String {
    hex::encode_upper(Md5::digest(format!("{}:{token}", fields.join(":"))))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_published_vector_is_reproduced() {
        let notice = super::signed_notice("whsec_spec_secret", "bill_001", "PAID", "75.00", "USD");
        assert_eq!(
            super::md5_signature(&["75.00", "ord_1001"], "test-cardlink-token"),
            "654DBB48B40B07D4523B19363AB28833"
        );
        assert!(
            notice.ends_with(r#""signature":"557e43e611f1b14f1182310746d64c4c9c6d7f5426de676f581fdbacdb355844"}"#),
            "{notice}"
        );
    }
}
