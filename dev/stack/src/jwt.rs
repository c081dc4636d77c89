//! Mints the tokens PostgREST accepts. A Worker holds such a token, never the key that signs it.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

/// The longest a token may live.
pub const MAX_DAYS: u64 = 365;

/// What a token says: the database role, and the person for staff tokens.
#[derive(Serialize)]
pub struct Claims {
    pub role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Seconds since 1970.
    pub exp: u64,
    pub iat: u64,
    /// Tells tokens apart in logs and lets one be revoked.
    pub jti: String,
}

impl Claims {
    pub fn new(role: &str, days: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let exp = now + days.min(MAX_DAYS) * 24 * 60 * 60;
        Self {
            role: role.to_owned(),
            sub: None,
            exp,
            iat: now,
            jti: uuid::Uuid::new_v4().to_string(),
        }
    }

    pub fn for_person(mut self, id: &str) -> Self {
        self.sub = Some(id.to_owned());
        self
    }
}

/// How tokens are signed.
pub enum Signer {
    /// A secret shared with PostgREST: local stacks and self-hosting.
    Hs256 { secret: String },
    /// A private key whose public half the hosted project knows under `kid`.
    Es256 { pem: String, kid: String },
}

impl Signer {
    pub fn mint(&self, claims: &Claims) -> Result<String> {
        let (header, key) = match self {
            Self::Hs256 { secret } => (Header::new(Algorithm::HS256), EncodingKey::from_secret(secret.as_bytes())),
            Self::Es256 { pem, kid } => {
                let mut header = Header::new(Algorithm::ES256);
                header.kid = Some(kid.clone());
                let key = EncodingKey::from_ec_pem(pem.as_bytes())
                    .context("this is not a private P-256 key in the PEM form of PKCS #8 (-----BEGIN PRIVATE KEY-----); openssl pkcs8 -topk8 -nodes turns other forms into it")?;
                (header, key)
            }
        };
        encode(&header, claims, &key).context("cannot sign the token")
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use p256::{
        SecretKey,
        elliptic_curve::rand_core::OsRng,
        pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding},
    };
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_local_token_names_role_and_person_and_ends_within_a_year() {
        let signer = Signer::Hs256 { secret: "s".repeat(32) };
        let token = signer.mint(&Claims::new("authenticated", 4000).for_person("a1")).unwrap();
        let key = DecodingKey::from_secret("s".repeat(32).as_bytes());
        let claims = decode::<Value>(&token, &key, &Validation::new(Algorithm::HS256)).unwrap().claims;
        assert_eq!((&claims["role"], &claims["sub"]), (&"authenticated".into(), &"a1".into()));
        let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert_eq!(life, MAX_DAYS * 24 * 60 * 60);
    }

    #[test]
    fn a_hosted_token_is_verified_by_the_public_key_and_names_its_key() {
        let pair = SecretKey::random(&mut OsRng);
        let private = pair.to_pkcs8_pem(LineEnding::LF).unwrap();
        let public = pair.public_key().to_public_key_pem(LineEnding::LF).unwrap();
        let signer = Signer::Es256 {
            pem: private.to_string(),
            kid: "key-1".into(),
        };
        let token = signer.mint(&Claims::new("edge_events", 30)).unwrap();
        let key = DecodingKey::from_ec_pem(public.as_bytes()).unwrap();
        let claims = decode::<Value>(&token, &key, &Validation::new(Algorithm::ES256)).unwrap().claims;
        assert_eq!(claims["role"], "edge_events");
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["kid"], "key-1");
    }

    #[test]
    fn a_file_that_is_no_private_key_is_refused_with_the_form_that_is() {
        let error = Signer::Es256 {
            pem: "x".into(),
            kid: "k".into(),
        }
        .mint(&Claims::new("anon", 1))
        .unwrap_err();
        assert!(error.to_string().contains("PKCS #8"), "{error}");
    }
}
