//! `POST /api/orders/create`
//!
//! 1. Not `application/json`: 415. Not JSON: 400 `invalid_json`. Wrong fields: 400 `invalid_request`, each named. Nothing written.
//! 2. `api.create_order`, one transaction: prices the cart, reserves its codes, writes order, item and payment. It refuses with 404
//!    `unknown_tenant` or `product_not_found`, 400 `nominal_not_offered`, 409 `price_changed`, `currency_mismatch` or
//!    `out_of_stock`; then nothing is written.
//! 3. The bill is created at Cardlink. When that fails: `api.fail_order` frees the stock at once; 502 or 504 `provider_unavailable`.
//! 4. `api.attach_bill` ties bill and order together (tried again if the database is briefly away). 503 when it stays away, 502 when
//!    the bill is another order's: nobody has the payment link, so the order is given up as in 3, or expires by itself.
//! 5. 200 with the payment link and the order token.

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::cardlink::Bill;
use shared::client_info::{self, Device};
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::postgrest::{DbError, Rpc};
use uuid::Uuid;

use crate::Config;
use crate::cart::{Cart, idempotency_key};
use crate::provider::BillRequest;
use crate::wire::Created;

// Not repeated: each call is another order.
const CREATE_ORDER: Rpc = Rpc::once("create_order");
const ATTACH_BILL: Rpc = Rpc::idempotent("attach_bill");
const FAIL_ORDER: Rpc = Rpc::idempotent("fail_order");
/// How often the bill is tied to its order before the request gives up.
const ATTACH_ATTEMPTS: u32 = 3;

#[derive(Serialize)]
struct NewOrder<'a> {
    /// Chosen here: when the answer is lost, the order can still be given up.
    order_id: Uuid,
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
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    Created(Reserved),
    UnknownTenant,
    ProductNotFound,
    NominalNotOffered,
    PriceChanged { price: Amount },
    CurrencyMismatch { currency: String },
    OutOfStock,
}

/// An order whose stock is held, without a bill yet.
#[derive(Deserialize)]
struct Reserved {
    order_id: Uuid,
    product_name: String,
    amount: Amount,
    currency: String,
    expires_at: String,
    expires_in: u32,
    site_url: String,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Attach {
    Attached,
    OrderNotFound,
    BillConflict,
}

pub async fn create(config: &Config, request: &Incoming) -> Result<Response<String>, ApiError> {
    request.expect_content_type(&["application/json"])?;
    idempotency_key(&request.headers)?;
    let mut cart = Cart::read(&request.body)?;
    cart.session_id = cart
        .session_id
        .or_else(|| client_info::cookie(&request.headers, "lv_sess").filter(|id| id.len() <= 128));
    cart.visitor_id = cart
        .visitor_id
        .or_else(|| client_info::cookie(&request.headers, "lv_visitor").filter(|id| id.len() <= 128));
    let order = reserve(config, request, &cart).await?;
    let bill = match bill_of(config, &order, &cart).await {
        Ok(bill) => bill,
        Err(error) => {
            give_up(config, order.order_id, &error).await;
            return Err(error);
        }
    };
    edge::json(
        StatusCode::OK,
        &Created {
            order_id: order.order_id,
            payment_url: bill.payment_url,
            bill_id: bill.bill_id,
            order_token: config.token_key.order_token(order.order_id),
            amount: order.amount,
            currency: order.currency,
            expires_at: order.expires_at,
        },
    )
}

/// Nobody has been shown a payment link, so the stock is free again at once, also where the bill was tied to the order and only the
/// answer got lost. When this call fails too, the reservation ends at the order's expiry.
async fn give_up(config: &Config, order_id: Uuid, error: &ApiError) {
    let reason = json!({"order_id": order_id, "reason": error.code.name(), "link_not_shown": true});
    let _ = config.db.call::<_, serde_json::Value>(FAIL_ORDER, &reason).await;
}

/// A bill that is tied to the order.
async fn bill_of(config: &Config, order: &Reserved, cart: &Cart) -> Result<Bill, ApiError> {
    let bill = config.provider.create_bill(&bill_request(order, cart)).await?;
    attach(config, order, &bill).await?;
    Ok(bill)
}

async fn reserve(config: &Config, request: &Incoming, cart: &Cart) -> Result<Reserved, ApiError> {
    let user_agent = client_info::header_text(&request.headers, "user-agent", 512);
    let order_id = edge::random_uuid();
    let p = NewOrder {
        order_id,
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
    let outcome = match config.db.call(CREATE_ORDER, &p).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let lost = matches!(error, DbError::Unavailable(_));
            let error = ApiError::from(error);
            if lost {
                give_up(config, order_id, &error).await;
            }
            return Err(error);
        }
    };
    match outcome {
        Outcome::Created(order) => Ok(order),
        Outcome::UnknownTenant => Err(Code::UnknownTenant.into()),
        Outcome::ProductNotFound => Err(Code::ProductNotFound.into()),
        Outcome::NominalNotOffered => Err(Code::NominalNotOffered.into()),
        Outcome::PriceChanged { price } => Err(ApiError::new(Code::PriceChanged).with("price", price)),
        Outcome::CurrencyMismatch { currency } => Err(ApiError::new(Code::CurrencyMismatch).with("currency", currency)),
        Outcome::OutOfStock => Err(Code::OutOfStock.into()),
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

async fn attach(config: &Config, order: &Reserved, bill: &Bill) -> Result<(), ApiError> {
    let p = json!({
        "order_id": order.order_id,
        "bill_id": bill.bill_id,
        "payment_url": bill.payment_url,
        "provider_expires_at": bill.expires_at,
    });
    let mut attempt = 1;
    loop {
        match config.db.call(ATTACH_BILL, &p).await {
            Ok(Attach::Attached) => return Ok(()),
            Ok(Attach::OrderNotFound) => return Err(ApiError::new(Code::InternalError).detail("attach_bill: the order is gone")),
            Ok(Attach::BillConflict) => {
                return Err(ApiError::new(Code::ProviderUnavailable).detail("attach_bill: the provider gave a bill of another order"));
            }
            Err(DbError::Unavailable(_)) if attempt < ATTACH_ATTEMPTS => {
                edge::sleep(std::time::Duration::from_millis(150 << attempt)).await;
                attempt += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
