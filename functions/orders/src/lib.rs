//! Worker `orders`: products, orders, and an order's status and codes for who holds its token.
//!
//! In scope: checking a cart, reserving stock and pricing it (one SQL function), creating the bill at the payment provider, showing
//! an order. Out of scope: deciding that something is paid (cardlink), sending mail (jobs).

mod budget;
mod cart;
mod create;
mod handler;
mod provider;
mod repeat;
mod returns;
mod show;
mod wire;

use http::Response;
use shared::codes::CodeKeys;
use shared::edge::{self, BindingError, Bindings};
use shared::postgrest::Db;
use shared::tokens::OrderTokenKey;
use uuid::Uuid;
use worker::{Context, Env, HttpRequest, event};

use crate::provider::Provider;

/// Bindings of this Worker, checked.
pub struct Config {
    pub db: Db,
    pub default_tenant: Option<Uuid>,
    pub trusted_proxy: Option<String>,
    pub token_key: OrderTokenKey,
    pub code_keys: CodeKeys,
    pub provider: Provider,
}

impl Config {
    fn from_bindings(bindings: &Bindings) -> Result<Self, BindingError> {
        Ok(Self {
            db: bindings.db()?,
            default_tenant: bindings.default_tenant()?,
            trusted_proxy: bindings.optional("TRUSTED_PROXY"),
            token_key: bindings.parsed("ORDER_TOKEN_KEY", "base64 of at least 32 bytes", OrderTokenKey::parse)?,
            code_keys: bindings.parsed("CODE_KEYS", "{\"kid\": \"<base64 of 32 bytes>\"}", |json| {
                CodeKeys::parse(json, None).ok()
            })?,
            provider: Provider::from_bindings(bindings)?,
        })
    }
}

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, _ctx: Context) -> worker::Result<Response<String>> {
    let health_db = |config: &Config| Some(config.db.clone());
    edge::serve(
        "orders",
        request,
        &env,
        handler::MAX_BODY,
        Config::from_bindings,
        health_db,
        handler::handle,
    )
    .await
}
