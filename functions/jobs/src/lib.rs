//! Worker `jobs`: everything that happens without a shopper waiting for it.
//!
//! In scope: running what is due (`schedule.rs`), sending what the outbox holds and hearing from the mail provider what became of it,
//! asking the payment provider about bills, giving money back, ending reservations that were never paid, delivering orders that waited for
//! codes, sealing codes anew when their key is replaced, watching the ledger, counting, alerts, the daily reconciliation. It is the only
//! Worker that talks to mail and other outgoing services. Out of scope: deciding what is due; SQL functions do that.

mod bills;
mod digest;
mod expiry;
mod handler;
mod mail;
mod metrics;
mod outbox;
mod reconcile;
mod refunds;
mod reseal;
mod schedule;
mod webhook;

use http::Response;
use shared::calls::Calls;
use shared::cardlink::client::Client;
use shared::codes::CodeKeys;
use shared::edge::{self, BindingError, Bindings};
use shared::outgoing::Outgoing;
use shared::postgrest::Db;
use shared::secret::Secret;
use shared::tokens::OrderTokenKey;
use worker::{Context, Env, HttpRequest, ScheduleContext, ScheduledEvent, event};

/// Bindings of this Worker, checked.
pub struct Config {
    pub db: Db,
    pub jobs_secret: Secret,
    pub code_keys: CodeKeys,
    pub token_key: OrderTokenKey,
    pub cardlink: Client,
    pub mail: mail::Sender,
    pub mail_webhook: webhook::Key,
    pub outgoing: Outgoing,
    /// Of this run, to the database and outside.
    pub calls: Calls,
    /// Of ours at Cardlink v1, where the account there has several.
    pub cardlink_shop_id: Option<String>,
    /// Whom an alert goes to that is nobody's.
    pub default_tenant: Option<String>,
    /// Only test stacks set `TEST_CLOCK=1`; then the header `X-Test-Clock` moves the time of a run.
    pub test_clock: bool,
}

impl Config {
    fn from_bindings(bindings: &Bindings) -> Result<Self, BindingError> {
        let kid = bindings.required("CODE_ACTIVE_KID")?;
        let code_keys = "{\"kid\": \"<base64 of 32 bytes>\"} with the kid CODE_ACTIVE_KID names";
        let calls = Calls::default();
        let mail = mail::Sender::from_bindings(bindings)?;
        Ok(Self {
            db: bindings.db()?.counting(calls.clone()),
            jobs_secret: bindings.secret("JOBS_SECRET")?,
            code_keys: bindings.parsed("CODE_KEYS", code_keys, |json| CodeKeys::parse(json, Some(&kid)).ok())?,
            token_key: bindings.parsed("ORDER_TOKEN_KEY", "base64 of at least 32 bytes", OrderTokenKey::parse)?,
            cardlink: Client::from_bindings(bindings)?.counting(calls.clone()),
            mail_webhook: webhook::Key::from_bindings(bindings, mail.provider)?,
            mail,
            outgoing: Outgoing::counting(calls.clone()),
            calls,
            cardlink_shop_id: bindings.optional("CARDLINK_SHOP_ID"),
            default_tenant: bindings.optional("DEFAULT_TENANT"),
            test_clock: bindings.optional("TEST_CLOCK").as_deref() == Some("1"),
        })
    }
}

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, _ctx: Context) -> worker::Result<Response<String>> {
    let health_db = |config: &Config| Some(config.db.clone());
    let limit = handler::body_limit(request.uri().path());
    edge::serve("jobs", request, &env, limit, Config::from_bindings, health_db, handler::handle).await
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _ctx: ScheduleContext) {
    edge::run_scheduled("jobs", "tick", &env, Config::from_bindings, |config| schedule::tick(config, None)).await;
}
