//! Gift codes outside the database are text; inside it they are sealed.
//!
//! AES-256-GCM, a fresh 96-bit nonce per code, and the code's own identity as additional data: a sealed text moved to another row
//! (another product, another face value) does not open. The database never holds a key; `CODE_KEYS` is a binding of the functions
//! that seal (admin) or open (orders, jobs). Sealing is random, so uniqueness is kept by [`fingerprint`], a keyed hash.

use std::collections::BTreeMap;
use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::money::Amount;

/// Longest code that is sealed, in bytes. Real gift codes are under 40.
pub const MAX_CODE_BYTES: usize = 200;
const NONCE_BYTES: usize = 12;

/// What a sealed code is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRef {
    pub code_id: Uuid,
    pub product_id: Uuid,
    pub nominal: Amount,
}

impl CodeRef {
    /// The additional data of the cipher: `lonieve.code.v1|<code id>|<product id>|<nominal with two decimals>`.
    fn aad(&self) -> String {
        format!(
            "lonieve.code.v1|{}|{}|{}",
            self.code_id.hyphenated(),
            self.product_id.hyphenated(),
            self.nominal
        )
    }
}

/// A sealed code as the database stores it: the key's id and base64url(nonce, ciphertext, tag) without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub kid: String,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeError {
    /// `CODE_KEYS` is not `{"kid": "<base64 of 32 bytes>"}`, or the active kid is not in it.
    BadKeys,
    /// The row names a key this function does not hold.
    UnknownKey,
    /// The sealed text was altered, or belongs to another code, product or nominal.
    NotAuthentic,
    /// Empty, longer than [`MAX_CODE_BYTES`], or with control characters.
    BadCode,
    /// The platform gave no random bytes.
    NoRandom,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadKeys => "CODE_KEYS must be {\"kid\": \"<base64 of 32 bytes>\"} and hold the active kid",
            Self::UnknownKey => "the code is sealed with a key that is not in CODE_KEYS",
            Self::NotAuthentic => "the sealed code is not authentic",
            Self::BadCode => "the code is empty, too long or has control characters",
            Self::NoRandom => "no random bytes",
        })
    }
}

impl std::error::Error for CodeError {}

/// The keys a function holds. Several kids exist while keys rotate; sealing uses the active one.
#[derive(Clone)]
pub struct CodeKeys {
    ciphers: BTreeMap<String, Aes256Gcm>,
    active: Option<String>,
}

impl fmt::Debug for CodeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeKeys")
            .field("kids", &self.ciphers.keys())
            .field("active", &self.active)
            .finish()
    }
}

impl CodeKeys {
    /// `json` is the binding `CODE_KEYS`; `active` the binding `CODE_ACTIVE_KID`, needed only for sealing.
    pub fn parse(json: &str, active: Option<&str>) -> Result<Self, CodeError> {
        let texts: BTreeMap<String, String> = serde_json::from_str(json).map_err(|_| CodeError::BadKeys)?;
        let mut ciphers = BTreeMap::new();
        for (kid, text) in texts {
            let bytes = STANDARD.decode(text.trim()).map_err(|_| CodeError::BadKeys)?;
            let key = Key::<Aes256Gcm>::try_from(bytes.as_slice()).map_err(|_| CodeError::BadKeys)?;
            ciphers.insert(kid, Aes256Gcm::new(&key));
        }
        let known = active.is_none_or(|kid| ciphers.contains_key(kid));
        if ciphers.is_empty() || !known {
            return Err(CodeError::BadKeys);
        }
        Ok(Self {
            ciphers,
            active: active.map(str::to_owned),
        })
    }

    /// The id of the key that seals.
    pub fn active(&self) -> Option<&str> {
        self.active.as_deref()
    }

    /// Seals with the active key and a fresh random nonce.
    pub fn seal(&self, code_ref: &CodeRef, code: &str) -> Result<Sealed, CodeError> {
        let mut nonce = [0u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| CodeError::NoRandom)?;
        self.seal_with_nonce(code_ref, code, nonce)
    }

    /// The same code, sealed with the active key instead of the one it was sealed with; for the same code, product and nominal.
    pub fn reseal(&self, code_ref: &CodeRef, kid: &str, sealed: &str) -> Result<Sealed, CodeError> {
        self.seal(code_ref, &self.open(code_ref, kid, sealed)?)
    }

    fn seal_with_nonce(&self, code_ref: &CodeRef, code: &str, nonce: [u8; NONCE_BYTES]) -> Result<Sealed, CodeError> {
        let code = code.trim();
        if code.is_empty() || code.len() > MAX_CODE_BYTES || code.chars().any(char::is_control) {
            return Err(CodeError::BadCode);
        }
        let kid = self.active.as_ref().ok_or(CodeError::BadKeys)?;
        let cipher = self.ciphers.get(kid).ok_or(CodeError::BadKeys)?;
        let aad = code_ref.aad();
        let payload = Payload {
            msg: code.as_bytes(),
            aad: aad.as_bytes(),
        };
        let ciphertext = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| CodeError::BadCode)?;
        let text = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &ciphertext].concat());
        Ok(Sealed { kid: kid.clone(), text })
    }

    /// Opens a sealed code; an error when it was not sealed for exactly this code, product and nominal.
    pub fn open(&self, code_ref: &CodeRef, kid: &str, sealed: &str) -> Result<String, CodeError> {
        let cipher = self.ciphers.get(kid).ok_or(CodeError::UnknownKey)?;
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| CodeError::NotAuthentic)?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or(CodeError::NotAuthentic)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| CodeError::NotAuthentic)?;
        let aad = code_ref.aad();
        let payload = Payload {
            msg: ciphertext,
            aad: aad.as_bytes(),
        };
        let plain = cipher.decrypt(&nonce, payload).map_err(|_| CodeError::NotAuthentic)?;
        String::from_utf8(plain).map_err(|_| CodeError::NotAuthentic)
    }
}

/// Keyed hash by which two imports of one code are found equal: hex HMAC-SHA256 of the code in upper case without white space
/// and hyphens. `key` is the binding `CODE_FINGERPRINT_KEY`, decoded.
pub fn fingerprint(key: &[u8], code: &str) -> String {
    let normal: String = code
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .flat_map(char::to_uppercase)
        .collect();
    hex::encode(hmac_sha256(key, normal.as_bytes()))
}

/// The only part of a code that may appear in lists, answers and logs.
pub fn last4(code: &str) -> String {
    let chars: Vec<char> = code.trim().chars().collect();
    chars[chars.len().saturating_sub(4)..].iter().collect()
}

pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length; the error type exists for other MACs.
    let mut mac = match <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => return [0; 32],
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> CodeKeys {
        let one = STANDARD.encode([7u8; 32]);
        let two = STANDARD.encode([9u8; 32]);
        CodeKeys::parse(&format!(r#"{{"k1":"{one}","k2":"{two}"}}"#), Some("k2")).unwrap()
    }

    fn code_ref() -> CodeRef {
        CodeRef {
            code_id: Uuid::from_u128(1),
            product_id: Uuid::from_u128(2),
            nominal: "50".parse().unwrap(),
        }
    }

    #[test]
    fn a_sealed_code_opens_only_for_its_own_identity() {
        let keys = keys();
        let sealed = keys.seal(&code_ref(), "ABCD-1234").unwrap();
        assert_eq!(sealed.kid, "k2");
        assert_eq!(keys.open(&code_ref(), "k2", &sealed.text).unwrap(), "ABCD-1234");
        for other in [
            CodeRef {
                code_id: Uuid::from_u128(3),
                ..code_ref()
            },
            CodeRef {
                product_id: Uuid::from_u128(3),
                ..code_ref()
            },
            CodeRef {
                nominal: "50.01".parse().unwrap(),
                ..code_ref()
            },
        ] {
            assert_eq!(keys.open(&other, "k2", &sealed.text), Err(CodeError::NotAuthentic));
        }
        assert_eq!(keys.open(&code_ref(), "k1", &sealed.text), Err(CodeError::NotAuthentic));
        assert_eq!(keys.open(&code_ref(), "k3", &sealed.text), Err(CodeError::UnknownKey));
    }

    #[test]
    fn a_code_sealed_anew_is_the_same_code_under_the_active_key() {
        let (one, two) = (STANDARD.encode([7u8; 32]), STANDARD.encode([9u8; 32]));
        let old = CodeKeys::parse(&format!(r#"{{"k1":"{one}"}}"#), Some("k1")).unwrap();
        let new = CodeKeys::parse(&format!(r#"{{"k2":"{two}"}}"#), Some("k2")).unwrap();
        let sealed = old.seal(&code_ref(), "ABCD-1234").unwrap();
        let again = keys().reseal(&code_ref(), &sealed.kid, &sealed.text).unwrap();
        assert_eq!((keys().active(), again.kid.as_str()), (Some("k2"), "k2"));
        assert_eq!(
            new.open(&code_ref(), "k2", &again.text).unwrap(),
            "ABCD-1234",
            "the old key is not needed any more"
        );
        let moved = CodeRef {
            code_id: Uuid::from_u128(3),
            ..code_ref()
        };
        assert_eq!(keys().reseal(&moved, "k1", &sealed.text), Err(CodeError::NotAuthentic));
        assert_eq!(new.reseal(&code_ref(), "k1", &sealed.text), Err(CodeError::UnknownKey));
    }

    #[test]
    fn every_flipped_bit_of_the_sealed_text_is_noticed() {
        let keys = keys();
        let sealed = keys.seal(&code_ref(), "ABCD-1234").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed.text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                keys.open(&code_ref(), "k2", &URL_SAFE_NO_PAD.encode(altered)),
                Err(CodeError::NotAuthentic)
            );
        }
        assert_eq!(keys.open(&code_ref(), "k2", "short"), Err(CodeError::NotAuthentic));
    }

    #[test]
    fn two_seals_of_one_code_differ_and_share_a_fingerprint() {
        let keys = keys();
        let first = keys.seal(&code_ref(), "ABCD-1234").unwrap();
        assert_ne!(first, keys.seal(&code_ref(), "ABCD-1234").unwrap());
        assert_eq!(fingerprint(b"k", "abcd 1234"), fingerprint(b"k", "ABCD-1234"));
        assert_ne!(fingerprint(b"k", "ABCD-1234"), fingerprint(b"l", "ABCD-1234"));
    }

    #[test]
    fn the_fingerprint_is_plain_hmac_sha256() {
        // RFC 4231, test case 2, with the message in the normal form of a code (upper case, no white space).
        let message = "what do ya want for nothing?";
        assert_eq!(
            hex::encode(hmac_sha256(b"Jefe", message.as_bytes())),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn the_sealed_form_is_fixed() {
        // Recomputed with Python's `cryptography`: AESGCM(bytes([9])*32).encrypt(bytes(range(12)), b"ABCD-1234", aad).
        let sealed = keys()
            .seal_with_nonce(&code_ref(), "ABCD-1234", std::array::from_fn(|i| i as u8))
            .unwrap();
        assert_eq!(sealed.text, SEALED_BY_PYTHON);
    }
    const SEALED_BY_PYTHON: &str = "AAECAwQFBgcICQoLqxPYhhF-GNarKuSAkQ12HCuxWA6wHzkmyw";

    #[test]
    fn bad_keys_and_bad_codes_are_refused() {
        assert_eq!(CodeKeys::parse("{}", None).unwrap_err(), CodeError::BadKeys);
        assert_eq!(CodeKeys::parse(r#"{"k":"c2hvcnQ="}"#, None).unwrap_err(), CodeError::BadKeys);
        let one = STANDARD.encode([7u8; 32]);
        assert_eq!(
            CodeKeys::parse(&format!(r#"{{"k":"{one}"}}"#), Some("x")).unwrap_err(),
            CodeError::BadKeys
        );
        for bad in ["", "  ", "a\u{0}b", &"x".repeat(201)] {
            assert_eq!(keys().seal(&code_ref(), bad), Err(CodeError::BadCode));
        }
    }

    #[test]
    fn only_the_last_four_characters_are_shown() {
        assert_eq!(last4("ABCD-1234"), "1234");
        assert_eq!(last4("äöü"), "äöü");
        assert!(!format!("{:?}", keys()).contains("CQkJ"), "keys do not print themselves");
    }
}
