//! JSON that shoppers' browsers and this Worker exchange (camelCase), and what `api` functions answer (snake_case).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::money::Amount;
use uuid::Uuid;

/// A product as the shop shows it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Product {
    pub id: Uuid,
    pub name: String,
    pub brand: String,
    pub region: String,
    pub category: Option<String>,
    pub description: Option<String>,
    pub image_url: Option<String>,
    pub currency: String,
    pub discount_percentage: Value,
    pub delivery_time: Option<String>,
    pub terms_conditions: Option<String>,
    pub features: Value,
    pub nominals: Vec<Nominal>,
}

/// A face value with what a unit of it costs now.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Nominal {
    pub nominal: Amount,
    pub price: Amount,
    pub in_stock: bool,
}

/// 200 of `POST /api/orders/create`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    pub order_id: Uuid,
    pub payment_url: String,
    pub bill_id: String,
    pub order_token: String,
    pub amount: Amount,
    pub currency: String,
    pub expires_at: String,
}

/// 200 of `GET /api/orders/{id}`. Amount and currency are the buyer's to see, not the recipient's of a gift.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    pub order_id: Uuid,
    pub status: String,
    pub fulfilment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    pub items: Vec<ItemView>,
    pub codes: Vec<CodeView>,
    pub expires_at: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemView {
    pub product_name: String,
    pub product_brand: Option<String>,
    pub nominal: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
    pub quantity: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeView {
    pub product_name: String,
    pub nominal: Amount,
    pub code: String,
}

/// `api.get_order`'s document.
#[derive(Debug, Deserialize)]
pub struct StoredOrder {
    pub id: Uuid,
    pub status: String,
    pub fulfilment: String,
    pub amount: Amount,
    pub currency: String,
    pub expires_at: Option<String>,
    pub items: Vec<StoredItem>,
    pub codes: Vec<StoredCode>,
}

#[derive(Debug, Deserialize)]
pub struct StoredItem {
    pub product_name: String,
    pub product_brand: Option<String>,
    pub nominal: Amount,
    pub price: Amount,
    pub quantity: u32,
}

#[derive(Debug, Deserialize)]
pub struct StoredCode {
    pub id: Uuid,
    pub product_id: Uuid,
    pub product_name: String,
    pub nominal: Amount,
    pub sealed: String,
    pub kid: String,
}
