//! Worker `cardlink`: the payment provider's webhook.
//!
//! In scope: proving that a notice is the provider's (v2) or asking the provider whether it is true (v1), and settling it in one
//! transaction. Out of scope: everything that follows a payment (mail, statistics): the settle leaves it in the outbox, and `jobs` is
//! woken.

mod confirm;
mod handler;
mod v1;
mod v2;

use http::Response;
use shared::cardlink::Api;
use shared::cardlink::client::Client;
use shared::edge::{self, BindingError, Bindings};
use shared::postgrest::Db;
use shared::secret::Secret;
use worker::{Context, Env, HttpRequest, event};

/// Bindings of this Worker, checked.
pub struct Config {
    pub db: Db,
    pub contract: Contract,
    pub jobs: worker::Fetcher,
    pub jobs_secret: Secret,
    pub context: Context,
}

/// Which contract the provider speaks, with what proves a notice under it.
pub enum Contract {
    V1(Client),
    V2 { secret: Secret },
}

impl Config {
    fn from_bindings(bindings: &Bindings, context: Context) -> Result<Self, BindingError> {
        let contract = match bindings.parsed("CARDLINK_API", "v1 or v2", Api::parse)? {
            Api::V1 => Contract::V1(Client::from_bindings(bindings)?),
            Api::V2 => Contract::V2 {
                secret: bindings.secret("CARDLINK_SECRET")?,
            },
        };
        Ok(Self {
            db: bindings.db()?,
            contract,
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
