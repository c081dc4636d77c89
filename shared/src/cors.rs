//! Who may read a function's answers from a page of another origin: pages on the tenant's own domains, nobody else.
//!
//! `OPTIONS`: 204; with the `Access-Control-*` headers only for such a page. An origin that is not the tenant's is not refused,
//! its browser is: whoever is no browser sends what he likes. No answer allows credentials.
//!
//! A role that uses this needs `api.check_origin`; it is asked only where a request has an `Origin` that the browser does not call
//! same-origin.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client_info;
use crate::edge::Incoming;
use crate::error::ApiError;
use crate::postgrest::{Db, Rpc};

const CHECK_ORIGIN: Rpc = Rpc::idempotent("check_origin");
/// Seconds a browser may remember a preflight; none remembers longer than two hours.
const MAX_AGE: &str = "7200";

/// The origin that may read the answer, if there is one.
pub struct Cors(Option<HeaderValue>);

#[derive(Serialize)]
struct Asked<'a> {
    host: &'a str,
    origin_host: Option<String>,
    default_tenant: Option<Uuid>,
    origin: &'a str,
}

/// `api.check_origin`
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum OriginVerdict {
    Allowed,
    Refused,
    UnknownTenant,
}

impl Cors {
    /// No other origin may read the answer.
    pub const NONE: Self = Self(None);

    pub async fn of(db: &Db, default_tenant: Option<Uuid>, request: &Incoming) -> Result<Self, ApiError> {
        let Some(origin) = foreign_origin(&request.headers) else {
            return Ok(Self(None));
        };
        let asked = Asked {
            host: &request.host,
            origin_host: client_info::origin_host(&request.headers),
            default_tenant,
            origin: &origin,
        };
        let allowed = db.call::<_, OriginVerdict>(CHECK_ORIGIN, &asked).await? == OriginVerdict::Allowed;
        Ok(Self::of_verdict(Some(&origin), allowed))
    }

    /// For a function whose own call of the database has told whether the origin is the tenant's.
    pub fn of_verdict(origin: Option<&str>, allowed: bool) -> Self {
        Self(origin.filter(|_| allowed).and_then(|origin| HeaderValue::from_str(origin).ok()))
    }

    /// Host of the allowed origin.
    pub fn host(&self) -> Option<&str> {
        let authority = self.0.as_ref()?.to_str().ok()?.split_once("://")?.1;
        authority.split(':').next()
    }

    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(header::VARY, HeaderValue::from_static("Origin"))]);
        if let Some(origin) = &self.0 {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("X-Request-Id, Retry-After"),
            );
        }
        headers
    }

    /// An answer, a refusal too, with the headers that let the tenant's own pages read it.
    pub fn on(&self, answer: Result<Response<String>, ApiError>) -> Result<Response<String>, ApiError> {
        match answer {
            Ok(mut response) => {
                response.headers_mut().extend(self.headers());
                Ok(response)
            }
            Err(error) => Err(error.headers(self.headers())),
        }
    }

    /// `method`: what the page may send. `allow`: that and `OPTIONS`.
    pub fn preflight(&self, method: &'static str, allow: &'static str) -> Response<String> {
        let mut headers = self.headers();
        let mut add = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        if self.0.is_some() {
            add(header::ACCESS_CONTROL_ALLOW_METHODS, method);
            add(header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type");
            add(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        add(header::ALLOW, allow);
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.headers_mut() = headers;
        response
    }
}

/// The `Origin` of a page that needs leave. A page of this very origin, as its browser attests, needs none and costs no look-up.
fn foreign_origin(headers: &HeaderMap) -> Option<String> {
    let same = client_info::header_text(headers, "sec-fetch-site", 20).is_some_and(|site| site == "same-origin");
    client_info::header_text(headers, header::ORIGIN.as_str(), 300).filter(|_| !same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allowed_origin_is_named_and_every_answer_varies() {
        let allowed = Cors(Some(HeaderValue::from_static("https://lead.example"))).preflight("POST", "POST, OPTIONS");
        assert_eq!(allowed.status(), 204);
        assert_eq!(
            Cors(Some(HeaderValue::from_static("http://localhost:8787"))).host(),
            Some("localhost")
        );
        assert_eq!(allowed.headers()["access-control-allow-origin"], "https://lead.example");
        assert_eq!(allowed.headers()["access-control-allow-headers"], "Content-Type");
        assert!(!allowed.headers().contains_key("access-control-allow-credentials"));
        let refused = Cors(None).preflight("POST", "POST, OPTIONS");
        assert_eq!(refused.headers()["vary"], "Origin");
        assert!(refused.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
    }

    #[test]
    fn a_page_of_this_origin_needs_no_leave() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect()
        };
        assert_eq!(foreign_origin(&headers(&[])), None);
        assert_eq!(
            foreign_origin(&headers(&[("origin", "https://a.example"), ("sec-fetch-site", "same-origin")])),
            None
        );
        for site in ["same-site", "cross-site", "none"] {
            assert!(
                foreign_origin(&headers(&[("origin", "https://a.example"), ("sec-fetch-site", site)])).is_some(),
                "{site}"
            );
        }
    }
}
