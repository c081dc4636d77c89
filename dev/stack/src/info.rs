//! `stack.json`: what a running stack tells tests and people about itself.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    demo::{ADMIN_ID, CUSTOMER_ID, DemoInfo, VIEWER_ID},
    functions::GATEWAY,
    jwt::{Claims, Signer},
    keys::Keys,
};

/// Functions with a database role of their own, `edge_<name>`, whether they exist yet or not.
const ROLES: [&str; 7] = ["events", "orders", "cardlink", "leads", "copilot", "jobs", "admin"];

/// Present only while the stack is ready; its file is readable by its owner only. No `Debug`: it holds every secret of the stack.
#[derive(Clone, Serialize, Deserialize)]
pub struct Info {
    pub version: u32,
    pub ready: bool,
    pub runtime: String,
    pub gateway: String,
    pub postgrest: String,
    /// The superuser's address of the stack's database.
    pub database_url: String,
    /// PostgREST as the Workers reach it: counts requests, injects faults.
    pub proxy: String,
    pub sandbox: String,
    pub jwt_secret: String,
    pub apikey: String,
    pub tokens: BTreeMap<String, String>,
    pub admin_token: String,
    pub viewer_token: String,
    pub customer_token: String,
    pub jobs_secret: String,
    pub cardlink: Cardlink,
    pub mail: Mail,
    pub order_token_key: String,
    /// For sealing codes as the admin Worker does.
    pub code_keys: BTreeMap<String, String>,
    pub code_active_kid: String,
    pub code_fingerprint_key: String,
    /// Function -> its address; under wrangler always the gateway's.
    pub functions: BTreeMap<String, String>,
    pub demo: DemoInfo,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Cardlink {
    /// `v1` or `v2`.
    pub api: String,
    /// Signs v2 notices.
    pub secret: String,
    /// The bearer token, and the key of v1 notices.
    pub token: String,
    pub shop_id: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Mail {
    pub api_key: String,
    /// Signs the notices of the mail provider.
    pub webhook_secret: String,
}

impl Info {
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read {}: no stack is running (start one with cargo xtask dev)",
                path.display()
            )
        })?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    /// The address of a function; the gateway's for one that has none of its own.
    pub fn function(&self, name: &str) -> &str {
        self.functions.get(name).unwrap_or(&self.gateway)
    }
}

/// The tokens of one stack, minted anew at every start.
pub struct Tokens {
    pub by_function: BTreeMap<String, String>,
    pub admin: String,
    pub viewer: String,
    pub customer: String,
}

impl Tokens {
    pub fn mint(keys: &Keys) -> Result<Self> {
        const DAYS: u64 = 30;
        let signer = Signer::Hs256 {
            secret: keys.jwt_secret.clone(),
        };
        let person = |id: Uuid| signer.mint(&Claims::new("authenticated", DAYS).for_person(&id.to_string()));
        let mut by_function = BTreeMap::from([("anon".to_owned(), signer.mint(&Claims::new("anon", DAYS))?)]);
        for function in ROLES {
            by_function.insert(function.to_owned(), signer.mint(&Claims::new(&format!("edge_{function}"), DAYS))?);
        }
        Ok(Self {
            by_function,
            admin: person(ADMIN_ID)?,
            viewer: person(VIEWER_ID)?,
            customer: person(CUSTOMER_ID)?,
        })
    }

    /// A function's PostgREST token; the gateway has none.
    pub fn of(&self, function: &str) -> Result<&str> {
        if function == GATEWAY {
            return Ok("");
        }
        self.by_function
            .get(function)
            .map(String::as_str)
            .with_context(|| format!("no database role is known for the function {function}: add it to dev/stack/src/info.rs"))
    }

    /// What hosted projects call the anonymous key.
    pub fn apikey(&self) -> &str {
        &self.by_function["anon"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_token_and_people_have_tokens_of_their_own() {
        let tokens = Tokens::mint(&serde_json::from_str("{}").unwrap()).unwrap();
        assert_eq!(tokens.by_function.len(), ROLES.len() + 1);
        assert!(tokens.admin != tokens.viewer && tokens.viewer != tokens.customer);
        assert_eq!(tokens.of(GATEWAY).unwrap(), "");
        assert!(tokens.of("unheard-of").is_err());
    }
}
