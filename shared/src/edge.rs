//! Where the platform ends: bindings become typed configuration, requests become plain data, errors become answers and log lines.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use uuid::Uuid;
use worker::{Env, HttpRequest};

use crate::client_info;
use crate::error::{ApiError, Code, Level};
use crate::postgrest::{Db, Rpc};
use crate::secret::Secret;

/// The header under which a request id travels between functions.
pub const REQUEST_ID: &str = "x-request-id";

/// A request as the handlers see it: plain data, its body read and bounded.
#[derive(Debug)]
pub struct Incoming {
    pub method: Method,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Host the browser asked for, lower-case, without port.
    pub host: String,
    pub country: Option<String>,
    pub city: Option<String>,
    pub request_id: String,
    pub now: DateTime<Utc>,
}

impl Incoming {
    /// The media type of the body without parameters, in lower case.
    pub fn content_type(&self) -> String {
        let value = client_info::header_text(&self.headers, header::CONTENT_TYPE.as_str(), 200).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// 415 unless the body has one of these types.
    pub fn expect_content_type(&self, accepted: &[&str]) -> Result<(), ApiError> {
        if accepted.contains(&self.content_type().as_str()) {
            Ok(())
        } else {
            Err(Code::UnsupportedMediaType.into())
        }
    }
}

/// Text bindings (vars and secrets) of a function.
pub struct Bindings<'a>(&'a Env);

/// Names the binding that is missing or wrong; its value is never part of it.
#[derive(Debug)]
pub struct BindingError(pub String);

impl Bindings<'_> {
    pub fn optional(&self, name: &str) -> Option<String> {
        self.0
            .var(name)
            .ok()
            .map(|value| value.to_string())
            .filter(|value| !value.trim().is_empty())
    }

    pub fn required(&self, name: &str) -> Result<String, BindingError> {
        self.optional(name)
            .ok_or_else(|| BindingError(format!("binding {name} is missing")))
    }

    pub fn secret(&self, name: &str) -> Result<Secret, BindingError> {
        Secret::new(self.required(name)?).ok_or_else(|| BindingError(format!("binding {name} is blank")))
    }

    /// A secret whose absence switches a check off. Bound but blank is an error: it must not switch anything off by accident.
    pub fn optional_secret(&self, name: &str) -> Result<Option<Secret>, BindingError> {
        let Ok(value) = self.0.var(name) else { return Ok(None) };
        Secret::new(value.to_string())
            .map(Some)
            .ok_or_else(|| BindingError(format!("binding {name} is blank")))
    }

    /// A binding that a parser turns into something; `expected` says what it should be.
    pub fn parsed<T>(&self, name: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, BindingError> {
        parse(&self.required(name)?).ok_or_else(|| BindingError(format!("binding {name} must be {expected}")))
    }

    /// An optional `1` or `0`. Anything else is refused: `false` would read as set.
    pub fn flag(&self, name: &str) -> Result<bool, BindingError> {
        match self.optional(name).as_deref() {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(BindingError(format!("binding {name} must be 1 or 0"))),
        }
    }

    pub fn db(&self) -> Result<Db, BindingError> {
        let token = self.secret("POSTGREST_TOKEN")?;
        let apikey = self.optional("POSTGREST_APIKEY");
        Db::new(&self.required("POSTGREST_URL")?, &token, apikey.as_deref())
            .ok_or_else(|| BindingError("binding POSTGREST_TOKEN or POSTGREST_APIKEY cannot be sent as a header".into()))
    }

    /// Another Worker, reached by service binding.
    pub fn service(&self, name: &str) -> Result<worker::Fetcher, BindingError> {
        self.0
            .service(name)
            .map_err(|_| BindingError(format!("service binding {name} is missing")))
    }

    /// Tenant for hosts that no domain row names.
    pub fn default_tenant(&self) -> Result<Option<Uuid>, BindingError> {
        let Some(text) = self.optional("DEFAULT_TENANT") else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| BindingError("binding DEFAULT_TENANT must be a UUID".into()))
    }
}

/// Reads the request, builds the configuration, runs the handler, and turns what comes out into an answer and one log line.
///
/// `/health` is answered here for every function: the configuration is complete and the database answers this function's role.
pub async fn serve<C, H, F>(
    function: &'static str,
    request: HttpRequest,
    env: &Env,
    body_limit: usize,
    config: impl FnOnce(&Bindings) -> Result<C, BindingError>,
    health_db: impl FnOnce(&C) -> Option<Db>,
    handler: H,
) -> worker::Result<Response<String>>
where
    H: FnOnce(C, Incoming) -> F,
    F: Future<Output = Result<Response<String>, ApiError>>,
{
    let started = now();
    let request_id = request_id(request.headers());
    let method = request.method().to_string();
    let route = client_info::logged_route(request.uri().path(), 5);
    let result = async {
        let config = config(&Bindings(env)).map_err(|error| ApiError::new(Code::Misconfigured).detail(error.0))?;
        let incoming = read(request, body_limit, request_id.clone(), started).await?;
        if incoming.path == "/health" {
            return health(function, &incoming, health_db(&config)).await;
        }
        handler(config, incoming).await
    }
    .await;
    let (mut response, code, detail, level) = match result {
        Ok(response) => (response, None, None, Level::Info),
        Err(error) => (error.response(&request_id), Some(error.code), error.detail, error.code.level()),
    };
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    log(&LogLine {
        level,
        function,
        request_id: &request_id,
        method: &method,
        route: &route,
        status: response.status().as_u16(),
        code: code.map(Code::name),
        detail: detail.as_deref(),
        ms: (now() - started).num_milliseconds(),
    });
    Ok(response)
}

/// Runs a cron trigger's job and logs how it ended. A failed run is repeated by the next trigger.
pub async fn run_scheduled<C, T, F>(
    function: &'static str,
    job: &'static str,
    env: &Env,
    config: impl FnOnce(&Bindings) -> Result<C, BindingError>,
    run: impl FnOnce(C) -> F,
) where
    F: Future<Output = Result<T, ApiError>>,
{
    let started = now();
    let request_id = random_uuid().to_string();
    let result = match config(&Bindings(env)) {
        Ok(config) => run(config).await.err(),
        Err(error) => Some(ApiError::new(Code::Misconfigured).detail(error.0)),
    };
    log(&LogLine {
        level: result.as_ref().map_or(Level::Info, |error| error.code.level()),
        function,
        request_id: &request_id,
        method: "CRON",
        route: job,
        status: result.as_ref().map_or(200, |error| error.code.status().as_u16()),
        code: result.as_ref().map(|error| error.code.name()),
        detail: result.as_ref().and_then(|error| error.detail.as_deref()),
        ms: (now() - started).num_milliseconds(),
    });
}

/// Consumes what a queue delivered and logs what came of it: the counts that `run` gives, and its error if there was one. `false` where
/// the configuration is not complete: then nothing was done.
pub async fn run_queue<C, T: Serialize>(
    function: &'static str,
    queue: &str,
    env: &Env,
    config: impl FnOnce(&Bindings) -> Result<C, BindingError>,
    run: impl AsyncFnOnce(C) -> (T, Option<ApiError>),
) -> bool {
    let started = now();
    let request_id = random_uuid().to_string();
    let (counts, error) = match config(&Bindings(env)) {
        Ok(config) => {
            let (counts, error) = run(config).await;
            (serde_json::to_string(&counts).ok(), error)
        }
        Err(error) => (None, Some(ApiError::new(Code::Misconfigured).detail(error.0))),
    };
    let parts = [error.as_ref().and_then(|error| error.detail.as_deref()), counts.as_deref()];
    let detail: Vec<&str> = parts.into_iter().flatten().collect();
    log(&LogLine {
        level: error.as_ref().map_or(Level::Info, |error| error.code.level()),
        function,
        request_id: &request_id,
        method: "QUEUE",
        route: queue,
        status: error.as_ref().map_or(200, |error| error.code.status().as_u16()),
        code: error.as_ref().map(|error| error.code.name()),
        detail: Some(&detail.join(" ")),
        ms: (now() - started).num_milliseconds(),
    });
    counts.is_some()
}

async fn health(function: &str, incoming: &Incoming, db: Option<Db>) -> Result<Response<String>, ApiError> {
    if incoming.method != Method::GET && incoming.method != Method::HEAD {
        return Err(ApiError::method_not_allowed("GET, HEAD"));
    }
    #[derive(Serialize)]
    struct Health<'a> {
        status: &'a str,
        function: &'a str,
        version: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        migration: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Database {
        migration: Option<String>,
    }
    let migration = match db {
        Some(db) => db.call_plain::<Database>(Rpc::idempotent("health")).await?.migration,
        None => None,
    };
    json(
        StatusCode::OK,
        &Health {
            status: "ok",
            function,
            version: env!("CARGO_PKG_VERSION"),
            migration,
        },
    )
}

async fn read(request: HttpRequest, limit: usize, request_id: String, now: DateTime<Utc>) -> Result<Incoming, ApiError> {
    let (parts, body) = request.into_parts();
    let declared = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(Code::BodyTooLarge.into());
    }
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => return Err(Code::BodyTooLarge.into()),
        Err(_) => {
            return Err(ApiError::new(Code::InvalidRequest)
                .detail("the body broke off")
                .field("body", "broke off"));
        }
    };
    let cf = parts.extensions.get::<worker::Cf>();
    Ok(Incoming {
        host: client_info::host_name(parts.uri.authority().map(|a| a.as_str()).unwrap_or_default()),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        method: parts.method,
        body,
        country: cf.and_then(worker::Cf::country),
        city: cf.and_then(worker::Cf::city),
        headers: parts.headers,
        request_id,
        now,
    })
}

/// The id given by the function in front, or Cloudflare's ray id, or a fresh one.
pub fn request_id(headers: &HeaderMap) -> String {
    let given = |name| {
        let text = client_info::header_text(headers, name, 64)?;
        text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-').then_some(text)
    };
    given(REQUEST_ID)
        .or_else(|| given("cf-ray"))
        .unwrap_or_else(|| random_uuid().to_string())
}

/// A random UUID (version 4) from the platform's random bytes.
pub fn random_uuid() -> Uuid {
    let mut bytes = [0u8; 16];
    // crypto.getRandomValues does not fail for 16 bytes.
    let _ = getrandom::fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// The platform's clock. `SystemTime::now` and `Utc::now` panic on wasm32.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(worker::Date::now().as_millis() as i64).unwrap_or_default()
}

pub async fn sleep(duration: Duration) {
    worker::Delay::from(duration).await;
}

/// The future's result, or `None` when it takes longer. Dropping a request's future aborts the request; `reqwest` has no timeout of
/// its own on wasm32.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(future), pin!(sleep(limit))).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(((), _)) => None,
    }
}

/// A JSON answer that no cache keeps.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response<String>, ApiError> {
    let body = serde_json::to_string(value).map_err(|e| ApiError::new(Code::InternalError).detail(e))?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One line per request. Never a member: address, code, token, header or body.
#[derive(Serialize)]
pub struct LogLine<'a> {
    pub level: Level,
    pub function: &'a str,
    pub request_id: &'a str,
    pub method: &'a str,
    pub route: &'a str,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
    pub ms: i64,
}

pub fn log(line: &LogLine) {
    let text = serde_json::to_string(line).unwrap_or_default();
    match line.level {
        Level::Info => worker::console_log!("{text}"),
        Level::Warn => worker::console_warn!("{text}"),
        Level::Error => worker::console_error!("{text}"),
    }
}
