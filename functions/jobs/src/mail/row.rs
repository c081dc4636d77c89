//! A row of the outbox with everything its mail needs, as `api.claim_outbox` gives it.

use serde::Deserialize;
use serde_json::Value;
use shared::money::Amount;
use uuid::Uuid;

#[derive(Debug, Clone, Deserialize)]
pub struct MailRow {
    pub id: Uuid,
    /// The claim's token: shown again when the row is begun and finished.
    pub lease: Uuid,
    pub kind: Kind,
    /// Why this mail is sent, where it is not the sale: `code_replaced`. A word unknown here changes nothing.
    pub reason: Option<String>,
    pub to: String,
    pub locale: Option<String>,
    pub tenant: Tenant,
    pub order: Order,
    pub codes: Vec<SealedCode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// The codes, to the buyer.
    #[serde(rename = "mail.codes")]
    Codes,
    /// The codes of a gift, to its recipient.
    #[serde(rename = "mail.gift")]
    Gift,
    /// What was bought and for how much, to the buyer of a gift; without codes.
    #[serde(rename = "mail.receipt")]
    Receipt,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Tenant {
    pub name: String,
    pub site_url: String,
    pub support_email: Option<String>,
    pub theme: Option<Value>,
}

impl MailRow {
    /// A mail with codes that take the place of others.
    pub fn is_replacement(&self) -> bool {
        self.kind != Kind::Receipt && self.reason.as_deref() == Some("code_replaced")
    }
}

impl Tenant {
    /// A colour of the theme, if it is plain `#RRGGBB`: it goes into a style attribute.
    pub fn colour(&self, name: &str, default: &str) -> String {
        let colour = self.theme.as_ref().and_then(|theme| theme.get("colors")?.get(name)?.as_str());
        let plain = |c: &&str| c.len() == 7 && c.starts_with('#') && c[1..].bytes().all(|b| b.is_ascii_hexdigit());
        colour.filter(plain).unwrap_or(default).to_owned()
    }
}

#[derive(Debug, Clone, Deserialize)]
pub struct Order {
    pub id: Uuid,
    pub created_at: chrono::DateTime<chrono::Utc>,
    pub amount: Option<Amount>,
    pub currency: String,
    pub first_name: Option<String>,
    pub gift_message: Option<String>,
    pub items: Vec<Item>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Item {
    pub product_name: String,
    pub nominal: Amount,
    pub price: Option<Amount>,
    pub quantity: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SealedCode {
    pub id: Uuid,
    pub product_id: Uuid,
    pub product_name: String,
    pub nominal: Amount,
    pub sealed: String,
    pub kid: String,
}
