//! The secrets of one stack: made at its first start, kept in `keys.json` (mode 0600), never in the repository.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use rand::RngCore;
use serde::{Deserialize, Serialize};

use crate::layout::write_private;

/// A field that an older file lacks is made anew. No `Debug`: secrets stay out of messages.
#[derive(Clone, Serialize, Deserialize)]
pub struct Keys {
    /// Signs the tokens PostgREST accepts (HS256).
    #[serde(default = "random_text")]
    pub jwt_secret: String,
    /// Key id -> base64 of 32 bytes; seals gift codes.
    #[serde(default = "first_code_keys")]
    pub code_keys: BTreeMap<String, String>,
    #[serde(default = "first_kid")]
    pub code_active_kid: String,
    #[serde(default = "random_key")]
    pub code_fingerprint_key: String,
    #[serde(default = "random_key")]
    pub order_token_key: String,
    #[serde(default = "random_text")]
    pub cardlink_secret: String,
    #[serde(default = "random_text")]
    pub cardlink_token: String,
    #[serde(default = "random_text")]
    pub jobs_secret: String,
    #[serde(default = "random_text")]
    pub mail_api_key: String,
    #[serde(default = "svix_secret")]
    pub mail_webhook_secret: String,
    #[serde(default = "random_text")]
    pub postgres_password: String,
    #[serde(default = "random_text")]
    pub authenticator_password: String,
}

impl Keys {
    pub fn load_or_create(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let keys: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is damaged: remove its folder to start over", path.display()))?;
        write_private(path, &serde_json::to_string_pretty(&keys)?).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(keys)
    }

    /// The value of the binding CODE_KEYS.
    pub fn code_keys_json(&self) -> String {
        serde_json::json!(self.code_keys).to_string()
    }
}

/// 32 random bytes in base64: the form of every encryption and MAC key.
pub fn random_key() -> String {
    STANDARD.encode(random_bytes())
}

/// 32 random bytes in hex: for passwords and bearer secrets, safe in addresses and shells.
pub fn random_text() -> String {
    hex::encode(random_bytes())
}

/// A signing secret as Svix, and so Resend, writes it.
fn svix_secret() -> String {
    format!("whsec_{}", random_key())
}

fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn first_kid() -> String {
    "k1".to_owned()
}

/// Two, as in the middle of a rotation: every Worker then opens codes sealed with either.
fn first_code_keys() -> BTreeMap<String, String> {
    [(first_kid(), random_key()), ("k2".to_owned(), random_key())].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_missing_ones_are_added() {
        let dir = std::env::temp_dir().join(format!("lonieve-keys-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("keys.json");
        let first = Keys::load_or_create(&path).unwrap();
        let mut stored: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        stored.as_object_mut().unwrap().remove("jobs_secret");
        fs::write(&path, stored.to_string()).unwrap();
        let second = Keys::load_or_create(&path).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(first.jwt_secret, second.jwt_secret);
        assert_eq!(first.code_keys, second.code_keys);
        assert_ne!(first.jobs_secret, second.jobs_secret);
    }

    #[test]
    fn a_key_is_32_bytes_and_never_the_same_twice() {
        assert_eq!(STANDARD.decode(random_key()).unwrap().len(), 32);
        assert_ne!(random_key(), random_key());
        assert_eq!(random_text().len(), 64);
    }
}
