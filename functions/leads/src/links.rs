//! `GET /l/{code}`
//!
//! 1. Any other method than GET and HEAD: 405.
//! 2. `api.follow_link`: no such link of this host's shop: 404 `not_found`. Database not reached: 503.
//! 3. 302 to the link's target, always https. GET stamps the click on the link and on the lead it was sent to; HEAD stamps nothing.

use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;
use shared::client_info;
use shared::edge::Incoming;
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::handler::is_plain;
use crate::wire::Followed;

// Each call is another click.
const FOLLOW_LINK: Rpc = Rpc::once("follow_link");

#[derive(Serialize)]
struct Click<'a> {
    host: &'a str,
    origin_host: Option<String>,
    default_tenant: Option<Uuid>,
    code: &'a str,
    count: bool,
}

pub async fn follow(config: &Config, request: &Incoming, code: &str) -> Result<Response<String>, ApiError> {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(ApiError::method_not_allowed("GET, HEAD"));
    }
    if !is_plain(code) {
        return Err(Code::NotFound.into());
    }
    let click = Click {
        host: &request.host,
        origin_host: client_info::origin_host(&request.headers),
        default_tenant: config.default_tenant,
        code,
        count: request.method == Method::GET,
    };
    match config.db.call(FOLLOW_LINK, &click).await? {
        Followed::Ok { target } => found(&target),
        Followed::NotFound => Err(Code::NotFound.into()),
        Followed::UnknownTenant => Err(Code::UnknownTenant.into()),
    }
}

fn found(target: &str) -> Result<Response<String>, ApiError> {
    let location = HeaderValue::from_str(target).ok().filter(|_| target.starts_with("https://"));
    let location = location.ok_or_else(|| ApiError::new(Code::InternalError).detail("follow_link: the target is not https"))?;
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The code names a person; the target need not learn it.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_https_only() {
        let response = found("https://school.example/course?utm_source=sms").unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(response.headers()["location"], "https://school.example/course?utm_source=sms");
        for target in ["http://school.example", "javascript:alert(1)", "//evil.example", "https://a\nb"] {
            assert_eq!(found(target).unwrap_err().code, Code::InternalError, "{target}");
        }
    }
}
