//! What a shopper may see.
//!
//! `GET /api/products`: 200 `{products: [...]}`; 404 `unknown_tenant`.
//! `GET /api/products/{id}`: 200; 404 `product_not_found` (also for an id that is no UUID).
//! `GET /api/orders/{id}`: `Authorization: Bearer` with the order token or the gift token.
//! 1. No bearer token, a wrong one, an id that is no UUID, an unknown order: the same 404 `order_not_found`; without a valid token
//!    the database is not even asked.
//! 2. Buyer: status, amount, items; codes once delivered, unless the order is a gift. Recipient of a gift: items without prices, and
//!    the codes; neither amount nor buyer.
//! 3. The first time a code is shown is written to its ledger by `api.get_order`.

use http::{HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::client_info;
use shared::codes::CodeRef;
use shared::edge::{self, Incoming};
use shared::error::{ApiError, Code};
use shared::postgrest::Rpc;
use shared::tokens::Viewer;
use uuid::Uuid;

use crate::Config;
use crate::wire::{CodeView, ItemView, OrderView, Product, StoredCode, StoredOrder};

const LIST_PRODUCTS: Rpc = Rpc::idempotent("list_products");
const GET_PRODUCT: Rpc = Rpc::idempotent("get_product");
const GET_ORDER: Rpc = Rpc::idempotent("get_order");

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum AllProducts {
    Ok { products: Vec<Product> },
    UnknownTenant,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum OneProduct {
    Ok { product: Box<Product> },
    UnknownTenant,
    ProductNotFound,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Order {
    Ok { order: Box<StoredOrder> },
    NotFound,
}

#[derive(Serialize)]
struct Products {
    products: Vec<Product>,
}

pub async fn products(config: &Config, request: &Incoming) -> Result<Response<String>, ApiError> {
    match config.db.call(LIST_PRODUCTS, &tenant(config, request)).await? {
        AllProducts::Ok { products } => edge::json(StatusCode::OK, &Products { products }),
        AllProducts::UnknownTenant => Err(Code::UnknownTenant.into()),
    }
}

pub async fn product(config: &Config, request: &Incoming, id: &str) -> Result<Response<String>, ApiError> {
    let id: Uuid = id.parse().map_err(|_| Code::ProductNotFound)?;
    let mut p = tenant(config, request);
    p["product_id"] = json!(id);
    match config.db.call(GET_PRODUCT, &p).await? {
        OneProduct::Ok { product } => edge::json(StatusCode::OK, &product),
        OneProduct::UnknownTenant => Err(Code::UnknownTenant.into()),
        OneProduct::ProductNotFound => Err(Code::ProductNotFound.into()),
    }
}

fn tenant(config: &Config, request: &Incoming) -> serde_json::Value {
    json!({
        "host": request.host,
        "origin_host": client_info::origin_host(&request.headers),
        "default_tenant": config.default_tenant,
    })
}

pub async fn order(config: &Config, request: &Incoming, id: &str) -> Result<Response<String>, ApiError> {
    let id: Uuid = id.parse().map_err(|_| Code::OrderNotFound)?;
    let token = client_info::bearer(&request.headers).ok_or(Code::OrderNotFound)?;
    let viewer = config.token_key.verify(id, token).ok_or(Code::OrderNotFound)?;
    let order = match config.db.call(GET_ORDER, &json!({"order_id": id, "viewer": viewer})).await? {
        Order::Ok { order } => *order,
        Order::NotFound => return Err(Code::OrderNotFound.into()),
    };
    let codes = order.codes.iter().map(|code| open(config, code)).collect::<Result<_, _>>()?;
    let mut response = edge::json(StatusCode::OK, &view(order, codes, viewer))?;
    response
        .headers_mut()
        .insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

fn open(config: &Config, code: &StoredCode) -> Result<CodeView, ApiError> {
    let code_ref = CodeRef {
        code_id: code.id,
        product_id: code.product_id,
        nominal: code.nominal,
    };
    let text = config.code_keys.open(&code_ref, &code.kid, &code.sealed);
    let text = text.map_err(|problem| ApiError::new(Code::InternalError).detail(format_args!("code {}: {problem}", code.id)))?;
    Ok(CodeView {
        product_name: code.product_name.clone(),
        nominal: code.nominal,
        code: text,
    })
}

fn view(order: StoredOrder, codes: Vec<CodeView>, viewer: Viewer) -> OrderView {
    let buyer = viewer == Viewer::Buyer;
    OrderView {
        order_id: order.id,
        status: order.status,
        fulfilment: order.fulfilment,
        amount: buyer.then_some(order.amount),
        currency: buyer.then_some(order.currency),
        items: order
            .items
            .into_iter()
            .map(|item| ItemView {
                product_name: item.product_name,
                product_brand: item.product_brand,
                nominal: item.nominal,
                price: buyer.then_some(item.price),
                quantity: item.quantity,
            })
            .collect(),
        codes,
        expires_at: order.expires_at,
    }
}
