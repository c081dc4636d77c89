//! The one call this Worker makes to Cardlink: create the bill of an order.

use std::time::Duration;

use http::StatusCode;
use shared::cardlink::{Api, BillV2, CreateBillV2};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::outgoing::NoAnswer;
use uuid::Uuid;

use crate::Config;

/// A shopper waits for this; after it the order fails and the stock is free again.
const TIMEOUT: Duration = Duration::from_secs(8);

/// What the provider is told of an order.
pub struct BillRequest<'a> {
    pub order_id: Uuid,
    pub amount: Amount,
    pub currency: &'a str,
    pub email: &'a str,
    pub site_url: &'a str,
    pub expires_in: u32,
}

/// Creates the bill. Any error means: no payment link reached the shopper, so the order can be given up.
pub async fn create_bill(config: &Config, bill: &BillRequest<'_>) -> Result<BillV2, ApiError> {
    match config.cardlink_api {
        Api::V2 => create_v2(config, bill).await,
    }
}

async fn create_v2(config: &Config, bill: &BillRequest<'_>) -> Result<BillV2, ApiError> {
    let amount = CreateBillV2::number(bill.amount).ok_or_else(|| ApiError::new(Code::InternalError).detail("amount is no JSON number"))?;
    let request = CreateBillV2 {
        amount,
        currency: bill.currency,
        order_id: bill.order_id,
        customer_email: bill.email,
        return_url: format!("{}/pay/return/success?orderId={}", bill.site_url, bill.order_id),
        webhook_url: format!("{}/api/webhooks/cardlink", bill.site_url),
        expires_in: bill.expires_in,
    };
    let body = serde_json::to_string(&request).map_err(|e| ApiError::new(Code::InternalError).detail(e))?;
    let url = format!("{}/bill/create", config.cardlink_url);
    let order_id = bill.order_id.to_string();
    let headers = [("idempotency-key", order_id.as_str())];
    let answer = config
        .outgoing
        .post_json(&url, config.cardlink_token.expose(), &headers, body, TIMEOUT)
        .await;
    let answer = answer.map_err(|problem| match problem {
        NoAnswer::Timeout => ApiError::new(Code::ProviderTimeout).detail("bill/create: no answer in time"),
        NoAnswer::Unreachable => ApiError::new(Code::ProviderUnavailable).detail("bill/create: not reached"),
    })?;
    if answer.status != StatusCode::OK.as_u16() && answer.status != StatusCode::CREATED.as_u16() {
        return Err(ApiError::new(Code::ProviderUnavailable).detail(format_args!("bill/create: HTTP {}", answer.status)));
    }
    let bill = answer.json::<BillV2>().filter(BillV2::is_usable);
    bill.ok_or_else(|| ApiError::new(Code::ProviderUnavailable).detail("bill/create: answer without a usable bill"))
}
