//! `POST /api/orders/create`
//!
//! 1. Not `application/json`: 415. Not JSON: 400 `invalid_json`. Wrong fields: 400 `invalid_request`, each named. Nothing written.
//! 2. `api.create_order`, one transaction: recognises a repeat (see [`crate::repeat`]) and answers it as the first time with
//!    `Idempotency-Replayed: true`, or with 409 `in_progress` or 422 `idempotency_key_reused`. Else it prices the cart, reserves its codes,
//!    writes order, item and payment. It refuses with 404 `unknown_tenant` or `product_not_found`, 400 `nominal_not_offered`, 409
//!    `price_changed`, `currency_mismatch` or `out_of_stock`, 429 `too_many_pending`; then nothing is written but, under a key, the refusal.
//! 3. The bill is created at Cardlink. When that fails: `api.fail_order` frees the stock, and the key, at once; 502 or 504
//!    `provider_unavailable`.
//! 4. `api.attach_bill` ties bill and order together and keeps the answer under the key (tried again if the database is briefly away). 503
//!    when it stays away, 502 when the bill is another order's, 504 when the order has ended meanwhile: nobody has the payment link, so the
//!    order is given up as in 3, or expires by itself.
//! 5. 200 with the payment link and the order token.
//!
//! How long each step may take: [`crate::budget`].

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::cardlink::Bill;
use shared::client_info::{self, Device};
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::postgrest::{DbError, Rpc};
use uuid::Uuid;

use crate::cart::{Cart, idempotency_key};
use crate::provider::BillRequest;
use crate::repeat::Repeat;
use crate::wire::Created;
use crate::{Config, budget};

// Not repeated: each call is another order.
const CREATE_ORDER: Rpc = Rpc::once("create_order");
const ATTACH_BILL: Rpc = Rpc::idempotent("attach_bill");
const FAIL_ORDER: Rpc = Rpc::idempotent("fail_order");

#[derive(Serialize)]
struct NewOrder<'a> {
    /// Chosen here: when the answer is lost, the order can still be given up.
    order_id: Uuid,
    #[serde(flatten)]
    repeat: &'a Repeat,
    host: &'a str,
    origin_host: Option<String>,
    default_tenant: Option<Uuid>,
    #[serde(flatten)]
    cart: &'a Cart,
    referrer: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    device_type: Option<Device>,
    country: Option<&'a str>,
    city: Option<&'a str>,
}

#[derive(Deserialize)]
struct Reserve {
    /// The answer is the one an earlier request got.
    #[serde(default)]
    replayed: bool,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    Created(Reserved),
    Placed(Placed),
    InProgress,
    KeyReused,
    UnknownTenant,
    ProductNotFound,
    NominalNotOffered,
    PriceChanged { price: Amount },
    CurrencyMismatch { currency: String },
    OutOfStock,
    TooManyPending { retry_after: u32 },
}

/// An order whose stock is held, without a bill yet.
#[derive(Deserialize)]
struct Reserved {
    order_id: Uuid,
    product_name: String,
    amount: Amount,
    currency: String,
    expires_in: u32,
    site_url: String,
}

/// An order with its bill.
#[derive(Deserialize)]
struct Placed {
    order_id: Uuid,
    bill_id: String,
    payment_url: String,
    amount: Amount,
    currency: String,
    expires_at: String,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Attach {
    Attached { expires_at: String },
    OrderClosed,
    OrderNotFound,
    BillConflict,
}

pub async fn create(config: &Config, request: &Incoming) -> Result<Response<String>, ApiError> {
    request.expect_content_type(&["application/json"])?;
    let key = idempotency_key(&request.headers)?;
    let mut cart = Cart::read(&request.body)?;
    cart.session_id = cart
        .session_id
        .or_else(|| client_info::cookie(&request.headers, "lv_sess").filter(|id| id.len() <= 128));
    cart.visitor_id = cart
        .visitor_id
        .or_else(|| client_info::cookie(&request.headers, "lv_visitor").filter(|id| id.len() <= 128));
    let repeat = Repeat::of(key, &request.body, &cart)?;
    let Reserve { replayed, outcome } = reserve(config, request, &cart, &repeat).await?;
    let answer = match outcome {
        Outcome::Created(order) => place(config, request, order, &cart).await,
        Outcome::Placed(placed) => Ok(placed),
        refused => Err(refusal(refused)),
    };
    let headers = if replayed { replay_header() } else { HeaderMap::new() };
    let mut response = match answer {
        Ok(placed) => edge::json(StatusCode::OK, &shown(config, placed))?,
        Err(error) => return Err(error.headers(headers)),
    };
    response.headers_mut().extend(headers);
    Ok(response)
}

fn replay_header() -> HeaderMap {
    let header = (
        http::HeaderName::from_static("idempotency-replayed"),
        HeaderValue::from_static("true"),
    );
    HeaderMap::from_iter([header])
}

fn shown(config: &Config, placed: Placed) -> Created {
    Created {
        order_id: placed.order_id,
        payment_url: placed.payment_url,
        bill_id: placed.bill_id,
        order_token: config.token_key.order_token(placed.order_id),
        amount: placed.amount,
        currency: placed.currency,
        expires_at: placed.expires_at,
    }
}

fn refusal(outcome: Outcome) -> ApiError {
    match outcome {
        Outcome::InProgress => Code::InProgress.into(),
        Outcome::KeyReused => Code::IdempotencyKeyReused.into(),
        Outcome::UnknownTenant => Code::UnknownTenant.into(),
        Outcome::ProductNotFound => Code::ProductNotFound.into(),
        Outcome::NominalNotOffered => Code::NominalNotOffered.into(),
        Outcome::PriceChanged { price } => ApiError::new(Code::PriceChanged).with("price", price),
        Outcome::CurrencyMismatch { currency } => ApiError::new(Code::CurrencyMismatch).with("currency", currency),
        Outcome::OutOfStock => Code::OutOfStock.into(),
        Outcome::TooManyPending { retry_after } => ApiError::new(Code::TooManyPending).retry_after(retry_after),
        Outcome::Created(_) | Outcome::Placed(_) => ApiError::new(Code::InternalError).detail("an order is no refusal"),
    }
}

/// The rest of a new order: its bill. Without one the order is given up.
async fn place(config: &Config, request: &Incoming, order: Reserved, cart: &Cart) -> Result<Placed, ApiError> {
    match bill_of(config, request, &order, cart).await {
        Ok((bill, expires_at)) => Ok(Placed {
            order_id: order.order_id,
            bill_id: bill.bill_id,
            payment_url: bill.payment_url,
            amount: order.amount,
            currency: order.currency,
            expires_at,
        }),
        Err(error) => {
            give_up(config, order.order_id, &error).await;
            Err(error)
        }
    }
}

/// Nobody has been shown a payment link, so the stock is free again at once, also where the bill was tied to the order and only the
/// answer got lost. When this call fails too, the reservation ends at the order's expiry.
async fn give_up(config: &Config, order_id: Uuid, error: &ApiError) {
    let reason = json!({"order_id": order_id, "reason": error.code.name(), "link_not_shown": true});
    let call = config.db.call::<_, serde_json::Value>(FAIL_ORDER, &reason);
    let _ = edge::within(budget::GIVE_UP, call).await;
}

/// A bill that is tied to the order, and until when it can be paid.
async fn bill_of(config: &Config, request: &Incoming, order: &Reserved, cart: &Cart) -> Result<(Bill, String), ApiError> {
    let bill = config.provider.create_bill(&bill_request(order, cart)).await?;
    let expires_at = attach(config, request, order, &bill).await?;
    Ok((bill, expires_at))
}

async fn reserve(config: &Config, request: &Incoming, cart: &Cart, repeat: &Repeat) -> Result<Reserve, ApiError> {
    let user_agent = client_info::header_text(&request.headers, "user-agent", 512);
    let order_id = edge::random_uuid();
    let p = NewOrder {
        order_id,
        repeat,
        host: &request.host,
        origin_host: client_info::origin_host(&request.headers),
        default_tenant: config.default_tenant,
        cart,
        referrer: client_info::header_text(&request.headers, "referer", 2048),
        ip: client_info::client_ip(&request.headers, config.trusted_proxy.as_deref()),
        device_type: client_info::device_of(user_agent.as_deref()),
        user_agent,
        country: request.country.as_deref(),
        city: request.city.as_deref(),
    };
    match config.db.call(CREATE_ORDER, &p).await {
        Ok(reserve) => Ok(reserve),
        Err(error) => {
            let lost = matches!(error, DbError::Unavailable(_));
            let error = ApiError::from(error);
            if lost {
                give_up(config, order_id, &error).await;
            }
            Err(error)
        }
    }
}

fn bill_request<'a>(order: &'a Reserved, cart: &'a Cart) -> BillRequest<'a> {
    BillRequest {
        order_id: order.order_id,
        product_name: &order.product_name,
        amount: order.amount,
        currency: &order.currency,
        email: &cart.email,
        locale: cart.locale.name(),
        site_url: &order.site_url,
        expires_in: order.expires_in,
    }
}

async fn attach(config: &Config, request: &Incoming, order: &Reserved, bill: &Bill) -> Result<String, ApiError> {
    let p = json!({
        "order_id": order.order_id,
        "bill_id": bill.bill_id,
        "payment_url": bill.payment_url,
        "provider_expires_at": bill.expires_at,
    });
    let mut problem = ApiError::new(Code::DatabaseUnavailable).detail("attach_bill: no time left");
    let mut attempt = 1;
    while let Some(limit) = budget::attach_attempt(attempt, request.now, edge::now()) {
        if attempt > 1 {
            edge::sleep(budget::pause(attempt)).await;
        }
        match edge::within(limit, config.db.call(ATTACH_BILL, &p)).await {
            Some(Ok(Attach::Attached { expires_at })) => return Ok(expires_at),
            Some(Ok(Attach::OrderClosed)) => {
                return Err(ApiError::new(Code::ProviderTimeout).detail("attach_bill: the order had ended meanwhile"));
            }
            Some(Ok(Attach::OrderNotFound)) => return Err(ApiError::new(Code::InternalError).detail("attach_bill: the order is gone")),
            Some(Ok(Attach::BillConflict)) => {
                return Err(ApiError::new(Code::ProviderUnavailable).detail("attach_bill: the provider gave a bill of another order"));
            }
            Some(Err(error @ DbError::Unavailable(_))) => problem = error.into(),
            Some(Err(error)) => return Err(error.into()),
            None => problem = ApiError::new(Code::DatabaseUnavailable).detail("attach_bill: no answer in time"),
        }
        attempt += 1;
    }
    Err(problem)
}
