//! Requests to outside companies: one client, a timeout on every call, answers of bounded size.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::calls::Calls;

/// Largest answer read from an outside company, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    client: reqwest::Client,
    calls: Calls,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// `Retry-After` in seconds, at most an hour.
    pub retry_after: Option<u32>,
    pub body: String,
}

/// No answer. The outcome at the other side is unknown for both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    Timeout,
    Unreachable,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.body).ok()
    }
}

impl Outgoing {
    /// One whose requests are counted there.
    pub fn counting(calls: Calls) -> Self {
        Self { calls, ..Self::default() }
    }

    pub async fn post_json(
        &self,
        url: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: String,
        timeout: Duration,
    ) -> Result<Answer, NoAnswer> {
        let mut request = self.client.post(url).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.bearer_auth(token), timeout).await
    }

    /// HTTP Basic, for a body of any type.
    pub async fn post_basic(
        &self,
        url: &str,
        (user, password): (&str, &str),
        content_type: &str,
        body: String,
        timeout: Duration,
    ) -> Result<Answer, NoAnswer> {
        let request = self.client.post(url).header("content-type", content_type).body(body);
        self.send(request.basic_auth(user, Some(password)), timeout).await
    }

    /// For a service that takes its secret in the body.
    pub async fn post_json_without_token(&self, url: &str, body: String, timeout: Duration) -> Result<Answer, NoAnswer> {
        self.send(self.client.post(url).header("content-type", "application/json").body(body), timeout)
            .await
    }

    pub async fn post_form(&self, url: &str, token: &str, form: String, timeout: Duration) -> Result<Answer, NoAnswer> {
        let request = self
            .client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        self.send(request.bearer_auth(token), timeout).await
    }

    pub async fn get(&self, url: &str, token: &str, timeout: Duration) -> Result<Answer, NoAnswer> {
        self.send(self.client.get(url).bearer_auth(token), timeout).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, timeout: Duration) -> Result<Answer, NoAnswer> {
        self.calls.note();
        let exchange = async {
            let response = request.header("accept", "application/json").send().await?;
            let status = response.status().as_u16();
            let retry_after = response
                .headers()
                .get("retry-after")
                .and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
            let too_long = response.content_length().is_some_and(|length| length > MAX_ANSWER as u64);
            let body = if too_long { String::new() } else { response.text().await? };
            Ok::<_, reqwest::Error>(Answer {
                status,
                retry_after: retry_after.map(|seconds| seconds.min(3600)),
                body,
            })
        };
        match crate::edge::within(timeout, exchange).await {
            None => Err(NoAnswer::Timeout),
            // Only the kind is kept: the error's own text holds the address, which may hold a key.
            Some(Err(_)) => Err(NoAnswer::Unreachable),
            Some(Ok(answer)) if answer.body.len() > MAX_ANSWER => Err(NoAnswer::Unreachable),
            Some(Ok(answer)) => Ok(answer),
        }
    }
}
