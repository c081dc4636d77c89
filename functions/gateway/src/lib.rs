//! Worker `gateway`: the one public address.
//!
//! In scope: static pages, `/health`, and handing every other route to its function by service binding, body untouched. Out of
//! scope: any rule about orders, events or payments; the gateway holds no secret and never talks to the database.

mod assets;
mod handler;
mod health;
mod routes;

use shared::edge::{self, LogLine, REQUEST_ID};
use shared::error::{ApiError, Level};
use worker::{Context, Env, Request, Response, event};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _ctx: Context) -> worker::Result<Response> {
    let started = edge::now();
    let request_id = handler::request_id(&request);
    let (method, path) = (request.method().to_string(), request.path());
    match handler::handle(request, &env, &request_id).await {
        Ok(response) => Ok(response),
        Err(error) => {
            log(&error, &request_id, &method, &path, (edge::now() - started).num_milliseconds());
            let mut response: Response = error.response(&request_id).try_into()?;
            response.headers_mut().set(REQUEST_ID, &request_id)?;
            Ok(response)
        }
    }
}

/// Requests that a function answers are logged there; here only what the gateway itself refuses.
fn log(error: &ApiError, request_id: &str, method: &str, path: &str, ms: i64) {
    let level = if error.code.level() == Level::Info {
        Level::Info
    } else {
        Level::Error
    };
    let route: String = path.split('/').take(3).collect::<Vec<_>>().join("/");
    edge::log(&LogLine {
        level,
        function: "gateway",
        request_id,
        method,
        route: &route,
        status: error.code.status().as_u16(),
        code: Some(error.code.name()),
        detail: error.detail.as_deref(),
        ms,
    });
}
