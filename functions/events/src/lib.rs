//! Worker `events`: the browser's own account of a visit, stored once per event.
//!
//! In scope: checking events one by one, adding what only the edge knows (address, place, device, time), storing them in one call.
//! Out of scope: sessions and attribution (the tracker), numbers (SQL functions of schema `api`).

mod event;
mod handler;
mod wire;

use http::Response;
use shared::edge::{self, BindingError, Bindings};
use shared::postgrest::Db;
use uuid::Uuid;
use worker::{Context, Env, HttpRequest, event};

/// Bindings of this Worker, checked.
pub struct Config {
    pub db: Db,
    pub default_tenant: Option<Uuid>,
    pub trusted_proxy: Option<String>,
}

impl Config {
    fn from_bindings(bindings: &Bindings) -> Result<Self, BindingError> {
        Ok(Self {
            db: bindings.db()?,
            default_tenant: bindings.default_tenant()?,
            trusted_proxy: bindings.optional("TRUSTED_PROXY"),
        })
    }
}

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, _ctx: Context) -> worker::Result<Response<String>> {
    let health_db = |config: &Config| Some(config.db.clone());
    edge::serve(
        "events",
        request,
        &env,
        handler::MAX_BODY,
        Config::from_bindings,
        health_db,
        handler::handle,
    )
    .await
}
