//! What the gateway answers
//!
//! 1. A route of a function: the function's own answer. The service binding is missing, or the function died: 500 `misconfigured`.
//! 2. `/health`, `/health/{function}`: see [`crate::health`].
//! 3. A file of the assets directory: 200 (GET and HEAD only, else 405).
//! 4. Anything else: 404 `not_found`.

use shared::edge::{self, REQUEST_ID};
use shared::error::{ApiError, Code};
use worker::{Env, Method, Request, Response};

use crate::routes::{Function, Route, route};
use crate::{assets, health};

pub async fn handle(request: Request, env: &Env, request_id: &str) -> Result<Response, ApiError> {
    match route(&request.path()) {
        Route::To(function) => forward(request, env, function, request_id).await,
        Route::Health => health::own(only_reading(&request)?),
        Route::HealthOf(function) => {
            only_reading(&request)?;
            health::of(env, function, request_id).await
        }
        Route::Asset(file) => assets::serve(only_reading(&request)?, env, &file).await,
        Route::NotFound => Err(Code::NotFound.into()),
    }
}

fn only_reading(request: &Request) -> Result<&Request, ApiError> {
    match request.method() {
        Method::Get | Method::Head => Ok(request),
        _ => Err(ApiError::method_not_allowed("GET, HEAD")),
    }
}

async fn forward(request: Request, env: &Env, function: Function, request_id: &str) -> Result<Response, ApiError> {
    let broken =
        |what: &str, error: worker::Error| ApiError::new(Code::Misconfigured).detail(format_args!("{what} {}: {error}", function.name()));
    let service = env.service(function.binding()).map_err(|e| broken("no service binding for", e))?;
    let mut request = request.clone_mut().map_err(|e| broken("request for", e))?;
    request
        .headers_mut()
        .and_then(|headers| headers.set(REQUEST_ID, request_id))
        .map_err(|e| broken("request for", e))?;
    let answer = service.fetch_request(request).await.and_then(Response::try_from);
    answer.map_err(|e| broken("no answer from", e))
}

/// The id under which this request is logged everywhere.
pub fn request_id(request: &Request) -> String {
    let given = |name: &str| request.headers().get(name).ok().flatten();
    let usable = |id: &String| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    given("cf-ray").filter(usable).unwrap_or_else(|| edge::random_uuid().to_string())
}
