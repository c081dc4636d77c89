//! Bearer tokens of an order: recomputed from a key, never stored, never in a query string.
//!
//! `order token = base64url(HMAC-SHA256(ORDER_TOKEN_KEY, "v1." + order id))` opens the order to its buyer;
//! `gift token = base64url(HMAC-SHA256(ORDER_TOKEN_KEY, "v1.gift." + order id))` shows its codes to the recipient of a gift.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::codes::hmac_sha256;
use crate::secret::constant_time_eq;

/// The binding `ORDER_TOKEN_KEY`: base64 of at least 32 bytes.
#[derive(Clone)]
pub struct OrderTokenKey(Vec<u8>);

/// Whose token was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Viewer {
    Buyer,
    Recipient,
}

impl std::fmt::Debug for OrderTokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OrderTokenKey(..)")
    }
}

impl OrderTokenKey {
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.trim()).ok()?;
        (bytes.len() >= 32).then_some(Self(bytes))
    }

    pub fn order_token(&self, order_id: Uuid) -> String {
        self.token("v1.", order_id)
    }

    pub fn gift_token(&self, order_id: Uuid) -> String {
        self.token("v1.gift.", order_id)
    }

    /// Who the bearer of `token` is for this order; `None` for any other token.
    pub fn verify(&self, order_id: Uuid, token: &str) -> Option<Viewer> {
        let buyer = constant_time_eq(self.order_token(order_id).as_bytes(), token.as_bytes());
        let recipient = constant_time_eq(self.gift_token(order_id).as_bytes(), token.as_bytes());
        match (buyer, recipient) {
            (true, _) => Some(Viewer::Buyer),
            (_, true) => Some(Viewer::Recipient),
            _ => None,
        }
    }

    /// Keyed hash of an outgoing body. Bodies hold codes, so a plain hash of one could be guessed by a reader of the database.
    pub fn payload_hash(&self, body: &[u8]) -> String {
        hex::encode(hmac_sha256(&self.0, &[b"v1.outbox.".as_slice(), body].concat()))
    }

    fn token(&self, purpose: &str, order_id: Uuid) -> String {
        URL_SAFE_NO_PAD.encode(hmac_sha256(&self.0, format!("{purpose}{}", order_id.hyphenated()).as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> OrderTokenKey {
        OrderTokenKey::parse(&STANDARD.encode([1u8; 32])).unwrap()
    }

    #[test]
    fn a_token_opens_its_own_order_and_role_only() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(key().verify(one, &key().order_token(one)), Some(Viewer::Buyer));
        assert_eq!(key().verify(one, &key().gift_token(one)), Some(Viewer::Recipient));
        assert_eq!(key().verify(two, &key().order_token(one)), None);
        assert_eq!(key().verify(one, ""), None);
        let other = OrderTokenKey::parse(&STANDARD.encode([2u8; 32])).unwrap();
        assert_eq!(other.verify(one, &key().order_token(one)), None);
    }

    #[test]
    fn the_token_is_the_documented_hmac() {
        // python3: base64.urlsafe_b64encode(hmac.new(bytes([1])*32, b"v1.00000000-0000-0000-0000-000000000001", "sha256").digest())
        assert_eq!(key().order_token(Uuid::from_u128(1)), ORDER_TOKEN_BY_PYTHON);
    }
    const ORDER_TOKEN_BY_PYTHON: &str = "wnVKL6yB1ILntca8IFaHVRstTSa1JhedMazO7Fh7dgA";

    #[test]
    fn short_keys_are_refused() {
        assert!(OrderTokenKey::parse("").is_none());
        assert!(OrderTokenKey::parse(&STANDARD.encode([1u8; 31])).is_none());
        assert!(OrderTokenKey::parse("not base64!").is_none());
    }
}
