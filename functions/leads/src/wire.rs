//! What browsers get (camelCase) and what `api` functions answer (snake_case).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// 200 of `POST /api/leads`. The receipt is a fresh id whoever sent the form; staff finds the form by it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub receipt_id: Uuid,
    pub stage: String,
}

/// `api.capture_lead`
#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Captured {
    #[serde(rename = "captured")]
    Taken {
        stage: String,
        thank_you_url: String,
    },
    Invalid {
        fields: BTreeMap<String, String>,
    },
    TooMany,
    UnknownTenant,
}

/// `api.follow_link`
#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Followed {
    Ok { target: String },
    NotFound,
    UnknownTenant,
}

/// `api.unsubscribe`
#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Unsubscribed {
    Ok { shop: String, unsubscribed: bool },
    NotFound,
    UnknownTenant,
}
