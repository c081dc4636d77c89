//! Worker `events`: the browser's own account of a visit, stored once per event; which variant of an experiment a visitor sees.
//!
//! In scope: checking events one by one, adding what only the edge knows (address, place, device, program, time), storing them in one call or
//! through a queue, and storing what the queue delivers; drawing visitors into variants. Out of scope: sessions and attribution (the
//! tracker), visits and duplicates (SQL), numbers (SQL functions of schema `api`).

mod bucket;
mod click_ids;
mod clock;
mod collect;
mod consumer;
mod event;
mod experiments;
mod handler;
mod limit;
mod programs;
mod queue;
mod store;
mod wire;

use http::Response;
use shared::edge::{self, BindingError, Bindings};
use shared::postgrest::Db;
use uuid::Uuid;
use worker::{Context, Env, HttpRequest, MessageBatch, event};

/// Bindings of this Worker, checked.
pub struct Config {
    pub db: Db,
    pub default_tenant: Option<Uuid>,
    pub trusted_proxy: Option<String>,
    /// `None` without `EVENTS_QUEUE`: events then go straight into the database.
    pub queue: Option<queue::Queue>,
    /// `None` without `EVENTS_LIMIT`: then clients are not limited.
    pub limit: Option<limit::Limit>,
}

impl Config {
    fn from_bindings(bindings: &Bindings, queue: Option<worker::Queue>, limit: Option<worker::RateLimiter>) -> Result<Self, BindingError> {
        Ok(Self {
            db: bindings.db()?,
            default_tenant: bindings.default_tenant()?,
            trusted_proxy: bindings.optional("TRUSTED_PROXY"),
            queue: queue.map(queue::Queue),
            limit: limit.map(limit::Limit),
        })
    }
}

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, _ctx: Context) -> worker::Result<Response<String>> {
    let health_db = |config: &Config| Some(config.db.clone());
    let (queue, limit) = (env.queue("EVENTS_QUEUE").ok(), env.rate_limiter("EVENTS_LIMIT").ok());
    let config = |bindings: &Bindings| Config::from_bindings(bindings, queue, limit);
    edge::serve("events", request, &env, handler::MAX_BODY, config, health_db, handler::handle).await
}

#[event(queue)]
async fn consume(batch: MessageBatch<()>, env: Env, _ctx: Context) -> worker::Result<()> {
    let (name, delivered) = (batch.queue(), queue::Batch::of(&batch));
    let run = edge::run_queue(
        "events",
        &name,
        &env,
        |bindings| bindings.db(),
        async |db| {
            let (fates, counts, error) = consumer::consume(&db, &name, &delivered.deliveries(), edge::now()).await;
            delivered.settle(&fates);
            (counts, error)
        },
    );
    if !run.await {
        delivered.put_back();
    }
    Ok(())
}
