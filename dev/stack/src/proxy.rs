//! The proxy between the Workers and PostgREST: counts requests and injects faults.
//!
//! - `GET /counts` -> `{"total":3,"roles":{"edge_orders":{"total":2,"rpc":{"create_order":1,"attach_bill":1}}}}`, `DELETE /counts`.
//!   The role is read from the token's payload without checking the token: PostgREST does that.
//! - `PUT`, `GET`, `DELETE /faults`: rules as in `sandbox::faults`, their target is `rpc`. A rule that answers or drops keeps the
//!   request from PostgREST; with `drop_after` PostgREST does its work and the caller never hears of it.
//! - Everything else goes to PostgREST and back unchanged but for hop-by-hop headers. Bodies are streamed, connections kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sandbox::faults::{self, Faults, Targets};
use sandbox::server::{drop_connection, serve_router};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// PostgREST's server closes idle connections after 30 s; ours must be gone before.
const IDLE: Duration = Duration::from_secs(15);
const MAX_BODY: usize = 16 << 20;
/// Headers that belong to one connection, not to the request (RFC 9110, 7.6.1), and `host`, which names the upstream.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[derive(Default, Serialize)]
struct Counts {
    total: u64,
    roles: BTreeMap<String, RoleCounts>,
}

#[derive(Default, Serialize)]
struct RoleCounts {
    total: u64,
    rpc: BTreeMap<String, u64>,
}

struct Proxy {
    upstream: String,
    client: Client<HttpConnector, Body>,
    counts: Mutex<Counts>,
    faults: Arc<Faults>,
}

/// Serves until its task is dropped. `upstream` is PostgREST's address, e.g. `http://127.0.0.1:3000`.
pub async fn serve(listener: TcpListener, upstream: String) -> anyhow::Result<()> {
    let upstream = upstream.trim_end_matches('/').to_owned();
    upstream
        .parse::<Uri>()
        .map_err(|error| anyhow::anyhow!("{upstream} is no address of a PostgREST: {error}"))?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(Duration::from_secs(5)));
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector);
    let faults = Arc::new(Faults::new(Targets::Rpc));
    let proxy = Arc::new(Proxy {
        upstream,
        client,
        counts: Mutex::default(),
        faults: faults.clone(),
    });
    let router = Router::new()
        .route("/counts", get(show_counts).delete(clear_counts))
        .fallback(pass)
        .with_state(proxy)
        .merge(faults::routes(faults));
    serve_router(listener, router).await
}

impl Proxy {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, role: String, rpc: Option<&str>) {
        let mut counts = self.counts();
        counts.total += 1;
        let of_role = counts.roles.entry(role).or_default();
        of_role.total += 1;
        if let Some(rpc) = rpc {
            *of_role.rpc.entry(rpc.to_owned()).or_default() += 1;
        }
    }

    async fn forward(&self, mut request: Request) -> Response {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let Ok(uri) = format!("{}{path}", self.upstream).parse() else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        *request.uri_mut() = uri;
        strip_hop_by_hop(request.headers_mut());
        match self.client.request(request).await {
            Ok(response) => {
                let mut response = response.map(Body::new);
                strip_hop_by_hop(response.headers_mut());
                response
            }
            // As a gateway in front of a stopped PostgREST answers: without a code of PostgREST's.
            Err(_) => (StatusCode::BAD_GATEWAY, format!("PostgREST does not answer at {}.", self.upstream)).into_response(),
        }
    }
}

async fn show_counts(State(proxy): State<Arc<Proxy>>) -> Response {
    Json(&*proxy.counts()).into_response()
}

async fn clear_counts(State(proxy): State<Arc<Proxy>>) -> StatusCode {
    *proxy.counts() = Counts::default();
    StatusCode::NO_CONTENT
}

async fn pass(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let rpc = request.uri().path().strip_prefix("/rpc/").map(str::to_owned);
    proxy.count(role_of(request.headers()), rpc.as_deref());
    let target = rpc.unwrap_or_default();
    let (request, body) = if proxy.faults.reads_body(&target) {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MAX_BODY).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        (Request::from_parts(parts, Body::from(body.clone())), body)
    } else {
        (request, Default::default())
    };
    let Some(hit) = proxy.faults.take(&target, &body) else {
        return proxy.forward(request).await;
    };
    hit.rule.pause().await;
    if hit.rule.drop {
        return drop_connection();
    }
    if let Some(injected) = hit.rule.answer(injected_body) {
        return injected;
    }
    let answered = proxy.forward(request).await;
    if hit.rule.drop_after {
        // To the last byte, so that the transaction behind the answer is finished.
        let _ = to_bytes(answered.into_body(), MAX_BODY).await;
        return drop_connection();
    }
    answered
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// `anon` without a token, as PostgREST sees it; `invalid` for a token whose payload cannot be read.
fn role_of(headers: &HeaderMap) -> String {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return "anon".to_owned();
    };
    let read = || {
        let token = value.to_str().ok()?.strip_prefix("Bearer ")?;
        let payload = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        claims.get("role").and_then(Value::as_str).map(str::to_owned)
    };
    read().unwrap_or_else(|| "invalid".to_owned())
}

/// The code PostgREST gives with this status when the database is away, its pool is full, or the function failed.
fn injected_body(status: u16) -> Value {
    let code = match status {
        503 => "PGRST000",
        504 => "PGRST003",
        500 => "XX000",
        _ => "PROXY",
    };
    error_body(code, "Injected by a fault rule of the proxy.")
}

fn error_body(code: &str, message: &str) -> Value {
    json!({ "code": code, "message": message, "details": null, "hint": null })
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::routing::post;
    use tokio::sync::Barrier;

    use super::*;

    type Http = Client<HttpConnector, Body>;

    async fn start(router: Router) -> (String, Http) {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", upstream.local_addr().unwrap());
        tokio::spawn(serve_router(upstream, router));
        proxy_to(address).await
    }

    async fn proxy_to(upstream: String) -> (String, Http) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, upstream));
        (url, Client::builder(TokioExecutor::new()).build_http())
    }

    async fn call(http: &Http, method: &str, url: &str, role: Option<&str>, body: &str) -> Option<(u16, String)> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(role) = role {
            let payload = URL_SAFE_NO_PAD.encode(json!({ "role": role }).to_string());
            request = request.header("authorization", format!("Bearer h.{payload}.s"));
        }
        let response = http.request(request.body(Body::from(body.to_owned())).unwrap()).await.ok()?;
        let status = response.status().as_u16();
        let bytes = to_bytes(Body::new(response.into_body()), MAX_BODY).await.ok()?;
        Some((status, String::from_utf8(bytes.to_vec()).unwrap()))
    }

    /// Answers with what it received, and counts.
    fn echo() -> (Router, Arc<Mutex<u32>>) {
        let seen = Arc::new(Mutex::new(0));
        let counted = seen.clone();
        let handler = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
            *counted.lock().unwrap() += 1;
            let profile = headers.get("content-profile").is_some();
            (StatusCode::CREATED, format!("{uri} {profile} {}", String::from_utf8_lossy(&body)))
        };
        (Router::new().fallback(handler), seen)
    }

    #[tokio::test]
    async fn requests_pass_unchanged_and_are_counted_by_role_and_function() {
        let (url, http) = start(echo().0).await;
        let path = format!("{url}/rpc/create_order?a=%20b");
        assert_eq!(
            call(&http, "POST", &path, Some("edge_orders"), "{}").await.unwrap(),
            (201, "/rpc/create_order?a=%20b false {}".to_owned())
        );
        call(&http, "POST", &format!("{url}/rpc/attach_bill"), Some("edge_orders"), "{}").await;
        call(&http, "GET", &format!("{url}/orders"), None, "").await;
        let request = Request::post(format!("{url}/rpc/x"))
            .header("authorization", "Bearer nonsense")
            .header("content-profile", "api");
        let response = http.request(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(to_bytes(Body::new(response.into_body()), MAX_BODY).await.unwrap(), "/rpc/x true ");
        let counts = call(&http, "GET", &format!("{url}/counts"), None, "").await.unwrap().1;
        let expected = json!({"total": 4, "roles": {
            "anon": {"total": 1, "rpc": {}},
            "edge_orders": {"total": 2, "rpc": {"attach_bill": 1, "create_order": 1}},
            "invalid": {"total": 1, "rpc": {"x": 1}},
        }});
        assert_eq!(serde_json::from_str::<Value>(&counts).unwrap(), expected);
        call(&http, "DELETE", &format!("{url}/counts"), None, "").await;
        assert!(
            call(&http, "GET", &format!("{url}/counts"), None, "")
                .await
                .unwrap()
                .1
                .starts_with(r#"{"total":0"#)
        );
    }

    #[tokio::test]
    async fn faults_answer_drop_before_and_drop_after() {
        let (router, seen) = echo();
        let (url, http) = start(router).await;
        let rules = json!({"rules":[
            {"rpc":"settle_payment","status":503,"times":1},
            {"rpc":"settle_payment","status":500,"body":{"code":"57014"},"times":1},
            {"rpc":"settle_payment","drop":true,"times":1},
            {"rpc":"settle_payment","drop_after":true,"match":"bill-7","times":1}]});
        assert_eq!(
            call(&http, "PUT", &format!("{url}/faults"), None, &rules.to_string())
                .await
                .unwrap()
                .0,
            200
        );
        let settle = format!("{url}/rpc/settle_payment");
        let first = call(&http, "POST", &settle, None, "{}").await.unwrap();
        assert!(first.0 == 503 && first.1.contains("PGRST000"), "{first:?}");
        assert_eq!(
            call(&http, "POST", &settle, None, "{}").await.unwrap(),
            (500, r#"{"code":"57014"}"#.to_owned())
        );
        assert!(call(&http, "POST", &settle, None, "{}").await.is_none());
        assert_eq!(*seen.lock().unwrap(), 0, "PostgREST saw none of these");
        assert_eq!(call(&http, "POST", &settle, None, "bill-6").await.unwrap().0, 201);
        assert!(call(&http, "POST", &settle, None, "bill-7").await.is_none());
        assert_eq!(*seen.lock().unwrap(), 2, "the one whose answer was dropped did arrive");
        assert_eq!(call(&http, "POST", &settle, None, "bill-7").await.unwrap().0, 201);
    }

    #[tokio::test]
    async fn sixty_requests_are_in_flight_together() {
        let barrier = Arc::new(Barrier::new(60));
        let wait = move || async move {
            barrier.wait().await;
            "met"
        };
        let (url, http) = start(Router::new().route("/rpc/wait", post(wait))).await;
        let target = format!("{url}/rpc/wait");
        let calls = (0..60).map(|_| call(&http, "POST", &target, None, "{}"));
        let all = tokio::time::timeout(Duration::from_secs(10), futures::future::join_all(calls))
            .await
            .unwrap();
        assert!(all.iter().all(|answer| answer.as_ref().unwrap().0 == 200));
    }

    #[tokio::test]
    async fn an_answer_is_streamed_not_collected() {
        let slow = || async {
            let chunks = futures::stream::unfold(0, |n| async move {
                if n == 1 {
                    futures::future::pending::<()>().await;
                }
                Some((Ok::<_, std::convert::Infallible>("first"), n + 1))
            });
            Body::from_stream(chunks)
        };
        let (url, http) = start(Router::new().route("/rpc/slow", post(slow))).await;
        let request = Request::post(format!("{url}/rpc/slow")).body(Body::empty()).unwrap();
        let response = http.request(request).await.unwrap();
        let mut stream = Body::new(response.into_body()).into_data_stream();
        let chunk = tokio::time::timeout(Duration::from_secs(5), futures::StreamExt::next(&mut stream))
            .await
            .unwrap();
        assert_eq!(chunk.unwrap().unwrap(), "first");
    }

    #[tokio::test]
    async fn a_stopped_postgrest_is_a_502_with_a_sentence() {
        let (url, http) = proxy_to("http://127.0.0.1:1".to_owned()).await;
        let (status, body) = call(&http, "POST", &format!("{url}/rpc/health"), None, "{}").await.unwrap();
        assert!(status == 502 && body.contains("does not answer"), "{status} {body}");
    }
}
