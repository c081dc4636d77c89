//! `/health`: the gateway is up. `/health/{function}`: that function's configuration is complete and the database answers it; the
//! answer is kept for ten seconds per isolate, so that a health check cannot be used to load the database.

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::json;
use shared::edge::{self, REQUEST_ID};
use shared::error::{ApiError, Code};
use worker::{Env, Method, Request, RequestInit, Response};

use crate::routes::Function;

const KEEP_MS: i64 = 10_000;

/// A function's last answer: when, status, body.
type Kept = (i64, u16, String);

thread_local! {
    static LAST: RefCell<HashMap<Function, Kept>> = RefCell::new(HashMap::new());
}

pub fn own(_request: &Request) -> Result<Response, ApiError> {
    json_text(
        200,
        json!({"status": "ok", "function": "gateway", "version": env!("CARGO_PKG_VERSION")}).to_string(),
    )
}

pub async fn of(env: &Env, function: Function, request_id: &str) -> Result<Response, ApiError> {
    let now = edge::now().timestamp_millis();
    let kept = LAST.with_borrow(|last| last.get(&function).filter(|(at, ..)| now - at < KEEP_MS).cloned());
    let (_, status, body) = match kept {
        Some(kept) => kept,
        None => {
            let (status, body) = ask(env, function, request_id)
                .await
                .map_err(|e| ApiError::new(Code::Misconfigured).detail(format_args!("health of {}: {e}", function.name())))?;
            let fresh = (now, status, body);
            LAST.with_borrow_mut(|last| last.insert(function, fresh.clone()));
            fresh
        }
    };
    json_text(status, body)
}

async fn ask(env: &Env, function: Function, request_id: &str) -> worker::Result<(u16, String)> {
    let mut init = RequestInit::new();
    init.with_method(Method::Get);
    let mut request = Request::new_with_init(&format!("http://{}/health", function.name()), &init)?;
    request.headers_mut()?.set(REQUEST_ID, request_id)?;
    let answer = env.service(function.binding())?.fetch_request(request).await?;
    let mut response = Response::try_from(answer)?;
    Ok((response.status_code(), response.text().await?))
}

fn json_text(status: u16, body: String) -> Result<Response, ApiError> {
    let build = || {
        let mut response = Response::ok(body)?.with_status(status);
        response.headers_mut().set("content-type", "application/json")?;
        response.headers_mut().set("cache-control", "no-store")?;
        Ok(response)
    };
    build().map_err(|e: worker::Error| ApiError::new(Code::InternalError).detail(e))
}
