//! A sandbox on its own port, a shop that counts webhooks, and a small HTTP client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const SECRET: &str = "whsec_spec_secret";

/// Answers webhooks with the given statuses, then with 200, and keeps their bodies.
#[derive(Clone, Default)]
pub struct Shop {
    pub url: String,
    pub bodies: Arc<Mutex<Vec<String>>>,
    pub answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Shop {
    pub async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/webhooks/cardlink", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
        let shop = Self {
            url,
            bodies: Arc::default(),
            answers,
        };
        let router = Router::new()
            .route("/api/webhooks/cardlink", post(Self::take))
            .route("/api/webhooks/cardlink/refund", post(Self::take))
            .route("/api/webhooks/cardlink/chargeback", post(Self::take))
            .with_state(shop.clone());
        tokio::spawn(sandbox::server::serve_router(listener, router));
        shop
    }

    async fn take(State(shop): State<Self>, body: Bytes) -> (StatusCode, &'static str) {
        shop.bodies.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
        let status = shop.answers.lock().unwrap().pop_front().unwrap_or(200);
        (StatusCode::from_u16(status).unwrap(), r#"{"outcome":"fulfilled"}"#)
    }

    pub fn statuses(&self) -> Vec<String> {
        let status = |body: &String| serde_json::from_str::<Value>(body).unwrap()["status"].as_str().unwrap().to_owned();
        self.bodies.lock().unwrap().iter().map(status).collect()
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }
}

#[derive(Clone)]
pub struct Sandbox {
    pub url: String,
    client: Client<HttpConnector, Body>,
}

impl Sandbox {
    pub async fn start() -> Self {
        Self::of_shop("http://127.0.0.1:8787".to_owned()).await
    }

    /// A sandbox whose v1 notices go to this shop.
    pub async fn of_shop(shop_url: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = sandbox::Config {
            public_url: url.clone(),
            cardlink_token: "72|card".to_owned(),
            cardlink_secret: SECRET.to_owned(),
            cardlink_shop_id: "G1vrEyX0LR".to_owned(),
            shop_url,
            mail_api_key: "re_key".to_owned(),
        };
        tokio::spawn(sandbox::serve(listener, config));
        Self {
            url,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// `None` when the connection was closed without an answer.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.request(request.body(Body::from(body.to_owned())).unwrap()).await.ok()?;
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Some(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text,
        })
    }

    pub async fn get(&self, path: &str) -> Value {
        self.send("GET", path, &[("accept", "application/json")], "").await.unwrap().json()
    }

    pub async fn faults(&self, board: Value) {
        let answer = self.send("PUT", "/faults", &[], &board.to_string()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    pub async fn try_create(&self, shop: &Shop) -> Option<Answer> {
        let body = json!({
            "amount": "75.00", "currency": "USD", "order_id": "ord_1001", "customer_email": "ann@example.com",
            "return_url": "http://127.0.0.1:8787/pay/return/success", "webhook_url": shop.url, "expires_in": 3600
        });
        self.send(
            "POST",
            "/cardlink/v2/bill/create",
            &[("authorization", "Bearer 72|card")],
            &body.to_string(),
        )
        .await
    }

    /// A new bill's id.
    pub async fn create(&self, shop: &Shop) -> String {
        let created = self.try_create(shop).await.unwrap().json();
        let bill_id = created["bill_id"].as_str().unwrap().to_owned();
        assert_eq!(created["payment_url"], format!("{}/pay/{bill_id}", self.url));
        bill_id
    }

    /// `action` may carry a query.
    pub async fn act(&self, bill_id: &str, action: &str) -> Value {
        let path = format!("/pay/{bill_id}/{action}");
        self.send("POST", &path, &[("accept", "application/json")], "")
            .await
            .unwrap()
            .json()
    }

    pub async fn bill_status(&self, bill_id: &str) -> Value {
        let path = format!("/cardlink/v2/bill/status?bill_id={bill_id}");
        self.send("GET", &path, &[("authorization", "Bearer 72|card")], "")
            .await
            .unwrap()
            .json()
    }

    pub async fn mail(&self, key: &str, to: &str) -> Option<Answer> {
        let body = json!({"from": "Shop <shop@example.com>", "to": [to], "subject": "Your code", "html": "<p>\"A\" & B</p>"});
        let headers = [("authorization", "Bearer re_key"), ("idempotency-key", key)];
        self.send("POST", "/mail/emails", &headers, &body.to_string()).await
    }
}
