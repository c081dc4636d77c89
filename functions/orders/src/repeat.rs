//! How a repeat of a request is recognised (contracts.md, Idempotency). The rules are `shop.claim_order`'s; here is only what it goes by.

use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::error::ApiError;
use shared::error::Code;

use crate::cart::Cart;

/// What `api.create_order` recognises a repeat by: the client's key and the sha256 of the raw body; without a key the session and
/// cart; without a session nothing.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Repeat {
    pub idempotency_key: Option<String>,
    body_sha256: Option<String>,
    cart_sha256: Option<String>,
}

impl Repeat {
    pub fn of(key: Option<String>, body: &[u8], cart: &Cart) -> Result<Self, ApiError> {
        let mut repeat = Self::default();
        if key.is_some() {
            repeat.idempotency_key = key;
            repeat.body_sha256 = Some(hex::encode(Sha256::digest(body)));
        } else if cart.session_id.is_some() {
            // The cart as it was read: neither the order of its members nor white space makes another one. The session is part of it.
            let text = serde_json::to_vec(cart).map_err(|e| ApiError::new(Code::InternalError).detail(e))?;
            repeat.cart_sha256 = Some(hex::encode(Sha256::digest(text)));
        }
        Ok(repeat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cart(text: &str) -> Cart {
        Cart::read(text.as_bytes()).unwrap()
    }

    const CART: &str = r#"{"productId":"00000000-0000-0000-0000-000000000001","nominal":50,"email":"a@example.com","deliveryType":"myself","sessionId":"s"}"#;

    #[test]
    fn a_key_goes_with_the_hash_of_the_raw_body() {
        let repeat = Repeat::of(Some("k".into()), b"abc", &cart(CART)).unwrap();
        // FIPS 180-2, appendix B.1.
        let vector = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(repeat.body_sha256.as_deref(), Some(vector));
        assert_eq!((repeat.idempotency_key.as_deref(), repeat.cart_sha256), (Some("k"), None));
    }

    #[test]
    fn without_a_key_the_same_cart_of_the_same_session_is_the_same_whatever_its_spelling() {
        let of = |text: &str| Repeat::of(None, text.as_bytes(), &cart(text)).unwrap();
        let other_spelling = r#" {"sessionId":"s", "deliveryType":"myself","email":"A@example.com","nominal":"50.00",
            "productId":"00000000-0000-0000-0000-000000000001", "unknown": 7, "price": null}"#;
        assert_eq!(of(CART), of(other_spelling));
        assert!(of(CART).cart_sha256.is_some_and(|hash| hash.len() == 64) && of(CART).body_sha256.is_none());
        for (from, to) in [
            (r#""s""#, r#""t""#),
            ("a@", "b@"),
            (":50", ":25"),
            ("myself\"", "myself\",\"quantity\":2"),
            ("0001", "0002"),
        ] {
            assert_ne!(of(CART), of(&CART.replacen(from, to, 1)), "{from}");
        }
        assert_eq!(of(&CART.replace(r#","sessionId":"s""#, "")), Repeat::default());
    }
}
