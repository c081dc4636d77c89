//! The one call this Worker makes to Cardlink: create the bill of an order.

use std::time::Duration;

use http::StatusCode;
use shared::cardlink::client::Client;
use shared::cardlink::{Api, Bill, v1, v2};
use shared::edge::{BindingError, Bindings};
use shared::error::{ApiError, Code};
use shared::money::Amount;
use shared::outgoing::{Answer, NoAnswer};
use uuid::Uuid;

/// A shopper waits for this; after it the order fails and the stock is free again.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Longest name of a v1 bill, in characters; the provider publishes no limit.
const MAX_NAME: usize = 120;

/// Cardlink, and what one of the contracts needs besides.
pub struct Provider {
    client: Client,
    contract: Contract,
}

enum Contract {
    V1 { shop_id: String },
    V2,
}

/// What the provider is told of an order.
pub struct BillRequest<'a> {
    pub order_id: Uuid,
    pub product_name: &'a str,
    pub amount: Amount,
    pub currency: &'a str,
    pub email: &'a str,
    /// `en` or `ru`: the language of the hosted page (v1).
    pub locale: &'a str,
    pub site_url: &'a str,
    pub expires_in: u32,
}

impl Provider {
    pub fn from_bindings(bindings: &Bindings) -> Result<Self, BindingError> {
        let client = Client::from_bindings(bindings)?;
        let contract = match client.api() {
            Api::V1 => Contract::V1 {
                shop_id: bindings.required("CARDLINK_SHOP_ID")?,
            },
            Api::V2 => Contract::V2,
        };
        Ok(Self { client, contract })
    }

    /// Creates the bill. Any error means: no payment link reached the shopper, so the order can be given up.
    pub async fn create_bill(&self, bill: &BillRequest<'_>) -> Result<Bill, ApiError> {
        let created = match &self.contract {
            Contract::V1 { shop_id } => self.create_v1(bill, shop_id).await?,
            Contract::V2 => self.create_v2(bill).await?,
        };
        let created = created.filter(Bill::is_usable);
        created.ok_or_else(|| ApiError::new(Code::ProviderUnavailable).detail("bill/create: answer without a usable bill"))
    }

    async fn create_v1(&self, bill: &BillRequest<'_>, shop_id: &str) -> Result<Option<Bill>, ApiError> {
        let request = v1::CreateBill {
            amount: bill.amount,
            shop_id,
            order_id: bill.order_id,
            name: &bill.product_name.chars().take(MAX_NAME).collect::<String>(),
            description: &format!("Order {}", bill.order_id),
            currency: bill.currency,
            payer_pays_commission: self.client.payer_pays_commission(),
            ttl: bill.expires_in,
            success_url: &bill.return_url("success"),
            fail_url: &bill.return_url("fail"),
            locale: bill.locale,
            payer_email: bill.email,
        };
        let answer = taken(self.client.create_v1(&request, TIMEOUT).await)?;
        Ok(answer.json::<v1::Created>().and_then(v1::Created::into_bill))
    }

    async fn create_v2(&self, bill: &BillRequest<'_>) -> Result<Option<Bill>, ApiError> {
        let amount =
            v2::CreateBill::number(bill.amount).ok_or_else(|| ApiError::new(Code::InternalError).detail("amount is no JSON number"))?;
        let request = v2::CreateBill {
            amount,
            currency: bill.currency,
            order_id: bill.order_id,
            customer_email: bill.email,
            return_url: bill.return_url("success"),
            webhook_url: format!("{}/api/webhooks/cardlink", bill.site_url),
            expires_in: bill.expires_in,
        };
        let body = serde_json::to_string(&request).map_err(|e| ApiError::new(Code::InternalError).detail(e))?;
        let answer = taken(self.client.create_v2(body, &bill.order_id.to_string(), TIMEOUT).await)?;
        Ok(answer.json::<v2::Created>().map(Bill::from))
    }
}

impl BillRequest<'_> {
    /// Where the shopper's browser is sent afterwards. Under v1 its host must be the shop's at the provider.
    fn return_url(&self, result: &str) -> String {
        format!("{}/pay/return/{result}?orderId={}", self.site_url, self.order_id)
    }
}

/// The answer of a provider that took the call.
fn taken(answer: Result<Answer, NoAnswer>) -> Result<Answer, ApiError> {
    let answer = answer.map_err(|problem| match problem {
        NoAnswer::Timeout => ApiError::new(Code::ProviderTimeout).detail("bill/create: no answer in time"),
        NoAnswer::Unreachable => ApiError::new(Code::ProviderUnavailable).detail("bill/create: not reached"),
    })?;
    if answer.status == StatusCode::OK.as_u16() || answer.status == StatusCode::CREATED.as_u16() {
        return Ok(answer);
    }
    let reason = answer.json::<v1::Refused>().map(|refused| refused.summary()).unwrap_or_default();
    Err(ApiError::new(Code::ProviderUnavailable).detail(format_args!("bill/create: HTTP {} {reason}", answer.status)))
}
