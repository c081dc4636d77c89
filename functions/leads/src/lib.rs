//! Worker `leads`: landing forms, short links, unsubscribing.
//!
//! In scope: checking a form, keeping programs out (honeypot, Turnstile), CORS for the tenant's other domains, stamping clicks. Out of
//! scope: who is the same person and what a phone number means (SQL, where the tenant's settings are), sending messages (jobs).

mod capture;
mod handler;
mod lead;
mod links;
mod turnstile;
mod unsubscribe;
mod wire;

use http::Response;
use shared::edge::{self, BindingError, Bindings};
use shared::outgoing::Outgoing;
use shared::postgrest::Db;
use turnstile::Turnstile;
use uuid::Uuid;
use worker::{Context, Env, HttpRequest, event};

/// Bindings of this Worker, checked.
pub struct Config {
    pub db: Db,
    pub default_tenant: Option<Uuid>,
    pub trusted_proxy: Option<String>,
    /// `None` without `TURNSTILE_SECRET`: forms then need no token.
    pub turnstile: Option<Turnstile>,
    pub outgoing: Outgoing,
}

impl Config {
    fn from_bindings(bindings: &Bindings) -> Result<Self, BindingError> {
        let url = bindings.optional("TURNSTILE_URL");
        Ok(Self {
            db: bindings.db()?,
            default_tenant: bindings.default_tenant()?,
            trusted_proxy: bindings.optional("TRUSTED_PROXY"),
            turnstile: bindings
                .optional_secret("TURNSTILE_SECRET")?
                .map(|secret| Turnstile::new(secret, url)),
            outgoing: Outgoing::default(),
        })
    }
}

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, _ctx: Context) -> worker::Result<Response<String>> {
    let health_db = |config: &Config| Some(config.db.clone());
    edge::serve(
        "leads",
        request,
        &env,
        handler::MAX_BODY,
        Config::from_bindings,
        health_db,
        handler::handle,
    )
    .await
}
