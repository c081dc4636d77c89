//! `POST /api/leads`
//!
//! 1. Neither `application/json` nor `application/x-www-form-urlencoded`: 415. Not JSON: 400 `invalid_json`. Wrong fields: 400
//!    `invalid_request`, each named.
//! 2. With `TURNSTILE_SECRET` bound: no token: 400; not accepted: 403 `challenge_failed`; Turnstile away: 503 `challenge_unavailable`.
//! 3. `api.capture_lead`, one transaction. No shop for this host: 404 `unknown_tenant`. A phone, source or stage the shop does not know:
//!    400 `invalid_request`. Too many forms from one address: 429 `too_many_requests`. Up to here nothing is written.
//! 4. JSON: 200 `{receiptId, stage}`. Form: 303 to the shop's thank-you page. Both say nothing about whether the person was known.
//!
//! The field `website` is one that no person sees. Who fills it in goes through all of the above and gets the same answer, but nothing
//! is stored: a program that notices would leave the field alone the next time.

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use shared::client_info;
use shared::cors::Cors;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use uuid::Uuid;

use crate::Config;
use crate::lead::{Lead, Utm};
use crate::turnstile::Solved;
use crate::wire::{Captured, Receipt};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
// A repeat stores nothing twice: the receipt is the key.
const CAPTURE_LEAD: Rpc = Rpc::idempotent("capture_lead");

#[derive(Serialize)]
struct NewLead<'a> {
    host: &'a str,
    origin_host: Option<String>,
    default_tenant: Option<Uuid>,
    receipt_id: Uuid,
    discard: bool,
    #[serde(flatten)]
    lead: &'a Lead,
    metadata: Metadata<'a>,
    ip: Option<&'a str>,
    user_agent: Option<&'a str>,
}

/// Where the person came from.
#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(flatten)]
    utm: &'a Utm,
    device_type: Option<client_info::Device>,
    session_id: Option<String>,
    visitor_id: Option<String>,
    referrer: Option<String>,
    country: Option<&'a str>,
    city: Option<&'a str>,
}

pub async fn capture(config: &Config, request: &Incoming, cors: &Cors) -> Result<Response<String>, ApiError> {
    request.expect_content_type(&[JSON, FORM])?;
    let is_form = request.content_type() == FORM;
    let lead = if is_form {
        Lead::from_form(&request.body)?
    } else {
        Lead::from_json(&request.body)?
    };
    let ip = client_info::client_ip(&request.headers, config.trusted_proxy.as_deref());
    let receipt_id = edge::random_uuid();
    if let Some(turnstile) = &config.turnstile {
        let solved = Solved {
            token: lead.turnstile_token.as_deref(),
            ip: ip.as_deref(),
            hosts: [Some(request.host.as_str()), cors.host()],
        };
        turnstile.check(&config.outgoing, &solved, receipt_id).await?;
    }
    match store(config, request, &lead, ip.as_deref(), receipt_id).await? {
        Captured::Taken { thank_you_url, .. } if is_form => see_other(&thank_you_url),
        Captured::Taken { stage, .. } => edge::json(StatusCode::OK, &Receipt { receipt_id, stage }),
        Captured::Invalid { fields } => Err(ApiError::check_fields(fields).err().unwrap_or(Code::InternalError.into())),
        Captured::TooMany => Err(Code::TooManyRequests.into()),
        Captured::UnknownTenant => Err(Code::UnknownTenant.into()),
    }
}

async fn store(config: &Config, request: &Incoming, lead: &Lead, ip: Option<&str>, receipt_id: Uuid) -> Result<Captured, ApiError> {
    let user_agent = client_info::header_text(&request.headers, "user-agent", 512);
    let cookie = |name| client_info::cookie(&request.headers, name).filter(|id| id.len() <= 128);
    let p = NewLead {
        host: &request.host,
        origin_host: client_info::origin_host(&request.headers),
        default_tenant: config.default_tenant,
        receipt_id,
        discard: lead.is_bot,
        lead,
        metadata: Metadata {
            utm: &lead.utm,
            device_type: client_info::device_of(user_agent.as_deref()),
            session_id: cookie("lv_sess"),
            visitor_id: cookie("lv_visitor"),
            referrer: client_info::header_text(&request.headers, "referer", 2048),
            country: request.country.as_deref(),
            city: request.city.as_deref(),
        },
        ip,
        user_agent: user_agent.as_deref(),
    };
    Ok(config.db.call(CAPTURE_LEAD, &p).await?)
}

fn see_other(url: &str) -> Result<Response<String>, ApiError> {
    let location =
        HeaderValue::from_str(url).map_err(|_| ApiError::new(Code::InternalError).detail("site_url cannot be sent as a header"))?;
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, location);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
