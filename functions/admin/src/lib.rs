//! Worker `admin`: what the staff does with codes, products, orders, alerts, messages, experiments and ad spend.
//!
//! In scope: checking what a member of staff asks for, sealing codes before they reach the database, and calling the database in the
//! member's own name. Out of scope: rights. They are those of the token's owner, and SQL functions decide and audit; this Worker's own
//! role may only ask for its health and deliver waiting orders.

mod ad_spend;
mod alerts;
mod exact;
mod experiments;
mod handler;
mod import;
mod jobs;
mod orders;
mod outbox;
mod products;
mod read;
mod refund;
mod replace;
mod reports;
mod sheet;
mod spend_sheet;
mod staff;
mod statistics;
mod table;
mod upload;
mod wake;
mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Response;
use shared::cardlink::Api;
use shared::codes::CodeKeys;
use shared::edge::{self, BindingError, Bindings};
use shared::postgrest::Db;
use shared::secret::Secret;
use worker::{Context, Env, HttpRequest, event};

/// Bindings of this Worker, checked.
pub struct Config {
    pub db: Db,
    /// Which of the provider's contracts the shop speaks: only v1 knows refunds.
    pub cardlink: Api,
    pub code_keys: CodeKeys,
    pub fingerprint_key: Vec<u8>,
    pub jobs: worker::Fetcher,
    pub jobs_secret: Secret,
    pub context: Context,
}

impl Config {
    fn from_bindings(bindings: &Bindings, context: Context) -> Result<Self, BindingError> {
        let kid = bindings.required("CODE_ACTIVE_KID")?;
        let code_keys = "{\"kid\": \"<base64 of 32 bytes>\"} with the kid CODE_ACTIVE_KID names";
        Ok(Self {
            db: bindings.db()?,
            cardlink: bindings.parsed("CARDLINK_API", "v1 or v2", Api::parse)?,
            code_keys: bindings.parsed("CODE_KEYS", code_keys, |json| CodeKeys::parse(json, Some(&kid)).ok())?,
            fingerprint_key: bindings.parsed("CODE_FINGERPRINT_KEY", "base64 of 32 bytes", |text| {
                STANDARD.decode(text.trim()).ok().filter(|key| key.len() == 32)
            })?,
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
    let limit = handler::body_limit(request.uri().path());
    edge::serve("admin", request, &env, limit, config, health_db, handler::handle).await
}
