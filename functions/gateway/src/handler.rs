//! What the gateway answers
//!
//! 1. A route of a function: the function's own answer. The service binding is missing, or the function died: 500 `misconfigured`.
//! 2. `/health`, `/health/{function}`: see [`crate::health`].
//! 3. A file of the assets directory: 200 (GET and HEAD only, else 405).
//! 4. Anything else: 404, as a page for a browser that asks for one outside `/api/`, else as `not_found`.

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
        Route::Asset(file) => match assets::serve(only_reading(&request)?, env, &file).await {
            Err(error) if error.code == Code::NotFound => not_found(&request, env).await,
            served => served,
        },
        Route::NotFound => not_found(&request, env).await,
    }
}

async fn not_found(request: &Request, env: &Env) -> Result<Response, ApiError> {
    let accept = request.headers().get("accept").ok().flatten().unwrap_or_default();
    let reading = matches!(request.method(), Method::Get | Method::Head);
    if reading && wants_page(&request.path(), &accept) {
        assets::not_found(request, env).await
    } else {
        Err(Code::NotFound.into())
    }
}

/// A person who follows a link, not a program: scripts and API clients keep the JSON answer.
fn wants_page(path: &str, accept: &str) -> bool {
    !path.starts_with("/api/") && accept.split(',').any(|range| range.trim().starts_with("text/html"))
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

#[cfg(test)]
mod tests {
    use super::wants_page;

    #[test]
    fn only_a_browser_outside_the_api_gets_a_page_for_404() {
        assert!(wants_page("/nothing", "application/xhtml+xml, text/html;q=0.9"));
        for (path, accept) in [
            ("/api/nothing", "text/html"),
            ("/nothing", "*/*"),
            ("/nothing", "application/json"),
            ("/nothing", ""),
        ] {
            assert!(!wants_page(path, accept), "{path} {accept}");
        }
    }
}
