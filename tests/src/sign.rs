//! Signs notices as the provider does, independently of the Worker's code: from the text given here, not from parsed JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use serde_json::{Value, json};
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

/// HMAC-SHA256 by its definition (RFC 2104), for keys of at most a block.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64);
    let padded = |pad: u8| (0..64).map(|i| key.get(i).copied().unwrap_or(0) ^ pad).collect::<Vec<u8>>();
    let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
}

/// The header `svix-signature` for a call of Resend's webhook.
pub fn svix_signature(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    format!("v1,{}", STANDARD.encode(hmac(&key, format!("{id}.{timestamp}.{body}").as_bytes())))
}

/// The body of a call of Mailgun's webhook.
pub fn mailgun_notice(key: &str, timestamp: i64, token: &str, event: &Value) -> String {
    let signature = hex::encode(hmac(key.as_bytes(), format!("{timestamp}{token}").as_bytes()));
    let signature = json!({"timestamp": timestamp.to_string(), "token": token, "signature": signature});
    json!({"signature": signature, "event-data": event}).to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_published_vectors_of_the_mail_providers_are_reproduced() {
        assert_eq!(
            super::svix_signature(
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "1614265330",
                r#"{"test": 2432232314}"#
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        let notice = super::mailgun_notice(
            "key-test-signing-key",
            1770920772,
            "e0b5477167110d68991efc6b9f89f0a11066af27834600e123",
            &serde_json::Value::Null,
        );
        assert!(
            notice.contains("05da75aae5916ef0aa2d4f09360b089f722764250e30fa45d13f5a610525cff1"),
            "{notice}"
        );
    }

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
