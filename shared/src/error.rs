//! One error type for every function, and the one place where an error becomes an answer.
//!
//! Each [`Code`] answers five questions in functions without a catch-all arm: its name on the wire, its HTTP status, the sentence
//! for a person, the level it is logged at, and when to try again. `docs/error-codes.md` lists them all; a test compares the two.

use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// Everything a function of this project can refuse with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    InvalidJson,
    InvalidRequest,
    InvalidIdempotencyKey,
    EventRejected,
    NominalNotOffered,
    Unauthorized,
    InvalidSignature,
    Forbidden,
    ChallengeFailed,
    NotFound,
    UnknownTenant,
    ProductNotFound,
    OrderNotFound,
    PaymentNotFound,
    JobNotFound,
    AlertNotFound,
    CodeNotFound,
    OutboxNotFound,
    ExperimentNotFound,
    MethodNotAllowed,
    NoticeRefused,
    PriceChanged,
    CurrencyMismatch,
    OutOfStock,
    InProgress,
    OrderNotInReview,
    OrderNotDelivered,
    OrderNotRefundable,
    RefundTooLarge,
    RefundPending,
    RefundNotSupported,
    CodeAlreadyRevoked,
    OutboxNotDead,
    ExperimentKeyTaken,
    ExperimentLocked,
    BodyTooLarge,
    UnsupportedMediaType,
    IdempotencyKeyReused,
    TooManyRequests,
    TooManyPending,
    InternalError,
    Misconfigured,
    ProviderUnavailable,
    DatabaseUnavailable,
    ChallengeUnavailable,
    ProviderUnconfirmed,
    ProviderTimeout,
}

/// How loudly an error is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The caller's doing; expected.
    Info,
    /// Worth a look when it repeats.
    Warn,
    /// Somebody has to act.
    Error,
}

impl Code {
    pub const ALL: &[Self] = &[
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::InvalidIdempotencyKey,
        Self::EventRejected,
        Self::NominalNotOffered,
        Self::Unauthorized,
        Self::InvalidSignature,
        Self::Forbidden,
        Self::ChallengeFailed,
        Self::NotFound,
        Self::UnknownTenant,
        Self::ProductNotFound,
        Self::OrderNotFound,
        Self::PaymentNotFound,
        Self::JobNotFound,
        Self::AlertNotFound,
        Self::CodeNotFound,
        Self::OutboxNotFound,
        Self::ExperimentNotFound,
        Self::MethodNotAllowed,
        Self::NoticeRefused,
        Self::PriceChanged,
        Self::CurrencyMismatch,
        Self::OutOfStock,
        Self::InProgress,
        Self::OrderNotInReview,
        Self::OrderNotDelivered,
        Self::OrderNotRefundable,
        Self::RefundTooLarge,
        Self::RefundPending,
        Self::RefundNotSupported,
        Self::CodeAlreadyRevoked,
        Self::OutboxNotDead,
        Self::ExperimentKeyTaken,
        Self::ExperimentLocked,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::IdempotencyKeyReused,
        Self::TooManyRequests,
        Self::TooManyPending,
        Self::InternalError,
        Self::Misconfigured,
        Self::ProviderUnavailable,
        Self::DatabaseUnavailable,
        Self::ChallengeUnavailable,
        Self::ProviderUnconfirmed,
        Self::ProviderTimeout,
    ];

    /// The value of `code` in the answer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidIdempotencyKey => "invalid_idempotency_key",
            Self::EventRejected => "event_rejected",
            Self::NominalNotOffered => "nominal_not_offered",
            Self::Unauthorized => "unauthorized",
            Self::InvalidSignature => "invalid_signature",
            Self::Forbidden => "forbidden",
            Self::ChallengeFailed => "challenge_failed",
            Self::NotFound => "not_found",
            Self::UnknownTenant => "unknown_tenant",
            Self::ProductNotFound => "product_not_found",
            Self::OrderNotFound => "order_not_found",
            Self::PaymentNotFound => "payment_not_found",
            Self::JobNotFound => "job_not_found",
            Self::AlertNotFound => "alert_not_found",
            Self::CodeNotFound => "code_not_found",
            Self::OutboxNotFound => "outbox_not_found",
            Self::ExperimentNotFound => "experiment_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NoticeRefused => "notice_refused",
            Self::PriceChanged => "price_changed",
            Self::CurrencyMismatch => "currency_mismatch",
            Self::OutOfStock => "out_of_stock",
            Self::InProgress => "in_progress",
            Self::OrderNotInReview => "order_not_in_review",
            Self::OrderNotDelivered => "order_not_delivered",
            Self::OrderNotRefundable => "order_not_refundable",
            Self::RefundTooLarge => "refund_too_large",
            Self::RefundPending => "refund_pending",
            Self::RefundNotSupported => "refund_not_supported",
            Self::CodeAlreadyRevoked => "code_already_revoked",
            Self::OutboxNotDead => "outbox_not_dead",
            Self::ExperimentKeyTaken => "experiment_key_taken",
            Self::ExperimentLocked => "experiment_locked",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::TooManyRequests => "too_many_requests",
            Self::TooManyPending => "too_many_pending",
            Self::InternalError => "internal_error",
            Self::Misconfigured => "misconfigured",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::ChallengeUnavailable => "challenge_unavailable",
            // One code, three statuses: 502 when the provider refused or could not be reached, 504 when it did not answer in time,
            // 503 when it is the provider itself that must come again, because its notice could not be confirmed with it.
            Self::ProviderUnavailable | Self::ProviderTimeout | Self::ProviderUnconfirmed => "provider_unavailable",
        }
    }

    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidJson | Self::InvalidRequest | Self::InvalidIdempotencyKey | Self::EventRejected | Self::NominalNotOffered => {
                StatusCode::BAD_REQUEST
            }
            Self::Unauthorized | Self::InvalidSignature => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::ChallengeFailed => StatusCode::FORBIDDEN,
            Self::NotFound
            | Self::UnknownTenant
            | Self::ProductNotFound
            | Self::OrderNotFound
            | Self::PaymentNotFound
            | Self::JobNotFound
            | Self::AlertNotFound
            | Self::CodeNotFound
            | Self::OutboxNotFound
            | Self::ExperimentNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::PriceChanged
            | Self::CurrencyMismatch
            | Self::OutOfStock
            | Self::InProgress
            | Self::OrderNotInReview
            | Self::OrderNotDelivered
            | Self::OrderNotRefundable
            | Self::RefundTooLarge
            | Self::RefundPending
            | Self::RefundNotSupported
            | Self::CodeAlreadyRevoked
            | Self::OutboxNotDead
            | Self::ExperimentKeyTaken
            | Self::ExperimentLocked => StatusCode::CONFLICT,
            Self::NoticeRefused => StatusCode::NOT_ACCEPTABLE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests | Self::TooManyPending => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalError | Self::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ProviderUnavailable => StatusCode::BAD_GATEWAY,
            Self::DatabaseUnavailable | Self::ChallengeUnavailable | Self::ProviderUnconfirmed => StatusCode::SERVICE_UNAVAILABLE,
            Self::ProviderTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The sentence for a person, unless the error carries a more precise one.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::InvalidJson => "The body is not valid JSON in UTF-8.",
            Self::InvalidRequest => "Some fields are missing or wrong; see `fields`.",
            Self::InvalidIdempotencyKey => "Idempotency-Key must be 1 to 255 visible ASCII characters.",
            Self::EventRejected => "The event was not stored; see `fields`.",
            Self::NominalNotOffered => "This product is not sold with that face value.",
            Self::Unauthorized => "A valid bearer token is needed here.",
            Self::InvalidSignature => "The signature does not match the body.",
            Self::Forbidden => "You are signed in, but this needs rights you do not have.",
            Self::ChallengeFailed => "The check that you are a person did not pass; please try it again.",
            Self::NotFound => "There is nothing at this address.",
            Self::UnknownTenant => "No shop is set up for this host.",
            Self::ProductNotFound => "This product does not exist or is not for sale.",
            Self::OrderNotFound => "There is no such order, or the token does not belong to it.",
            Self::PaymentNotFound => "No payment is known for this bill yet; the notice was kept.",
            Self::JobNotFound => "There is no job of this name.",
            Self::AlertNotFound => "There is no such alert.",
            Self::CodeNotFound => "There is no such code.",
            Self::OutboxNotFound => "There is no such message.",
            Self::ExperimentNotFound => "There is no such experiment.",
            Self::NoticeRefused => "This notice is too old, was used before, or cannot be read.",
            Self::MethodNotAllowed => "This address does not answer to that method; see the Allow header.",
            Self::PriceChanged => "The price has changed; please look at the new one before you order.",
            Self::CurrencyMismatch => "This product is sold in another currency.",
            Self::OutOfStock => "Not enough codes of this face value are in stock.",
            Self::InProgress => "This order is being placed already; please wait a moment.",
            Self::OrderNotInReview => "This order is not waiting for a decision.",
            Self::OrderNotDelivered => "This order has no codes that could be sent.",
            Self::OrderNotRefundable => "There is no money of this order that could be given back.",
            Self::RefundTooLarge => "That is more than is left to give back.",
            Self::RefundPending => "All the money of this order is being given back.",
            Self::RefundNotSupported => "The payment contract of this shop knows no refunds; give the money back at the provider.",
            Self::CodeAlreadyRevoked => "This code is out of circulation already.",
            Self::OutboxNotDead => "Only a message that was given up can be tried again.",
            Self::ExperimentKeyTaken => "There is an experiment with this key already.",
            Self::ExperimentLocked => "The state of this experiment does not allow that; see `fields`.",
            Self::BodyTooLarge => "The body is larger than this address accepts.",
            Self::UnsupportedMediaType => "This address does not take that content type.",
            Self::IdempotencyKeyReused => "This Idempotency-Key has been used for another request; please use a new one.",
            Self::TooManyPending => {
                "Too many cards are reserved and not paid for yet; please pay for an open order first, or try again later."
            }
            Self::TooManyRequests => "Too many requests came from your address; please try again later.",
            Self::InternalError => "Something went wrong on our side.",
            Self::Misconfigured => "The service is not set up correctly.",
            Self::ProviderUnavailable => "The payment provider did not accept the order; nothing was charged. Please try again.",
            Self::DatabaseUnavailable => "The service is busy; please try again in a moment.",
            Self::ChallengeUnavailable => "The check that you are a person is not available; please try again in a moment.",
            Self::ProviderUnconfirmed => "The notice could not be confirmed with the payment provider; please send it again.",
            Self::ProviderTimeout => "The payment provider did not answer in time; nothing was charged. Please try again.",
        }
    }

    pub const fn level(self) -> Level {
        match self {
            Self::InvalidJson
            | Self::InvalidRequest
            | Self::InvalidIdempotencyKey
            | Self::EventRejected
            | Self::NominalNotOffered
            | Self::NotFound
            | Self::ProductNotFound
            | Self::OrderNotFound
            | Self::JobNotFound
            | Self::AlertNotFound
            | Self::CodeNotFound
            | Self::OutboxNotFound
            | Self::ExperimentNotFound
            | Self::MethodNotAllowed
            | Self::PriceChanged
            | Self::CurrencyMismatch
            | Self::OutOfStock
            | Self::InProgress
            | Self::OrderNotInReview
            | Self::OrderNotDelivered
            | Self::OrderNotRefundable
            | Self::RefundTooLarge
            | Self::RefundPending
            | Self::RefundNotSupported
            | Self::CodeAlreadyRevoked
            | Self::OutboxNotDead
            | Self::ExperimentKeyTaken
            | Self::ExperimentLocked
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::IdempotencyKeyReused
            | Self::ChallengeFailed => Level::Info,
            Self::Unauthorized
            | Self::InvalidSignature
            | Self::NoticeRefused
            | Self::Forbidden
            | Self::UnknownTenant
            | Self::PaymentNotFound
            | Self::ProviderUnavailable
            | Self::ProviderTimeout
            | Self::ProviderUnconfirmed
            | Self::DatabaseUnavailable
            | Self::TooManyRequests
            | Self::TooManyPending
            | Self::ChallengeUnavailable => Level::Warn,
            Self::InternalError | Self::Misconfigured => Level::Error,
        }
    }

    /// Seconds for `Retry-After`; `None` where trying again as it is cannot help.
    pub const fn retry_after(self) -> Option<u32> {
        match self {
            Self::DatabaseUnavailable | Self::InProgress => Some(2),
            Self::ProviderUnavailable | Self::ProviderTimeout | Self::ProviderUnconfirmed | Self::ChallengeUnavailable => Some(5),
            Self::TooManyRequests | Self::TooManyPending => Some(600),
            Self::InvalidJson
            | Self::InvalidRequest
            | Self::InvalidIdempotencyKey
            | Self::EventRejected
            | Self::NominalNotOffered
            | Self::Unauthorized
            | Self::InvalidSignature
            | Self::NoticeRefused
            | Self::Forbidden
            | Self::ChallengeFailed
            | Self::NotFound
            | Self::UnknownTenant
            | Self::ProductNotFound
            | Self::OrderNotFound
            | Self::PaymentNotFound
            | Self::JobNotFound
            | Self::AlertNotFound
            | Self::CodeNotFound
            | Self::OutboxNotFound
            | Self::ExperimentNotFound
            | Self::MethodNotAllowed
            | Self::PriceChanged
            | Self::CurrencyMismatch
            | Self::OutOfStock
            | Self::OrderNotInReview
            | Self::OrderNotDelivered
            | Self::OrderNotRefundable
            | Self::RefundTooLarge
            | Self::RefundPending
            | Self::RefundNotSupported
            | Self::CodeAlreadyRevoked
            | Self::OutboxNotDead
            | Self::ExperimentKeyTaken
            | Self::ExperimentLocked
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::IdempotencyKeyReused
            | Self::InternalError
            | Self::Misconfigured => None,
        }
    }
}

/// An error on its way to the caller. `detail` is for the log only and never holds an address, code, token or body.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub code: Code,
    pub detail: Option<String>,
    fields: BTreeMap<String, String>,
    extra: BTreeMap<&'static str, String>,
    allow: Option<&'static str>,
    /// Seconds for `Retry-After`, where they are known better than [`Code::retry_after`] says.
    retry_after: Option<u32>,
    /// Boxed: nearly no error has any, and a map is large.
    headers: Option<Box<HeaderMap>>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    code: &'a str,
    #[serde(rename = "requestId")]
    request_id: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: &'a BTreeMap<String, String>,
    #[serde(flatten)]
    extra: &'a BTreeMap<&'static str, String>,
}

impl ApiError {
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            fields: BTreeMap::new(),
            extra: BTreeMap::new(),
            allow: None,
            retry_after: None,
            headers: None,
        }
    }

    /// Adds what the log should say.
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// Says what is wrong with one field.
    pub fn field(mut self, name: impl Into<String>, problem: impl fmt::Display) -> Self {
        self.fields.insert(name.into(), problem.to_string());
        self
    }

    /// Adds a member beside `code`, such as the new `price`.
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.extra.insert(name, value.to_string());
        self
    }

    /// Says when to try again, in seconds.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds headers that the answer needs whatever its status, such as those of CORS.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.get_or_insert_default().extend(headers);
        self
    }

    /// 405 with its `Allow` header.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(Code::MethodNotAllowed)
        }
    }

    /// `Err` with all collected field problems, `Ok` when there are none.
    pub fn check_fields(fields: BTreeMap<String, String>) -> Result<(), Self> {
        if fields.is_empty() {
            Ok(())
        } else {
            Err(Self {
                fields,
                ..Self::new(Code::InvalidRequest)
            })
        }
    }

    pub fn response(&self, request_id: &str) -> Response<String> {
        let body = Body {
            error: self.code.sentence(),
            code: self.code.name(),
            request_id,
            fields: &self.fields,
            extra: &self.extra,
        };
        // Maps of strings always serialise.
        let mut response = Response::new(serde_json::to_string(&body).unwrap_or_default());
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.extend(self.headers.iter().flat_map(|headers| *headers.clone()));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after.or(self.code.retry_after()) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_codes_is_complete() {
        let unique: std::collections::BTreeSet<_> = Code::ALL.iter().collect();
        assert_eq!(unique.len(), Code::ALL.len());
        // The last variant's index: a variant missing from ALL makes these differ.
        assert_eq!(Code::ProviderTimeout as usize + 1, Code::ALL.len());
    }

    #[test]
    fn every_code_is_described_in_the_docs() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/error-codes.md")).unwrap();
        for code in Code::ALL {
            let row = docs.lines().find(|line| line.starts_with(&format!("| `{}` |", code.name())));
            let row = row.unwrap_or_else(|| panic!("docs/error-codes.md has no row for {}", code.name()));
            assert!(
                row.contains(code.status().as_str()),
                "{} is {} in the code: {row}",
                code.name(),
                code.status()
            );
        }
    }

    #[test]
    fn an_answer_names_its_code_request_and_fields() {
        let error = ApiError::new(Code::InvalidRequest)
            .field("email", "is missing")
            .detail("never shown");
        let response = error.response("r1");
        assert_eq!(response.status(), 400);
        assert_eq!(
            response.body(),
            r#"{"error":"Some fields are missing or wrong; see `fields`.","code":"invalid_request","requestId":"r1","fields":{"email":"is missing"}}"#
        );
        let price = ApiError::new(Code::PriceChanged).with("price", "37.50").response("r");
        assert!(price.body().ends_with(r#""price":"37.50"}"#), "{}", price.body());
    }

    #[test]
    fn retry_and_allow_headers_are_set() {
        assert_eq!(ApiError::new(Code::DatabaseUnavailable).response("r").headers()["retry-after"], "2");
        let pending = ApiError::new(Code::TooManyPending);
        assert_eq!(pending.response("r").headers()["retry-after"], "600");
        assert_eq!(pending.retry_after(90).response("r").headers()["retry-after"], "90");
        assert_eq!(ApiError::method_not_allowed("GET").response("r").headers()["allow"], "GET");
    }
}
