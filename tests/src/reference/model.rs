//! What happened in a shop, as plain values. [`super::load`] writes them into the tables, the reports read them as they are.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

pub type Moment = DateTime<Utc>;

/// Words out of short lists: types of events, sources, devices, states.
pub type Word = &'static str;

/// Source and campaign, as stored.
pub type Channel = (Option<Word>, Option<Word>);

/// One tenant with all that a report may read of it.
#[derive(Debug, Clone)]
pub struct History {
    pub tenant: Uuid,
    pub zone: Tz,
    pub currency: Word,
    /// The first day something can have happened on, and the last moment.
    pub begins: NaiveDate,
    pub ends: Moment,
    pub products: Vec<Product>,
    pub events: Vec<Event>,
    pub orders: Vec<Order>,
    pub spend: Vec<Spend>,
    pub leads: Vec<Lead>,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
pub struct Product {
    pub id: Uuid,
    pub name: String,
    pub brand: Word,
}

#[derive(Debug, Clone)]
pub struct Event {
    pub id: Uuid,
    pub at: Moment,
    pub kind: Word,
    pub session: String,
    pub visit: Option<Uuid>,
    pub channel: Channel,
    pub device: Option<Word>,
    pub page_seconds: Option<i32>,
    pub scroll: Option<i32>,
    pub data: Option<Value>,
    pub bot: Option<Word>,
}

#[derive(Debug, Clone)]
pub struct Order {
    pub id: Uuid,
    pub email: String,
    pub user: Option<Uuid>,
    pub session: Option<String>,
    pub channel: Channel,
    pub created: Moment,
    pub paid: Option<Moment>,
    pub delivered: Option<Moment>,
    pub status: Word,
    pub fulfilment: Word,
    pub review_reason: Option<Word>,
    pub total: Decimal,
    pub cost: Option<Decimal>,
    pub items: Vec<Item>,
    pub payments: Vec<Payment>,
    pub fees: Vec<Fee>,
    pub refunds: Vec<Refund>,
}

#[derive(Debug, Clone)]
pub struct Item {
    pub product: Uuid,
    pub name: String,
    pub brand: Option<Word>,
    pub price: Decimal,
    pub quantity: i32,
}

/// What was asked, and what the provider says came in.
#[derive(Debug, Clone)]
pub struct Payment {
    pub id: Uuid,
    pub status: Word,
    pub amount: Decimal,
    pub received: Option<Decimal>,
    pub received_currency: Option<Word>,
}

#[derive(Debug, Clone)]
pub struct Fee {
    pub id: Uuid,
    pub amount: Decimal,
    pub currency: Word,
    pub reverses: Option<Uuid>,
}

#[derive(Debug, Clone)]
pub struct Refund {
    pub kind: Word,
    pub status: Word,
    pub amount: Decimal,
    pub requested: Moment,
    pub processed: Option<Moment>,
}

#[derive(Debug, Clone)]
pub struct Spend {
    pub day: NaiveDate,
    pub channel: Channel,
    pub creative: Option<Word>,
    pub amount: Decimal,
}

#[derive(Debug, Clone)]
pub struct Lead {
    pub email: String,
    pub unsubscribed: Option<Moment>,
}

/// A measurement of the health page: `webhook_latency` or `email_send_time`, in milliseconds.
#[derive(Debug, Clone)]
pub struct Sample {
    pub kind: Word,
    pub value: Decimal,
    pub at: Moment,
}
