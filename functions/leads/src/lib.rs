//! Worker `leads`: landing forms, short links, unsubscribing.

mod handler;

use http::Response;
use shared::edge::{self, BindingError, Bindings};
use shared::postgrest::Db;
use worker::{Context, Env, HttpRequest, event};

/// Bindings of this Worker, checked.
pub struct Config {
    pub db: Db,
}

impl Config {
    fn from_bindings(bindings: &Bindings) -> Result<Self, BindingError> {
        Ok(Self { db: bindings.db()? })
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
