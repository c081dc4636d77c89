//! What staff read: `api` functions answer in snake_case, this Worker in camelCase.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::money::Amount;
use uuid::Uuid;

/// Codes of one face value by state. `available` can be sold now; `expiring` are free but too close to their end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Stock {
    pub nominal: Amount,
    /// Whether the product is (still) sold with this face value.
    pub offered: bool,
    pub available: u64,
    pub expiring: u64,
    pub reserved: u64,
    pub sold: u64,
    pub revoked: u64,
    /// On offer with fewer codes than the shop's `low_stock_below`.
    pub low_stock: bool,
    pub last_imported_at: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct StockOfProduct {
    pub product_id: Uuid,
    pub product_name: String,
    pub product_status: String,
    pub currency: String,
    #[serde(flatten)]
    pub stock: Stock,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Nominal {
    /// Of one unit, now.
    pub price: Amount,
    #[serde(flatten)]
    pub stock: Stock,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Product {
    pub id: Uuid,
    pub name: String,
    pub brand: Option<String>,
    pub region: String,
    pub category: Option<String>,
    pub description: Option<String>,
    pub image_url: Option<String>,
    pub base_price: Amount,
    pub discount_percentage: Amount,
    pub currency: String,
    pub status: String,
    pub delivery_time: String,
    pub terms_conditions: Option<String>,
    pub features: Value,
    pub sort_order: i32,
    pub created_at: String,
    pub updated_at: String,
    pub nominals: Vec<Nominal>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Order {
    pub id: Uuid,
    pub created_at: String,
    pub status: String,
    pub fulfilment: String,
    pub review_reason: Option<String>,
    pub failure_reason: Option<String>,
    pub email: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub delivery_type: String,
    pub recipient_email: Option<String>,
    pub email_status: String,
    pub email_sent_at: Option<String>,
    pub email_retry_count: u32,
    pub amount: Amount,
    /// What the provider says came in.
    pub received_amount: Option<Amount>,
    pub currency: String,
    pub total_cost: Option<Amount>,
    pub transaction_fees: Amount,
    pub refund_amount: Amount,
    /// A text, since it may be negative.
    pub true_profit: Option<String>,
    pub partner_commission: Option<Amount>,
    /// What can still be given back; absent where no money is in.
    pub refundable_amount: Option<Amount>,
    pub refunds: Vec<Refund>,
    pub bill_id: Option<String>,
    pub expires_at: String,
    pub paid_at: Option<String>,
    pub delivered_at: Option<String>,
    pub utm_source: Option<String>,
    pub utm_campaign: Option<String>,
    pub items: Vec<Item>,
}

/// Money that went back, or is on its way back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Refund {
    pub id: Uuid,
    pub amount: Amount,
    /// `refund` or `chargeback`.
    pub kind: String,
    pub status: String,
    pub reason: Option<String>,
    /// The member of staff; absent where the provider told us of it.
    pub requested_by: Option<Uuid>,
    pub requested_at: String,
    pub processed_at: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Item {
    pub product_id: Uuid,
    pub product_name: String,
    pub product_brand: Option<String>,
    pub nominal: Amount,
    pub price: Amount,
    pub quantity: u32,
    pub codes: Vec<CodeOfOrder>,
}

/// What staff see of a code.
#[derive(Debug, Serialize, Deserialize)]
pub struct CodeOfOrder {
    pub id: Uuid,
    pub last4: String,
    pub status: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Alert {
    pub id: Uuid,
    #[serde(rename = "type")]
    pub kind: String,
    pub severity: String,
    pub title: String,
    pub message: String,
    /// What it is about, e.g. `order:<id>`.
    pub subject: String,
    pub order_id: Option<Uuid>,
    pub occurrences: u32,
    pub is_resolved: bool,
    pub resolved_by: Option<Uuid>,
    pub resolved_at: Option<String>,
    pub created_at: String,
    pub last_seen_at: String,
}

/// A row of the outbox as staff see it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Message {
    pub id: Uuid,
    pub kind: String,
    pub order_id: Uuid,
    pub status: String,
    pub to: Option<String>,
    pub attempts: u32,
    /// How often staff had it tried again.
    pub replays: u32,
    pub last_error: Option<String>,
    /// An attempt ended without an answer: the provider may have the mail.
    pub may_have_been_sent: bool,
    /// A later message of this kind, about the same order, was sent.
    pub sent_since: bool,
    pub delivery: Option<String>,
    pub delivery_reason: Option<String>,
    pub delivered_at: Option<String>,
    pub created_at: String,
    pub next_attempt_at: Option<String>,
    pub finished_at: Option<String>,
    /// The message this one took the place of.
    pub replaces: Option<Uuid>,
}
