//! Routes of the Worker `events`. Each flow's contract stands in its own module.
//!
//! | route | module |
//! |---|---|
//! | `POST /api/events`, `OPTIONS /api/events` | [`crate::collect`], [`shared::cors`] |
//! | `GET /api/experiments` | [`crate::experiments`] |

use http::{Method, Response};
use shared::cors::Cors;
use shared::edge::Incoming;
use shared::error::{ApiError, Code};

use crate::{Config, collect, experiments};

pub const MAX_BODY: usize = 64 * 1024;

pub async fn handle(config: Config, request: Incoming) -> Result<Response<String>, ApiError> {
    // Before anything that asks the database. The answer is not for pages of other origins: they repeat it all the same.
    if let Some(limit) = &config.limit {
        limit.check(&request, config.trusted_proxy.as_deref()).await?;
    }
    match request.path.as_str() {
        "/api/events" => events(&config, &request).await,
        "/api/experiments" => experiments::assignments(&config, &request).await,
        _ => Err(Code::NotFound.into()),
    }
}

async fn events(config: &Config, request: &Incoming) -> Result<Response<String>, ApiError> {
    let cors = Cors::of(&config.db, config.default_tenant, request).await;
    match request.method {
        // Events are taken also when it cannot be found out who may read the answer.
        Method::POST => cors.unwrap_or(Cors::NONE).on(collect::collect(config, request).await),
        Method::OPTIONS => Ok(cors?.preflight("POST", "POST, OPTIONS")),
        _ => cors?.on(Err(ApiError::method_not_allowed("POST, OPTIONS"))),
    }
}
