//! Worker `cardlink`: the payment provider's webhook.
//!
//! In scope: proving that a notice is the provider's, and settling it in one database call. Out of scope: everything that follows a
//! payment (mail, statistics): the settle leaves it in the outbox, and `jobs` is woken.

mod handler;
mod v2;

use http::Response;
use shared::cardlink::Api;
use shared::edge::{self, BindingError, Bindings};
use shared::postgrest::Db;
use shared::secret::Secret;
use worker::{Context, Env, HttpRequest, event};

/// Bindings of this Worker, checked.
pub struct Config {
    pub db: Db,
    pub api: Api,
    pub secret: Secret,
    pub jobs: worker::Fetcher,
    pub jobs_secret: Secret,
    pub context: Context,
}

impl Config {
    fn from_bindings(bindings: &Bindings, context: Context) -> Result<Self, BindingError> {
        Ok(Self {
            db: bindings.db()?,
            api: bindings.parsed("CARDLINK_API", "v2", Api::parse)?,
            secret: bindings.secret("CARDLINK_SECRET")?,
            jobs: bindings.service("JOBS")?,
            jobs_secret: bindings.secret("JOBS_SECRET")?,
            context,
        })
    }
}

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, ctx: Context) -> worker::Result<Response<String>> {
    let config = |bindings: &Bindings| Config::from_bindings(bindings, ctx);
    let health_db = |config: &Config| Some(config.db.clone());
    edge::serve("cardlink", request, &env, handler::MAX_BODY, config, health_db, handler::handle).await
}
